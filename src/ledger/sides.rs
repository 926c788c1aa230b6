//! The maker of side files: a thread beside a recording that makes those which finished files of receipts lack. Belongs to those who answer
//! questions: it reads what the writer of receipts has left, and the writer knows nothing of it. Looks at names, so whatever was missed by one
//! that was killed the next one makes.

use super::lookup::{make, side_of};
use super::{Pulse, files_of};
use crate::privilege;
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it looks whether a file is finished: without its side file one is found too, only later.
const PAUSE: Duration = Duration::from_secs(10);
/// At the end of a recording the last file gets a side file if it is this long; less is read as fast.
const SIDE_BYTES_MIN: u64 = 1 << 20;
/// As the indexer, it takes what is left.
const NICE: i32 = 5;

const RUNS: u8 = 0;
const ENDED: u8 = 1;
const STOPPED: u8 = 2;

/// The running thread.
#[derive(Debug)]
pub struct SideMaker {
    asked: Arc<AtomicU8>,
    thread: Option<JoinHandle<()>>,
}

impl SideMaker {
    /// For the receipts in `dir`, which `pulse` tells of.
    pub fn start(dir: &Path, pulse: Arc<Pulse>) -> io::Result<SideMaker> {
        let (asked, mut sides) = (Arc::new(AtomicU8::new(RUNS)), Sides::new(dir));
        let ask = asked.clone();
        let thread = std::thread::Builder::new().name("sides".into()).spawn(move || {
            privilege::without_capabilities();
            let _ = rustix::process::setpriority_process(None, NICE);
            let mut seen = None;
            loop {
                match ask.load(Ordering::Acquire) {
                    RUNS => {}
                    ENDED => return sides.make_missing(true, &|| true),
                    _ => return,
                }
                let writes = Some(pulse.writes());
                if std::mem::replace(&mut seen, writes) != writes {
                    sides.make_missing(false, &|| ask.load(Ordering::Acquire) != STOPPED);
                }
                std::thread::park_timeout(PAUSE);
            }
        })?;
        Ok(SideMaker { asked, thread: Some(thread) })
    }

