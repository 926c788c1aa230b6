//! The files of the audit log: `<day>.jsonl`, and where a day has more than one holds, `<day>.1.jsonl` and so on. Owns their budget: when it is used
//! up the oldest goes, so that nobody who asks much fills the store's disk. Called by the log's thread only.

use crate::limits::{AUDIT_BYTES, AUDIT_FILE_BYTES};
use crate::new_file;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The file that is written, and those before it.
pub struct AuditFiles {
    dir: PathBuf,
    open: Option<OpenFile>,
    /// Of each file, and of all.
    limits: (u64, u64),
}

struct OpenFile {
    day: String,
    file: File,
    bytes: u64,
    /// Something of it may not be on the disk yet.
    dirty: bool,
}

impl AuditFiles {
    /// In this folder. Nothing is opened yet.
    pub fn new(dir: &Path) -> AuditFiles {
        AuditFiles { dir: dir.to_owned(), open: None, limits: (AUDIT_FILE_BYTES, AUDIT_BYTES) }
    }

    /// The file for what happens on this day, to append to.
    pub fn of(&mut self, day: &str) -> io::Result<&mut File> {
        let goes_on = self.open.as_ref().is_some_and(|o| o.day == day && o.bytes < self.limits.0);
        if !goes_on {
            // What the last one has stays.
            let _ = self.sync();
        }
        let open = match self.open.take().filter(|_| goes_on) {
            Some(open) => open,
            None => self.next(day)?,
        };
        Ok(&mut self.open.insert(open).file)
    }

    /// So much was written to it.
    pub fn wrote(&mut self, bytes: u64) {
        if let Some(open) = &mut self.open {
            open.bytes += bytes;
            open.dirty = true;
        }
    }

    /// Brings what was written to the disk.
    pub fn sync(&mut self) -> io::Result<()> {
        match &mut self.open {
            Some(open) if open.dirty => {
                open.file.sync_data()?;
                open.dirty = false;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Perhaps another file can be written to.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// The last file of the day if it has room, or one more; the oldest of all go where they are too many.
    fn next(&self, day: &str) -> io::Result<OpenFile> {
        // Numbers only rise, also where the day's first files have gone.
        let last = self.make_room()?.into_iter().filter(|(d, _)| d == day).map(|(_, n)| n).max().unwrap_or(0);
        for n in last.. {
            let name = if n == 0 { format!("{day}.jsonl") } else { format!("{day}.{n}.jsonl") };
            let file = new_file::append(&self.dir.join(name), new_file::SHARED)?;
            let bytes = file.metadata()?.len();
            if bytes < self.limits.0 {
                return Ok(OpenFile { day: day.to_owned(), file, bytes, dirty: false });
            }
        }
        Err(io::ErrorKind::StorageFull.into())
    }

    /// Deletes the oldest files until one more fits; all that there were.
    fn make_room(&self) -> io::Result<Vec<(String, u64)>> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            if let Some(place) = place(&entry.file_name().to_string_lossy()) {
                all.push((place, entry.metadata()?.len(), entry.path()));
            }
        }
        all.sort_unstable();
        let places = all.iter().map(|(place, ..)| place.clone()).collect();
        let mut bytes: u64 = all.iter().map(|(_, len, _)| len).sum();
        for (_, len, path) in all {
            if bytes.saturating_add(self.limits.0) <= self.limits.1 {
                break;
            }
            std::fs::remove_file(&path)?;
            tracing::warn!("the audit log has used up its budget: {} is deleted", path.display());
            bytes = bytes.saturating_sub(len);
        }
        Ok(places)
    }
}

/// Day and number of a file of the log; `None`: it is none.
fn place(name: &str) -> Option<(String, u64)> {
    let (day, n) = match name.strip_suffix(".jsonl")?.split_once('.') {
        None => (name.strip_suffix(".jsonl")?, 0),
        Some((day, n)) => (day, n.parse().ok()?),
    };
    (day.len() == 10 && day.bytes().all(|b| b.is_ascii_digit() || b == b'-')).then(|| (day.to_owned(), n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_oldest_goes_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("notes.txt"), [0; 500]).unwrap();
        let mut files = AuditFiles { limits: (100, 350), ..AuditFiles::new(dir.path()) };
        for (day, lines) in [("2026-11-29", 12), ("2026-11-30", 20)] {
            for _ in 0..lines {
                files.of(day).unwrap().write_all(&[b'x'; 20]).unwrap();
                files.wrote(20);
            }
        }
        let mut names: Vec<String> =
            std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["2026-11-30.1.jsonl", "2026-11-30.2.jsonl", "2026-11-30.3.jsonl", "notes.txt"]);
        // After a restart it goes on where there is room.
        let mut again = AuditFiles { limits: (100, 350), ..AuditFiles::new(dir.path()) };
        again.of("2026-11-30").unwrap().write_all(b"y").unwrap();
        let all: u64 = names.iter().map(|n| std::fs::metadata(dir.path().join(n)).map_or(0, |m| m.len())).sum();
        assert!(all <= 350 + 500, "{all}");
    }
}
