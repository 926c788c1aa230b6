//! Packets that belong to another worker: copied into parcels of that worker, so that the frame goes back to its ring in the same
//! batch. Owns the rings between workers (bounded, lock-free, from crossbeam-queue) and the count by which the workers know
//! that nothing is on its way any more. Called by the step and the loop; a full ring is counted, never waited for.

use crate::limits::{PARCEL_BYTES, PARCEL_PACKETS, PARCELS_PER_WORKER};
use crate::packet::Parsed;
use crate::source::{InputOptions, Packet};
use crossbeam_queue::ArrayQueue;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// A packet in a parcel.
#[derive(Clone, Copy, Debug)]
struct Entry {
    parsed: Parsed,
    time: u64,
    wire_len: u32,
    iface: u16,
    start: u32,
    len: u32,
}

/// Several packets for one worker, copied. Never grows past its capacity.
#[derive(Debug)]
pub struct Parcel {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
}

impl Parcel {
    fn new() -> Parcel {
        Parcel { entries: Vec::with_capacity(PARCEL_PACKETS), bytes: Vec::with_capacity(PARCEL_BYTES) }
    }

    fn fits(&self, len: usize) -> bool {
        self.entries.len() < PARCEL_PACKETS && self.bytes.len() + len <= PARCEL_BYTES
    }

    fn push(&mut self, p: &Packet<'_>, parsed: &Parsed) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(p.data);
        let (time, wire_len, iface, len) = (p.time, p.wire_len, p.iface, p.data.len() as u32);
        self.entries.push(Entry { parsed: *parsed, time, wire_len, iface, start, len });
    }

    /// Packets in it.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The packet and what the first worker's parser found in it.
    pub fn get(&self, i: usize) -> Option<(Packet<'_>, Parsed)> {
        let e = self.entries.get(i)?;
        let data = self.bytes.get(e.start as usize..)?.get(..e.len as usize)?;
        Some((
            Packet {
                time: e.time,
                wire_len: e.wire_len,
                iface: e.iface,
                hash: None,
                data,
                options: InputOptions::NONE,
            },
            e.parsed,
        ))
    }
}

/// One worker's mailbox: empty parcels for the others to fill, and filled ones.
#[derive(Debug)]
struct Mailbox {
    spare: ArrayQueue<Box<Parcel>>,
    full: ArrayQueue<Box<Parcel>>,
    /// Its worker has died: nobody should send any more, and the others bury what is there.
    orphaned: AtomicBool,
}

/// What all workers of a recorder share.
#[derive(Debug)]
pub struct Exchange {
    mailboxes: Vec<Mailbox>,
    /// Workers that may still receive from their source.
    receiving: AtomicUsize,
    /// Parcels sent and not yet worked off.
    under_way: AtomicUsize,
}

impl Exchange {
    /// Mailboxes for `workers`; all memory is taken here.
    pub fn new(workers: usize) -> Arc<Exchange> {
        let parcels = if workers > 1 { PARCELS_PER_WORKER } else { 1 };
        let mailbox = |_| {
            let (spare, full) = (ArrayQueue::new(parcels), ArrayQueue::new(parcels));
            for _ in 0..parcels {
                let _ = spare.push(Box::new(Parcel::new()));
            }
            Mailbox { spare, full, orphaned: AtomicBool::new(false) }
        };
        let mailboxes = (0..workers.max(1)).map(mailbox).collect();
        Arc::new(Exchange { mailboxes, receiving: AtomicUsize::new(workers.max(1)), under_way: AtomicUsize::new(0) })
    }
}

/// One worker's end of the exchange.
#[derive(Debug)]
pub struct Handoff {
    exchange: Arc<Exchange>,
    me: usize,
    /// The parcel being filled for each worker.
    open: Vec<Option<Box<Parcel>>>,
    /// Parcels taken and not yet done.
    in_hand: usize,
    receiving: bool,
}

/// A worker that panics leaves the others what they need to come to rest.
impl Drop for Handoff {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        self.flush();
        if let Some(mailbox) = self.exchange.mailboxes.get(self.me) {
            mailbox.orphaned.store(true, SeqCst);
        }
        self.exchange.under_way.fetch_sub(self.in_hand, SeqCst);
        if self.receiving {
            self.exchange.receiving.fetch_sub(1, SeqCst);
        }
    }
}

