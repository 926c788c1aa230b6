//! What a window lacks, as people and programs are told it: losses by second, place, cause and class, times without a recording or a link.
//! Called by the CLI and the API.

use super::{Coverage, Gap, LedgerError, LinkDown, What, broken_imports, coverage, entries, losses, only_imported};
use crate::limits::GAP_MIN_NS;
use crate::shape::{Count, Each, Many, Maybe, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

/// Packets lost in one second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "LossSlice")]
pub struct Slice {
    /// When the second begins, or the first of them arrived; null: it is not known when they came.
    #[serde(rename = "time", with = "Maybe::<Time>")]
    pub t: Option<u64>,
    /// When the last of them arrived, if not within a second of `time`; null: it did, or it is not known.
    #[serde(with = "Maybe::<Time>")]
    pub last: Option<u64>,
    /// Where: an interface, a worker.
    pub place: String,
    /// Why, as the account calls it.
    pub cause: String,
    /// `None`: lost before they had one.
    pub class: Option<String>,
    /// How many.
    #[serde(with = "Count")]
    pub packets: u64,
}

/// Connections that were not tracked in one second: the table was full, or a flood's limits kept them out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FloodSlice")]
pub struct Flood {
    /// When the second begins.
    #[serde(rename = "time", with = "Time")]
    pub t: u64,
    /// Whose table it was.
    pub worker: u16,
    /// Their packets, stored untracked or lost.
    #[serde(with = "Count")]
    pub packets: u64,
    /// Whom most came from, where one source had too many.
    pub source: Option<IpAddr>,
}

/// What a window lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Losses {
    /// Its begin; `None`: as far back as the ledger goes.
    #[serde(with = "Maybe::<Time>")]
    pub since: Option<u64>,
    /// Its end.
    #[serde(with = "Time")]
    pub until: u64,
    /// Packets of all slices.
    #[serde(with = "Count")]
    pub packets: u64,
    /// By cause.
    #[serde(with = "Each::<Count>")]
    pub causes: BTreeMap<String, u64>,
    /// One for each second, place, cause and class.
    pub slices: Vec<Slice>,
    /// Connections that were not tracked, second by second.
    pub floods: Vec<Flood>,
    /// When nothing was recorded, and why.
    pub not_recorded: Vec<Gap>,
    /// When an interface had no link.
    pub link_down: Vec<LinkDown>,
    /// When imports began that did not read all of their files.
    #[serde(with = "Many::<Time>")]
    pub broken_imports: Vec<u64>,
    /// The store holds imported traces: no recorder covers their times.
    pub imported: bool,
}

/// Reads the ledger in this folder. `classes`: only what was lost of these; empty: all.
pub fn missed(dir: &Path, since: Option<u64>, until: u64, classes: &[String]) -> Result<Losses, LedgerError> {
    let from = since.unwrap_or(0);
    let imported = only_imported(dir)?;
    let mut l = Losses { since, until, imported, ..Losses::default() };
    // What was lost before it had a class may have been of any.
    let wanted = |class: &Option<String>| classes.is_empty() || class.as_ref().is_none_or(|c| classes.contains(c));
    // A slice counts if its second overlaps the window.
    let mut slices = BTreeMap::new();
    for e in losses(dir, from, until)? {
        if let What::Loss { cause, place, class, packets, span } = e.what
            && wanted(&class)
        {
            let (t, last) = match span {
                None => (Some(e.t), None),
                Some((0, u64::MAX)) => (None, None),
                Some((first, last)) => (Some(first), Some(last)),
            };
            *slices.entry((t, place, cause, class, last)).or_insert(0u64) += packets;
        }
    }
    for e in entries(dir, from.saturating_sub(999_999_999), until)? {
        if let What::Flood { worker, packets, source } = e.what {
            l.floods.push(Flood { t: e.t, worker, packets, source });
        }
    }
    for ((t, place, cause, class, last), packets) in slices {
        l.packets += packets;
        *l.causes.entry(cause.clone()).or_default() += packets;
        l.slices.push(Slice { t, last, place, cause, class, packets });
    }
    let Coverage { gaps, link_down, known_from, .. } = coverage(dir, from, until)?;
    if !imported {
        // What was before the ledger began is not known, and no gap.
        let known = known_from.filter(|_| since.is_none()).unwrap_or(from);
        l.not_recorded = gaps
            .into_iter()
            .map(|g| Gap { from: g.from.max(known), ..g })
            .filter(|g| g.to.saturating_sub(g.from) >= GAP_MIN_NS)
            .collect();
    }
    (l.link_down, l.broken_imports) = (link_down, broken_imports(dir)?);
    Ok(l)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{GapCause, LEDGER_BYTES, Ledger};

    const S: u64 = 1_000_000_000;

    #[test]
    fn slices_by_second_place_and_cause() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(dir.path(), LEDGER_BYTES, 1000 * S).unwrap();
        let started = What::Started { version: "0".into(), source: "xdp".into(), config: serde_json::Value::Null };
        ledger.append(1000 * S, started).unwrap();
        for (t, cause, place, class, packets) in [
            (1010, "disk_stall", "worker 0", Some("web"), 5),
            (1010, "ring_full", "eth1", None, 7),
            (1020, "disk_stall", "worker 0", Some("dns"), 1),
        ] {
            let class = class.map(str::to_owned);
            ledger
                .append(t * S, What::Loss { cause: cause.into(), place: place.into(), class, packets, span: None })
                .unwrap();
        }
        let (cause, place) = ("not_read".to_owned(), "a.pcap".to_owned());
        ledger
            .append(1025 * S, What::Loss { cause, place, class: None, packets: 2, span: Some((0, u64::MAX)) })
            .unwrap();
        ledger.append(1030 * S, What::Stopped).unwrap();
        ledger.beat(1030 * S).unwrap();
        let all = missed(dir.path(), None, 1100 * S, &[]).unwrap();
        assert_eq!((all.packets, all.slices.len(), all.causes.get("disk_stall")), (15, 4, Some(&6)));
        assert_eq!(all.slices.first().map(|s| (s.t, s.last, s.packets)), Some((None, None, 2)), "nobody knows when");
        assert_eq!(all.not_recorded, [Gap { from: 1030 * S, to: 1100 * S, cause: GapCause::Stopped }]);
        // A second that the window cuts counts.
        let some = missed(dir.path(), Some(1010 * S + 5), 1015 * S, &[]).unwrap();
        assert_eq!((some.packets, some.slices.len(), some.not_recorded.len()), (14, 3, 0));
        let web = missed(dir.path(), None, 1100 * S, &["web".to_owned()]).unwrap();
        assert_eq!((web.packets, web.slices.len()), (14, 3), "its own, and what was lost before it had a class");
    }
}
