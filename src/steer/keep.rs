//! What keeps orders: their ends, and the file that brings them over a restart. Owns a thread that looks every few milliseconds and writes
//! at most once a second; started and stopped by `record`. A file that can't be read or written is said, and no reason not to record.

use super::handle::Steering;
use super::kept::{Assigned, Suspended};
use crate::new_file;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often it looks for what ends.
const LOOK: Duration = Duration::from_millis(10);
/// The file is written no more often than this.
const WRITE: Duration = Duration::from_secs(1);
/// Its name in a store.
const NAME: &str = "orders.json";

/// What is in the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Orders {
    /// Addresses with a class.
    pub assignments: Vec<Assigned>,
    /// What is suspended.
    pub suspensions: Vec<Suspended>,
}

/// The thread.
#[derive(Debug)]
pub struct Keeping {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeping {
    /// Puts in force what the store's file has, and keeps it from now on.
    pub fn start(steering: &Steering, store: &Path) -> std::io::Result<Keeping> {
        let path = store.join(NAME);
        load(steering, &path);
        let (stop, steering) = (Arc::new(AtomicBool::new(false)), steering.clone());
        let stopped = stop.clone();
        let thread =
            std::thread::Builder::new().name("orders".into()).spawn(move || run(&steering, &path, &stopped))?;
        Ok(Keeping { stop, thread: Some(thread) })
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(steering: &Steering, path: &Path, stop: &AtomicBool) {
    let (mut written, mut due, mut failing) = (Instant::now(), false, false);
    loop {
        let last = stop.load(Relaxed);
        if !last {
            steering.expire(crate::units::now());
        }
        due |= steering.changed();
        if due && (last || written.elapsed() >= WRITE) {
            match save(&steering.orders(), path) {
                Ok(()) => (due, failing) = (false, false),
                Err(e) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!("{}: {e}: assignments and suspensions do not outlive a restart", path.display());
                }
                Err(_) => {}
            }
            written = Instant::now();
        }
        if last {
            return;
        }
        std::thread::sleep(LOOK);
    }
}

/// Written anew beside the old one, which it then replaces.
fn save(orders: &Orders, path: &Path) -> std::io::Result<()> {
    let new: PathBuf = path.with_extension("json.new");
    let mut file = std::io::BufWriter::new(new_file::create(&new, new_file::SHARED)?);
    serde_json::to_writer(&mut file, orders)?;
    file.write_all(b"\n")?;
    file.into_inner().map_err(|e| e.into_error())?.sync_data()?;
    std::fs::rename(&new, path)
}

fn load(steering: &Steering, path: &Path) {
    let orders: Orders = match std::fs::read(path).map(|text| serde_json::from_slice(&text)) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return,
        Ok(Ok(orders)) => orders,
        Ok(Err(e)) => return tracing::warn!("{}: {e}: its assignments and suspensions are lost", path.display()),
        Err(e) => return tracing::warn!("{}: {e}: its assignments and suspensions are lost", path.display()),
    };
    let (n, lost) = steering.restore(&orders, crate::units::now());
    tracing::info!("{n} assignments and suspensions go on");
    for why in lost.iter().take(8) {
        tracing::warn!("{}: {why}", path.display());
    }
}
