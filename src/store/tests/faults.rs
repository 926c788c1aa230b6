//! Disks that fail: what was stored comes back, what is lost is counted, nothing stale or half-written is ever taken for data.

use super::*;
use crate::class::Keep;
use crate::limits::{BLOCK_BYTES, FLUSH_NS, STREAMS_MAX, WRITE_GIVE_UP_NS, WRITE_RETRY_NS};
use crate::store::disk::Write;
use crate::store::disk::buffers::Buffer;
use crate::store::disk::sim::{Fault, Sim};
use crate::store::{format, layout};
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::FileExt;

pub(super) const EIO: i32 = 5;
const EAGAIN: i32 = 11;
const ENOSPC: i32 = 28;

pub(super) fn sim(store: &Store, plan: impl FnMut(u64, &Write) -> Fault + Send + 'static) -> Writer<Sim> {
    Writer::on(0, Buffer::allocate(34).unwrap(), Sim::new(32, plan), store.supply()).unwrap()
}

/// Packet `n` of a test: its time is its number, its bytes follow from it.
pub(super) fn packet(n: u64, len: usize) -> Kept {
    let data = (0..len).map(|i| (i as u64 * 31 + n) as u8).collect();
    Kept { time: n, wire_len: len as u32 + 4, iface: "eth0".into(), link_type: 1, data, mark: Mark::None }
}

/// Appends if there is a block for it.
pub(super) fn try_put<D: super::super::disk::Disk>(w: &mut Writer<D>, p: &Kept, ifaces: &[Interface]) -> Appended {
    let packet = Packet {
        time: p.time,
        wire_len: p.wire_len,
        iface: 0,
        hash: None,
        data: &p.data,
        options: crate::source::InputOptions::NONE,
    };
    w.append(0, &packet, ifaces, &p.mark.into())
}

pub(super) fn by_time(mut all: Vec<Kept>) -> Vec<Kept> {
    all.sort_by_key(|p| p.time);
    all
}

fn law<D: super::super::disk::Disk>(w: &Writer<D>, appended: u64) {
    let c = w.counts();
    assert_eq!(c.durable + c.pending + c.write_failed, appended);
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::None),
        2 => (0usize..20).prop_map(|n| Fault::Short(n * 4096)),
        1 => Just(Fault::Errno(EIO)),
        1 => Just(Fault::Errno(ENOSPC)),
        1 => Just(Fault::Errno(EAGAIN)),
        2 => (1u32..8).prop_map(Fault::Delay),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Whatever fails on the way, when the disk recovers everything is there, and the sums hold at each step.
    #[test]
    fn a_disk_that_recovers_loses_nothing(
        faults in prop::collection::vec(fault(), 1..40), lens in prop::collection::vec(0usize..60_000, 50..300),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let mut faults = faults.into_iter();
        let mut w = sim(&store, move |_, _| faults.next().unwrap_or(Fault::None));
        let ifaces = ethernet(&["eth0"]);
        let all: Vec<Kept> = lens.iter().enumerate().map(|(n, len)| packet(n as u64, *len)).collect();
        let mut now = 0;
        for (n, p) in all.iter().enumerate() {
            while try_put(&mut w, p, &ifaces) == Appended::Stalled {
                now += WRITE_RETRY_NS;
                w.tick(now);
                std::thread::sleep(Duration::from_millis(1));
            }
            if n % 7 == 0 {
                now += FLUSH_NS / 2;
                w.tick(now);
            }
            law(&w, n as u64 + 1);
        }
        w.finish();
        let c = w.counts();
        prop_assert_eq!((c.durable, c.pending, c.write_failed), (all.len() as u64, 0, 0));
        drop(w);
        store.close();
        assert_same(&by_time(all_packets(dir.path())), &all);
        let report = crate::store::verify::verify(dir.path(), &|_, _| Ok(())).unwrap();
        let broken: Vec<_> = report.problems.iter().filter(|p| !p.what.contains("index is missing")).collect();
        prop_assert!(broken.is_empty(), "{broken:?}");
        for s in segments(dir.path()).unwrap() {
            super::round_trip::tool("tcpdump", &["-r", s.path.to_str().unwrap(), "-w", "/dev/null"]);
        }
    }
}

/// The machine dies in each write in turn, with none, some or all of its bytes on disk.
#[test]
fn a_crash_at_any_write_keeps_all_that_was_durable() {
    let ifaces = ethernet(&["eth0"]);
    let all: Vec<Kept> = (0..120).map(|n| packet(n, 40_000 + n as usize)).collect();
    for point in 0..6u64 {
        for torn in [0, 4096, BLOCK_BYTES / 2 / 4096 * 4096, usize::MAX] {
            let dir = tempfile::tempdir().unwrap();
            let store = open(dir.path());
            let mut w = sim(&store, move |n, _| if n == point { Fault::Crash(torn) } else { Fault::None });
            let mut appended = 0;
            for (n, p) in all.iter().enumerate() {
                appended += u64::from(try_put(&mut w, p, &ifaces) == Appended::Stored);
                w.tick(n as u64 * FLUSH_NS / 10);
                law(&w, appended);
                std::thread::sleep(Duration::from_micros(100));
            }
            let durable = w.counts().durable;
            drop(w);
            store.close();
            let before = all_packets(dir.path());
            open(dir.path()).close();
            let back = all_packets(dir.path());
            let n = back.len();
            assert!(n as u64 >= durable, "write {point} torn at {torn}: {n} back, {durable} durable");
            assert_same(&back, &all[..n]);
            assert_same(&back[..before.len()], &before);
            assert!(segments(dir.path()).unwrap().iter().all(|s| s.sealed));
        }
    }
}

