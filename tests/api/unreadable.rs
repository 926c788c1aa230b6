//! Files of the store that can't be read any more while the recorder has them mapped: the disk's fault, or somebody's hand. They cost a part of an
//! answer, which says so, and not the recorder.

use crate::common::{Retrotap, segments};
use crate::rig::{Daemon, packet};

#[test]
fn files_that_are_cut_short_cost_a_part_of_an_answer() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", "0"]);
    daemon.feed((0..60_000).map(packet));
    daemon.until_count(60_000);
    let indexes = || segments(&r.store()).into_iter().map(|s| s.with_extension("idx")).filter(|i| i.exists());
    daemon.until("two indexes", || (indexes().count() >= 2).then_some(()));
    let of = |last: u8| (0..60_000u32).filter(|n| *n as u8 == last).count() as u64;
    let count = |filter: &str| {
        let (status, s) = daemon.ask("/v1/count", &serde_json::json!({ "filter": filter }).to_string());
        assert_eq!(status, 200, "{s}");
        s
    };
    for last in [7, 8] {
        assert_eq!(count(&format!("host 10.0.0.{last}"))["packets"], of(last));
    }
    let cut = |path: &std::path::Path, to: u64| {
        std::fs::OpenOptions::new().write(true).open(path).and_then(|f| f.set_len(to)).expect("a file of the store");
    };
    // Filters and indexes are made of the segments: without them nothing is missing.
    for name in ["filters-address", "filters-joint", "filters"] {
        cut(&r.store().join(name), 0);
        assert_eq!(count("host 10.0.0.9")["packets"], of(9), "{name}");
        assert_eq!(count("host 10.0.0.10 and host 10.9.9.9")["packets"], of(10), "{name}");
        assert_eq!(count("host 192.0.2.1")["packets"], 0, "{name}");
    }
    let index = indexes().next().expect("an index");
    cut(&index, 0);
    assert_eq!(count("host 10.0.0.11 and udp port 53")["packets"], of(11));
    // Of a segment that is half gone the rest answers, and the answer says that it is not all.
    let segment = index.with_extension("pcapng");
    let half = std::fs::metadata(&segment).expect("a segment").len() / 2;
    cut(&segment, half);
    let some = count("host 10.0.0.12");
    let packets = some["packets"].as_u64().expect("a number");
    assert!(packets > 0 && packets < of(12), "{some}");
    assert_eq!(some["complete"], false, "{some}");
    daemon.stop();
}
