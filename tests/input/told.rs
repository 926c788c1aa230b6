//! What can't be kept as it stands in a file is kept as well as can be, counted and told; nothing is changed without a word.

use super::pcapng::{LITTLE, Options, Value};
use super::{S, T, answer, import, resolution, text, udp, write};
use crate::common::Retrotap;

fn eth0() -> Vec<u8> {
    LITTLE.interface(1, 0, &vec![text(2, "eth0"), resolution()])
}

/// Before the epoch, longer than it says, without a time.
#[test]
fn times_and_lengths() {
    let r = Retrotap::default();
    let before = vec![text(2, "old"), resolution(), (14, Value::U64(-100i64 as u64))];
    let data = udp(1, b"abc");
    let mut file = [LITTLE.section(&Vec::new()), eth0(), LITTLE.interface(1, 0, &before)].concat();
    file.extend(LITTLE.packet(0, T, 1, &data, &Vec::new()));
    file.extend(LITTLE.packet(1, 5 * S, data.len() as u32, &data, &Vec::new()));
    file.extend(LITTLE.packet(1, 6 * S, data.len() as u32, &data, &Vec::new()));
    file.extend(LITTLE.packet(1, 101 * S, data.len() as u32, &data, &Vec::new()));
    file.extend(LITTLE.block(3, &[&(data.len() as u32).to_le_bytes()[..], &data].concat()));
    let (err, account) = import(&r, &[&write(&r, "in.pcapng", &file)]);
    for line in [
        "in.pcapng: 2 packets from before 1970: stored with the time 1970-01-01T00:00:00Z",
        "in.pcapng: 1 packet with more captured bytes than the length they claim: the larger counts",
        "in.pcapng: 1 packet without a time: stored with the time 1970-01-01T00:00:00Z",
    ] {
        assert!(err.contains(line), "{err}");
    }
    assert_eq!(account["files"][0]["changed"]["before_1970"], 2, "{account}");
    let got = answer(&r, &[]);
    let times: Vec<u64> = got.packets.iter().map(|p| p.time).collect();
    assert_eq!(times, [0, 0, 0, S, T]);
    assert!(got.packets.iter().all(|p| p.wire_len as usize == p.data.len()));
}

/// Beyond the snap length of a pcap file's header: cut to it, as libpcap does.
#[test]
fn beyond_the_snap_length() {
    let r = Retrotap::default();
    let mut file: Vec<u8> = [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 40, 1].iter().flat_map(|n| n.to_le_bytes()).collect();
    let data = udp(1, &[0; 60]);
    for n in 0..3u32 {
        let len = data.len() as u32;
        file.extend([1_700_000_000 + n, 0, len, len].iter().flat_map(|n| n.to_le_bytes()));
        file.extend(&data);
    }
    let (err, _) = import(&r, &[&write(&r, "in.pcap", &file)]);
    assert!(err.contains("3 packets with more captured bytes than the snap length: cut to it"), "{err}");
    let got = answer(&r, &[]);
    assert!(got.packets.iter().all(|p| p.data == data[..40] && p.wire_len as usize == data.len()));
}

/// More than is kept of options, names and secrets; lists that break off; what the capture itself lost.
#[test]
fn more_than_is_kept() {
    let r = Retrotap::default();
    let data = udp(1, b"abc");
    let long = |n| (1u16, Value::Bytes(vec![b'a'; n]));
    let packet = |options: &Options| LITTLE.packet(0, T, data.len() as u32, &data, options);
    let mut file = [LITTLE.section(&vec![long(9000), text(1, "kept")]), eth0()].concat();
    file.extend(LITTLE.secrets(&vec![b'x'; 500_000]));
    file.extend(LITTLE.block(10, &[1, 2, 3, 4, 255, 0, 0, 0]));
    file.extend(packet(&vec![long(65_535), text(1, "kept")]));
    file.extend(packet(&vec![long(65_535), long(60_000)]));
    // The option's length is more than the block has.
    let mut broken = packet(&vec![text(1, "kept"), text(1, "abcd")]);
    let at = broken.len() - 14;
    broken[at] = 200;
    file.extend(broken);
    file.extend(LITTLE.block(0x0bad, &[0; 8]));
    let drops = vec![(4, Value::U64(1000)), (5, Value::U64(123)), (7, Value::U64(5))];
    let statistics = [&[0; 12][..], &LITTLE.options(&drops)].concat();
    file.extend(LITTLE.block(5, &statistics));
    let (err, account) = import(&r, &[&write(&r, "in.pcapng", &file)]);
    for line in [
        "1 packet with more options than are kept: some were left out",
        "1 list of options that break off",
        "1 option of sections and interfaces left out: too large",
        "488 KiB of decryption secrets left out: too much",
        "1 block of names or secrets that break off, left out",
        "1 block of kinds that are not kept",
        "the capture says that it lost 128 packets before they were written",
    ] {
        assert!(err.contains(line), "{line}\n{err}");
    }
    assert_eq!(account["stored"]["packets"], 3, "{account}");
    let got = answer(&r, &[]);
    let lengths: Vec<Vec<usize>> =
        got.packets.iter().map(|p| p.options.iter().map(|(_, v)| v.len()).collect()).collect();
    assert_eq!(lengths, [vec![65_535, 4], vec![65_535], vec![4]]);
    assert!(got.interfaces[0].1.contains(&(1, b"kept".to_vec())), "{:?}", got.interfaces);
    // The ledger has it, too.
    let ledger: String = std::fs::read_dir(r.store().join("ledger"))
        .expect("the ledger")
        .filter_map(|e| std::fs::read_to_string(e.expect("an entry").path()).ok())
        .collect();
    assert!(ledger.contains("lost 128 packets before they were written"), "{ledger}");
}

/// A trace that is imported a second time, under whatever name, is in every answer twice: that is said.
#[test]
fn the_same_trace_twice() {
    let r = Retrotap::default();
    let file = |payload: &[u8]| {
        let mut file = [LITTLE.section(&Vec::new()), eth0()].concat();
        for n in 0..3 {
            let data = udp(1, payload);
            file.extend(LITTLE.packet(0, T + n * S, data.len() as u32, &data, &Vec::new()));
        }
        file
    };
    let (one, two, other) = (
        write(&r, "one.pcapng", &file(b"x")),
        write(&r, "two.pcapng", &file(b"x")),
        write(&r, "three.pcapng", &file(b"xy")),
    );
    let (err, _) = import(&r, &[&one, &other]);
    assert!(!err.contains("twice"), "{err}");
    let (err, _) = import(&r, &[&two]);
    let said = err.contains("two.pcapng: the same trace as ") && err.contains("one.pcapng was imported before, 20");
    assert!(said, "{err}");
    // In one run as well.
    let again = Retrotap::default();
    let (err, _) = import(&again, &[&one, &one]);
    assert!(err.contains("one.pcapng: it was imported before, "), "{err}");
    assert_eq!(answer(&again, &[]).packets.len(), 6);
}
