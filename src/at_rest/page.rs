//! What there is to say for Prometheus where nobody records: which stores are answered about, and what is asked. Owns the names; made a few times a second.

use super::served::Served;
use crate::metrics::prometheus::{Kind, Page};

/// The page.
pub fn page(all: &[Served]) -> String {
    let mut page = Page::default();
    let labels = |served: &Served| (served.store().display().to_string(), served.id().to_owned());
    let mut each = |name: &str, help: &str, value: &dyn Fn(&Served) -> Option<u64>| {
        let mut family = page.family(name, Kind::Gauge, help);
        for served in all {
            let (store, id) = labels(served);
            if let Some(n) = value(served) {
                family.add(&[("store", &store), ("id", &id)], n);
            }
        }
    };
    let answered = |served: &Served| Some(u64::from(served.server().is_some()));
    each("retrotap_at_rest_answered", "1: the store is answered about here; 0: a recorder has it.", &answered);
    let queries = |served: &Served| Some(served.server()?.queries());
    each("retrotap_at_rest_queries", "Questions under way.", &queries);
    let unaudited = |served: &Served| Some(u64::from(served.server()?.unaudited().is_some()));
    each("retrotap_at_rest_audit_failing", "1: what is asked is not entered in an audit log.", &unaudited);
    page.family("retrotap_build_info", Kind::Gauge, "Always 1; version and source are its labels.")
        .add(&[("version", env!("CARGO_PKG_VERSION")), ("source", "at_rest")], 1);
    page.text()
}
