//! Sealing by what writers and recovery know: the file is not read for it, and what is told of it is true all the same.

use super::faults::{EIO, by_time, packet, sim, try_put};
use super::*;
use crate::limits::{FLUSH_NS, WRITE_RETRY_NS};
use crate::store::disk::sim::Fault;
use crate::store::event::StoreEvent;
use crate::store::{layout, verify};
use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, channel};

/// A store whose events can be read.
fn watched(path: &Path, options: Options) -> (Store, Receiver<StoreEvent>) {
    let (tell, told) = channel();
    let on_event = Box::new(move |e| drop(tell.send(e)));
    (Store::create_or_open(path, Options { on_event, ..options }).unwrap(), told)
}

/// Times of the first and the last packet of a segment, by its blocks.
fn times_in(path: &Path) -> (u64, u64) {
    let reader = SegmentReader::open(path).unwrap();
    let totals = || reader.blocks().iter().map(|b| &b.totals);
    (totals().map(|t| t.first).min().unwrap(), totals().map(|t| t.last).max().unwrap())
}

/// What was damaged behind the writer's back stays as it is, for readers to find: nobody has looked.
#[test]
fn a_segment_is_sealed_without_a_look_at_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, told) = watched(dir.path(), Options::default());
    let (mut w, ifaces) = (sim(&store, |_, _| Fault::None), ethernet(&["eth0"]));
    for n in 0..100 {
        put(&mut w, 0, &packet(n + 7, 3000), &ifaces);
        // Ten packets a block.
        if n % 10 == 9 {
            (1..4).for_each(|i| w.tick((n + i) * FLUSH_NS));
        }
    }
    assert_eq!(w.counts().durable, 100);
    let unsealed = segments(dir.path()).unwrap().remove(0);
    let blocks = SegmentReader::open_unsealed(&unsealed.path, None).unwrap().unwrap().blocks().to_vec();
    assert_eq!(blocks.len(), 10);
    let (bad, end) = (blocks[3], blocks.last().map(|b| b.offset + b.len as u64).unwrap());
    let file = fs::OpenOptions::new().write(true).open(&unsealed.path).unwrap();
    // A head, which whoever looks at the file looks at first; and the segment's own.
    file.write_all_at(&[0xee; 4096], bad.offset).unwrap();
    file.write_all_at(&[0xdd; 4096], 0).unwrap();
    drop(file);
    w.finish();
    drop(w);
    store.close();
    let sealed = segments(dir.path()).unwrap().remove(0);
    assert!(sealed.sealed && layout::first_time(&sealed.path) == Some(7));
    let bytes = fs::read(&sealed.path).unwrap();
    assert_eq!((bytes.len() as u64, bytes[0]), (end, 0xdd));
    assert!(bytes[bad.offset as usize..][..4096].iter().all(|b| *b == 0xee));
    let packets = |e| if let StoreEvent::Sealed { packets, .. } = e { Some(packets) } else { None };
    assert_eq!(told.iter().filter_map(packets).collect::<Vec<_>>(), [100]);
}

/// Whichever write fails, the segment is plain pcapng of what was written, under its class, with its interfaces' names; and a recorder that was
/// killed when that was done but for the name leaves as much.
#[test]
fn holes_are_filled_and_a_lost_header_is_written_again() {
    let ifaces = ethernet(&["eth0"]);
    let all: Vec<Kept> = (0..22).map(|n| packet(n, 200_000)).collect();
    for failing in [&[0u64][..], &[1], &[2, 3], &[5], &[0, 2, 4], &[0, 1, 2, 3, 4]] {
        let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (store, told) = watched(dir.path(), Options::default());
        // In the place of the directory of its class: sealing stops there.
        let class = dir.path().join("all");
        fs::write(&class, "").unwrap();
        let mut w = sim(&store, |n, _| if failing.contains(&n) { Fault::Errno(EIO) } else { Fault::None });
        // The header and four blocks are on their way before the first is done.
        all.iter().for_each(|p| assert_eq!(try_put(&mut w, p, &ifaces), Appended::Stored));
        let mut now = FLUSH_NS;
        while w.counts().durable < all.len() as u64 {
            w.tick(now);
            now += WRITE_RETRY_NS;
            std::thread::sleep(Duration::from_millis(1));
        }
        w.finish();
        drop(w);
        let failed = |e| matches!(e, StoreEvent::SealFailed { .. });
        while !failed(told.recv_timeout(Duration::from_secs(60)).unwrap()) {}
        // The catalog says so a moment later.
        let start = Instant::now();
        while all_packets(dir.path()).len() < all.len() && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_same(&by_time(all_packets(dir.path())), &all);
        copy(dir.path(), killed.path());
        fs::remove_file(&class).unwrap();
        store.close();
        fs::remove_file(killed.path().join("all")).unwrap();
        open(killed.path()).close();
        for path in [dir.path(), killed.path()] {
            assert_same(&by_time(all_packets(path)), &all);
            let report = verify::verify(path, &|_, _| Ok(())).unwrap();
            let broken: Vec<_> = report.problems.iter().filter(|p| !p.what.contains("index is missing")).collect();
            assert!(broken.is_empty() && report.unsealed == 0, "{failing:?}: {broken:?}");
            for s in segments(path).unwrap() {
                assert_eq!((s.class.as_deref(), layout::first_time(&s.path)), (Some("all"), Some(times_in(&s.path).0)));
                super::round_trip::tool("tcpdump", &["-r", s.path.to_str().unwrap(), "-w", "/dev/null"]);
            }
        }
        for (path, packets) in told.iter().filter_map(|e| match e {
            StoreEvent::Sealed { path, packets } => Some((path, packets)),
            _ => None,
        }) {
            assert_eq!(super::packets(&SegmentReader::open(&path).unwrap()).len() as u64, packets);
        }
    }
}

