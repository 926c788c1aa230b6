//! What followers may take for the end.

use super::*;
use crate::store::inbox::Inbox;
use crate::window::Window;

/// A writer has ended when memory has taken in all of its blocks: before, nobody could read the last ones.
#[test]
fn a_writer_ends_when_all_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let inbox = Inbox::new(8, Window::create().unwrap());
    let options = Options { inbox: Some(inbox.clone()), ..Options::default() };
    let store = Store::create_or_open(dir.path(), options).unwrap();
    let (mut writer, live, ifaces) = (store.writer(0, 32).unwrap(), store.live().unwrap(), ethernet(&["eth0"]));
    let packet =
        Kept { time: 1, wire_len: 60, iface: "eth0".into(), link_type: 1, data: vec![7; 60], mark: Mark::None };
    put(&mut writer, 0, &packet, &ifaces);
    std::thread::scope(|scope| {
        let ending = scope.spawn(move || writer.finish_within(Duration::from_secs(60)));
        let block = loop {
            match inbox.take() {
                Some(block) => break block,
                None => assert!(!ending.is_finished(), "the block did not come to memory"),
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        assert_eq!(live.unsealed(|_| None).len(), 0, "nothing can be read yet");
        assert!(live.complete_before() < u64::MAX, "and it is not the end");
        assert!(!ending.is_finished());
        block.segment.settle(block.about.offset + block.about.len as u64);
        inbox.done(block);
        ending.join().unwrap();
    });
    assert_eq!(live.complete_before(), u64::MAX);
    store.close();
    assert_eq!(all_packets(dir.path()).len(), 1);
}

/// A segment whose sealing fails is neither forgotten nor hidden: it is listed, read and counted, and sealed when that is possible again.
#[test]
fn a_segment_that_cannot_be_sealed_stays_readable() {
    let dir = tempfile::tempdir().unwrap();
    let (tx, events) = std::sync::mpsc::channel();
    let on_event: crate::store::keeper::EventHook = Box::new(move |e| drop(tx.send(e)));
    let store = Store::create_or_open(dir.path(), Options { on_event, ..Options::default() }).unwrap();
    // In the place of the directory of its class.
    let class = dir.path().join("all");
    std::fs::write(&class, "").unwrap();
    let (mut writer, live, ifaces) = (store.writer(0, 32).unwrap(), store.live().unwrap(), ethernet(&["eth0"]));
    let packet =
        Kept { time: 1, wire_len: 60, iface: "eth0".into(), link_type: 1, data: vec![7; 60], mark: Mark::None };
    put(&mut writer, 0, &packet, &ifaces);
    writer.finish();
    let failed = |e| matches!(e, crate::store::event::StoreEvent::SealFailed { .. });
    while !failed(events.recv_timeout(Duration::from_secs(60)).unwrap()) {}
    assert_eq!(live.unsealed(|_| None).len(), 1, "the recorder's own questions see it");
    assert_eq!(all_packets(dir.path()).len(), 1, "and those of other processes");
    store.close();
    assert_eq!(all_packets(dir.path()).len(), 1, "and when nobody records");
    // The next recorder can't seal it either: it is read all the same.
    let store = open(dir.path());
    assert_eq!(store.live().unwrap().unsealed(|_| None).len(), 1);
    assert_eq!(all_packets(dir.path()).len(), 1);
    store.close();
    std::fs::remove_file(&class).unwrap();
    open(dir.path()).close();
    assert!(segments(dir.path()).unwrap().iter().all(|s| s.sealed));
    assert_eq!(all_packets(dir.path()).len(), 1);
}

/// A disk that finishes many writes at once: memory gets all that is written, as long as other buffers are free.
#[test]
fn a_burst_from_the_disk_misses_no_block() {
    use crate::limits::FLUSH_NS;
    use crate::store::disk::buffers::Buffer;
    use crate::store::disk::sim::{Fault, Sim};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    let (dir, window) = (tempfile::tempdir().unwrap(), Window::create().unwrap());
    let inbox = Inbox::new(64, window.clone());
    let options = Options { inbox: Some(inbox.clone()), window: Some(window.clone()), ..Options::default() };
    let store = Store::create_or_open(dir.path(), options).unwrap();
    // All that is written lands in the hundredth round.
    let round = Arc::new(AtomicU32::new(0));
    let now = round.clone();
    let disk = Sim::new(32, move |_, _| Fault::Delay(100u32.saturating_sub(now.load(Relaxed))));
    let mut writer = Writer::on(0, Buffer::allocate(34).unwrap(), disk, store.supply()).unwrap();
    let ifaces = ethernet(&["eth0"]);
    let options = crate::source::InputOptions::NONE;
    let packet = |time| Packet { time, wire_len: 60, iface: 0, hash: None, data: &[7; 60], options };
    let tick = |writer: &mut Writer<Sim>| {
        let n = round.fetch_add(1, Relaxed);
        writer.tick(u64::from(n + 1) * 2 * FLUSH_NS);
        std::thread::sleep(Duration::from_millis(1));
    };
    // One block each: more than may be on their way to memory in any case.
    for n in 0..20 {
        assert_eq!(writer.append(0, &packet(n), &ifaces, &Mark::None.into()), Appended::Stored);
        tick(&mut writer);
    }
    while writer.counts().durable < 20 {
        tick(&mut writer);
    }
    assert_eq!(window.counts(), (0, 0));
    let mut came = 0;
    while let Some(block) = inbox.take() {
        came += 1;
        inbox.done(block);
    }
    assert_eq!(came, 20);
    drop(writer);
    store.close();
}
