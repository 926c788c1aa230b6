//! Full disks, budgets, locks, kills: a store among the other things of a machine.

use super::*;
use crate::store::StoreError;
use crate::store::event::StoreEvent;
use crate::store::keeper::shelf::Cause;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;

fn packet(n: u64) -> Kept {
    let data = n.to_le_bytes().repeat(7_000);
    Kept { time: n, wire_len: data.len() as u32, iface: "eth0".into(), link_type: 1, data, mark: Mark::None }
}

/// Bytes of all files of a store as the filesystem counts them.
fn used(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for e in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(m) = e.metadata() else { continue };
        sum += if m.is_dir() { used(&e.path()) } else { m.blocks() * 512 };
    }
    sum
}

#[test]
fn the_budget_is_kept_by_dropping_the_oldest_also_when_it_shrinks() {
    const SEGMENT: u64 = 4 << 20;
    let dir = tempfile::tempdir().unwrap();
    let ifaces = ethernet(&["eth0"]);
    let mut n = 0;
    for budget in [15 * SEGMENT, 15 * SEGMENT, 8 * SEGMENT] {
        let options = Options { segment_bytes: SEGMENT, budget: Some(budget), ..Options::default() };
        let store = Store::create_or_open(dir.path(), options).unwrap();
        let mut w = store.writer(0, 32).unwrap();
        let mut most = 0;
        for _ in 0..2000 {
            put(&mut w, 0, &packet(n), &ifaces);
            n += 1;
            if n % 50 == 0 {
                most = most.max(used(dir.path()));
            }
        }
        w.finish();
        store.close();
        // One segment, and the small files beside.
        assert!(most <= budget.max(15 * SEGMENT) + SEGMENT + (1 << 20), "{most} bytes of {budget}");
        assert!(used(dir.path()) <= budget + (1 << 20));
        let back = all_packets(dir.path());
        assert!(back.len() as u64 * 56_000 > budget / 3, "{} packets are left of {budget} bytes", back.len());
        assert_eq!(back.last().unwrap().time, n - 1);
        assert!(back.windows(2).all(|p| p[0].time + 1 == p[1].time), "the oldest went, and only the oldest");
    }
}

#[test]
fn a_budget_that_holds_no_segments_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { budget: Some(5 << 20), ..Options::default() };
    assert!(matches!(Store::create_or_open(dir.path(), options), Err(StoreError::Budget { .. })));
}

#[test]
fn one_recorder_at_a_time_and_the_error_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let error = Store::create_or_open(dir.path(), Options::default()).unwrap_err().to_string();
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    store.close();
    open(dir.path()).close();
}

#[test]
fn what_is_no_store_or_of_another_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.tex"), "x").unwrap();
    assert!(matches!(Store::create_or_open(dir.path(), Options::default()), Err(StoreError::NotAStore { .. })));
    assert!(matches!(segments(dir.path()), Err(StoreError::NotAStore { .. })));
    std::fs::write(dir.path().join("store.toml"), "version = 7\nnew = true\n").unwrap();
    assert!(matches!(segments(dir.path()), Err(StoreError::Version { version: 7, .. })));
    std::fs::write(dir.path().join("store.toml"), "version = 1\nid = \"zz\"\ncreated = \"\"\n").unwrap();
    assert!(matches!(segments(dir.path()), Err(StoreError::Identity { .. })));
    assert_eq!(std::fs::read_to_string(dir.path().join("thesis.tex")).unwrap(), "x");
}

