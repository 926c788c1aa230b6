//! Which sealed segments wait for their index, and who makes it: a thread here, or another process, whose work is looked for. Owns the thread; called by
//! the keeper, which never waits for it.

use super::{INDEXER_NICE, IndexHook, nice};
use crate::privilege;
use crate::store::layout;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Of those that another process makes so many are looked for in one go.
const LOOKS: usize = 16;
/// And not more often than this.
const LOOK: Duration = Duration::from_millis(100);

/// Segments without an index.
pub struct Indexes {
    maker: Maker,
    /// By number, since when.
    waiting: BTreeMap<u64, (PathBuf, Instant)>,
    made: u64,
}

enum Maker {
    /// A thread of this process.
    Here { to: Sender<PathBuf>, made: Receiver<PathBuf> },
    /// Another process. Which number was looked for last, and when.
    Elsewhere { last: u64, looked: Instant },
}

impl Indexes {
    /// With the thread, where there is something to call; `wake`: there is a new one.
    pub fn start(
        hook: Option<IndexHook>,
        wake: impl Fn() + Send + 'static,
    ) -> io::Result<(Indexes, Option<JoinHandle<()>>)> {
        let with = |maker| Indexes { maker, waiting: BTreeMap::new(), made: 0 };
        let Some(index) = hook else {
            return Ok((with(Maker::Elsewhere { last: 0, looked: Instant::now() }), None));
        };
        let (to, paths) = channel::<PathBuf>();
        let (tell, made) = channel();
        let thread = std::thread::Builder::new().name("indexer".into()).spawn(move || {
            privilege::without_capabilities();
            nice(INDEXER_NICE);
            for path in paths {
                index(&path);
                // It may have expired meanwhile; the segment is removed first, so one of the two finds the index.
                if !path.exists() {
                    let _ = std::fs::remove_file(layout::index_of(&path));
                }
                // At the end the keeper is gone before the last segments are indexed.
                let _ = tell.send(path);
                wake();
            }
        })?;
        Ok((with(Maker::Here { to, made }), Some(thread)))
    }

    /// This segment has none yet.
    pub fn wait_for(&mut self, number: u64, path: PathBuf) {
        if let Maker::Here { to, .. } = &self.maker {
            let _ = to.send(path.clone());
        }
        self.waiting.insert(number, (path, Instant::now()));
    }

    /// A segment is gone: nobody waits any more.
    pub fn forget(&mut self, number: u64) {
        self.waiting.remove(&number);
    }

    /// Those that were made since: number and segment. Also one that could not be, where it is tried here.
    pub fn made(&mut self) -> Vec<(u64, PathBuf)> {
        let found: Vec<u64> = match &mut self.maker {
            Maker::Here { made, .. } => {
                made.try_iter().filter_map(|path| Some(layout::sealed_number(&path)?.1)).collect()
            }
            Maker::Elsewhere { looked, .. } if looked.elapsed() < LOOK => Vec::new(),
            Maker::Elsewhere { last, looked } => {
                *looked = Instant::now();
                // One after the other, round and round: one that can't be made keeps nobody from the others.
                let next = self.waiting.range(*last + 1..).chain(self.waiting.range(..=*last));
                let next: Vec<_> = next.take(LOOKS).map(|(n, (path, _))| (*n, layout::index_of(path))).collect();
                *last = next.last().map_or(0, |(n, _)| *n);
                next.into_iter().filter(|(_, index)| index.exists()).map(|(n, _)| n).collect()
            }
        };
        let made: Vec<_> = found.into_iter().filter_map(|n| Some((n, self.waiting.remove(&n)?.0))).collect();
        self.made += made.len() as u64;
        made
    }

    /// How many were made since the start.
    pub fn count(&self) -> u64 {
        self.made
    }

    /// How many wait, and how long the oldest has, ns.
    pub fn waiting(&self) -> (u64, u64) {
        // Numbers rise with time.
        let oldest = self.waiting.first_key_value().map_or(0, |(_, (_, since))| since.elapsed().as_nanos() as u64);
        (self.waiting.len() as u64, oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody tells: what is there is found, whatever is missing before it.
    #[test]
    fn indexes_that_another_process_makes_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = |n: u64| dir.path().join(format!("20231114T221320.000000000Z-0-{n}.pcapng"));
        let (mut indexes, thread) = Indexes::start(None, || {}).unwrap();
        assert!(thread.is_none());
        let all = 5 * LOOKS as u64;
        (0..all).for_each(|n| indexes.wait_for(n, path(n)));
        assert_eq!(indexes.waiting().0, all);
        std::fs::write(layout::index_of(&path(all - 1)), b"").unwrap();
        std::fs::write(layout::index_of(&path(3)), b"").unwrap();
        let mut found = Vec::new();
        while found.len() < 2 {
            found.extend(indexes.made());
            std::thread::sleep(LOOK / 10);
        }
        found.sort();
        assert_eq!(found, [(3, path(3)), (all - 1, path(all - 1))]);
        indexes.forget(0);
        assert_eq!((indexes.waiting().0, indexes.count()), (all - 3, 2));
    }
}
