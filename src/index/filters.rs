//! The files `filters`, `filters-address` and `filters-joint` of a store: times of all sealed segments in one place, and beside it their
//! address filters and their joint filters, so that a query opens only those that may have something. Appended to by the indexer and
//! written anew when half of it is of segments that are gone; read by any process. Missing, stale or damaged entries cost time only:
//! their indexes are opened. Three files, because a process that asks once reads all of the first, of the second what lies in its window,
//! and of the third little. FORMAT.md tells the bytes.

use super::IndexError;
use super::file::About;
use super::skip::{Mine, Skip};
use super::varint::Cursor;
use crate::new_file;
use crate::store::disk::mmap::Mapped;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

const MAGIC: [u8; 8] = *b"rtfilter";
/// Version that is written. Versions 1 and 2 are read: entries of version 2 don't tell the index's version and when the segment was changed; those
/// of version 1 have their address filter in them, and there are no joint filters.
const FILE_VERSION: u32 = 3;
const HEAD_BYTES: usize = 32;
const ENTRY_MAGIC: [u8; 4] = *b"RTFE";
const ENTRY_BYTES: usize = 112;
/// Bytes of an entry before its filters, by version.
const ENTRY_HEAD: [usize; 3] = [80, 104, ENTRY_BYTES];

/// The files of address filters and of joint filters: one after another, found by the entries of the first file.
fn heaps(path: &Path) -> [PathBuf; 2] {
    ["filters-address", "filters-joint"].map(|name| path.with_file_name(name))
}

/// An entry for filters that are to stand at these places of their files, and the filters. `None`: they are damaged, or those of a segment in
/// which something is damaged: nobody knows whom they leave out.
fn encode(skip: &Skip, [address_at, joint_at]: [u64; 2]) -> Option<(Vec<u8>, [&[u8]; 2])> {
    let (a, address, joint) = (skip.about(), skip.filter()?, skip.joint().unwrap_or_default());
    if a.bad > 0 {
        return None;
    }
    let mut out = Vec::with_capacity(ENTRY_BYTES);
    out.extend(ENTRY_MAGIC);
    out.extend((ENTRY_BYTES as u32).to_le_bytes());
    for v in [a.number, a.generation, a.end, a.first, a.last, a.packets] {
        out.extend(v.to_le_bytes());
    }
    out.extend(a.connections.to_le_bytes());
    out.extend(u32::from(a.link_type).to_le_bytes());
    out.extend((address.len() as u32).to_le_bytes());
    out.extend(crc32c::crc32c(address).to_le_bytes());
    out.extend((joint.len() as u32).to_le_bytes());
    out.extend(crc32c::crc32c(joint).to_le_bytes());
    out.extend(address_at.to_le_bytes());
    out.extend(joint_at.to_le_bytes());
    out.extend(skip.modified().to_le_bytes());
    out.extend(a.version.to_le_bytes());
    out.extend(crc32c::crc32c(&out).to_le_bytes());
    Some((out, [address, joint]))
}

/// A file of entries, and what of them is the same for all.
struct Filed {
    file: Arc<Mapped>,
    /// `None`: of version 1.
    heaps: Option<[Arc<Mapped>; 2]>,
    store: [u8; 16],
    /// Bytes of an entry before its filters.
    entry: usize,
    version: u32,
}

