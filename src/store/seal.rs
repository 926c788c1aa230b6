//! Sealing: an unsealed file becomes a plain pcapng of its good blocks and moves to its class. Called by the keeper for what
//! writers have filled and by recovery for what a dead recorder left. Each step can be cut off and done again.

use super::disk::files;
use super::format::{self, Damage, SegmentHeader, StoreId};
use super::layout::{self, Layout};
use super::scan::{self, BlockRef, Depth, Scan};
use crate::limits::SECTOR_BYTES;
use crate::source::Interface;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// A sealed segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSegment {
    /// The file.
    pub path: PathBuf,
    /// Name of its class.
    pub class: String,
    /// Number in the store.
    pub number: u64,
    /// Its length.
    pub bytes: u64,
    /// Packets in it.
    pub packets: u64,
    /// Times of the first and the last, Unix ns; `None`: not known here.
    pub times: Option<(u64, u64)>,
    /// Bytes that were bad and are padding now.
    pub bad_bytes: u64,
}

/// What is known of a segment that is to be sealed.
#[derive(Debug)]
pub struct Unsealed<'a> {
    /// Its number.
    pub number: u64,
    /// Nothing past this offset counts.
    pub limit: u64,
    /// What its header says, if its writer lives to tell.
    pub header: Option<&'a SegmentHeader>,
}

/// Seals a segment. `None`: it held no good block and is gone.
pub fn seal(layout: &Layout, store: &StoreId, what: &Unsealed<'_>, depth: Depth) -> io::Result<Option<SealedSegment>> {
    let number = what.number;
    let path = layout.open_segment(number);
    let scan = {
        let file = files::read_direct(&path)?;
        scan::scan(&file, what.limit.min(file.metadata()?.len()), store, number, depth)?
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
        write_pads(&file, bad.offset, bad.len)?;
    }
    let header = match &scan.header {
        Ok(header) => header.clone(),
        Err(_) => mend_header(&file, store, what, &scan)?,
    };
    file.set_len(scan.found.end)?;
    file.sync_all()?;
    let first = scan.found.blocks.iter().map(|b| b.totals.first).min().unwrap_or(0);
    let times = || scan.found.blocks.iter().map(|b| &b.totals).filter(|t| t.packets > 0);
    let class = if layout::valid_class(&header.class) { header.class.as_str() } else { "all" };
    let sealed = layout.sealed_segment(class, first, header.worker, number);
    let dir = layout.class(class);
    layout::make_private(&dir)?;
    std::fs::rename(&path, &sealed)?;
    files::sync_dir(&dir)?;
    Ok(Some(SealedSegment {
        path: sealed,
        class: class.to_owned(),
        number,
        bytes: scan.found.end,
        packets: scan.found.blocks.iter().map(|b| u64::from(b.totals.packets)).sum(),
        times: times().map(|t| t.first).min().zip(times().map(|t| t.last).max()),
        bad_bytes,
    }))
}

fn write_pads(file: &File, offset: u64, len: u64) -> io::Result<()> {
    let mut pads = vec![0; len as usize];
    format::write_pads(&mut pads);
    file.write_all_at(&pads, offset)
}

/// Writes a header before good blocks whose header is lost. If nobody knows what it said: worker and link type are in each block, the
/// class and the names of interfaces are gone.
fn mend_header(file: &File, store: &StoreId, what: &Unsealed<'_>, scan: &Scan) -> io::Result<SegmentHeader> {
    let room = scan.header_len as usize;
    let mut header = match what.header {
        Some(known) => known.clone(),
        None => guess_header(file, store, what.number, scan)?,
    };
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
