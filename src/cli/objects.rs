//! What commands say as JSON beside what the API answers: each object with the type that it is made of.

use super::{configs, doctor, plan, record, security};
use crate::config::plan::Plan;
use crate::control::{ANSWERS, TokenLine};
use crate::metrics::status::Report;
use crate::nids::Event;
use crate::shape::Described;

const OWN: &[Described] = &[
    Described::new::<Report>("RecorderReport").listed(&["record --json"]),
    Described::new::<record::Final>("FinalReport").by(&["record --json, its last line"]),
    Described::new::<Plan>("MemoryPlan").by(&["record --plan --json"]),
    Described::new::<plan::Planned>("Plan").by(&["plan --json"]),
    Described::new::<doctor::Examined>("Examined").by(&["doctor --json"]),
    Described::new::<security::Security>("Security").by(&["doctor --security --json"]),
    Described::new::<configs::Checked>("CheckedConfiguration").by(&["check-config --json"]),
    Described::new::<TokenLine>("Token").listed(&["token list --json"]),
    Described::new::<Event<'static>>("NidsEvent").listed(&["nids suricata --json", "nids zeek --json"]),
];

/// All that is said as JSON.
pub fn all() -> impl Iterator<Item = &'static Described> {
    ANSWERS.iter().chain(OWN)
}
