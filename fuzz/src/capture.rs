//! Capture files, pcap and pcapng: whatever the bytes are, what libpcap reads of a file is a beginning of what the file source reads; its counts add
//! up; and what it reads through a pipe is what it reads from the file.

use crate::scratch;
use retrotap::source::file::FileSource;
use retrotap::source::{Polled, Source};
use std::path::Path;

/// A packet as a reader gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    time: u64,
    wire_len: u32,
    data: Vec<u8>,
}

/// Input: the file.
pub fn run(data: &[u8]) {
    let path = scratch::file("capture", data);
    let wanted = libpcap(&path, data);
    let got: Vec<Seen> = read(&path).into_iter().map(|(_, seen)| seen).collect();
    assert!(got.len() >= wanted.len(), "{} of {} packets", got.len(), wanted.len());
    for (n, (got, wanted)) in got.iter().zip(&wanted).enumerate() {
        assert_eq!(got, wanted, "packet {n}");
    }
}

/// The packets of a capture with their link types.
pub fn packets(capture: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let path = scratch::file("seed", capture);
    read(&path).into_iter().map(|(link_type, seen)| (link_type, seen.data)).collect()
}

fn read(path: &Path) -> Vec<(u16, Seen)> {
    let mut source = FileSource::open(&[path.to_owned()], None).expect("the file opens");
    let progress = source.progress();
    let mut packets = Vec::new();
    loop {
        let polled = source.poll(|batch, interfaces| {
            for p in batch {
                let link_type = interfaces[usize::from(p.iface)].link_type;
                assert!(p.wire_len as usize >= p.data.len());
                packets.push((link_type, Seen { time: p.time, wire_len: p.wire_len, data: p.data.to_vec() }));
            }
        });
        match polled.expect("a poll") {
            Polled::End => break,
            Polled::Idle => panic!("a file is never waited for"),
            Polled::Packets(n) => assert!(n > 0),
        }
    }
    let (counts, reports) = (progress.counts(), progress.reports());
    assert_eq!(counts.seen.packets, packets.len() as u64 + counts.lost, "seen = received + lost");
    assert_eq!(counts.lost, reports.iter().map(|r| r.lost).sum::<u64>());
    assert_eq!(reports.len(), 1);
    packets
}

/// What libpcap reads, in our terms.
fn libpcap(path: &Path, data: &[u8]) -> Vec<Seen> {
    let magic = data.get(..4).unwrap_or_default();
    let unit = if [[0xa1, 0xb2, 0x3c, 0x4d], [0x4d, 0x3c, 0xb2, 0xa1]].iter().any(|m| m == magic) { 1 } else { 1000 };
    let pcapng = magic == [0x0a, 0x0d, 0x0d, 0x0a];
    let mut packets = Vec::new();
    let Ok(mut capture) = pcap::Capture::from_file_with_precision(path, pcap::Precision::Nano) else { return packets };
    while let Ok(p) = capture.next_packet() {
        // libpcap takes both halves of a pcap file's time as signed; they are 32 bits without a sign.
        let seconds = match p.header.ts.tv_sec {
            s if s < 0 => u64::from(s as u32),
            s => s as u64,
        };
        let nanos = match p.header.ts.tv_usec {
            f if f >= 0 => f as u64,
            f => u64::from((f / unit) as u32) * unit as u64,
        };
        let time = match p.header.ts.tv_sec {
            s if s < 0 && pcapng => 0,
            _ => seconds.saturating_mul(1_000_000_000).saturating_add(nanos).min(u64::MAX - 1),
        };
        packets.push(Seen { time, wire_len: p.header.len.max(p.header.caplen), data: p.data.to_vec() });
    }
    packets
}

/// Made files, and the captures that are small.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    let frame = crate::made::tcp([10, 0, 0, 1], [10, 0, 0, 2], 2);
    for (magic, extra) in [(0xa1b2_c3d4u32, 0), (0xa1b2_3c4d, 0), (0xa1b2_cd34, 8)] {
        for big in [false, true] {
            let word = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
            let version = if big { [0, 2, 0, 4] } else { [2, 0, 4, 0] };
            let mut file = [word(magic), version, word(0), word(0), word(65_535), word(1)].concat();
            for n in 0..3 {
                file.extend([word(1 + n), word(5), word(frame.len() as u32), word(frame.len() as u32 + 4)].concat());
                file.extend(vec![0; extra]);
                file.extend(&frame);
            }
            add(file);
        }
    }
    crate::made::segments().into_iter().for_each(&mut *add);
    crate::made::golden("pcapng").into_iter().take(1).for_each(&mut *add);
    crate::made::captures().into_iter().filter(|c| c.len() <= 16 << 10).for_each(add);
}