/// A mounted tmpfs that goes with the test.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn tmpfs(bytes: u64) -> Option<Mounted> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={bytes}");
        let ok = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).status();
        ok.is_ok_and(|s| s.success()).then_some(Mounted(dir))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_stalls_loses_nothing_stored_and_recording_resumes() {
    let Some(disk) = Mounted::tmpfs(64 << 20) else {
        eprintln!("skipped: mounting a tmpfs needs root");
        return;
    };
    let dir = disk.0.path();
    let (tx, events) = mpsc::channel();
    // What is sealed is held, so that nothing can go.
    let held = dir.to_owned();
    let on_event = Box::new(move |e| {
        if let StoreEvent::Sealed { path, .. } = &e {
            std::fs::hard_link(path, held.join(path.file_name().unwrap())).unwrap();
        }
        drop(tx.send(e));
    });
    let options = Options { segment_bytes: 4 << 20, on_event, ..Options::default() };
    let store = Store::create_or_open(&dir.join("store"), options).unwrap();
    let mut w = store.writer(0, 32).unwrap();
    let ifaces = ethernet(&["eth0"]);
    let filler = dir.join("filler");
    let (mut now, mut n, mut kept) = (0, 0, Vec::new());
    let mut step = |w: &mut Writer, kept: &mut Vec<Kept>| {
        now += 1_000_000;
        let p = packet(n);
        n += 1;
        let packet = Packet {
            time: p.time,
            wire_len: p.wire_len,
            iface: 0,
            hash: None,
            data: &p.data,
            options: crate::source::InputOptions::NONE,
        };
        let appended = w.append(0, &packet, &ifaces, &p.mark.into());
        if appended == Appended::Stored {
            kept.push(p);
        }
        w.tick(now);
        let c = w.counts();
        assert_eq!(c.durable + c.pending + c.write_failed, kept.len() as u64);
        appended
    };
    (0..100).for_each(|_| assert_eq!(step(&mut w, &mut kept), Appended::Stored));
    // Somebody else takes what is left.
    let _ = std::fs::write(&filler, vec![1; 64 << 20]);
    let mut stalled = 0;
    let start = Instant::now();
    while stalled < 50 {
        stalled += u64::from(step(&mut w, &mut kept) == Appended::Stalled);
        assert!(start.elapsed() < Duration::from_secs(60));
    }
    std::fs::remove_file(&filler).unwrap();
    let mut stored = 0;
    while stored < 100 {
        stored += u64::from(step(&mut w, &mut kept) == Appended::Stored);
        std::thread::sleep(Duration::from_millis(1));
        assert!(start.elapsed() < Duration::from_secs(120), "recording resumes by itself");
    }
    w.finish();
    let c = w.counts();
    assert_eq!((c.durable, c.write_failed), (kept.len() as u64, 0));
    store.close();
    assert_same(&all_packets(&dir.join("store")), &kept);
    let events: Vec<StoreEvent> = events.iter().collect();
    assert!(events.iter().any(|e| matches!(e, StoreEvent::NoSpace { .. })), "{events:?}");
    assert!(events.iter().any(|e| matches!(e, StoreEvent::SpaceAgain)), "{events:?}");
}

#[test]
fn on_a_full_disk_the_oldest_goes_at_once_and_nothing_new_is_lost() {
    let Some(disk) = Mounted::tmpfs(64 << 20) else {
        eprintln!("skipped: mounting a tmpfs needs root");
        return;
    };
    let dir = disk.0.path();
    let (tx, events) = mpsc::channel();
    let on_event = Box::new(move |e| drop(tx.send(e)));
    let store =
        Store::create_or_open(&dir.join("store"), Options { segment_bytes: 4 << 20, on_event, ..Options::default() })
            .unwrap();
    let mut w = store.writer(0, 32).unwrap();
    let ifaces = ethernet(&["eth0"]);
    // More than the disk has, without a budget; then somebody else takes what is left.
    for n in 0..4000 {
        put(&mut w, 0, &packet(n), &ifaces);
        if n == 2000 {
            let _ = std::fs::write(dir.join("filler"), vec![1; 64 << 20]);
        }
    }
    w.finish();
    let c = w.counts();
    assert_eq!((c.durable, c.write_failed), (4000, 0));
    store.close();
    let back = all_packets(&dir.join("store"));
    assert_eq!(back.last().unwrap().time, 3999);
    assert!(back.windows(2).all(|p| p[0].time + 1 == p[1].time), "the oldest went, and only the oldest");
    let gone: Vec<_> = events
        .iter()
        .filter_map(|e| match e {
            StoreEvent::Expired { cause, .. } => Some(cause),
            _ => None,
        })
        .collect();
    assert!(!gone.is_empty() && gone.iter().all(|c| *c == Cause::Store), "{gone:?}");
}

