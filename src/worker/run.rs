//! The loop around the step: poll, step, tick, sweep, publish; spin, then sleep. Owns the order of things at the start and at
//! the stop. One thread each, started by `record`; everything that waits or asks the kernel for anything is here, not in the step.

use super::Counts;
use super::mailbox::{Errand, Mailbox};
use super::receipts::Outbox;
use super::step::Step;
use crate::conn::shunt::Shunt;
use crate::limits::{
    COMMANDS_PER_ROUND, NAP_NS, NAPS_NS, SLEEP_NS, SPIN_NS, SWEEP_ROUNDS, SWEEP_ROUNDS_IDLE, SWEEP_SLOTS,
    SWEEP_SLOTS_IDLE,
};
use crate::metrics::latency::Histogram;
use crate::metrics::publish::Published;
use crate::metrics::tallies::Tallies;
use crate::source::{Polled, Source};
use crate::store::sink::Recorder;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// The time of the loop; packet time comes with the packets.
pub trait Clock {
    /// Monotonic, ns.
    fn mono_ns(&self) -> u64;
    /// Unix, ns.
    fn unix_ns(&self) -> u64;
}

/// The system's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn mono_ns(&self) -> u64 {
        ns(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic))
    }
    fn unix_ns(&self) -> u64 {
        ns(rustix::time::clock_gettime(rustix::time::ClockId::Realtime))
    }
}

fn halves(n: u128) -> [u64; 2] {
    [(n >> 64) as u64, n as u64]
}

