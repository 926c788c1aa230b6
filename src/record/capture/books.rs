//! The books: what goes into the ledger while a recording runs. Owns the comparison of one second's counters with those of
//! the second before, and the words for events. Called by the control thread only.

use super::imports::Imports;
use super::workers::WorkerTotals;
use crate::ledger::{Ledger, Pulse, What};
use crate::limits::ENTRIES_WAITING;
use crate::metrics::account::SourceCounts;
use crate::record::RecordError;
use crate::source::file::FileReport;
use crate::source::live::Event;
use crate::store::event::{Cause, StoreEvent};
use crate::units;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the losses of a second are told from.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// The source by place: interfaces, or queues where one has several; nothing for files, which are entered one by one.
    pub source: Vec<(String, SourceCounts)>,
    /// Each worker.
    pub workers: Vec<WorkerTotals>,
    /// What each interface calls lost: name, cause, packets.
    pub nic: Vec<(String, &'static str, u64)>,
    /// Names of the classes, by their ids.
    pub classes: Vec<String>,
}

/// Packets of one worker that were written nowhere, as far as they are entered: with the times of their arrival, as an event tells them; or
/// at the second in which the counter grew, where the event did not come.
#[derive(Clone, Copy, Debug, Default)]
struct GivenUp {
    told: u64,
    assumed: u64,
}

/// The ledger of a recording.
pub struct Books {
    ledger: Ledger,
    dir: PathBuf,
    imports: Imports,
    before: Counted,
    /// Of each worker, which of the packets that were given up are entered.
    given_up: Vec<GivenUp>,
    /// What the disk would not take yet.
    waiting: VecDeque<(u64, What)>,
    dropped: u64,
    told: bool,
}

impl Books {
    /// Opens the ledger, which beats this pulse, and enters the start.
    pub fn open(
        dir: &Path,
        budget: u64,
        now: u64,
        source: &str,
        config: serde_json::Value,
        pulse: Arc<Pulse>,
    ) -> Result<Books, RecordError> {
        let mut ledger = Ledger::open(dir, budget, now)?.with_pulse(pulse);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        ledger.append(now, What::Started { version, source: source.to_owned(), config })?;
        ledger.beat(now)?;
        ledger.pulse().recording(true);
        let before = Counted::default();
        Ok(Books {
            ledger,
            dir: dir.to_owned(),
            imports: Imports::default(),
            before,
            given_up: Vec::new(),
            waiting: VecDeque::new(),
            dropped: 0,
            told: false,
        })
    }

    /// Each second, and once at rest: losses since the last call, in the second that begins at `from`; a sign of life at
    /// `now`.
    pub fn second(&mut self, from: u64, now: u64, counted: Counted) {
        for (cause, place, class, packets) in losses(&self.before, &counted) {
            self.enter(from, What::Loss { cause: cause.to_owned(), place, class, packets, span: None });
        }
        for (n, w) in counted.workers.iter().enumerate() {
            let packets = |w: &WorkerTotals| w.table_full + w.flood_refused;
            let more = packets(w) - self.before.workers.get(n).map_or(0, packets);
            if more > 0 {
                self.enter(from, What::Flood { worker: n as u16, packets: more, source: w.flood_source });
            }
        }
        // The events of what the counter had a second ago have come.
        self.assume_given_up(from);
        self.before = counted;
        self.write();
        if let Err(e) = self.ledger.beat(now).and_then(|()| self.ledger.sync()) {
            tracing::debug!("ledger: {e}");
        }
    }

    /// Packets that were given up, with the times of their arrival.
    fn given_up(&mut self, now: u64, worker: u16, class: &str, packets: u64, times: (u64, u64)) {
        let n = usize::from(worker);
        if self.given_up.len() <= n {
            self.given_up.resize(n + 1, GivenUp::default());
        }
        let Some(g) = self.given_up.get_mut(n) else { return };
        let assumed = g.assumed.min(packets);
        (g.assumed, g.told) = (g.assumed - assumed, g.told + packets);
        if packets > assumed {
            let (cause, place) = ("write_failed".to_owned(), format!("worker-{worker}"));
            let (class, packets, span) = (Some(class.to_owned()), packets - assumed, Some(times));
            self.enter(now, What::Loss { cause, place, class, packets, span });
        }
    }