fn decode(filed: &Filed, at: usize) -> Option<(Skip, usize)> {
    let Filed { file, heaps, store, entry, version } = filed;
    let head = file.get(at..)?.get(..*entry)?;
    let (summed, crc) = head.split_at_checked(head.len() - 4)?;
    if crc != crc32c::crc32c(summed).to_le_bytes() || summed.get(..4)? != ENTRY_MAGIC {
        return None;
    }
    let mut c = Cursor(summed.get(4..)?);
    let len = u32::from_le_bytes(c.array()?) as usize;
    let mut word = || c.array().map(u64::from_le_bytes);
    let (number, generation, end) = (word()?, word()?, word()?);
    let (first, last, packets) = (word()?, word()?, word()?);
    let mut half = || c.array().map(u32::from_le_bytes);
    let (connections, link_type, address, crc) = (half()?, half()?, half()? as usize, half()?);
    if len < head.len() || at + len > file.len() {
        return None;
    }
    let link_type = u16::try_from(link_type).ok()?;
    let mut about = About {
        version: 0,
        keys_told: true,
        vlan_in_key: true,
        connections,
        store: *store,
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
    let mine = |file: &Arc<Mapped>, start: u64, len: usize, crc: u32| {
        let start = usize::try_from(start).ok()?;
        Some(Mine { file: file.clone(), range: start..start.checked_add(len)?, crc, sound: OnceLock::new() })
    };
    let skip = match heaps {
        None => Skip::in_files(about, 0, mine(file, (at + entry) as u64, address, crc)?, None),
        Some([addresses, joints]) => {
            let (joint, joint_crc) = (half()? as usize, half()?);
            let mut place = || c.array().map(u64::from_le_bytes);
            let (address_at, joint_at) = (place()?, place()?);
            let mut modified = 0;
            if *version > 2 {
                modified = u64::from_le_bytes(c.array()?);
                about.version = u32::from_le_bytes(c.array()?);
            }
            let joint = mine(joints, joint_at, joint, joint_crc)?;
            Skip::in_files(about, modified, mine(addresses, address_at, address, crc)?, Some(joint))
        }
    };
    Some((skip, at + len))
}

fn head(version: u32, store: &[u8; 16]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(version.to_le_bytes());
    out.extend([0; 4]);
    out.extend(store);
    out
}

/// All entries of a store's file, up to the first that is damaged, and the files in which their filters are; nothing if there is no file of a
/// version that is known. Whoever keeps them looks at the files [again](Mapped::look_again) before each use.
pub fn read(path: &Path) -> (Vec<Skip>, Vec<Arc<Mapped>>) {
    let map = |path: &Path| Some(Arc::new(Mapped::map(&File::open(path).ok()?).ok()?));
    let heap = |path: &Path| Some(Arc::new(Mapped::scattered(&File::open(path).ok()?).ok()?));
    let filed = || {
        let file = map(path)?;
        let store = file.get(16..HEAD_BYTES)?.try_into().ok()?;
        let known = |version: u32| file.get(..HEAD_BYTES) == Some(&head(version, &store));
        let (version, entry) = (1..).zip(ENTRY_HEAD).find(|(version, _)| known(*version))?;
        let [addresses, joints] = heaps(path);
        let heaps = if version == 1 { None } else { Some([heap(&addresses)?, heap(&joints)?]) };
        Some(Filed { file, heaps, store, entry, version })
    };
    let Some(filed) = filed() else { return Default::default() };
    let (mut all, mut at) = (Vec::new(), HEAD_BYTES);
    while let Some((skip, next)) = decode(&filed, at) {
        all.push(skip);
        at = next;
    }
    let files = match filed.heaps {
        Some(heaps) => heaps.to_vec(),
        None => vec![filed.file],
    };
    (all, files)
}

/// How long the three files are, as far as this process has written them.
#[derive(Debug, PartialEq, Eq)]
pub struct FileLengths([u64; 3]);

/// Writes the files anew. Whoever reads some that are new and some that are not finds sums that do not fit, and does without.
pub fn write(path: &Path, store: &[u8; 16], all: &[Skip]) -> Result<FileLengths, IndexError> {
    let io = |source| IndexError::Io { path: path.to_owned(), source };
    let new = |path: &Path| path.with_extension("new");
    let [addresses, joints] = heaps(path);
    let write = || {
        let create =
            |path: &Path| Ok::<_, std::io::Error>(BufWriter::new(new_file::create(&new(path), new_file::SHARED)?));
        let mut out = [create(path)?, create(&addresses)?, create(&joints)?];
        let [entries, heaps @ ..] = &mut out;
        entries.write_all(&head(FILE_VERSION, store))?;
        // No heap is empty, so that it can be mapped.
        heaps.iter_mut().try_for_each(|h| h.write_all(&MAGIC))?;
        let (mut at, mut len) = ([MAGIC.len() as u64; 2], HEAD_BYTES as u64);
        for skip in all {
            let Some((entry, filters)) = encode(skip, at) else { continue };
            entries.write_all(&entry)?;
            len += entry.len() as u64;
            for ((heap, filter), at) in heaps.iter_mut().zip(filters).zip(&mut at) {
                heap.write_all(filter)?;
                *at += filter.len() as u64;
            }
        }
        for file in out {
            file.into_inner().map_err(|e| e.into_error())?.sync_data()?;
        }
        [&joints, &addresses, path].into_iter().try_for_each(|path| fs::rename(new(path), path))?;
        let [a, b] = at;
        Ok(FileLengths([len, a, b]))
    };
    write().map_err(io)
}

/// Adds an entry to what [`write`] has made. False: the files are no longer as long as they must be, and have to be made anew: what is
/// written behind a hole would let the hole pass for filters.
pub fn append(path: &Path, skip: &Skip, lengths: &mut FileLengths) -> Result<bool, IndexError> {
    let io = |source| IndexError::Io { path: path.to_owned(), source };
    let to = |path: &Path| OpenOptions::new().append(true).open(path);
    let mut add = || {
        let [addresses, joints] = heaps(path);
        let mut files = [to(path)?, to(&addresses)?, to(&joints)?];
        for (file, len) in files.iter().zip(lengths.0) {
            if file.metadata()?.len() != len {
                return Ok(false);
            }
        }
        let [_, a, b] = lengths.0;
        let Some((entry, [address, joint])) = encode(skip, [a, b]) else { return Ok(true) };
        // The entry last: it names filters that are there.
        for (at, bytes) in [(1, address), (2, joint), (0, &entry[..])] {
            if let (Some(file), Some(len)) = (files.get_mut(at), lengths.0.get_mut(at)) {
                file.write_all(bytes)?;
                *len += bytes.len() as u64;
            }
        }
        Ok(true)
    };
    add().map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Index;
    use crate::index::term::Term;
    use std::path::PathBuf;

    fn golden() -> Skip {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v3/all");
        let found = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
        let path: Vec<PathBuf> = found.filter(|p| p.extension().is_some_and(|e| e == "idx")).collect();
        Skip::of(&Index::open(&path[0]).unwrap()).unwrap()
    }

    #[test]
    fn entries_come_back_up_to_the_first_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("filters");
        let read = |path: &Path| super::read(path).0;
        assert!(read(&path).is_empty());
        let one = golden();
        let mut lengths = write(&path, &one.about().store, &[golden(), golden()]).unwrap();
        assert!(append(&path, &one, &mut lengths).unwrap());
        let all = read(&path);
        assert_eq!(all.len(), 3);
        for skip in &all {
            assert_eq!((skip.about().number, skip.filter()), (one.about().number, one.filter()));
            assert_eq!((skip.about().first, skip.about().last), (one.about().first, one.about().last));
            assert!(skip.joint() == one.joint() && skip.joint().is_some_and(|j| !j.is_empty()));
        }
        let [addresses, joints] = heaps(&path);
        for damaged in [&path, &addresses, &joints] {
            let whole = fs::read(damaged).unwrap();
            for at in (0..whole.len()).step_by(11) {
                let mut bytes = whole.clone();
                bytes[at] ^= 4;
                fs::write(damaged, &bytes).unwrap();
                // What is there is never ruled out.
                let (host, port) = (Term::Addr4(0x0a00_01a6), Term::Port(445));
                assert!(read(&path).iter().all(|s| s.may_have(host) && s.may_join(host, port)), "byte {at}");
            }
            fs::write(damaged, &whole).unwrap();
            for bytes in [&whole[..whole.len() / 2], &[]] {
                fs::write(damaged, bytes).unwrap();
                assert!(read(&path).iter().all(|s| s.may_have(Term::Addr4(0x0a00_01a6))));
            }
            fs::write(damaged, &whole).unwrap();
        }
    }

    /// Files that somebody has cut short are not written behind, whatever is left of them; what was read of them rules nothing out.
    #[test]
    fn nothing_is_added_behind_a_hole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("filters");
        let one = golden();
        let [addresses, joints] = heaps(&path);
        for cut in [&path, &addresses, &joints] {
            let mut lengths = write(&path, &one.about().store, &[golden(), golden()]).unwrap();
            assert!(append(&path, &one, &mut lengths).unwrap());
            let (all, files) = read(&path);
            assert!(all.iter().all(|s| !s.may_have(Term::Addr4(0x0102_0304))), "this filter leaves something out");
            let len = fs::metadata(cut).unwrap().len();
            OpenOptions::new().write(true).open(cut).unwrap().set_len(len - 1).unwrap();
            assert!(!append(&path, &one, &mut lengths).unwrap());
            assert_eq!(fs::metadata(cut).unwrap().len(), len - 1);
            files.iter().for_each(|f| f.look_again());
            let (host, port) = (Term::Addr4(0x0a00_01a6), Term::Port(445));
            assert!(all.iter().all(|s| s.may_have(host) && s.may_join(host, port)));
            assert_eq!(all.iter().all(|s| s.filter().is_none()), cut == &addresses);
            assert_eq!(all.iter().all(|s| s.joint().is_none()), cut == &joints);
        }
    }

    /// Files that programs wrote before entries told when a segment was changed, and before there were joint filters.
    #[test]
    fn older_versions_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let read = |path: &Path| super::read(path).0;
        let (path, one) = (dir.path().join("filters"), golden());
        let (entry, _) = encode(&one, [8, 8]).unwrap();
        let summed = |mut old: Vec<u8>, len: usize| {
            old[4..8].copy_from_slice(&(len as u32).to_le_bytes());
            old.extend(crc32c::crc32c(&old).to_le_bytes());
            old
        };
        let same = |all: &[Skip]| {
            assert_eq!(all.len(), 2);
            for s in all {
                assert_eq!((s.filter(), s.about().version, s.modified()), (one.filter(), 0, 0));
                assert!(s.about().tells_link_type() && s.about().link_type == 1);
            }
        };
        let mut old = entry[..76].to_vec();
        let len = (80 + one.filter().unwrap().len()).next_multiple_of(8);
        old[72..76].fill(0);
        let mut old = summed(old, len);
        old.extend(one.filter().unwrap());
        old.resize(len, 0);
        fs::write(&path, [head(1, &one.about().store), old.clone(), old].concat()).unwrap();
        same(&read(&path));
        assert!(read(&path).iter().all(|s| s.joint() == Some(&[])));

        write(&path, &one.about().store, &[golden()]).unwrap();
        let mut old = entry[..100].to_vec();
        old[96..].fill(0);
        let old = summed(old, 104);
        fs::write(&path, [head(2, &one.about().store), old.clone(), old].concat()).unwrap();
        same(&read(&path));
        assert!(read(&path).iter().all(|s| s.joint() == one.joint()));
        fs::write(&path, head(4, &one.about().store)).unwrap();
        assert!(read(&path).is_empty());
    }
}
