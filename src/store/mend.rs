//! Mending: what a dead recorder left unsealed is sealed by what is found in it, good blocks and no others. Called by recovery alone, because
//! it reads every byte; what a living writer has filled is sealed by [`seal`](super::seal) without. Can be cut off and done again.

use super::disk::files;
use super::format::{self, Damage, SegmentHeader, StoreId};
use super::layout::Layout;
use super::scan::{self, BlockRef, Depth, Scan};
use super::seal::{self, SealedSegment, Sealing};
use crate::limits::SECTOR_BYTES;
use crate::source::Interface;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

/// A segment that was mended.
#[derive(Debug)]
pub struct Mended {
    /// It.
    pub segment: SealedSegment,
    /// Bytes that were bad and are padding now.
    pub bad_bytes: u64,
}

/// Mends and seals a segment. `None`: it held no good block and is gone.
pub fn mend(layout: &Layout, store: &StoreId, number: u64) -> io::Result<Option<Mended>> {
    let path = layout.open_segment(number);
    let scan = {
        let file = files::read_direct(&path)?;
        scan::scan(&file, file.metadata()?.len(), store, number, Depth::Whole)?
    };
    if scan.found.blocks.is_empty() {
        std::fs::remove_file(&path)?;
        return Ok(None);
    }
    // Buffered, because padding and headers are mended in small pieces.
    let file = OpenOptions::new().read(true).write(true).open(&path)?;
    let mut bad_bytes = 0;
    for bad in &scan.found.bad {
        bad_bytes += bad.len;
        seal::write_pads(&file, bad.offset, bad.len)?;
    }
    let header = match &scan.header {
        Ok(header) => header.clone(),
        Err(_) => mend_header(&file, store, number, &scan)?,
    };
    let totals = || scan.found.blocks.iter().map(|b| &b.totals);
    let with_packets = || totals().filter(|t| t.packets > 0);
    let segment = seal::finish(
        layout,
        &file,
        Sealing {
            number,
            class: &header.class,
            worker: header.worker,
            begins: totals().map(|t| t.first).min().unwrap_or(0),
            bytes: scan.found.end,
            packets: totals().map(|t| u64::from(t.packets)).sum(),
            times: with_packets().map(|t| t.first).min().zip(with_packets().map(|t| t.last).max()),
        },
    )?;
    Ok(Some(Mended { segment, bad_bytes }))
}

/// Writes a header before good blocks whose header is lost. Worker and link type are in each block; the class and the names of interfaces are
/// gone.
fn mend_header(file: &File, store: &StoreId, number: u64, scan: &Scan) -> io::Result<SegmentHeader> {
    let room = scan.header_len as usize;
    let mut header = guess_header(file, store, number, scan)?;
    if format::header_bytes(&header.interfaces) > room {
        header.interfaces.iter_mut().for_each(|i| {
            *i = Interface::new("", i.link_type);
        });
    }
    let len = format::header_bytes(&header.interfaces);
    if len > room || !room.is_multiple_of(SECTOR_BYTES) {
        return Err(io::Error::other(Damage::Structure("the segment header").to_string()));
    }
    let mut bytes = vec![0; room];
    format::write_header(&mut bytes, &header);
    if let Some(rest) = bytes.get_mut(len..).filter(|r| !r.is_empty()) {
        format::write_pads(rest);
    }
    file.write_all_at(&bytes, 0)?;
    Ok(header)
}

fn guess_header(file: &File, store: &StoreId, number: u64, scan: &Scan) -> io::Result<SegmentHeader> {
    let mut ifaces = 1;
    for block in &scan.found.blocks {
        ifaces = ifaces.max(interfaces_of(file, block)?);
    }
    let (worker, link_type) = scan.found.origin;
    Ok(SegmentHeader {
        // What the lost one said of keys nobody knows.
        version: 1,
        vlan_in_key: true,
        store: *store,
        number,
        generation: scan.found.generation.unwrap_or(0),
        created: 0,
        worker,
        class: "all".to_owned(),
        interfaces: vec![Interface::new("lost", link_type); ifaces],
    })
}

/// How many interfaces a block's packets need.
fn interfaces_of(file: &File, block: &BlockRef) -> io::Result<usize> {
    let mut bytes = vec![0; block.len];
    file.read_exact_at(&mut bytes, block.offset)?;
    let items = format::walk(&bytes, format::HEAD_BYTES, block.trailer_at);
    Ok(items
        .map_while(Result::ok)
        .map(|i| match i {
            format::Item::Packet(p) => p.iface as usize + 1,
            format::Item::Statistics { iface, .. } => iface as usize + 1,
        })
        .max()
        .unwrap_or(1))
}