impl Handoff {
    /// The end of worker `me`.
    pub fn new(exchange: &Arc<Exchange>, me: usize) -> Handoff {
        let open = exchange.mailboxes.iter().map(|_| None).collect();
        Handoff { exchange: exchange.clone(), me, open, in_hand: 0, receiving: true }
    }

    /// Which worker owns what hashes to this; the low half is what the kernel's program hands over.
    #[inline]
    pub fn owner(&self, hash: u64) -> usize {
        (hash as u32 as usize) % self.open.len()
    }

    /// Whether that is this worker.
    #[inline]
    pub fn is_mine(&self, hash: u64) -> bool {
        self.open.len() == 1 || self.owner(hash) == self.me
    }

    /// Copies a packet into `to`'s open parcel. False: its ring is full, or the packet larger than any parcel; the caller
    /// counts it as `handoff_full`.
    pub fn give(&mut self, to: usize, p: &Packet<'_>, parsed: &Parsed) -> bool {
        if self.open.get(to).and_then(|o| o.as_ref()).is_some_and(|o| !o.fits(p.data.len())) {
            self.send(to);
        }
        let (Some(slot), Some(mailbox)) = (self.open.get_mut(to), self.exchange.mailboxes.get(to)) else {
            return false;
        };
        if slot.is_none() && !mailbox.orphaned.load(SeqCst) {
            *slot = mailbox.spare.pop();
        }
        match slot {
            Some(parcel) if parcel.fits(p.data.len()) => {
                parcel.push(p, parsed);
                true
            }
            _ => false,
        }
    }

    /// Sends the open parcels of workers that have nothing waiting: called at the end of each batch. Where there is a
    /// backlog parcels are filled up instead, so that a stall costs few of them.
    pub fn settle(&mut self) {
        for to in 0..self.open.len() {
            if self.exchange.mailboxes.get(to).is_some_and(|m| m.full.is_empty()) {
                self.send(to);
            }
        }
    }

    /// Sends every open parcel: called when nothing comes, and before a parcel that led to others is done.
    pub fn flush(&mut self) {
        for to in 0..self.open.len() {
            self.send(to);
        }
    }

    fn send(&mut self, to: usize) {
        let Some(mailbox) = self.exchange.mailboxes.get(to) else { return };
        if let Some(parcel) = self.open.get_mut(to).and_then(Option::take) {
            self.exchange.under_way.fetch_add(1, SeqCst);
            // There are as many places as parcels: this can't fail.
            if mailbox.full.push(parcel).is_err() {
                unreachable!("a mailbox has a place for each of its parcels");
            }
        }
    }

    /// The next parcel for this worker; give it back with [`done`](Handoff::done).
    pub fn take(&mut self) -> Option<Box<Parcel>> {
        let parcel = self.exchange.mailboxes.get(self.me)?.full.pop()?;
        self.in_hand += 1;
        Some(parcel)
    }

    /// A parcel for a worker that has died: the caller counts what is in it as lost, and gives it back as its own.
    pub fn take_orphan(&mut self) -> Option<Box<Parcel>> {
        let orphaned = self.exchange.mailboxes.iter().filter(|m| m.orphaned.load(SeqCst));
        let parcel = orphaned.filter_map(|m| m.full.pop()).next()?;
        self.in_hand += 1;
        Some(parcel)
    }

    /// Gives a parcel back, after everything in it was worked off and what it led to was sent.
    pub fn done(&mut self, mut parcel: Box<Parcel>) {
        parcel.entries.clear();
        parcel.bytes.clear();
        if let Some(mailbox) = self.exchange.mailboxes.get(self.me) {
            let _ = mailbox.spare.push(parcel);
        }
        self.in_hand -= 1;
        self.exchange.under_way.fetch_sub(1, SeqCst);
    }

    /// This worker's source has ended: it only works off its mailbox from now on.
    pub fn received_all(&mut self) {
        self.flush();
        self.receiving = false;
        self.exchange.receiving.fetch_sub(1, SeqCst);
    }

