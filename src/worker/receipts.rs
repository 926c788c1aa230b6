//! Receipts on their way from a worker to the scribe, in letters: vectors that go back and forth and never grow. Owns the two
//! rings; the worker fills, the scribe empties. Without an empty letter the tracker's own buffer fills and counts.

use crate::conn::Tracker;
use crate::conn::receipt::Receipt;
use crate::limits::{LETTERS_PER_WORKER, RECEIPTS_PER_LETTER};
use crossbeam_queue::ArrayQueue;
use std::sync::Arc;

/// The two rings between one worker and the scribe.
#[derive(Debug)]
pub struct Post {
    full: ArrayQueue<Vec<Receipt>>,
    spare: ArrayQueue<Vec<Receipt>>,
}

impl Post {
    /// Takes all memory.
    pub fn new() -> Arc<Post> {
        let (full, spare) = (ArrayQueue::new(LETTERS_PER_WORKER), ArrayQueue::new(LETTERS_PER_WORKER));
        for _ in 0..LETTERS_PER_WORKER {
            let _ = spare.push(Vec::with_capacity(RECEIPTS_PER_LETTER));
        }
        Arc::new(Post { full, spare })
    }

    /// The scribe's side: hands each waiting letter to `read` and sends it back. Returns how many there were.
    pub fn collect(&self, mut read: impl FnMut(&[Receipt])) -> usize {
        let mut letters = 0;
        while let Some(mut letter) = self.full.pop() {
            read(&letter);
            letter.clear();
            let _ = self.spare.push(letter);
            letters += 1;
        }
        letters
    }
}

/// The worker's side.
#[derive(Debug)]
pub struct Outbox {
    post: Arc<Post>,
    open: Option<Vec<Receipt>>,
    sent_ns: u64,
}

impl Outbox {
    /// One for each worker.
    pub fn new(post: &Arc<Post>) -> Outbox {
        Outbox { post: post.clone(), open: None, sent_ns: 0 }
    }

    /// Takes what the tracker has made; sends a letter when it is full or a second old. False: no empty letter is
    /// there and receipts stay behind in the tracker.
    pub fn fill(&mut self, tracker: &mut Tracker, mono_ns: u64) -> bool {
        loop {
            if self.open.is_none() {
                self.open = self.post.spare.pop();
            }
            let Some(letter) = &mut self.open else { return false };
            while letter.len() < RECEIPTS_PER_LETTER {
                let Some(r) = tracker.next_receipt() else { break };
                letter.push(r);
            }
            let full = letter.len() == RECEIPTS_PER_LETTER;
            let due = !letter.is_empty() && mono_ns.saturating_sub(self.sent_ns) >= 1_000_000_000;
            if full || due {
                self.send();
                self.sent_ns = mono_ns;
            }
            if !full {
                return true;
            }
        }
    }

    /// Sends what is there, full or not.
    pub fn send(&mut self) {
        if let Some(letter) = self.open.take() {
            // There are as many places as letters.
            if let Err(letter) = self.post.full.push(letter) {
                self.open = Some(letter);
            }
        }
    }
}
