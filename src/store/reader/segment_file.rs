//! The file of a segment that memory has blocks of: opened only when memory has taken some of them back while somebody reads.

use crate::store::disk::files;
use crate::store::format::SegmentHeader;
use crate::store::layout::Layout;
use crate::store::list;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

/// The file of a segment that was being written, wherever it is by now.
pub struct SegmentFile {
    layout: Layout,
    class: String,
    number: u64,
    /// It stays open as long as somebody reads on in it.
    open: OnceLock<File>,
}

impl SegmentFile {
    /// Of the store at this path.
    pub fn new(store: &Path, header: &SegmentHeader) -> SegmentFile {
        let layout = Layout::new(store);
        SegmentFile { layout, class: header.class.clone(), number: header.number, open: OnceLock::new() }
    }

    /// Opens it. Not found: it has expired.
    pub(super) fn get(&self) -> io::Result<&File> {
        if let Some(file) = self.open.get() {
            return Ok(file);
        }
        // In this order: it moves once, from here to there.
        let opened = match files::read_direct(&self.layout.open_segment(self.number)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let moved = list::sealed_file(&self.layout, &self.class, self.number)?;
                files::read_direct(&moved.ok_or(io::ErrorKind::NotFound)?)
            }
            other => other,
        }?;
        Ok(self.open.get_or_init(|| opened))
    }
}