    /// Enters what was given up, as the counters had it a second ago, and of which no event has told.
    fn assume_given_up(&mut self, from: u64) {
        let failed: Vec<u64> = self.before.workers.iter().map(|w| w.write_failed).collect();
        self.given_up.resize(failed.len().max(self.given_up.len()), GivenUp::default());
        for (n, failed) in failed.into_iter().enumerate() {
            let Some(g) = self.given_up.get_mut(n) else { continue };
            let packets = failed.saturating_sub(g.told + g.assumed);
            g.assumed += packets;
            if packets > 0 {
                let (cause, place) = ("write_failed".to_owned(), format!("worker-{n}"));
                self.enter(from, What::Loss { cause, place, class: None, packets, span: None });
            }
        }
    }

    /// Something happened to an interface or the clock.
    pub fn event(&mut self, now: u64, event: Event) {
        let (text, what) = match event {
            Event::ClockStep(by) => {
                (format!("the clock was set: packet time makes a step of {by} ns"), What::ClockStep { by })
            }
            Event::LinkDown(i) => (format!("{i}: no link"), What::LinkDown { interface: i }),
            Event::LinkUp(i) => (format!("{i}: link"), What::LinkUp { interface: i }),
            Event::Vanished(i) => (format!("{i}: the interface is gone"), What::LinkDown { interface: i }),
            Event::Returned(i) => (format!("{i}: the interface is back"), What::LinkUp { interface: i }),
            Event::NotReturned(i, why) => {
                let text = format!("{i}: the interface is back but is not recorded: {why}");
                (text.clone(), What::Note { text })
            }
        };
        tracing::warn!("{text}");
        self.enter(now, what);
    }

    /// Something happened to the store.
    pub fn store_event(&mut self, now: u64, event: &StoreEvent) {
        let (level, text) = describe(event);
        match level {
            Level::Quiet => tracing::debug!("{text}"),
            Level::Info => tracing::info!("{text}"),
            Level::Warn => tracing::warn!("{text}"),
        }
        match event {
            StoreEvent::WriteRecovered { .. } | StoreEvent::SpaceAgain => self.enter(now, What::DiskRecovered),
            StoreEvent::GivenUp { worker, class, packets, times } => {
                self.given_up(now, *worker, class, *packets, *times);
                self.enter(now, What::DiskError { text });
            }
            StoreEvent::WriteFailed { .. } | StoreEvent::NoSpace { .. } | StoreEvent::SyncFailed { .. } => {
                self.enter(now, What::DiskError { text })
            }
            StoreEvent::NotDirect
            | StoreEvent::NoUring { .. }
            | StoreEvent::CatalogFailed { .. }
            | StoreEvent::SealFailed { .. }
            | StoreEvent::NotDeleted { .. }
            | StoreEvent::Recovered { .. } => self.enter(now, What::Note { text }),
            StoreEvent::Expired { path, times, class, .. } => {
                if let Some(first) = times.map(|t| t.0).or_else(|| crate::store::layout::first_time(path)) {
                    let last = times.map(|t| t.1);
                    self.enter(now, What::Expired { class: Some(class.clone()), first, last });
                    // At once: an answer that is made now must know.
                    self.write();
                }
            }
            StoreEvent::Sealed { .. } => {}
        }
    }

    /// Another configuration is in force.
    pub fn configuration(&mut self, now: u64, config: serde_json::Value) {
        self.enter(now, What::Configuration { config });
    }

