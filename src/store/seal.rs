//! Sealing: an unsealed file becomes a plain pcapng of its good blocks and moves to its class. Called by the keeper for what writers have
//! filled, by what they know of it: not a byte of the file is read. Each step can be cut off: then [`mend`](super::mend) does it at the next
//! start, from what it finds.

use super::disk::files;
use super::format;
use super::layout::{self, Layout};
use super::segment::OpenSegment;
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
    /// Packets in it; 0 where that is not known.
    pub packets: u64,
    /// Times of the first and the last, Unix ns; `None`: not known here.
    pub times: Option<(u64, u64)>,
}

/// What a file becomes whose bytes are as they are to be.
pub(super) struct Sealing<'a> {
    pub number: u64,
    pub class: &'a str,
    pub worker: u16,
    /// Time of its first packet, for its name.
    pub begins: u64,
    pub bytes: u64,
    pub packets: u64,
    pub times: Option<(u64, u64)>,
}

/// Seals a segment that its writer has closed. `None`: it held no packet and is gone.
pub fn seal(layout: &Layout, s: &OpenSegment) -> io::Result<Option<SealedSegment>> {
    let Some((header, times)) = s.header().zip(s.times()) else {
        std::fs::remove_file(layout.open_segment(s.number))?;
        return Ok(None);
    };
    let mut bytes = s.durable();
    let mut holes = s.holes();
    // Nothing good comes behind these.
    while let Some((last, before)) = holes.split_last().filter(|(last, _)| last.end >= bytes) {
        (bytes, holes) = (last.start, before);
    }
    if !holes.is_empty() {
        // Buffered, because the writer's file takes whole sectors of aligned memory only.
        let file = OpenOptions::new().write(true).open(layout.open_segment(s.number))?;
        for hole in holes {
            if hole.start == 0 {
                let mut bytes = vec![0; format::header_bytes(&header.interfaces)];
                format::write_header(&mut bytes, header);
                file.write_all_at(&bytes, 0)?;
            } else {
                write_pads(&file, hole.start, hole.end - hole.start)?;
            }
        }
    }
    let (class, worker) = (header.class.as_str(), header.worker);
    let what =
        Sealing { number: s.number, class, worker, begins: times.0, bytes, packets: s.packets(), times: Some(times) };
    finish(layout, &s.file, what).map(Some)
}

/// The last steps: cuts the file behind its last good block, makes it durable and moves it to its class.
pub(super) fn finish(layout: &Layout, file: &File, what: Sealing<'_>) -> io::Result<SealedSegment> {
    let Sealing { number, class, worker, begins, bytes, packets, times } = what;
    // What no recorder of ours calls a class is no folder either.
    let class = if layout::valid_class(class) { class } else { "all" };
    file.set_len(bytes)?;
    file.sync_all()?;
    let path = layout.sealed_segment(class, begins, worker, number);
    let dir = layout.class(class);
    layout::make_private(&dir)?;
    std::fs::rename(layout.open_segment(number), &path)?;
    files::sync_dir(&dir)?;
    Ok(SealedSegment { path, class: class.to_owned(), number, bytes, packets, times })
}

/// Puts padding where no good block is.
pub(super) fn write_pads(file: &File, offset: u64, len: u64) -> io::Result<()> {
    let mut pads = vec![0; len as usize];
    format::write_pads(&mut pads);
    file.write_all_at(&pads, offset)
}
