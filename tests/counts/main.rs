//! How many connections there are, on every capture: the account, the list of connections, a query's summary, `info`, `plan --store`
//! and the independent oracle say the same.

#[path = "../common/mod.rs"]
mod common;
mod names;
#[path = "../oracle/mod.rs"]
mod oracle;

use common::Retrotap;
use oracle::captures;
use oracle::model::{Oracle, Rules};
use retrotap::planning;
use retrotap::query::output::Nothing;
use retrotap::query::pace::Freely;
use retrotap::query::{Engine, Query};
use retrotap::store::info;
use std::path::Path;

/// Larger captures take the oracle too long.
const BYTES_MAX: u64 = 3 << 20;

/// Account, list, summary, `info`, `plan`; the connections that the list has without a receipt.
fn counted(files: &[&Path], options: &[&str]) -> ([u64; 5], usize) {
    let r = Retrotap::default();
    let (ran, account) = r.record(files, options);
    let begun = account["connections"]["begun"].as_u64().unwrap_or_else(|| panic!("{account}: {}", ran.err));
    let query = Query { store: r.store(), ..Query::default() };
    let engine = Engine::new(&r.store());
    let list = engine.connections(&query, &[], &Freely).expect("a list").connections;
    let summary = engine.answer(&query, &[], &Freely, &mut Nothing).expect("an answer");
    let info = info::info(&r.store(), &engine.counted(&Freely).expect("a count")).expect("info");
    let plan = planning::receipts::curve(&r.store(), 0, u64::MAX, &[1024]).expect("a plan");
    let without = list.iter().filter(|c| c.end.is_none()).count();
    ([begun, list.len() as u64, summary.connections, info.total.connections, plan.connections], without)
}

/// Captures whose times go back further than this are left out.
const BACK_NS: u64 = 60_000_000_000;

#[test]
fn all_count_the_same_connections_of_every_capture() {
    let mut wrong = Vec::new();
    let Some(count) = captures::each(|capture| {
        let large = std::fs::metadata(&capture.path).is_ok_and(|m| m.len() > BYTES_MAX);
        // Where readers differ on what a file holds there is nothing to compare.
        if large || capture.broken.is_some() || capture.odd_times {
            return;
        }
        let (mut oracle, mut newest, mut back) = (Oracle::new(Rules::default()), 0, false);
        for p in &capture.packets {
            oracle.packet(p.time, p.wire, capture.link_type, &p.data);
            back |= p.time.saturating_add(BACK_NS) < newest;
            newest = newest.max(p.time);
        }
        // A connection with a packet of years before it is listed twice: odd/zero_len_frr.pcap.
        if back {
            return;
        }
        let want = [oracle.connections.len() as u64; 5];
        let got = counted(&[&capture.path], &["--cutoff", "none"]);
        if got != (want, 0) {
            wrong.push(format!("{}: {got:?}, but {}", capture.name, want[0]));
        }
    }) else {
        return;
    };
    assert!(count > 0, "captures");
    assert!(wrong.is_empty(), "account, list, summary, info, plan; without a receipt:\n{}", wrong.join("\n"));
}
