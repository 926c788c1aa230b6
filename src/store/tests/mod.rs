//! Tests of the store as a whole, on the real filesystem.
mod damage;
mod faults;
mod limits;
mod live;
mod round_trip;
mod sealed;

use super::reader::SegmentReader;
use super::sink::{Appended, Recorder, Sink};
use super::{Options, Store, Writer, segments};
use crate::conn::verdict::Mark;
use crate::source::{Interface, Packet};
use std::path::Path;
use std::time::{Duration, Instant};

/// A packet as the tests remember it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub time: u64,
    pub wire_len: u32,
    pub iface: String,
    pub link_type: u16,
    pub data: Vec<u8>,
    pub mark: Mark,
}

/// Fails with the first difference only: packets are long.
pub(super) fn assert_same(got: &[Kept], want: &[Kept]) {
    if let Some(n) = (0..got.len().max(want.len())).find(|n| got.get(*n) != want.get(*n)) {
        let show = |p: Option<&Kept>| p.map(|p| (p.time, p.wire_len, p.data.len(), p.iface.clone(), p.mark));
        let (lens, g, w) = ((got.len(), want.len()), show(got.get(n)), show(want.get(n)));
        panic!("{lens:?} packets; number {n} is {g:?} instead of {w:?}");
    }
}

pub(super) fn ethernet(names: &[&str]) -> Vec<Interface> {
    names.iter().map(|n| Interface::new((*n).to_owned(), 1)).collect()
}

/// Appends, waiting for room as a file source does.
pub(super) fn put<D: super::disk::Disk>(w: &mut Writer<D>, class: u8, p: &Kept, ifaces: &[Interface]) {
    let iface = ifaces.iter().position(|i| i.name == p.iface && i.link_type == p.link_type).unwrap() as u16;
    let packet = Packet {
        time: p.time,
        wire_len: p.wire_len,
        iface,
        hash: None,
        data: &p.data,
        options: crate::source::InputOptions::NONE,
    };
    let start = Instant::now();
    while !w.room() {
        w.tick(0);
        std::thread::sleep(Duration::from_micros(100));
        assert!(start.elapsed() < Duration::from_secs(60), "the store never has room: {:?}", w.counts());
    }
    assert_eq!(w.append(class, &packet, ifaces, &p.mark.into()), Appended::Stored);
}

/// All packets of a segment, in stored order.
pub(super) fn packets(reader: &SegmentReader) -> Vec<Kept> {
    assert_eq!(reader.bad(), &[], "{}", reader.path().display());
    let mut all = Vec::new();
    for b in reader.blocks() {
        let block = reader.block(b).unwrap();
        let mut n = 0;
        for p in block.packets() {
            let p = p.unwrap();
            let i = &reader.interfaces()[p.iface as usize];
            let (iface, link_type) = (i.name.clone(), i.link_type);
            all.push(Kept {
                time: p.time,
                wire_len: p.wire_len,
                iface,
                link_type,
                data: p.data.to_vec(),
                mark: p.mark,
            });
            // The same packet by its offset, as an index asks for it.
            let again = reader.packet_at(p.offset).unwrap();
            assert_eq!((again.time, again.wire_len, &*again.data, again.mark), (p.time, p.wire_len, p.data, p.mark));
            n += 1;
        }
        assert_eq!(n, b.totals.packets);
    }
    all
}

/// All packets of a store's readable segments, by segment number.
pub(super) fn all_packets(store: &Path) -> Vec<Kept> {
    let list = segments(store).unwrap();
    list.iter().filter_map(|s| s.open().unwrap()).flat_map(|r| packets(&r)).collect()
}

pub(super) fn open(path: &Path) -> Store {
    Store::create_or_open(path, Options::default()).unwrap()
}
