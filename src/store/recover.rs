//! Recovery: what a killed recorder left unsealed is sealed at the next start, with every good block that it holds; and when the packets came
//! of all segments that were there before, so that nobody has to look when they expire. Called when a store is opened for recording; can
//! itself be killed and done again.

use super::event::StoreEvent;
use super::format::StoreId;
use super::layout::{self, Layout};
use super::mend::{self, Mended};
use super::seal::SealedSegment;
use super::{StoreError, at};
use crate::privilege;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// What there is after recovery.
#[derive(Debug)]
pub struct Found {
    /// All sealed segments.
    pub sealed: Vec<SealedSegment>,
    /// Above every number in use.
    pub next_number: u64,
    /// Numbers of those that could not be sealed.
    pub unsealed: Vec<u64>,
}

/// Recovers and lists.
pub fn recover(layout: &Layout, store: &StoreId, tell: &dyn Fn(StoreEvent)) -> Result<Found, StoreError> {
    let (mut next_number, mut unsealed, mut times) = (0, Vec::new(), HashMap::new());
    let open = layout.open();
    for entry in fs::read_dir(&open).map_err(at(&open))? {
        let path = entry.map_err(at(&open))?.path();
        let Some(number) = layout::open_number(&path) else { continue };
        next_number = next_number.max(number + 1);
        match mend::mend(layout, store, number) {
            // Spares leave no trace.
            Ok(None) => {}
            Ok(Some(Mended { segment: s, bad_bytes })) => {
                times.insert(number, s.times);
                tell(StoreEvent::Recovered { path: Some(s.path), packets: s.packets, bad_bytes });
            }
            // It stays as it is, and readable; recording goes on.
            Err(e) => {
                unsealed.push(number);
                tell(StoreEvent::SealFailed { segment: number, error: e.to_string() });
            }
        }
    }
    let mut sealed = list_sealed(layout)?;
    for s in &mut sealed {
        s.times = times.get(&s.number).copied().flatten();
    }
    let next_number = sealed.iter().map(|s| s.number + 1).fold(next_number, u64::max);
    Ok(Found { sealed, next_number, unsealed })
}

/// All sealed segments in the directories of classes; counts of packets are not known here.
fn list_sealed(layout: &Layout) -> Result<Vec<SealedSegment>, StoreError> {
    let mut list = Vec::new();
    for entry in fs::read_dir(layout.root()).map_err(at(layout.root()))? {
        let entry = entry.map_err(at(layout.root()))?;
        let class = entry.file_name().to_string_lossy().into_owned();
        if !layout::valid_class(&class) || !entry.path().is_dir() {
            continue;
        }
        for file in fs::read_dir(entry.path()).map_err(at(&entry.path()))? {
            let path = file.map_err(at(&entry.path()))?.path();
            if path.extension().is_some_and(|e| e == "idx") && !path.with_extension("pcapng").exists() {
                // Its segment expired, and the recorder was killed before it could remove this too.
                fs::remove_file(&path).map_err(at(&path))?;
            } else if let Some((_, number)) = layout::sealed_number(&path) {
                let bytes = fs::metadata(&path).map_err(at(&path))?.len();
                list.push(SealedSegment { path, class: class.clone(), number, bytes, packets: 0, times: None });
            }
        }
    }
    list.sort_by_key(|s| s.number);
    Ok(list)
}

/// Tells when the packets of a sealed segment came, first and last, Unix ns.
pub type TimesHook = Box<dyn Fn(&Path) -> Option<(u64, u64)> + Send>;

/// Some segments by number, and when their packets came; `None`: nobody can tell.
pub type Batch = Vec<(u64, Option<(u64, u64)>)>;

/// So many at a time, at most: the first comes alone, and the keeper is not woken for each.
const BATCH: usize = 16;

/// The times of what was there before this start: a list that comes once, while the keeper is at work already. It ends when the sender goes.
pub struct OldTimes {
    list: Receiver<Batch>,
    thread: Option<JoinHandle<()>>,
}

impl OldTimes {
    /// Has all of these looked up whose times are not known, those first that expire first; `wake` is called after each batch.
    pub fn start(sealed: &[SealedSegment], times: TimesHook, wake: impl Fn() + Send + 'static) -> io::Result<OldTimes> {
        let (send, list) = channel();
        let order = in_order_of_expiry(sealed);
        let thread = std::thread::Builder::new().name("recovery".into()).spawn(move || {
            privilege::without_capabilities();
            look_up(&order, &times, &send, &wake);
            drop(send);
            wake();
        })?;
        Ok(OldTimes { list, thread: Some(thread) })
    }

    /// What has come since it was asked last; `Err`: that was all.
    pub fn take(&self) -> Result<Batch, std::sync::mpsc::TryRecvError> {
        self.list.try_recv()
    }

    /// Waits for the next.
    pub fn wait(&self) -> Option<Batch> {
        self.list.recv().ok()
    }
}

impl Drop for OldTimes {
    fn drop(&mut self) {
        // The thread ends with what it sends next.
        let (_, nobody) = channel();
        self.list = nobody;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn look_up(order: &[(u64, PathBuf)], times: &TimesHook, send: &Sender<Batch>, wake: &dyn Fn()) {
    let (mut rest, mut size) = (order, 1);
    while !rest.is_empty() {
        let (some, more) = rest.split_at(size.min(rest.len()));
        if send.send(some.iter().map(|(number, path)| (*number, times(path))).collect()).is_err() {
            return;
        }
        wake();
        (rest, size) = (more, (2 * size).min(BATCH));
    }
}

/// The oldest of each class, then the next of each: whichever budget is used up first, the list is ahead of it.
fn in_order_of_expiry(sealed: &[SealedSegment]) -> Vec<(u64, PathBuf)> {
    let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut order: Vec<(usize, u64, PathBuf)> = Vec::new();
    for s in sealed {
        let place = classes.entry(s.class.as_str()).or_default();
        if s.times.is_none() {
            order.push((*place, s.number, s.path.clone()));
        }
        *place += 1;
    }
    order.sort_by_key(|(place, number, _)| (*place, *number));
    order.into_iter().map(|(_, number, path)| (number, path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_class_comes_first() {
        let sealed = |number: u64, class: &str, times| SealedSegment {
            path: PathBuf::from(number.to_string()),
            class: class.into(),
            number,
            bytes: 1,
            packets: 0,
            times,
        };
        let all = [
            sealed(1, "all", None),
            sealed(2, "all", Some((1, 2))),
            sealed(3, "all", None),
            sealed(7, "dns", None),
            sealed(8, "dns", None),
            sealed(9, "all", None),
        ];
        let order: Vec<u64> = in_order_of_expiry(&all).iter().map(|(n, _)| *n).collect();
        assert_eq!(order, [1, 7, 8, 3, 9], "2 is known");
    }
}
