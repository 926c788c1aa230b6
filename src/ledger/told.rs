//! What a query wants to know of ledger and receipts: losses, what was recorded at all, what has expired, and what is known of the
//! connections it met. Owns the contract. Two ways to know it, with the same answers: from the files, as the command line does for its one query, and
//! from what a recorder holds of them in memory ([`Held`](super::Held)) for thousands a second.

use super::search::{Wanted, search_while};
use super::{
    Coverage, ExpiredSpan, Gap, LedgerError, LedgerSummary, LinkDown, What, broken_imports, coverage, losses,
    only_imported,
};
use crate::conn::receipt::Receipt;
use crate::packet::key::Key;
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;

/// Packets lost in a window by one cause in one place, of one class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossSum {
    /// A cause of the account.
    pub cause: String,
    /// Where.
    pub place: String,
    /// Of which class; `None`: before they had one, or it is not known.
    pub class: Option<String>,
    /// How many.
    pub packets: u64,
}

/// What of a window was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// Times when a live recorder ran: sorted, apart from each other.
    pub recorded: Vec<(u64, u64)>,
    /// Times when none ran.
    pub gaps: Vec<Gap>,
    /// Times when one ran but an interface had no link.
    pub link_down: Vec<LinkDown>,
}

/// Ledger and receipts of one store. Times are Unix ns.
pub trait Told {
    /// Losses whose packets may have arrived in `from..to`, by cause, place and class.
    fn losses(&self, from: u64, to: u64) -> Result<Vec<LossSum>, LedgerError>;
    /// What of `from..to` has expired, by class.
    fn expired(&self, from: u64, to: u64) -> Result<Vec<ExpiredSpan>, LedgerError>;
    /// When imports began that did not read all of their files: of the times of the packets that are missing nobody knows.
    fn broken_imports(&self) -> Result<Vec<u64>, LedgerError>;
    /// What of `from..to` was recorded.
    fn covered(&self, from: u64, to: u64) -> Result<Covered, LedgerError>;
    /// Whether the store holds imported traces alone.
    fn only_imported(&self) -> Result<bool, LedgerError>;
    /// Gives `each` the receipts of these connections that overlap a window, from one time to before another, with whether VLAN ids are in their
    /// keys; as long as `go_on` holds, which is asked now and then.
    fn receipts(
        &self,
        window: (u64, u64),
        keys: &HashSet<Key>,
        go_on: &dyn Fn() -> bool,
        each: &mut dyn FnMut(&Receipt, bool),
    ) -> Result<(), LedgerError>;
    /// Has what holds the receipts of these connections read, where that is in files: a hint, before they are asked for.
    fn ahead(&self, _from: u64, _to: u64, _keys: HashSet<Key>) -> Option<Ahead> {
        None
    }
}

/// A thread that reads what will be asked for; it ends early when nobody waits for it any more.
pub struct Ahead {
    thread: Option<JoinHandle<()>>,
    unwanted: Arc<AtomicBool>,
}

impl Ahead {
    /// Waits until it has read all of it.
    pub fn wait(mut self) {
        self.join();
    }

    fn join(&mut self) {
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.unwanted.store(true, Relaxed);
        self.join();
    }
}

/// Read anew for each question.
#[derive(Clone, Debug)]
pub struct Files {
    /// Folder of the ledger.
    pub ledger: PathBuf,
    /// Folder of the receipts.
    pub receipts: PathBuf,
}

impl Told for Files {
    fn losses(&self, from: u64, to: u64) -> Result<Vec<LossSum>, LedgerError> {
        let mut sums = BTreeMap::new();
        for e in losses(&self.ledger, from, to)? {
            if let What::Loss { cause, place, class, packets, .. } = e.what {
                *sums.entry((cause, place, class)).or_insert(0) += packets;
            }
        }
        let sum = |((cause, place, class), packets)| LossSum { cause, place, class, packets };
        Ok(sums.into_iter().map(sum).collect())
    }

    fn expired(&self, from: u64, to: u64) -> Result<Vec<ExpiredSpan>, LedgerError> {
        Ok(LedgerSummary::read(&self.ledger)?.spans(from, to))
    }

    fn broken_imports(&self) -> Result<Vec<u64>, LedgerError> {
        broken_imports(&self.ledger)
    }

    fn covered(&self, from: u64, to: u64) -> Result<Covered, LedgerError> {
        let c = coverage(&self.ledger, from, to)?;
        let Coverage { recorded, gaps, link_down, .. } = c;
        Ok(Covered { recorded, gaps, link_down })
    }

    fn only_imported(&self) -> Result<bool, LedgerError> {
        only_imported(&self.ledger)
    }

    fn receipts(
        &self,
        window: (u64, u64),
        keys: &HashSet<Key>,
        go_on: &dyn Fn() -> bool,
        each: &mut dyn FnMut(&Receipt, bool),
    ) -> Result<(), LedgerError> {
        search_while(&self.receipts, window, &Wanted::Keys(keys), go_on, each).map(|_| ())
    }

    fn ahead(&self, from: u64, to: u64, keys: HashSet<Key>) -> Option<Ahead> {
        let (dir, unwanted) = (self.receipts.clone(), Arc::new(AtomicBool::new(false)));
        let ended = unwanted.clone();
        let read = move || {
            // What is wrong with it is said to whoever asks.
            let _ = search_while(&dir, (from, to), &Wanted::Keys(&keys), || !ended.load(Relaxed), |_, _| ());
        };
        let thread = std::thread::Builder::new().name("receipts".into()).spawn(read).ok()?;
        Some(Ahead { thread: Some(thread), unwanted })
    }
}
