//! The scribe: the thread that carries receipts from the workers to the disk. Workers never wait for it but at their
//! end, when every connection's receipt is due at once.

use crate::ledger::Receipts;
use crate::record::RecordError;
use crate::units;
use crate::worker::receipts::Post;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// Pause where no letter is waiting.
const PAUSE: Duration = Duration::from_millis(20);
/// fdatasync this often.
const SYNC: Duration = Duration::from_secs(1);

/// The running thread.
#[derive(Debug)]
pub struct Scribe {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Scribe {
    /// Starts it.
    pub fn start(posts: Vec<Arc<Post>>, receipts: Receipts) -> Result<Scribe, RecordError> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = stop.clone();
        let thread = Builder::new().name("scribe".into()).spawn(move || write(&posts, receipts, &stopping));
        Ok(Scribe { stop, thread: Some(thread.map_err(RecordError::system("the scribe's thread"))?) })
    }

    /// Once no worker sends any more: writes what is left. Returns how many receipts could not be written.
    pub fn finish(&mut self) -> u64 {
        self.stop.store(true, Ordering::Release);
        self.thread.take().and_then(|t| t.join().ok()).unwrap_or(0)
    }
}

impl Drop for Scribe {
    fn drop(&mut self) {
        self.finish();
    }
}

fn write(posts: &[Arc<Post>], mut receipts: Receipts, stop: &AtomicBool) -> u64 {
    let (mut lost, mut told, mut synced, mut dirty) = (0, false, Instant::now(), false);
    loop {
        // Read before the letters: what was sent before the stop is then collected.
        let stopping = stop.load(Ordering::Acquire);
        let now = units::now();
        let mut letters = 0;
        for post in posts {
            letters += post.collect(|letter| match receipts.append(now, letter) {
                Ok(()) => told = false,
                Err(e) => {
                    lost += letter.len() as u64;
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!("receipts cannot be written: {e}");
                    }
                }
            });
        }
        dirty |= letters > 0;
        if dirty && (stopping || synced.elapsed() >= SYNC) {
            if let Err(e) = receipts.sync() {
                tracing::debug!("receipts: {e}");
            }
            (synced, dirty) = (Instant::now(), false);
        }
        match (stopping, letters) {
            (true, 0) => return lost,
            (false, 0) => std::thread::sleep(PAUSE),
            _ => {}
        }
    }
}