    /// A file is done.
    pub fn file(&mut self, now: u64, file: &FileReport) {
        let path = file.path.display();
        if let Some(fault) = file.faults.first() {
            let text = format!("{path}: at byte {}: {}", fault.offset, fault.why);
            self.enter(now, What::Note { text });
        }
        if let Some((what, again)) = self.imports.done(&self.dir, now, file) {
            self.enter(now, what);
            if let Some(text) = again {
                tracing::warn!("{text}");
                self.enter(now, What::Note { text });
            }
        }
        for line in file.changed.lines() {
            self.enter(now, What::Note { text: format!("{path}: {line}") });
        }
        // What was not read has no count; of single records that could not be read the loss below tells.
        if file.broke_off.is_some() || !file.is_whole() && file.lost == 0 {
            self.enter(now, What::Unread { text: path.to_string() });
        }
        if file.lost > 0 {
            self.enter(
                now,
                What::Loss {
                    cause: "lost".into(),
                    place: path.to_string(),
                    class: None,
                    packets: file.lost,
                    // Of records that can't be read nobody knows the times.
                    span: Some((0, u64::MAX)),
                },
            );
        }
    }

    /// An import was stopped before the end of its files.
    pub fn unread(&mut self, now: u64, text: String) {
        self.enter(now, What::Unread { text });
    }

    /// Something else.
    pub fn note(&mut self, now: u64, text: String) {
        self.enter(now, What::Note { text });
    }

    /// The end, in order.
    pub fn close(mut self, now: u64) {
        self.assume_given_up(now);
        self.enter(now, What::Stopped);
        self.ledger.pulse().recording(false);
        self.write();
        let synced = self.ledger.beat(now).and_then(|()| self.ledger.sync());
        if let Err(e) = synced {
            tracing::warn!("ledger: {e}");
        }
        if !self.waiting.is_empty() || self.dropped > 0 {
            tracing::warn!("ledger: {} entries could not be written", self.waiting.len() as u64 + self.dropped);
        }
    }

