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
