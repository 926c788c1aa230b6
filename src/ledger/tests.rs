//! The ledger and the receipts on a real directory.

use super::search::{Wanted, search, search_while};
use super::*;
use crate::conn::receipt::{End, Receipt};
use crate::index::term::Term;
use crate::packet::key::{Key, Key4, Key6, Tail};
use proptest::prelude::*;

const S: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * S;

fn started(source: &str) -> What {
    What::Started { version: "0.1.0".into(), source: source.into(), config: serde_json::json!({"cutoff": 15360}) }
}

#[test]
fn coverage_is_what_ran() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    let mut l = Ledger::open(d, LEDGER_BYTES, 0).unwrap();
    l.append(100 * S, started("xdp")).unwrap();
    l.beat(150 * S).unwrap();
    l.append(160 * S, What::LinkDown { interface: "eth0".into() }).unwrap();
    l.append(170 * S, What::LinkUp { interface: "eth0".into() }).unwrap();
    l.append(
        180 * S,
        What::Loss { cause: "disk_stall".into(), place: "worker 0".into(), class: None, packets: 7, span: None },
    )
    .unwrap();
    l.append(200 * S, What::Stopped).unwrap();
    // An import covers nothing.
    l.append(250 * S, started("file")).unwrap();
    l.append(260 * S, What::Stopped).unwrap();
    l.append(300 * S, started("packet")).unwrap();
    l.beat(350 * S).unwrap();
    let c = coverage(d, 0, 1000 * S).unwrap();
    assert_eq!(c.recorded, [(100 * S, 200 * S), (300 * S, 350 * S)], "up to the last sign of life");
    let gaps: Vec<_> = c.gaps.iter().map(|g| (g.from, g.to, g.cause)).collect();
    let (before, stopped, killed) = (GapCause::Before, GapCause::Stopped, GapCause::Killed);
    assert_eq!(gaps, [(0, 100 * S, before), (200 * S, 300 * S, stopped), (350 * S, 1000 * S, killed)]);
    assert_eq!(c.link_down, [LinkDown { interface: "eth0".into(), from: 160 * S, to: 170 * S }]);
    assert!(c.imported && c.known_from == Some(100 * S));
    let c = coverage(d, 120 * S, 130 * S).unwrap();
    assert_eq!((c.recorded, c.gaps), (vec![(120 * S, 130 * S)], vec![]));
    assert_eq!(losses(d, 180 * S + 5, 400 * S).unwrap().len(), 1, "the second that it was in overlaps");
    assert_eq!(losses(d, 181 * S, 400 * S).unwrap().len(), 0);
}

#[test]
fn a_kill_ends_coverage_at_the_last_sign_of_life() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    {
        let mut l = Ledger::open(d, LEDGER_BYTES, 0).unwrap();
        l.append(10 * S, started("xdp")).unwrap();
        l.beat(19 * S).unwrap();
        // Killed here, in the middle of a line.
        l.put("{\"t\":19500000000,\"what\":\"lo").unwrap();
    }
    assert_eq!(coverage(d, 0, 100 * S).unwrap().recorded, [(10 * S, 19 * S)]);
    let mut l = Ledger::open(d, LEDGER_BYTES, 50 * S).unwrap();
    l.append(50 * S, started("xdp")).unwrap();
    l.beat(60 * S).unwrap();
    assert_eq!(coverage(d, 0, 100 * S).unwrap().recorded, [(10 * S, 19 * S), (50 * S, 60 * S)]);
    let killed = entries(d, 0, 100 * S).unwrap().into_iter().filter(|e| matches!(e.what, What::Killed { .. })).count();
    assert_eq!(killed, 1);
}

#[test]
fn each_day_stands_alone_and_the_budget_drops_the_oldest() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    let mut l = Ledger::open(d, 3000, 0).unwrap();
    l.append(DAY / 2, started("xdp")).unwrap();
    for n in 1..40 {
        l.append(n * DAY + 5, What::Note { text: "x".repeat(100) }).unwrap();
    }
    l.beat(40 * DAY + 9).unwrap();
    let days = days::list(d).unwrap();
    assert!(days.len() < 30, "{} days in 3000 bytes", days.len());
    assert!(days.first().unwrap().0 > 0, "the day of the start is gone");
    let c = coverage(d, 0, 100 * DAY).unwrap();
    assert_eq!(c.recorded, [(DAY / 2, 40 * DAY + 9)]);
}