/// A bad block in the midst: recovery keeps what lies before and behind it, and the file stays plain pcapng.
#[test]
fn recovery_goes_on_past_a_bad_block_and_a_lost_header() {
    for spoil in ["block", "header", "both"] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let mut w = sim(&store, |_, _| Fault::None);
        let ifaces = ethernet(&["eth0"]);
        let all: Vec<Kept> = (0..100).map(|n| packet(n, 3000)).collect();
        for (n, p) in all.iter().enumerate() {
            while !w.room() {
                w.tick(0);
            }
            assert_eq!(try_put(&mut w, p, &ifaces), Appended::Stored);
            // Ten packets a block.
            if n % 10 == 9 {
                for _ in 0..20 {
                    w.tick(n as u64 * FLUSH_NS);
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        assert_eq!(w.counts().durable, 100);
        drop(w);
        store.close();
        let open_file = fs::read_dir(dir.path().join("open")).unwrap().next().unwrap().unwrap().path();
        let file = fs::OpenOptions::new().write(true).read(true).open(&open_file).unwrap();
        let blocks = segments(dir.path()).unwrap()[0].open().unwrap().unwrap().blocks().to_vec();
        assert_eq!(blocks.len(), 10);
        let mut lost = 0..0;
        if spoil != "header" {
            file.write_all_at(&[0xee; 100], blocks[3].offset + 5000).unwrap();
            lost = 30..40;
        }
        if spoil != "block" {
            file.write_all_at(&[0; 4096], 0).unwrap();
        }
        drop(file);
        open(dir.path()).close();
        let list = segments(dir.path()).unwrap();
        assert!(list.len() == 1 && list[0].sealed);
        let back: Vec<Kept> = packets(&list[0].open().unwrap().unwrap());
        let mut want: Vec<Kept> =
            all.iter().enumerate().filter(|(n, _)| !lost.contains(n)).map(|(_, p)| p.clone()).collect();
        if spoil != "block" {
            want.iter_mut().for_each(|p| p.iface = "lost".into());
        }
        assert_same(&back, &want);
        let path = list[0].path.to_str().unwrap();
        if let Some(out) = super::round_trip::tool("capinfos", &["-c", "-M", path]) {
            let out = String::from_utf8(out).unwrap();
            assert!(out.contains(&format!("Number of packets:   {}", want.len())), "{out}");
        }
        super::round_trip::tool("tcpdump", &["-r", path, "-w", "/dev/null"]);
    }
}

/// Blocks of other times, in the same places: none is taken for data.
#[test]
fn stale_blocks_are_never_accepted() {
    let ifaces = ethernet(&["eth0"]);
    let write = |dir: &Path, n: u64| {
        let store = open(dir);
        let mut w = sim(&store, |_, _| Fault::None);
        (0..50).for_each(|i| put(&mut w, 0, &packet(n + i, 30_000), &ifaces));
        w.finish();
        drop(w);
        store.close();
    };
    let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(ours.path(), 1000);
    write(other.path(), 2000);
    write(ours.path(), 3000);
    let of = |dir: &Path, n: usize| fs::read(&segments(dir).unwrap()[n].path).unwrap();
    let (first, foreign, second) = (of(ours.path(), 0), of(other.path(), 0), of(ours.path(), 1));
    let sealed = segments(ours.path()).unwrap().remove(1);
    let reader = sealed.open().unwrap().unwrap();
    let (number, cut) = (reader.header().number, reader.blocks()[0].offset as usize + reader.blocks()[0].len);
    let expect = packets(&reader)[..reader.blocks()[0].totals.packets as usize].to_vec();
    fs::remove_file(&sealed.path).unwrap();
    // What recovery makes of an unsealed file of that number.
    let recover = |bytes: &[u8]| {
        fs::write(layout::Layout::new(ours.path()).open_segment(number), bytes).unwrap();
        open(ours.path()).close();
        let found = segments(ours.path()).unwrap().into_iter().find(|s| s.number == number)?;
        let back = packets(&found.open().unwrap().unwrap());
        fs::remove_file(&found.path).unwrap();
        Some(back)
    };
    // Its own header and first block, then what an earlier file had there: of this store, and of another.
    for stale in [&first, &foreign] {
        let bytes = [&second[..cut], &stale[cut..]].concat();
        assert_same(&recover(&bytes).unwrap(), &expect);
    }
    // Its own blocks, but in other places.
    let block = &second[cut..cut + reader.blocks()[1].len];
    let bytes = [&second[..cut], &[0; 4096], block].concat();
    assert_same(&recover(&bytes).unwrap(), &expect);
    // The same store and number, but the generation of another file.
    let mut header = reader.header().clone();
    header.generation ^= 1;
    let mut bytes = second.clone();
    format::write_header(&mut bytes, &header);
    assert!(recover(&bytes).is_none());
    // And the control: all of it.
    assert_same(&recover(&second).unwrap(), &packets(&reader));
}

#[test]
fn a_dead_disk_is_given_up_counted_and_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (tx, events) = std::sync::mpsc::channel();
    let on_event = Box::new(move |e| drop(tx.send(e)));
    let store = Store::create_or_open(dir.path(), Options { on_event, ..Options::default() }).unwrap();
    let dead = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let plan = dead.clone();
    let mut w = sim(&store, move |_, _| match plan.load(std::sync::atomic::Ordering::Relaxed) {
        true => Fault::Errno(EIO),
        false => Fault::None,
    });
    let ifaces = ethernet(&["eth0"]);
    let (mut now, mut n, mut stored) = (0, 0, 0);
    // More than memory holds: the rest is refused, and said to be.
    let mut stalled = 0;
    while stalled < 10 {
        match try_put(&mut w, &packet(n, 60_000), &ifaces) {
            Appended::Stored => stored += 1,
            Appended::Stalled => stalled += 1,
        }
        n += 1;
        w.tick(now);
    }
    assert_eq!((w.counts().pending, w.counts().durable), (stored, 0));
    while w.counts().write_failed == 0 {
        now += WRITE_RETRY_NS;
        w.tick(now);
        law(&w, stored);
        std::thread::sleep(Duration::from_millis(1));
        assert!(now < 4 * WRITE_GIVE_UP_NS);
    }
    assert!(now >= WRITE_GIVE_UP_NS, "not before its time");
    // The disk works again: what is still in memory and what comes now is stored.
    dead.store(false, std::sync::atomic::Ordering::Relaxed);
    let start = Instant::now();
    while try_put(&mut w, &packet(n, 60_000), &ifaces) == Appended::Stalled {
        now += WRITE_RETRY_NS;
        w.tick(now);
        assert!(start.elapsed() < Duration::from_secs(30));
    }
    w.finish();
    let c = w.counts();
    assert_eq!((c.durable + c.write_failed, c.pending), (stored + 1, 0));
    drop(w);
    store.close();
    assert_eq!(all_packets(dir.path()).len() as u64, c.durable);
    let events: Vec<crate::store::event::StoreEvent> = events.iter().collect();
    use crate::store::event::StoreEvent as E;
    assert!(events.iter().any(|e| matches!(e, E::WriteFailed { errno: EIO, .. })), "{events:?}");
    let given: Vec<(u64, (u64, u64))> = events
        .iter()
        .filter_map(|e| if let E::GivenUp { packets, times, .. } = e { Some((*packets, *times)) } else { None })
        .collect();
    assert_eq!(given.iter().map(|g| g.0).sum::<u64>(), c.write_failed);
    // The packets of a block come one after another, each at a time of its own.
    assert!(given.iter().all(|(packets, (first, last))| last - first + 1 == *packets), "{given:?}");
    assert!(events.iter().any(|e| matches!(e, E::WriteRecovered { .. })));
}

/// More classes and link types than there may be open blocks: they make room for each other.
#[test]
fn many_streams_push_each_other_out() {
    let dir = tempfile::tempdir().unwrap();
    let classes = (0..3).map(|n| (format!("c{n}"), Keep::default())).collect();
    let options = Options { classes, segment_bytes: 4 << 20, ..Options::default() };
    let store = Store::create_or_open(dir.path(), options).unwrap();
    let mut w = store.writer(0, 70).unwrap();
    let ifaces: Vec<Interface> = (0..STREAMS_MAX as u16).map(|n| Interface::new(format!("i{n}"), 100 + n)).collect();
    let mut all = Vec::new();
    for n in 0..250u64 {
        let i = &ifaces[n as usize % ifaces.len()];
        let p = Kept { iface: i.name.clone(), link_type: i.link_type, ..packet(n, 100) };
        put(&mut w, (n % 3) as u8, &p, &ifaces);
        all.push(p);
    }
    w.finish();
    assert_eq!(w.counts().durable, 250);
    store.close();
    assert_same(&by_time(all_packets(dir.path())), &all);
}

#[test]
fn an_index_without_its_segment_is_removed_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (interfaces, store) = (ethernet(&["eth0"]), open(dir.path()));
    let mut writer = store.writer(0, 8).unwrap();
    (0..10).for_each(|n| put(&mut writer, 0, &packet(n, 60), &interfaces));
    writer.finish();
    store.close();
    let sealed = segments(dir.path()).unwrap().remove(0);
    let (mine, orphan) =
        (sealed.path.with_extension("idx"), sealed.path.with_file_name("20260101T000000.000000000Z-0-77.idx"));
    fs::write(&mine, b"x").unwrap();
    fs::write(&orphan, b"x").unwrap();
    open(dir.path()).close();
    assert!(!orphan.exists() && sealed.path.exists() && mine.exists());
}