    /// No worker receives any more and nothing is under way. The order of the two reads matters: only a receiving worker or a
    /// parcel under way brings forth a new parcel.
    pub fn at_rest(&self) -> bool {
        self.exchange.receiving.load(SeqCst) == 0 && self.exchange.under_way.load(SeqCst) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Parser;
    use std::sync::atomic::AtomicU64;

    fn packet(data: &[u8]) -> Packet<'_> {
        Packet { time: 5, wire_len: data.len() as u32 + 1, iface: 3, hash: None, data, options: InputOptions::NONE }
    }

    #[test]
    fn a_parcel_gives_back_what_was_put_in() {
        let exchange = Exchange::new(2);
        let (mut a, mut b) = (Handoff::new(&exchange, 0), Handoff::new(&exchange, 1));
        let parser = Parser::new(1, true);
        let frames: Vec<Vec<u8>> = (0..PARCEL_PACKETS + 10).map(|i| vec![i as u8; i % 90]).collect();
        for f in &frames {
            assert!(a.give(1, &packet(f), &parser.parse(1, f)));
        }
        assert!(!a.at_rest());
        a.flush();
        let mut got = Vec::new();
        while let Some(parcel) = b.take() {
            for i in 0..parcel.len() {
                let (p, parsed) = parcel.get(i).unwrap();
                assert_eq!((p.time, p.wire_len, p.iface), (5, p.data.len() as u32 + 1, 3));
                assert_eq!(parsed, parser.parse(1, p.data));
                got.push(p.data.to_vec());
            }
            b.done(parcel);
        }
        assert_eq!(got, frames);
    }

    #[test]
    fn a_full_mailbox_refuses_and_a_huge_packet_too() {
        let exchange = Exchange::new(2);
        let mut a = Handoff::new(&exchange, 0);
        let data = vec![0; PARCEL_BYTES];
        let parsed = Parser::new(1, true).parse(1, &data);
        let taken = (0..PARCELS_PER_WORKER + 5).filter(|_| a.give(1, &packet(&data), &parsed)).count();
        assert_eq!(taken, PARCELS_PER_WORKER);
        let mut b = Handoff::new(&exchange, 1);
        assert!(!b.give(0, &packet(&vec![0; PARCEL_BYTES + 1]), &parsed));
    }

    /// Three workers send each other packets, some of which are passed on once more, and stop at different times:
    /// all arrive, and nobody leaves before.
    #[test]
    fn nothing_is_under_way_at_rest() {
        const WORKERS: usize = 3;
        let exchange = Exchange::new(WORKERS);
        let (sent, arrived, refused) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|s| {
            for me in 0..WORKERS {
                let (exchange, sent, arrived, refused) = (&exchange, &sent, &arrived, &refused);
                s.spawn(move || {
                    let mut h = Handoff::new(exchange, me);
                    let parser = Parser::new(1, true);
                    let work = |h: &mut Handoff| {
                        while let Some(parcel) = h.take() {
                            for i in 0..parcel.len() {
                                let (p, parsed) = parcel.get(i).unwrap();
                                // The first byte says how often it is still to be passed on.
                                match p.data.split_first() {
                                    Some((&n, rest)) if n > 0 => {
                                        let next = [&[n - 1], rest].concat();
                                        if !h.give((me + 1) % WORKERS, &packet(&next), &parsed) {
                                            refused.fetch_add(1, SeqCst);
                                        }
                                    }
                                    _ => drop(arrived.fetch_add(1, SeqCst)),
                                }
                            }
                            h.flush();
                            h.done(parcel);
                        }
                    };
                    for i in 0..20_000 * (me + 1) {
                        let data = [(i % 4) as u8, 1, 2, 3];
                        sent.fetch_add(1, SeqCst);
                        if !h.give((me + i) % WORKERS, &packet(&data), &parser.parse(1, &data)) {
                            refused.fetch_add(1, SeqCst);
                        }
                        if i % 64 == 0 {
                            h.flush();
                            work(&mut h);
                        }
                    }
                    h.flush();
                    h.received_all();
                    while !h.at_rest() {
                        work(&mut h);
                    }
                });
            }
        });
        assert_eq!(sent.load(SeqCst), arrived.load(SeqCst) + refused.load(SeqCst));
        assert!(arrived.load(SeqCst) > 0);
    }
}