fn ns(t: rustix::time::Timespec) -> u64 {
    (t.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(t.tv_nsec as u64)
}

/// What other threads tell a worker and learn of it.
#[derive(Debug, Default)]
pub struct Line {
    /// Stop receiving, work off what is there, seal, end.
    pub stop: AtomicBool,
    /// Orders, new rules, look-ups.
    pub mail: Mailbox,
    /// Its counters.
    pub counts: Published<Counts>,
    /// What became of each packet: the step's.
    pub tallies: Arc<Tallies>,
    /// How long it worked on each batch, parcels of others included, ns.
    pub step_ns: Histogram,
    /// From the arrival of a block's oldest packet until the block is durable, ns: the sink's.
    pub durable_ns: Arc<Histogram>,
}

/// One worker, ready to run on a thread of its own.
pub struct Worker<Src, K, W, C> {
    /// Where packets come from.
    pub source: Src,
    /// What is done with them.
    pub step: Step<K, W>,
    /// Receipts to the scribe.
    pub outbox: Outbox,
    /// To and from the control thread.
    pub line: Arc<Line>,
    /// The loop's clocks.
    pub clock: C,
}

impl<Src: Source, K: Shunt, W: Recorder, C: Clock> Worker<Src, K, W, C> {
    /// Runs until the source ends or the line says stop; then works off what is left. Whatever happens, what was received is
    /// stored and counted before it returns. The error is the source's, if it gave up.
    pub fn run(mut self) -> Result<(), Src::Error> {
        let received = self.receive();
        if received.is_err() {
            self.source.stop();
        }
        self.step.handoff.received_all();
        while !self.step.handoff.at_rest() {
            self.parcels();
            while let Some(parcel) = self.step.handoff.take_orphan() {
                self.step.bury(&parcel);
                self.step.handoff.done(parcel);
            }
            self.house();
            std::thread::sleep(Duration::from_micros(20));
        }
        self.finish();
        received
    }

    fn receive(&mut self) -> Result<(), Src::Error> {
        let (mut stopping, mut busy_ns) = (false, 0);
        let nap_ns = self.source.nap_ns();
        loop {
            if !stopping && self.line.stop.load(Relaxed) {
                stopping = true;
                self.source.stop();
            }
            let patient = self.source.patient();
            let mut began = 0;
            let polled = if patient && !stopping && !self.step.sink.room() {
                Polled::Idle
            } else {
                self.step.learn(self.source.interfaces());
                self.source.poll(|packets, interfaces| {
                    began = self.clock.mono_ns();
                    // An order that was given before these packets came holds for them.
                    let (newest, clock) = (self.step.newest, &self.clock);
                    let unix = || if patient { newest } else { clock.unix_ns() };
                    Self::orders(&mut self.step, &self.line.mail, unix);
                    self.step.run(packets, interfaces);
                })?
            };
            if polled == Polled::Idle {
                self.step.handoff.flush();
                self.sweep(self.slots(SWEEP_SLOTS_IDLE, SWEEP_ROUNDS_IDLE));
            }
            let parcels = self.parcels();
            let now = self.house();
            match polled {
                Polled::End => return Ok(()),
                Polled::Packets(_) => {
                    self.line.step_ns.record(now.saturating_sub(began));
                    busy_ns = now;
                }
                Polled::Idle if parcels > 0 => {}
                // Packets come: a nap lets some gather, and nobody has to wake us up for each of them.
                Polled::Idle if nap_ns > 0 && now.saturating_sub(busy_ns) < NAPS_NS => {
                    std::thread::sleep(Duration::from_nanos(nap_ns));
                }
                Polled::Idle if now.saturating_sub(busy_ns) < SPIN_NS => std::hint::spin_loop(),
                // The disk has to catch up; it tells nobody when.
                Polled::Idle if patient && !self.step.sink.room() => std::thread::sleep(Duration::from_micros(50)),
                // The walk over running connections goes on, or a look-up of many.
                Polled::Idle if self.step.tracker.walking() || self.step.errand.is_some() => {
                    std::thread::sleep(Duration::from_nanos(NAP_NS))
                }
                Polled::Idle => self.source.wait(SLEEP_NS)?,
            }
        }
    }

    /// Works off what other workers have sent.
    fn parcels(&mut self) -> usize {
        let mut n = 0;
        while let Some(parcel) = self.step.handoff.take() {
            self.step.run_parcel(&parcel, self.source.interfaces());
            self.step.handoff.done(parcel);
            n += 1;
        }
        n
    }

    /// What is done once a round: blocks, the sweep, receipts, counters. Returns the time.
    fn house(&mut self) -> u64 {
        let now = self.clock.mono_ns();
        self.sweep(self.slots(SWEEP_SLOTS, SWEEP_ROUNDS));
        self.mail(now);
        self.step.sink.tick(now);
        self.outbox.fill(&mut self.step.tracker, now);
        self.publish();
        now
    }

    fn sweep(&mut self, slots: usize) {
        let unix = self.unix_ns();
        if !self.source.patient() {
            self.step.sink.note_time(unix);
        }
        self.step.tracker.sweep(unix, slots, &mut self.step.shunt);
    }

    /// Files bring their own time; on a wire time goes on when packets don't.
    fn unix_ns(&self) -> u64 {
        if self.source.patient() { self.step.newest } else { self.clock.unix_ns() }
    }

    /// What others want: so much of it that no batch has to wait.
    fn mail(&mut self, mono: u64) {
        let mail = &self.line.mail;
        let nothing = mail.commands.is_empty() && mail.errands.is_empty() && self.step.errand.is_none();
        if nothing && !self.step.tracker.walking() {
            return;
        }
        let unix = self.unix_ns();
        Self::orders(&mut self.step, mail, || unix);
        if let Some((number, mut errand)) = self.step.errand.take().or_else(|| mail.errands.pop()) {
            let done = match &mut errand {
                Errand::Rules(rules) => {
                    self.step.adopt(rules, unix, self.source.interfaces());
                    true
                }
                Errand::Look(look) => self.step.look(look),
            };
            if done {
                // There is room: one is under way at a time, and one that nobody waits for any more.
                let _ = mail.done.push((number, errand));
            } else {
                self.step.errand = Some((number, errand));
            }
        }
        self.step.tracker.walk(mono, unix, &mut self.step.shunt);
    }

    /// Orders of connections and addresses, as many as no batch has to wait for.
    fn orders(step: &mut Step<K, W>, mail: &Mailbox, unix: impl FnOnce() -> u64) {
        if mail.commands.is_empty() {
            return;
        }
        let unix = unix();
        for _ in 0..COMMANDS_PER_ROUND {
            let Some(command) = mail.commands.pop() else { break };
            if !step.order(&command, unix) {
                mail.refused.fetch_add(1, Relaxed);
            }
        }
    }

    /// A share of a large table, so that few rounds a second get round it in time too.
    fn slots(&self, least: usize, rounds: usize) -> usize {
        least.max(self.step.tracker.places() / rounds)
    }

    fn publish(&self) {
        let step = &self.step;
        self.line.counts.set(&Counts {
            store: step.sink.counts(),
            writer: step.sink.stats(),
            tracker: step.tracker.stats(),
            flood_source: halves(step.tracker.flood_source()),
            newest: step.newest,
        });
    }

    /// Nothing comes any more: the store first, since packets matter more than receipts.
    fn finish(&mut self) {
        self.step.sink.finish();
        self.publish();
        while !self.step.tracker.finish(self.step.newest, &mut self.step.shunt) {
            if !self.outbox.fill(&mut self.step.tracker, 0) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        while !self.outbox.fill(&mut self.step.tracker, 0) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.outbox.send();
        self.publish();
    }
}