fn receipt() -> impl Strategy<Value = Receipt> {
    let tail = (any::<u32>(), any::<[u16; 2]>(), any::<[u16; 2]>(), any::<u8>(), any::<u8>(), any::<bool>()).prop_map(
        |(net, vlan, port, proto, kind, plain)| {
            let (net, vlan) = if plain { (0, [0; 2]) } else { (net, vlan) };
            Tail { net, vlan, port, proto, kind, zero: 0 }
        },
    );
    let key = (any::<bool>(), any::<[[u8; 16]; 2]>(), tail).prop_map(|(six, addr, tail)| match six {
        true => Key::V6(Key6 { addr, tail }),
        false => Key::V4(Key4 { addr: addr.map(|a| [a[0], a[1], a[2], a[3]]), tail }),
    });
    let ends = [End::Lasting, End::Reset, End::Closed, End::Idle, End::Replaced, End::Stopped];
    (key, any::<[u64; 6]>(), prop::sample::select(ends.to_vec()), any::<u8>(), any::<bool>(), any::<bool>()).prop_map(
        |(key, [first, last, seen_packets, seen_bytes, stored_packets, stored_bytes], end, class, second, cut)| {
            Receipt {
                key,
                first: first.min(last),
                last: first.max(last),
                seen_packets,
                seen_bytes,
                stored_packets,
                stored_bytes,
                end,
                class,
                originator: u8::from(second),
                cut,
            }
        },
    )
}

proptest! {
    #[test]
    fn receipts_come_back(all in prop::collection::vec(receipt(), 1..200), pick in any::<prop::sample::Index>()) {
        let dir = tempfile::tempdir().unwrap();
        let mut r = Receipts::open(dir.path(), RECEIPTS_BYTES).unwrap();
        for some in all.chunks(17) {
            r.append(5, some).unwrap();
        }
        let mut back = Vec::new();
        let report = lookup(dir.path(), 0, u64::MAX, None, |r| back.push(*r)).unwrap();
        prop_assert_eq!(report.bad_bytes, 0);
        let in_window: Vec<_> = all.iter().filter(|r| r.first < u64::MAX).copied().collect();
        prop_assert_eq!(&back, &in_window);
        let key = pick.get(&all).key;
        let mut mine = Vec::new();
        lookup(dir.path(), 0, u64::MAX, Some(&key), |r| mine.push(*r)).unwrap();
        let want: Vec<_> = in_window.iter().filter(|r| r.key == key).copied().collect();
        prop_assert_eq!(&mine, &want);
        // The same through the side file, whatever happens to it.
        let path = files_of(dir.path(), "receipts").unwrap().remove(0);
        super::lookup::make(&path).unwrap();
        let side = super::lookup::side_of(&path);
        let good = std::fs::read(&side).unwrap();
        for at in [None, Some(pick.index(good.len()))] {
            let mut bytes = good.clone();
            if let Some(at) = at {
                bytes[at] ^= 16;
            }
            std::fs::write(&side, &bytes).unwrap();
            let mut mine = Vec::new();
            let report = lookup(dir.path(), 0, u64::MAX, Some(&key), |r| mine.push(*r)).unwrap();
            prop_assert_eq!(&mine, &want, "{:?}", at);
            prop_assert!(at.is_some() || report.skipped_files == 1 || report.frames <= all.len().div_ceil(17) as u64);
            let host = key.addrs().map(|[a, _]| Term::addr(a));
            let may = |ask: &mut dyn FnMut(Term) -> bool| host.is_none_or(ask);
            let mut some = 0;
            search(dir.path(), 0, u64::MAX, &Wanted::Files(&may), |r, _| some += usize::from(r.key == key)).unwrap();
            prop_assert_eq!(some, want.len());
        }
        // A file without the address is skipped whole; the side file of another length is none.
        std::fs::write(&side, &good).unwrap();
        let nobody = |ask: &mut dyn FnMut(Term) -> bool| (0..64).all(|n| ask(Term::Addr4(0xfe00_0000 + n)));
        let report = search(dir.path(), 0, u64::MAX, &Wanted::Files(&nobody), |_, _| ()).unwrap();
        prop_assert_eq!((report.frames, report.skipped_files), (0, 1));
        r.append(5, &all).unwrap();
        let mut more = 0;
        lookup(dir.path(), 0, u64::MAX, Some(&key), |_| more += 1).unwrap();
        prop_assert_eq!(more, 2 * want.len());
    }

    /// Where VLAN ids do not tell connections apart, a tagged packet's key finds the receipt.
    #[test]
    fn receipts_without_vlan_ids_are_found(one in receipt(), side in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let mut r = Receipts::open(dir.path(), RECEIPTS_BYTES).unwrap().vlan_in_key(false);
        let stored = Receipt { key: one.key.untagged(), first: 1, last: 2, ..one };
        r.append(5, &[stored]).unwrap();
        if side {
            super::lookup::make(&files_of(dir.path(), "receipts").unwrap()[0]).unwrap();
        }
        let keys = std::collections::HashSet::from([one.key]);
        let mut found = Vec::new();
        search(dir.path(), 0, 10, &Wanted::Keys(&keys), |r, tagged| found.push((*r, tagged))).unwrap();
        prop_assert_eq!(found, vec![(stored, false)]);
    }

    /// So many connections that all frames are read, and so many frames that threads share them: the same receipts in the same order.
    #[test]
    fn many_connections_are_found_in_order(one in receipt(), frames in 1..3 * crate::limits::FRAMES_SEARCHED, step in 1..9usize) {
        let dir = tempfile::tempdir().unwrap();
        let mut r = Receipts::open(dir.path(), RECEIPTS_BYTES).unwrap();
        let at = |n: usize| Receipt {
            key: Key::V4(Key4 { addr: [(n as u32).to_be_bytes(), [9; 4]], tail: Tail::default() }),
            first: 1,
            last: 2,
            ..one
        };
        let all: Vec<Receipt> = (0..frames * 10).map(at).collect();
        all.chunks(10).for_each(|some| r.append(5, some).unwrap());
        let want: Vec<Receipt> = all.iter().step_by(step).copied().collect();
        let keys = want.iter().map(|r| r.key).collect();
        let mut found = Vec::new();
        let report = search(dir.path(), 0, 10, &Wanted::Keys(&keys), |r, _| found.push(*r)).unwrap();
        prop_assert_eq!(found, want);
        prop_assert!(report.frames + report.skipped == frames as u64 && report.bad_bytes == 0);
    }

    /// Whatever happens to the bytes, what comes back was written, and all frames but those hit come back.
    #[test]
    fn damaged_receipts_are_skipped(
        all in prop::collection::vec(receipt(), 60), at in any::<prop::sample::Index>(), xor in 1u8.., cut in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut r = Receipts::open(dir.path(), RECEIPTS_BYTES).unwrap();
        all.chunks(20).for_each(|some| r.append(5, some).unwrap());
        let path = files_of(dir.path(), "receipts").unwrap().remove(0);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= xor }
        std::fs::write(&path, &bytes).unwrap();
        let mut back = Vec::new();
        let report = lookup(dir.path(), 0, u64::MAX, None, |r| back.push(*r)).unwrap();
        prop_assert!(back.iter().all(|r| all.contains(r)));
        prop_assert!(cut || back.len() >= 40 - all.iter().filter(|r| r.first == u64::MAX).count());
        prop_assert!(cut || report.bad_bytes > 0);
    }
}

