//! Indexes of segments that another process seals: looked for whenever it has sealed some, and at the start, since nobody may have done so for a
//! while. Owns the thread; called by the process that serves.

use super::Indexing;
use crate::privilege;
use crate::window::WindowView;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it looks whether there are more.
const LOOK: Duration = Duration::from_millis(50);
/// Indexes can wait; workers can't.
const NICE: i32 = 10;

/// Makes indexes until it is dropped, and then those that are missing still.
pub struct SealedIndexer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl SealedIndexer {
    /// From now on.
    pub fn start(indexing: &Indexing, window: Arc<WindowView>) -> io::Result<SealedIndexer> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopping, indexer) = (stop.clone(), indexing.0.clone());
        let thread = std::thread::Builder::new().name("indexer".into()).spawn(move || {
            privilege::without_capabilities();
            let _ = rustix::process::setpriority_process(None, NICE);
            let mut seen = None;
            loop {
                // In this order: what is sealed meanwhile is found at the next look, or at the last.
                let (last, sealed) = (stopping.load(Relaxed), window.sealed());
                match seen.map_or(Some(None), |seen| window.sealed_since(seen).map(Some)) {
                    Some(Some(new)) => new.iter().for_each(|s| indexer.index_of(window.class(s.class).as_deref(), s)),
                    // At the start, and after so many that they are not named any more: whatever has none.
                    _ => indexer.index_missing(),
                }
                seen = Some(sealed);
                if last {
                    return;
                }
                std::thread::park_timeout(LOOK);
            }
        })?;
        Ok(SealedIndexer { stop, thread: Some(thread) })
    }
}

impl Drop for SealedIndexer {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}