/// Not a test of its own: what [`a_killed_process_loses_nothing_durable`] kills.
#[test]
fn child_that_records_until_it_is_killed() {
    let Ok(dir) = std::env::var("RETROTAP_TEST_KILL") else { return };
    let options = Options { segment_bytes: 8 << 20, ..Options::default() };
    let store = Store::create_or_open(Path::new(&dir), options).unwrap();
    let mut w = store.writer(0, 32).unwrap();
    let (ifaces, start) = (ethernet(&["eth0"]), Instant::now());
    for n in 0u64.. {
        let data = n.to_le_bytes().repeat(1 + n as usize % 150);
        let packet = Packet {
            time: n,
            wire_len: data.len() as u32,
            iface: 0,
            hash: None,
            data: &data,
            options: crate::source::InputOptions::NONE,
        };
        while w.append(0, &packet, &ifaces, &Mark::None.into()) != Appended::Stored {
            w.tick(start.elapsed().as_nanos() as u64);
        }
        if n % 64 == 0 {
            w.tick(start.elapsed().as_nanos() as u64);
            let c = w.counts();
            println!("kill-me {} {}", n + 1, c.durable);
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_durable() {
    let dir = tempfile::tempdir().unwrap();
    let mut before: Vec<Kept> = Vec::new();
    for round in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::limits::child_that_records_until_it_is_killed", "--nocapture"])
            .env("RETROTAP_TEST_KILL", dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut last = (0u64, 0u64);
        let mut note = |line: String| {
            let mut words = line.split("kill-me ").nth(1)?.split(' ').map(|w| w.parse::<u64>().ok());
            last = (words.next()??, words.next()??);
            Some(last)
        };
        // Killed when a good deal is durable, at a different place in each round.
        let enough = 20_000 + round * 7_001;
        while note(lines.next().unwrap().unwrap()).is_none_or(|(_, durable)| durable < enough) {}
        child.kill().unwrap();
        // What it said before it died.
        for line in lines.map_while(Result::ok) {
            note(line);
        }
        child.wait().unwrap();
        // The dead recorder's data are readable at once, and after recovery the same.
        let (appended, durable) = last;
        let dead = all_packets(dir.path()).len();
        open(dir.path()).close();
        let back = all_packets(dir.path());
        assert_same(&back[..before.len()], &before);
        let new = &back[before.len()..];
        let n = new.len() as u64;
        assert!(n >= durable, "{n} came back, {durable} were durable, {appended} appended");
        assert!(new.iter().enumerate().all(|(i, p)| p.time == i as u64), "no hole, nothing twice");
        assert_eq!(dead, back.len());
        before = back;
    }
}

/// Whoever finds a file gone finds in the ledger that it has expired: it is told of, and entered, while it is still there.
#[test]
fn what_expires_is_told_before_it_is_deleted() {
    use std::sync::{Arc, Mutex};
    let dir = tempfile::tempdir().unwrap();
    let (told, there) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let (tell, all, found) = (told.clone(), told.clone(), there.clone());
    let options = Options {
        segment_bytes: 4 << 20,
        budget: Some(24 << 20),
        on_event: Box::new(move |e| {
            if let StoreEvent::Expired { path, .. } = e {
                tell.lock().unwrap().push(path);
            }
        }),
        entered: Box::new(move || {
            let all = std::mem::take(&mut *all.lock().unwrap());
            found.lock().unwrap().extend(all.into_iter().map(|path| (path.exists(), path)));
        }),
        ..Options::default()
    };
    let store = Store::create_or_open(&dir.path().join("store"), options).unwrap();
    store.recording();
    let (mut w, ifaces) = (store.writer(0, 32).unwrap(), ethernet(&["eth0"]));
    for n in 0..30_000u64 {
        let data = vec![n as u8; 1400];
        let p = Kept { time: n, wire_len: 1400, iface: "eth0".into(), link_type: 1, data, mark: Mark::None };
        put(&mut w, 0, &p, &ifaces);
        w.tick(n * 1_000_000);
    }
    w.finish();
    drop(w);
    store.close();
    let there = there.lock().unwrap();
    assert!(!there.is_empty() && told.lock().unwrap().is_empty(), "{there:?}");
    assert!(there.iter().all(|(was, path)| *was && !path.exists()), "{there:?}");
}
