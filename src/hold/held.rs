//! The holds of one store: listed, checked, released. Owns the files, the lock, the limit and the log.

use super::record::{Line, time};
use super::sum::{hex, sum_upto};
use super::{Hold, HoldError, HoldLine, HoldsLimit, NAME_MAX, Who, at};
use crate::limits::{HELD_BYTES, HOLD_TURN};
use crate::new_file;
use crate::query::{Query, Statement};
use crate::store::layout::{Layout, make_private};
use crate::store::store_id;
use crate::units;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

pub(super) const PACKETS: &str = "packets.pcapng";
const RECORD: &str = "hold.json";
/// What the folder of a hold that is being made begins with ...
pub(super) const NEW: &str = ".new-";
/// ... and that of one that goes.
pub(super) const GONE: &str = ".gone-";

/// The holds of a store.
#[derive(Debug)]
pub struct Held {
    dir: PathBuf,
    store_id: String,
}

impl Held {
    /// Of the store at this path, which must be one.
    pub fn open(store: &Path) -> Result<Held, HoldError> {
        // Says so where there is no store.
        let store_id = store_id(store)?;
        let dir = Layout::new(store).held();
        match make_private(&dir) {
            // Nothing is held in a store that only may be read; who wants to hold something is told then.
            Err(e) if matches!(e.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => {}
            made => made.map_err(at(&dir))?,
        }
        Ok(Held { dir, store_id })
    }

    /// The store.
    pub(super) fn store(&self) -> &Path {
        self.dir.parent().unwrap_or(&self.dir)
    }

    /// What an answer that is held will say of itself.
    pub(super) fn statement(&self, query: &Query) -> Statement {
        Statement::of(query, &self.store_id)
    }

    /// What is in the folder of holds, if there is one.
    fn entries(&self) -> Result<impl Iterator<Item = std::io::Result<fs::DirEntry>>, HoldError> {
        match fs::read_dir(&self.dir) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None.into_iter().flatten()),
            read => Ok(Some(read.map_err(at(&self.dir))?).into_iter().flatten()),
        }
    }

    /// Names of all holds, in their order.
    pub fn names(&self) -> Result<Vec<String>, HoldError> {
        let mut names = Vec::new();
        for entry in self.entries()? {
            let entry = entry.map_err(at(&self.dir))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_dir() && valid(&name) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Gives `each` all holds as they are said, by name, those that can't be read too: one after another, because each may be long. Ends where
    /// `each` says false.
    pub fn each_line(&self, each: &mut dyn FnMut(HoldLine) -> bool) -> Result<(), HoldError> {
        for name in self.names()? {
            let line = match self.read(&name) {
                Ok(hold) => HoldLine::new(hold),
                // Released meanwhile.
                Err(_) if !self.dir.join(&name).is_dir() => continue,
                Err(e) => HoldLine::unreadable(&e),
            };
            if !each(line) {
                break;
            }
        }
        Ok(())
    }

    /// Each that can be read, one at a time: there may be many, and what one is about may be long.
    pub(super) fn each(&self, each: &mut dyn FnMut(Hold)) -> Result<(), HoldError> {
        self.names()?.iter().filter_map(|name| self.read(name).ok()).for_each(each);
        Ok(())
    }

    /// The same of one, once its packets are compared with their sum.
    pub fn checked(&self, hold: Hold, go_on: &dyn Fn() -> bool) -> Result<HoldLine, HoldError> {
        let damaged = match self.check(&hold, go_on) {
            Ok(()) => None,
            Err(e @ HoldError::Damaged { .. }) => Some(e.to_string()),
            Err(e) => return Err(e),
        };
        Ok(HoldLine { damaged, ..HoldLine::new(hold) })
    }

    /// What all holds take, and may.
    pub fn sizes(&self) -> Result<HoldsLimit, HoldError> {
        Ok(HoldsLimit { held_bytes: self.bytes()?, limit_bytes: self.limit() })
    }

    /// Bytes that holds may take together.
    pub fn limit(&self) -> u64 {
        let text = fs::read_to_string(self.dir.join("limit")).unwrap_or_default();
        text.trim().parse().unwrap_or(HELD_BYTES)
    }

    /// Sets the limit. What is held stays, also above it.
    pub fn set_limit(&self, bytes: u64, who: &Who) -> Result<(), HoldError> {
        let _lock = self.lock()?;
        let (path, new) = (self.dir.join("limit"), self.dir.join("limit.new"));
        new_file::write(&new, new_file::SHARED, format!("{bytes}\n")).map_err(at(&new))?;
        fs::rename(&new, &path).map_err(at(&path))?;
        self.log("limit", "", who, "", bytes, "")
    }

    /// Replaces the record of a hold.
    pub(super) fn record(&self, folder: &Path, hold: &Hold) -> Result<(), HoldError> {
        let (path, new) = (folder.join(RECORD), folder.join("hold.json.new"));
        let text = serde_json::to_string_pretty(hold).unwrap_or_default();
        new_file::write(&new, new_file::SHARED, text).and_then(|()| File::open(&new)?.sync_all()).map_err(at(&new))?;
        fs::rename(&new, &path).map_err(at(&path))?;
        File::open(folder).and_then(|d| d.sync_all()).map_err(at(folder))
    }

    /// The packets of a hold.
    pub fn packets(&self, name: &str) -> Result<(Hold, PathBuf), HoldError> {
        let hold = self.known(name)?;
        Ok((hold, self.dir.join(name).join(PACKETS)))
    }

    /// Whether the packets are those that were held; looked at as long as `go_on` says so.
    pub fn check(&self, hold: &Hold, go_on: &dyn Fn() -> bool) -> Result<(), HoldError> {
        let path = self.dir.join(&hold.name).join(PACKETS);
        self.read_out(hold, &path, &mut |_| go_on())
    }

    /// Gives its packets, as the file has them, to `each` until it says false; an error at the end where they are not those that were held.
    pub fn read_out(&self, hold: &Hold, path: &Path, each: &mut dyn FnMut(&[u8]) -> bool) -> Result<(), HoldError> {
        // One that follows grows: what its record tells is what is looked at.
        let most = if hold.follow.is_some() { hold.bytes } else { u64::MAX };
        let (bytes, sum) = sum_upto(path, most, each).map_err(at(path))?.ok_or(HoldError::Interrupted)?;
        let sha256 = hex(&sum);
        if (bytes, &sha256) == (hold.bytes, &hold.sha256) {
            return Ok(());
        }
        let why =
            format!("{PACKETS} has {bytes} bytes and the sum {sha256}; held were {} and {}", hold.bytes, hold.sha256);
        Err(HoldError::Damaged { name: hold.name.clone(), why })
    }

    /// Lets go of a hold: its packets are gone.
    pub fn release(&self, name: &str, reason: &str, who: &Who) -> Result<Hold, HoldError> {
        let _lock = self.lock()?;
        self.sweep()?;
        let hold = self.known(name)?;
        // The log first: a release that nobody knows of must not be.
        self.log("release", name, who, reason, hold.bytes, &hold.sha256)?;
        let (place, gone) = (self.dir.join(name), self.dir.join(format!("{GONE}{name}")));
        // At once, whoever adds to it; then its bytes.
        fs::rename(&place, &gone).map_err(at(&place))?;
        match fs::remove_dir_all(&gone) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(at(&gone)(e)),
            _ => Ok(hold),
        }
    }

    fn known(&self, name: &str) -> Result<Hold, HoldError> {
        if valid(name) && self.dir.join(name).is_dir() {
            return self.read(name);
        }
        let names = self.names()?;
        let have = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Err(HoldError::Unknown { name: name.to_owned(), have })
    }

    pub(super) fn read(&self, name: &str) -> Result<Hold, HoldError> {
        let path = self.dir.join(name).join(RECORD);
        let text = fs::read_to_string(&path).map_err(at(&path))?;
        let damaged = |why: String| HoldError::Damaged { name: name.to_owned(), why };
        let hold: Hold = serde_json::from_str(&text).map_err(|e| damaged(format!("{RECORD}: {e}")))?;
        match hold.version {
            // What is written of it from now on is of the newer version.
            1 | 2 => Ok(Hold { version: 2, name: name.to_owned(), ..hold }),
            v => Err(damaged(format!("{RECORD} is of version {v}, this program reads 1 and 2"))),
        }
    }

    /// Bytes of all holds, also of those that can't be read.
    pub fn bytes(&self) -> Result<u64, HoldError> {
        let entries = self.entries()?;
        let hidden = |e: &fs::DirEntry| e.file_name().to_string_lossy().starts_with('.');
        let folders = entries.flatten().filter(|e| !hidden(e)).map(|e| e.path().join(PACKETS));
        Ok(folders.filter_map(|p| p.metadata().ok()).map(|m| m.len()).sum())
    }

    /// Bytes of those that are let go by themselves.
    pub(super) fn bytes_let_go(&self) -> Result<u64, HoldError> {
        let mut bytes = 0;
        self.each(&mut |h| bytes += if h.kept_until.is_some() { h.bytes } else { 0 })?;
        Ok(bytes)
    }

    /// Lets go of those whose time is over by now; what went wrong with some of them.
    pub(super) fn let_go_of(&self, due: &[String]) -> Vec<HoldError> {
        let gone = |name: &String| self.release(name, "it was to be kept until now", &Who::me()).err();
        due.iter().filter_map(gone).filter(|e| !matches!(e, HoldError::Unknown { .. })).collect()
    }

    /// One hold gets its place, or is released, at a time, so that the limit holds. Whoever waits too long is told to come again: threads are few.
    pub(super) fn lock(&self) -> Result<File, HoldError> {
        let (path, over) = (self.dir.join("lock"), Instant::now() + HOLD_TURN);
        let file = new_file::keep(&path, new_file::SHARED).map_err(at(&path))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(fs::TryLockError::WouldBlock) if Instant::now() >= over => return Err(HoldError::Busy),
                Err(fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
                Err(fs::TryLockError::Error(e)) => return Err(at(&path)(e)),
            }
        }
    }

    /// The folder of all.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn log(
        &self,
        what: &str,
        name: &str,
        who: &Who,
        reason: &str,
        bytes: u64,
        sha256: &str,
    ) -> Result<(), HoldError> {
        let path = self.dir.join("log.jsonl");
        let line = Line { time: time(units::now()), what, name, who, reason, bytes, sha256 };
        let text = serde_json::to_string(&line).unwrap_or_default() + "\n";
        let file = new_file::append(&path, new_file::SHARED);
        file.and_then(|mut f| f.write_all(text.as_bytes()).and_then(|()| f.sync_data())).map_err(at(&path))
    }
}

/// When something was added to a folder or taken out of it.
pub(super) fn changed_at(folder: &Path) -> Option<SystemTime> {
    fs::metadata(folder).and_then(|m| m.modified()).ok()
}

/// Where the packets of a hold of this store are, if there is one.
pub fn packets_of(store: &Path, name: &str) -> PathBuf {
    Layout::new(store).held().join(name).join(PACKETS)
}

pub(super) fn valid(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.len() <= NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(plain)
        && !["lock", "limit", "log.jsonl", "limit.new"].contains(&name)
}