/// A store as a kill leaves it.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Times of what has expired: as they were told, and as they stand in the file.
#[derive(Debug)]
struct Gone {
    told: Option<(u64, u64)>,
    found: (u64, u64),
}

/// Fills a store with segments of 4 MiB, on a disk that fails now and then. What expires meanwhile.
fn fill(path: &Path, options: Options, times: std::ops::Range<u64>) -> Vec<Gone> {
    let (tell, gone) = channel();
    let on_event = Box::new(move |e| {
        if let StoreEvent::Expired { path, times, .. } = e {
            // It is deleted only then.
            drop(tell.send(Gone { told: times, found: times_in(&path) }));
        }
    });
    let store = Store::create_or_open(path, Options { segment_bytes: 4 << 20, on_event, ..options }).unwrap();
    let mut w = sim(&store, |n, _| if n % 7 == 5 { Fault::Errno(EIO) } else { Fault::None });
    let (ifaces, mut now) = (ethernet(&["eth0"]), 0);
    for time in times {
        while try_put(&mut w, &packet(time, 60_000), &ifaces) == Appended::Stalled {
            now += WRITE_RETRY_NS;
            w.tick(now);
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    w.finish();
    drop(w);
    store.close();
    gone.iter().collect()
}

#[test]
fn what_expires_is_told_with_the_times_of_its_packets() {
    let dir = tempfile::tempdir().unwrap();
    let budget = |mib: u64| Options { budget: Some(mib << 20), ..Options::default() };
    let right = |gone: Vec<Gone>| {
        assert!(!gone.is_empty() && gone.iter().all(|g| g.told == Some(g.found)), "{gone:?}");
    };
    // In the recording that wrote it; then in a later one, by what recovery tells.
    right(fill(dir.path(), budget(60), 0..1200));
    right(fill(dir.path(), Options { times: Box::new(crate::index::times_of), ..budget(24) }, 1200..1300));
}

/// The ledger would lack its times for ever: what recovery has not come to yet stays, whatever the budget says.
#[test]
fn what_was_there_before_waits_for_its_times() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), Options::default(), 0..700);
    let before = segments(dir.path()).unwrap().len();
    let (open_gate, gate) = channel::<()>();
    let times = Box::new(move |path: &Path| {
        // Until the gate is open, and from then on.
        let _ = gate.recv();
        layout::first_time(path).map(|first| (first, first + 1))
    });
    let options = Options { segment_bytes: 4 << 20, budget: Some(24 << 20), times, ..Options::default() };
    let (store, told) = watched(dir.path(), options);
    // The keeper has been round.
    let start = Instant::now();
    while store.holdings().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(
        (store.keeper_counts().expired, segments(dir.path()).unwrap().iter().filter(|s| s.sealed).count()),
        (0, before)
    );
    drop(open_gate);
    store.close();
    let gone: Vec<_> = told
        .iter()
        .filter_map(|e| {
            if let StoreEvent::Expired { path, times, .. } = e {
                Some((layout::first_time(&path), times))
            } else {
                None
            }
        })
        .collect();
    assert!(gone.len() > 2 && gone.iter().all(|(first, times)| times.map(|t| t.0) == *first), "{gone:?}");
    assert_eq!(segments(dir.path()).unwrap().len(), before - gone.len());
}
