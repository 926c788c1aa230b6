//! What followers may take for the end.

use super::*;
use crate::store::inbox::Inbox;

/// A writer has ended when memory has taken in all of its blocks: before, nobody could read the last ones.
#[test]
fn a_writer_ends_when_all_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let inbox = Inbox::new(8);
    let options = Options { inbox: Some(inbox.clone()), ..Options::default() };
    let store = Store::create_or_open(dir.path(), options).unwrap();
    let (mut writer, live, ifaces) = (store.writer(0, 32).unwrap(), store.live(), ethernet(&["eth0"]));
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
        assert_eq!(live.unsealed().len(), 0, "nothing can be read yet");
        assert!(live.complete_before() < u64::MAX, "and it is not the end");
        assert!(!ending.is_finished());
        block.segment.settle(block.offset + block.len as u64);
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
    let (mut writer, live, ifaces) = (store.writer(0, 32).unwrap(), store.live(), ethernet(&["eth0"]));
    let packet =
        Kept { time: 1, wire_len: 60, iface: "eth0".into(), link_type: 1, data: vec![7; 60], mark: Mark::None };
    put(&mut writer, 0, &packet, &ifaces);
    writer.finish();
    let failed = |e| matches!(e, crate::store::event::StoreEvent::SealFailed { .. });
    while !failed(events.recv_timeout(Duration::from_secs(60)).unwrap()) {}
    assert_eq!(live.unsealed().len(), 1, "the recorder's own questions see it");
    assert_eq!(all_packets(dir.path()).len(), 1, "and those of other processes");
    store.close();
    assert_eq!(all_packets(dir.path()).len(), 1, "and when nobody records");
    // The next recorder can't seal it either: it is read all the same.
    let store = open(dir.path());
    assert_eq!(store.live().unsealed().len(), 1);
    assert_eq!(all_packets(dir.path()).len(), 1);
    store.close();
    std::fs::remove_file(&class).unwrap();
    open(dir.path()).close();
    assert!(segments(dir.path()).unwrap().iter().all(|s| s.sealed));
    assert_eq!(all_packets(dir.path()).len(), 1);
}
