//! The ledger's files: days, summary, sign of life, any bytes. What is read stays within its window; an entry comes back from its text; whoever goes on
//! writing behind them can, and what he writes is found.

use crate::scratch;
use retrotap::ledger::{
    Entry, LEDGER_BYTES, Ledger, LedgerSummary, What, broken_imports, coverage, entries, latest, losses, missed,
    only_imported,
};

const DAY: u64 = 86_400_000_000_000;
/// 2026-11-29 and the next.
const DAYS: [&str; 2] = ["2026-11-29.jsonl", "2026-11-30.jsonl"];
const FIRST: u64 = 20_786 * DAY;

/// Input: two days, the summary, the sign of life.
pub fn run(data: &[u8]) {
    let [one, two, summary, alive] = crate::parts(data);
    let store = scratch::empty("ledger-store");
    let dir = store.join("ledger");
    std::fs::create_dir(&dir).expect("a folder");
    let files = [(DAYS[0], one), (DAYS[1], two), ("summary.json", summary), ("alive", alive)];
    for (name, bytes) in files.into_iter().filter(|(_, bytes)| !bytes.is_empty()) {
        std::fs::write(dir.join(name), bytes).expect("a file");
    }
    for (from, to) in [(0, u64::MAX), (FIRST, FIRST + DAY), (FIRST + DAY / 2, FIRST + DAY), (5, 5)] {
        for e in entries(&dir, from, to).expect("entries") {
            assert!((from..to).contains(&e.t), "{e:?}");
            let text = serde_json::to_string(&e).expect("text");
            assert_eq!(serde_json::from_str::<Entry>(&text).expect("the same"), e);
        }
        losses(&dir, from, to).expect("losses");
        let c = coverage(&dir, from, to).expect("coverage");
        for (a, b) in &c.recorded {
            assert!(a <= b && *a >= from && *b <= to, "{a} to {b} of {from} to {to}");
        }
        assert!(c.recorded.windows(2).all(|w| w[0].1 <= w[1].0), "{:?}", c.recorded);
        missed(&dir, Some(from), to, &[]).expect("what was missed");
        for span in LedgerSummary::read(&dir).expect("the summary").spans(from, to) {
            assert!(span.first >= from && span.last.is_none_or(|last| last < to), "{span:?} of {from} to {to}");
        }
    }
    let _ = (latest(&dir, |_| true), only_imported(&dir), broken_imports(&dir));
    let now = FIRST + DAY + 3_600_000_000_000;
    let mut ledger = Ledger::open(&dir, LEDGER_BYTES, now).expect("whoever goes on");
    let note = What::Note { text: "here".into() };
    ledger.append(now, note.clone()).expect("an entry");
    ledger.append(now, What::Expired { class: Some("all".into()), first: 7, last: Some(9) }).expect("an entry");
    drop(ledger);
    assert!(entries(&dir, now, now + 1).expect("entries").iter().any(|e| e.what == note), "what was written is found");
}

/// Those of every version, and an entry of each kind.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    let days = crate::made::golden("jsonl");
    for day in &days {
        add(crate::joined(&[day, b"", b"", b"1796039975510972917"]));
    }
    let text = |e: &Entry| serde_json::to_string(e).expect("text") + "\n";
    let kinds = [
        What::Started { version: "0.1.0".into(), source: "xdp".into(), config: serde_json::json!({}) },
        What::Loss {
            cause: "ring_full".into(),
            place: "eth0:1".into(),
            class: Some("all".into()),
            packets: 9,
            span: Some((5, 7)),
        },
        What::LinkDown { interface: "eth0".into() },
        What::LinkUp { interface: "eth0".into() },
        What::ClockStep { by: -5 },
        What::Flood { worker: 0, packets: 3, source: None },
        What::Expired { class: Some("dns".into()), first: 5, last: Some(9) },
        What::Killed { alive: FIRST + 5 },
        What::Unread { text: "2 of 3".into() },
        What::Stopped,
    ];
    let day: String = (0..).zip(kinds).map(|(n, what)| text(&Entry { t: FIRST + n * 1_000_000_000, what })).collect();
    let summary = br#"{"version":1,"classes":{"all":[[5,9],[20,30]]},"unknown":7,"broken_imports":[5]}"#;
    add(crate::joined(&[
        day.as_bytes(),
        day.replace("1795910", "1795996").as_bytes(),
        summary,
        b"1795996400000000000",
    ]));
}