    fn enter(&mut self, t: u64, what: What) {
        if self.waiting.len() == ENTRIES_WAITING {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back((t, what));
    }

    /// Writes what is waiting, as far as the disk takes it.
    fn write(&mut self) {
        while let Some((t, what)) = self.waiting.front().cloned() {
            if let Err(e) = self.ledger.append(t, what) {
                if !std::mem::replace(&mut self.told, true) {
                    tracing::warn!("the ledger cannot be written, its entries wait: {e}");
                }
                return;
            }
            self.waiting.pop_front();
            self.told = false;
        }
    }
}

/// Cause, place, class and number of packets of each counter of loss that has grown.
fn losses(before: &Counted, now: &Counted) -> Vec<(&'static str, String, Option<String>, u64)> {
    let mut all = Vec::new();
    for (place, n) in &now.source {
        let b = before.source.iter().find(|(p, _)| p == place).map(|(_, b)| *b).unwrap_or_default();
        let (was, is) = (b.redirect_failed, n.redirect_failed);
        all.push(("ring_full", place.clone(), None, was.ring_full, is.ring_full));
        all.push(("no_frame", place.clone(), None, was.no_frame, is.no_frame));
        all.push(("too_big", place.clone(), None, was.too_big, is.too_big));
        all.push(("unbound", place.clone(), None, was.unbound, is.unbound));
        all.push(("lost", place.clone(), None, b.lost, n.lost));
        // The host has them; the recording has not.
        all.push(("passed", place.clone(), None, b.passed.packets, n.passed.packets));
    }
    for (i, w) in now.workers.iter().enumerate() {
        let v = before.workers.get(i).cloned().unwrap_or_default();
        let (d, e) = (&v.dropped, &w.dropped);
        let place = format!("worker-{i}");
        for (id, &is) in w.stalled.iter().enumerate() {
            let was = v.stalled.get(id).copied().unwrap_or(0);
            all.push(("disk_stall", place.clone(), now.classes.get(id).cloned(), was, is));
        }
        all.push(("handoff_full", place.clone(), None, d.handoff_full.packets, e.handoff_full.packets));
        all.push(("flood", place, None, d.flood.packets, e.flood.packets));
    }
    for (interface, cause, packets) in &now.nic {
        let same = |(i, c, _): &&(String, &str, u64)| i == interface && c == cause;
        let was = before.nic.iter().find(same).map_or(0, |(_, _, n)| *n);
        all.push((cause, interface.clone(), None, was, *packets));
    }
    let grown = all.into_iter().filter(|(.., was, is)| is > was);
    grown.map(|(cause, place, class, was, is)| (cause, place, class, is - was)).collect()
}

enum Level {
    Quiet,
    Info,
    Warn,
}

fn describe(event: &StoreEvent) -> (Level, String) {
    match event {
        StoreEvent::WriteFailed { worker, errno, segment, offset } => {
            let why = std::io::Error::from_raw_os_error(*errno);
            (
                Level::Warn,
                format!("worker {worker}: writing segment {segment} at {offset} failed: {why}; it is tried elsewhere"),
            )
        }
        StoreEvent::WriteRecovered { worker } => (Level::Info, format!("worker {worker}: writes succeed again")),
        StoreEvent::GivenUp { worker, class, packets, times: (first, last) } => (
            Level::Warn,
            format!(
                "worker {worker}: {packets} packets of class {class} could not be written and are lost; they came from {} to {}",
                units::time(*first),
                units::time(*last)
            ),
        ),
        StoreEvent::NoSpace { error } => (
            Level::Warn,
            format!(
                "no new segment can be made: {error}; until there is room packets of a wire are dropped, and files wait for a while"
            ),
        ),
        StoreEvent::SpaceAgain => (Level::Info, "segments can be made again".into()),
        StoreEvent::NotDirect => {
            (Level::Warn, "the filesystem refuses O_DIRECT: the page cache is in the way, recording goes on".into())
        }
        StoreEvent::NoUring { error } => {
            (Level::Warn, format!("io_uring is not allowed ({error}): a helper thread writes instead"))
        }
        StoreEvent::SyncFailed { error } => {
            (Level::Warn, format!("fdatasync failed: {error}; a power loss now may cost more than a second"))
        }
        StoreEvent::CatalogFailed { error } => (
            Level::Warn,
            format!(
                "the catalog cannot be written: {error}; queries of other processes do not see what is being recorded until it can"
            ),
        ),
        StoreEvent::Sealed { path, packets } => {
            (Level::Quiet, format!("sealed {} with {packets} packets", path.display()))
        }
        StoreEvent::SealFailed { segment, error } => (
            Level::Warn,
            format!("segment {segment} could not be sealed: {error}; it stays readable as it is and is tried again"),
        ),
        StoreEvent::Recovered { path, packets, bad_bytes } => {
            let what = match path {
                Some(path) => format!("recovered {packets} packets of a killed recorder into {}", path.display()),
                None => "a killed recorder left a segment without a packet".to_owned(),
            };
            let bad =
                if *bad_bytes > 0 { format!("; {bad_bytes} bytes in it are no good block") } else { String::new() };
            (Level::Info, what + &bad)
        }
        StoreEvent::NotDeleted { path, error } => (
            Level::Warn,
            format!(
                "{} has expired and cannot be deleted: {error}; it takes room that no budget counts",
                path.display()
            ),
        ),
        StoreEvent::Expired { path, cause, .. } => {
            let why = match cause {
                Cause::Age => "it is as old as its class keeps",
                Cause::Class => "the budget of its class is used up",
                Cause::Store => "the budget is used up",
            };
            (Level::Quiet, format!("dropped {}: {why}", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::account::{Dropped, RedirectFailed, Tally};

    #[test]
    fn a_loss_is_entered_with_cause_and_place_once() {
        let dir = tempfile::tempdir().unwrap();
        let config = serde_json::json!({"from": {"interfaces": ["eth1", "eth2"]}});
        let mut books = Books::open(dir.path(), 1 << 20, 1_000, "xdp", config, Arc::default()).unwrap();
        let dropped = Dropped { disk_stall: Tally { packets: 5, bytes: 300 }, ..Dropped::default() };
        let failed = |no_frame| SourceCounts {
            redirect_failed: RedirectFailed { no_frame, ..RedirectFailed::default() },
            ..SourceCounts::default()
        };
        let counted = Counted {
            source: vec![("eth1".into(), failed(0)), ("eth2:0".into(), failed(2)), ("eth2:3".into(), failed(7))],
            workers: vec![
                WorkerTotals::default(),
                WorkerTotals {
                    dropped,
                    stalled: vec![0, 5],
                    write_failed: 0,
                    table_full: 3,
                    ..WorkerTotals::default()
                },
            ],
            classes: vec!["all".into(), "dns".into()],
            nic: vec![("eth2".into(), "rx_missed", 9)],
        };
        books.second(2_000, 3_000, counted.clone());
        books.second(3_000, 4_000, counted);
        books.event(4_500, Event::LinkDown("eth1".into()));
        books.close(5_000);
        let entries = crate::ledger::entries(dir.path(), 0, 10_000).unwrap();
        let of_class = |cause: &str, place: &str, class: Option<&str>, packets| {
            let (cause, place, class) = (cause.into(), place.into(), class.map(str::to_owned));
            (2_000, What::Loss { cause, place, class, packets, span: None })
        };
        let loss = |cause, place, packets| of_class(cause, place, None, packets);
        let got: Vec<_> = entries.into_iter().map(|e| (e.t, e.what)).skip(1).collect();
        assert_eq!(
            got,
            [
                loss("no_frame", "eth2:0", 2),
                loss("no_frame", "eth2:3", 7),
                of_class("disk_stall", "worker-1", Some("dns"), 5),
                loss("rx_missed", "eth2", 9),
                (2_000, What::Flood { worker: 1, packets: 3, source: None }),
                (4_500, What::LinkDown { interface: "eth1".into() }),
                (5_000, What::Stopped),
            ]
        );
    }

    /// Packets that are given up long after they came are lost when they came; what no event tells of, when the counter grew; each once.
    #[test]
    fn what_is_given_up_is_entered_when_it_came() {
        let dir = tempfile::tempdir().unwrap();
        let mut books =
            Books::open(dir.path(), 1 << 20, 1_000, "xdp", serde_json::Value::Null, Arc::default()).unwrap();
        let counted = |write_failed| Counted {
            workers: vec![WorkerTotals { write_failed, ..WorkerTotals::default() }],
            ..Counted::default()
        };
        let event = |packets, times| StoreEvent::GivenUp { worker: 0, class: "all".into(), packets, times };
        let s = 1_000_000_000;
        books.store_event(39 * s, &event(5, (s, 2 * s)));
        books.second(38 * s, 39 * s, counted(5));
        // An event that is late, and one that never comes.
        books.second(39 * s, 40 * s, counted(12));
        books.second(40 * s, 41 * s, counted(12));
        books.store_event(42 * s, &event(4, (3 * s, 4 * s)));
        books.second(41 * s, 42 * s, counted(15));
        books.close(50 * s);
        let lost: Vec<_> = crate::ledger::entries(dir.path(), 0, u64::MAX)
            .unwrap()
            .into_iter()
            .filter_map(|e| Some((e.lost_between()?, e.what)))
            .map(|(between, what)| match what {
                What::Loss { cause, class, packets, .. } => (cause, class, packets, between),
                _ => unreachable!(),
            })
            .collect();
        let one = |class: Option<&str>, packets, between| {
            ("write_failed".to_owned(), class.map(str::to_owned), packets, between)
        };
        assert_eq!(
            lost,
            [one(Some("all"), 5, (s, 2 * s)), one(None, 7, (40 * s, 41 * s - 1)), one(None, 3, (50 * s, 51 * s - 1)),]
        );
    }
}
