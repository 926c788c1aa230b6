//! The files `filters` and `filters-joint` of a store: times and address filters of all sealed segments in one place, and beside it their joint
//! filters, so that a query opens only those that may have something. Appended to by the indexer and written anew when half of it is of
//! segments that are gone; read by any process. Missing, stale or damaged entries cost time only: their indexes are opened. Two files,
//! because all of the first is read by a process that asks once, and little of the second. FORMAT.md tells the bytes.

use super::IndexError;
use super::file::{About, VERSION};
use super::skip::{Mine, Skip};
use super::varint::Cursor;
use crate::store::disk::mmap::Mapped;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

const MAGIC: [u8; 8] = *b"rtfilter";
const FILE_VERSION: u32 = 2;
const HEAD_BYTES: usize = 32;
const ENTRY_MAGIC: [u8; 4] = *b"RTFE";
const ENTRY_HEAD: usize = 96;

/// The file of joint filters: one after another, found by the entries of the first file.
fn joint_path(path: &Path) -> PathBuf {
    path.with_file_name("filters-joint")
}

/// An entry, and the joint filter that is to stand at `joint_at`.
fn encode(skip: &Skip, joint_at: u64) -> Option<(Vec<u8>, &[u8])> {
    let (a, filter, joint) = (skip.about(), skip.filter()?, skip.joint().unwrap_or_default());
    let len = (ENTRY_HEAD + filter.len()).next_multiple_of(8);
    let mut out = Vec::with_capacity(len);
    out.extend(ENTRY_MAGIC);
    out.extend((len as u32).to_le_bytes());
    for v in [a.number, a.generation, a.end, a.first, a.last, a.packets] {
        out.extend(v.to_le_bytes());
    }
    out.extend(a.connections.to_le_bytes());
    out.extend(u32::from(a.link_type).to_le_bytes());
    out.extend((filter.len() as u32).to_le_bytes());
    out.extend(crc32c::crc32c(filter).to_le_bytes());
    out.extend((joint.len() as u32).to_le_bytes());
    out.extend(joint_at.to_le_bytes());
    out.extend(crc32c::crc32c(joint).to_le_bytes());
    out.extend([0; 4]);
    out.extend(crc32c::crc32c(&out).to_le_bytes());
    out.extend(filter);
    out.resize(len, 0);
    Some((out, joint))
}

fn decode(file: &Arc<Mapped>, joints: Option<&Arc<Mapped>>, at: usize, store: [u8; 16]) -> Option<(Skip, usize)> {
    let head = file.get(at..)?.get(..ENTRY_HEAD)?;
    let (summed, crc) = head.split_at_checked(ENTRY_HEAD - 4)?;
    if crc != crc32c::crc32c(summed).to_le_bytes() || summed.get(..4)? != ENTRY_MAGIC {
        return None;
    }
    let mut c = Cursor(summed.get(4..)?);
    let len = u32::from_le_bytes(c.array()?) as usize;
    let mut word = || c.array().map(u64::from_le_bytes);
    let (number, generation, end) = (word()?, word()?, word()?);
    let (first, last, packets) = (word()?, word()?, word()?);
    let mut half = || c.array().map(u32::from_le_bytes);
    let (connections, link_type, filter, crc, joint) = (half()?, half()?, half()? as usize, half()?, half()? as usize);
    let joint_at = u64::from_le_bytes(c.array()?);
    let joint_crc = u32::from_le_bytes(c.array()?);
    if len < ENTRY_HEAD + filter || at + len > file.len() {
        return None;
    }
    let link_type = u16::try_from(link_type).ok()?;
    let about = About {
        version: VERSION,
        connections,
        store,
        number,
        generation,
        end,
        first,
        last,
        packets,
        link_type,
        blocks: 0,
        bad: 0,
    };
    let mine = |file: &Arc<Mapped>, start: usize, len: usize, crc: u32| {
        let range = start..start.checked_add(len)?;
        Some(Mine { file: file.clone(), range, crc, sound: OnceLock::new() })
    };
    let joint = joints.filter(|_| joint > 0).and_then(|j| mine(j, usize::try_from(joint_at).ok()?, joint, joint_crc));
    Some((Skip::in_files(about, mine(file, at + ENTRY_HEAD, filter, crc)?, joint), at + len))
}

