//! Documents: what is too long for a message goes as a file in memory, sealed so that nobody changes it. Owns what capture has sent last: of
//! older ones it takes the memory back, so whoever holds on to them holds nothing, and finds them too short.

use super::order::InForce;
use super::wire::{Malformed, Reading, Writing};
use crate::limits::{CAPTURE_ANSWERS, DOCUMENT_BYTES};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::os::unix::fs::FileExt;
use std::time::Instant;

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// What the recorder says of itself, JSON.
    State,
    /// The metrics page.
    Page,
    /// The assignments that are in force.
    Assignments,
    /// The suspensions that are in force.
    Suspensions,
}

impl DocumentKind {
    pub(super) fn code(self) -> u16 {
        match self {
            DocumentKind::State => 1,
            DocumentKind::Page => 2,
            DocumentKind::Assignments => 3,
            DocumentKind::Suspensions => 4,
        }
    }

    pub(super) fn of_code(code: u16) -> Option<DocumentKind> {
        use DocumentKind::{Assignments, Page, State, Suspensions};
        [State, Page, Assignments, Suspensions].into_iter().find(|kind| kind.code() == code)
    }

    /// So many of a kind are kept: the one that is being read, and the next.
    fn kept(self) -> usize {
        match self {
            // They are large, and asked for one at a time.
            DocumentKind::Assignments | DocumentKind::Suspensions => 1,
            DocumentKind::State | DocumentKind::Page => 2,
        }
    }

    /// Nobody asks for it: it is good until the next.
    fn is_unasked(self) -> bool {
        matches!(self, DocumentKind::State | DocumentKind::Page)
    }
}

/// The documents whose memory capture has not taken back.
#[derive(Debug, Default)]
pub(super) struct Documents(Vec<(DocumentKind, Instant, File)>);

impl Documents {
    /// Keeps the memory of this one, and takes that of older ones back.
    pub(super) fn keep(&mut self, kind: DocumentKind, file: File) -> Option<&File> {
        self.0.push((kind, Instant::now(), file));
        self.take_back();
        self.0.last().map(|(_, _, file)| file)
    }

    /// Takes the memory back of those that others have followed, and of answers that nobody waits for any more.
    pub(super) fn take_back(&mut self) {
        let all = &mut self.0;
        for at in (0..all.len()).rev() {
            let Some((kind, made, file)) = all.get(at) else { continue };
            let newer = all.iter().skip(at + 1).filter(|(other, ..)| other == kind).count();
            if newer >= kind.kept() || !kind.is_unasked() && made.elapsed() > CAPTURE_ANSWERS {
                let _ = file.set_len(0);
                all.remove(at);
            }
        }
    }
}

/// Makes a document of what `write` writes: its file and its length.
pub(super) fn make(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<(File, u64)> {
    let file = memfd_create("retrotap-document", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = BufWriter::with_capacity(64 << 10, File::from(file));
    write(&mut file)?;
    let mut file = file.into_inner().map_err(|e| e.into_error())?;
    let bytes = file.stream_position()?;
    if bytes > DOCUMENT_BYTES as u64 {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    // Not against being cut short: that is how its memory comes back.
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SEAL)?;
    Ok((file, bytes))
}

/// Reads a document of this length; an error: its memory is taken back by now.
pub(super) fn read(file: &File, bytes: u64) -> io::Result<Vec<u8>> {
    let len = usize::try_from(bytes).ok().filter(|n| *n <= DOCUMENT_BYTES).ok_or(io::ErrorKind::FileTooLarge)?;
    let mut all = vec![0; len];
    file.read_exact_at(&mut all, 0)?;
    Ok(all)
}

/// Writes a list of what is in force.
pub(super) fn write_list(list: &[InForce], to: &mut dyn Write) -> io::Result<()> {
    for some in list.chunks(256) {
        let mut bytes = Writing::default();
        some.iter().for_each(|one| one.write(&mut bytes));
        to.write_all(&bytes.done())?;
    }
    Ok(())
}

/// Reads it.
pub(super) fn read_list(bytes: &[u8]) -> Result<Vec<InForce>, Malformed> {
    let each = bytes.chunks(InForce::BYTES).map(|one| {
        let mut from = Reading::new(one);
        let read = InForce::read(&mut from)?;
        from.end().map(|()| read)
    });
    each.collect()
}