#[test]
fn receipts_keep_their_budget() {
    let dir = tempfile::tempdir().unwrap();
    let budget = super::receipts::tests_file_bytes() * 2;
    let mut r = Receipts::open(dir.path(), budget).unwrap();
    let one = Receipt::of_one(Key::V4(Key4::default()), 1, 2);
    // A file each hour, each of about 1.3 MB.
    let batch = vec![one; 50_000];
    for hour in 0..100 {
        r.append(hour * 3600 * S, &batch).unwrap();
    }
    let files = files_of(dir.path(), "receipts").unwrap();
    let total: u64 = files.iter().map(|p| std::fs::metadata(p).unwrap().len()).sum();
    assert!(total <= budget && files.len() > 10, "{} files, {total} bytes", files.len());
    assert!(
        files.first().unwrap().to_str().unwrap().contains(&format!("{:020}", (100 - files.len() as u64) * 3600 * S))
    );
}

/// Whoever asks no more gets no more, in the midst of a file too.
#[test]
fn a_search_ends_when_nobody_waits_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut r = Receipts::open(dir.path(), RECEIPTS_BYTES).unwrap();
    let one = Receipt::of_one(Key::tcp(1), 1, 2);
    (0..2000).for_each(|_| r.append(5, &[one]).unwrap());
    assert_eq!(files_of(dir.path(), "receipts").unwrap().len(), 1);
    let (asked, mut found) = (std::cell::Cell::new(0), 0);
    let go_on = || {
        asked.set(asked.get() + 1);
        asked.get() < 8
    };
    search_while(dir.path(), (0, 10), &Wanted::All, go_on, |_, _| found += 1).unwrap();
    assert!(found > 0 && found <= 8 * crate::limits::FRAMES_SEARCHED, "{found}");
}