fn head(store: &[u8; 16]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(FILE_VERSION.to_le_bytes());
    out.extend([0; 4]);
    out.extend(store);
    out
}

/// All entries of a store's file, up to the first that is damaged; none if there is no file of this version.
pub fn read(path: &Path) -> Vec<Skip> {
    let Some(file) = File::open(path).ok().and_then(|f| Mapped::map(&f).ok()).map(Arc::new) else { return Vec::new() };
    let store = file.get(16..HEAD_BYTES).and_then(|b| b.try_into().ok());
    let Some(store) = store.filter(|s| file.get(..HEAD_BYTES) == Some(&head(s))) else { return Vec::new() };
    let joints = File::open(joint_path(path)).ok().and_then(|f| Mapped::scattered(&f).ok()).map(Arc::new);
    let (mut all, mut at) = (Vec::new(), HEAD_BYTES);
    while let Some((skip, next)) = decode(&file, joints.as_ref(), at, store) {
        all.push(skip);
        at = next;
    }
    all
}

/// Writes both files anew. Whoever reads one that is new and one that is not finds sums that do not fit, and does without.
pub fn write(path: &Path, store: &[u8; 16], all: &[Skip]) -> Result<(), IndexError> {
    let io = |source| IndexError::Io { path: path.to_owned(), source };
    let (joint_path, new) = (joint_path(path), |path: &Path| path.with_extension("new"));
    let written = File::create(new(path)).and_then(|f| {
        let mut out = BufWriter::new(f);
        let mut joints = BufWriter::new(File::create(new(&joint_path))?);
        out.write_all(&head(store))?;
        let mut at = 0;
        for skip in all {
            let Some((entry, joint)) = encode(skip, at) else { continue };
            out.write_all(&entry)?;
            joints.write_all(joint)?;
            at += joint.len() as u64;
        }
        joints.into_inner().map_err(|e| e.into_error())?.sync_data()?;
        out.into_inner().map_err(|e| e.into_error())?.sync_data()
    });
    written
        .and_then(|()| fs::rename(new(&joint_path), &joint_path))
        .and_then(|()| fs::rename(new(path), path))
        .map_err(io)
}

/// Adds an entry. The files must be whole: [`write`] has made them since the recorder began.
pub fn append(path: &Path, skip: &Skip) -> Result<(), IndexError> {
    let io = |source| IndexError::Io { path: path.to_owned(), source };
    let to = |path: &Path| OpenOptions::new().append(true).open(path);
    let add = || {
        let mut joints = to(&joint_path(path))?;
        let Some((entry, joint)) = encode(skip, joints.metadata()?.len()) else { return Ok(()) };
        joints.write_all(joint)?;
        to(path)?.write_all(&entry)
    };
    add().map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Index;
    use std::path::PathBuf;

    fn golden() -> Skip {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v2/all");
        let found = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
        let path: Vec<PathBuf> = found.filter(|p| p.extension().is_some_and(|e| e == "idx")).collect();
        Skip::of(&Index::open(&path[0]).unwrap()).unwrap()
    }

    #[test]
    fn entries_come_back_up_to_the_first_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("filters");
        assert!(read(&path).is_empty());
        let one = golden();
        write(&path, &one.about().store, &[golden(), golden()]).unwrap();
        append(&path, &one).unwrap();
        let all = read(&path);
        assert_eq!(all.len(), 3);
        let whole = fs::read(&path).unwrap();
        for skip in &all {
            assert_eq!((skip.about().number, skip.filter()), (one.about().number, one.filter()));
            assert_eq!((skip.about().first, skip.about().last), (one.about().first, one.about().last));
        }
        for at in (0..whole.len()).step_by(11) {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            fs::write(&path, &bytes).unwrap();
            // An address that is there is never ruled out.
            let host = super::super::term::Term::Addr4(0x0a00_01a6);
            assert!(read(&path).iter().all(|s| s.may_have(host)), "byte {at}");
        }
    }
}