    /// Nobody writes receipts any more: the last file is finished too. Waited for when it is dropped.
    pub fn end(&self) {
        let _ = self.asked.compare_exchange(RUNS, ENDED, Ordering::AcqRel, Ordering::Acquire);
        self.wake();
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for SideMaker {
    fn drop(&mut self) {
        let _ = self.asked.compare_exchange(RUNS, STOPPED, Ordering::AcqRel, Ordering::Acquire);
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The side files of a directory.
struct Sides {
    dir: PathBuf,
    /// Files that get none.
    refused: HashSet<PathBuf>,
}

impl Sides {
    fn new(dir: &Path) -> Sides {
        Sides { dir: dir.to_owned(), refused: HashSet::new() }
    }

    /// Makes what is missing, and removes what is left over. `ended`: of the last file too.
    fn make_missing(&mut self, ended: bool, go_on: &dyn Fn() -> bool) {
        let Ok(files) = files_of(&self.dir, "receipts") else { return };
        let (last, finished) = files.split_last().map_or((None, &[][..]), |(last, rest)| (Some(last), rest));
        let long = |p: &&PathBuf| std::fs::metadata(p).is_ok_and(|m| m.len() >= SIDE_BYTES_MIN);
        let wanted = finished.iter().chain(last.filter(|_| ended).filter(long));
        for path in wanted.filter(|p| !side_of(p).exists()) {
            if !go_on() {
                return;
            }
            if self.refused.contains(path) {
                continue;
            }
            if let Err(e) = make(path) {
                tracing::debug!("{}: no side file: {e}", path.display());
                self.refused.insert(path.clone());
            }
        }
        self.refused.retain(|p| files.contains(p));
        // The budget may take a file at any time, also while its side file is made.
        for side in files_of(&self.dir, "rix").unwrap_or_default() {
            if !side.with_extension("receipts").exists() {
                let _ = std::fs::remove_file(side);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RECEIPTS_BYTES, Receipts, lookup::Side};
    use super::*;
    use crate::conn::receipt::Receipt;
    use crate::packet::key::Key;

    const HOUR: u64 = 3_600_000_000_000;

    /// Receipts of so many hours, one a file, and the files.
    fn hours(dir: &Path, hours: u64) -> (Receipts, Vec<PathBuf>) {
        let mut r = Receipts::open(dir, RECEIPTS_BYTES).unwrap();
        (0..hours).for_each(|n| r.append(n * HOUR, &[Receipt::of_one(Key::tcp(1), 1, 2)]).unwrap());
        let files = files_of(dir, "receipts").unwrap();
        assert_eq!(files.len() as u64, hours);
        (r, files)
    }

    fn with_side(files: &[PathBuf]) -> Vec<bool> {
        let whole = |p: &PathBuf| Side::open(p, std::fs::metadata(p).unwrap().len()).is_some();
        files.iter().map(whole).collect()
    }

    #[test]
    fn finished_files_get_a_side_file_and_the_one_that_is_written_none() {
        let dir = tempfile::tempdir().unwrap();
        let (mut r, files) = hours(dir.path(), 3);
        // The writer makes none, also where it ends.
        assert_eq!(with_side(&files), [false; 3]);
        let mut sides = Sides::new(dir.path());
        sides.make_missing(false, &|| true);
        assert_eq!(with_side(&files), [true, true, false]);
        // A short one is read as fast; a long one gets its own once it is finished, and not before.
        sides.make_missing(true, &|| true);
        assert_eq!(with_side(&files), [true, true, false]);
        r.append(2 * HOUR, &vec![Receipt::of_one(Key::tcp(1), 1, 2); 60_000]).unwrap();
        drop(r);
        sides.make_missing(false, &|| true);
        assert_eq!(with_side(&files), [true, true, false]);
        sides.make_missing(true, &|| true);
        assert_eq!(with_side(&files), [true; 3]);
    }

    #[test]
    fn what_a_killed_one_left_is_made_or_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (_, files) = hours(dir.path(), 4);
        let mut sides = Sides::new(dir.path());
        sides.make_missing(false, &|| false);
        assert_eq!(with_side(&files), [false; 4], "asked to stop");
        // A half of one under another name, one whose file has gone, and a file of which there can be none.
        let half = files[0].with_extension("rix.new");
        std::fs::write(&half, "rtre").unwrap();
        make(&files[1]).unwrap();
        std::fs::remove_file(&files[1]).unwrap();
        std::fs::remove_file(&files[2]).unwrap();
        std::fs::create_dir(&files[2]).unwrap();
        sides.make_missing(false, &|| true);
        assert!(!side_of(&files[1]).exists() && !half.exists());
        assert_eq!((with_side(&files[..1]), sides.refused.len()), (vec![true], 1));
        // It is tried once.
        std::fs::remove_dir(&files[2]).unwrap();
        std::fs::write(&files[2], std::fs::read(&files[0]).unwrap()).unwrap();
        sides.make_missing(false, &|| true);
        assert!(!side_of(&files[2]).exists());
        Sides::new(dir.path()).make_missing(false, &|| true);
        assert_eq!(with_side(&files[2..]), [true, false]);
    }

    /// The thread: what there is is made beside a recording, the last file at its end.
    #[test]
    fn the_last_file_is_made_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let (mut r, files) = hours(dir.path(), 2);
        r.append(HOUR, &vec![Receipt::of_one(Key::tcp(1), 1, 2); 60_000]).unwrap();
        drop(SideMaker::start(dir.path(), r.pulse().clone()).unwrap());
        assert!(!with_side(&files)[1], "it may go on");
        let maker = SideMaker::start(dir.path(), r.pulse().clone()).unwrap();
        drop(r);
        maker.end();
        drop(maker);
        assert_eq!(with_side(&files), [true, true]);
    }
}
