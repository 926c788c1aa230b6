//! Capture's control: its rounds, the duration, samples each second, what changed. Runs on the thread that started the
//! recording; everything slow is here, nothing waits for it.

use super::books::{Books, Counted};
use super::floods::Floods;
use super::reload;
use super::scribe::Scribe;
use super::source::CaptureSource;
use super::store_events::StoreEvents;
use super::trend::Trend;
use super::workers::Workers;
use crate::class::Roster;
use crate::config::{Changes, Settings};
use crate::limits::IMPORT_FULL_NS;
use crate::messages::{Socket, ToServe};
use crate::metrics::account::{Account, SourceCounts, SourceKind};
use crate::metrics::status::{Connections, RecentBlocks};
use crate::recent::keep::{Admission, Keeping};
use crate::record::ages::Watch;
use crate::record::detail::{Detail, Facts, Port, Times};
use crate::record::scrape;
use crate::record::statistics::Sample;
use crate::record::{Observer, Outcome, Refused};
use crate::source::clock::monotonic;
use crate::steer::{self, Answering, Steering};
use crate::store::Store;
use crate::store::event::StoreEvent;
use crate::units;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often it looks around.
const ROUND: Duration = Duration::from_millis(20);
const SECOND: u64 = 1_000_000_000;

/// What a recording is made of once it runs.
pub struct Running {
    /// Recent packets in memory.
    pub recent: Option<Keeping>,
    /// The source.
    pub capture: CaptureSource,
    /// The workers.
    pub workers: Workers,
    /// What tells them what to do.
    pub steering: Steering,
    /// What keeps that, and ends it.
    pub orders: steer::Keeping,
    /// Receipts to the disk.
    pub scribe: Scribe,
    /// The store.
    pub store: Store,
    /// What happens to it.
    pub store_events: StoreEvents,
    /// The ledger.
    pub books: Books,
    /// Ids of the classes.
    pub roster: Roster,
    /// What it is, and what is in force.
    pub facts: Facts,
    /// What is said to whoever answers questions.
    pub to_serve: ToServe,
    /// What answers it, until the end.
    pub answering: Option<Answering>,
}

/// A recording as its control thread sees it.
pub struct Control {
    run: Running,
    /// In force.
    settings: Settings,
    started: u64,
    /// The last sample of a whole second.
    second: Sample,
    /// The last minute.
    trend: Trend,
    /// The last that was shown.
    shown: Sample,
    /// Files that are entered in the ledger.
    files: usize,
    /// Workers that have ended unasked.
    gone: usize,
    /// Orders for which a worker had no room.
    refused: u64,
    /// Messages for which there was no room.
    unread: u64,
    /// What has been said of budgets that are too small.
    ages: Watch,
    /// What has been said of floods.
    floods: Floods,
    /// Why no segment can be made, while that is so.
    full: Option<String>,
    /// Since when blocks wait for one all the same.
    stuck: Option<u64>,
    /// It is to end.
    stopping: bool,
}

/// A recording that takes nothing any more, whose last segments are not sealed yet.
pub struct Resting {
    control: Control,
    last: Sample,
    /// What went wrong.
    failures: Vec<String>,
    receipts_lost: u64,
}

impl Control {
    /// Takes over what was started.
    pub fn new(run: Running, settings: Settings) -> Control {
        let started = monotonic();
        // Before anything can be asked of it.
        run.store.window().beat(started, 0.0, 0.0);
        let none = Sample::none(started, units::now(), run.capture.kind());
        let mut control = Control {
            run,
            settings,
            started,
            second: none.clone(),
            shown: none,
            trend: Trend::default(),
            files: 0,
            gone: 0,
            refused: 0,
            unread: 0,
            ages: Watch::default(),
            floods: Floods::default(),
            full: None,
            stuck: None,
            stopping: false,
        };
        // Every series is there from the start.
        control.second = control.sample();
        let state = control.trend.state(&control.run.facts, &control.second, &control.second, started);
        control.run.to_serve.state(&state);
        control.show();
        control
    }

    /// The metrics page of the last second, where somebody may ask for it.
    fn show(&self) {
        if self.settings.metrics.is_some() {
            self.run.to_serve.page(&scrape::page(&self.run.facts, &self.second));
        }
    }

    /// What a serve in another process is handed, as [`ForServe::of`](crate::record::handed::ForServe::of) takes it: for each new pins and a
    /// new socket, so that nothing of one that is dead counts any more.
    pub fn hand_over(&self) -> io::Result<Vec<OwnedFd>> {
        let (ours, messages) = Socket::pair()?;
        let mut handed = vec![self.run.store.window().file()?, messages.into()];
        if let Some(keeping) = &self.run.recent {
            let Admission { arena, pins } = keeping.keep().admit()?;
            handed.extend([arena, pins]);
        }
        self.run.to_serve.attach(ours);
        Ok(handed)
    }

    /// What is in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Looks around, for one round. False: the workers have ended, nothing comes any more.
    pub fn round(&mut self, observer: &mut dyn Observer) -> bool {
        if self.run.workers.ended() {
            return false;
        }
        self.store_events();
        let now = monotonic();
        if self.settings.duration_ns.is_some_and(|d| now.saturating_sub(self.started) >= d) {
            self.stop("the time is over");
        }
        // A sign of life; questions wait while rings or blocks fill.
        let (ring, blocks) = (self.run.capture.ring_fill(), self.run.workers.blocks_fill());
        self.run.store.window().beat(monotonic(), ring, blocks);
        if !self.stopping && self.import_is_stuck(now) {
            self.stop("there is no room for the rest");
        }
        if !self.stopping {
            self.deaths();
        }
        if now.saturating_sub(self.second.mono_ns) >= SECOND {
            self.each_second(observer);
        }
        true
    }

    /// Nothing is received any more; what was received is written.
    pub fn stop(&mut self, why: &str) {
        if !std::mem::replace(&mut self.stopping, true) {
            tracing::debug!("{why}: draining");
            self.run.workers.stop();
        }
    }

    /// A worker at a wire has ended unasked: what its queue brings is lost.
    pub fn is_crippled(&self) -> bool {
        self.gone > 0 && self.run.capture.kind() != SourceKind::File
    }

    /// It has been told to.
    pub fn stopping(&self) -> bool {
        self.stopping
    }

    /// Other settings, as far as that is possible while recording. Refused: all is as it was.
    pub fn reload(&mut self, new: Settings) -> Result<Changes, Refused> {
        let (settings, changes) = reload::apply(&mut self.run, &self.settings, new)?;
        self.settings = settings;
        let config = reload::in_force(&self.settings, &self.run.roster);
        self.run.books.configuration(units::now(), config);
        self.show();
        Ok(changes)
    }

    /// Says at once that a worker has died; the others go on.
    fn deaths(&mut self) {
        let gone = self.run.workers.gone();
        if gone > self.gone && !self.run.workers.ended() {
            let text = format!("{gone} of the workers died: what their queues bring is lost until a restart");
            tracing::error!("{text}");
            self.run.books.note(units::now(), text);
            self.gone = gone;
        }
    }

    /// Says which workers have got rules that they were given before.
    fn caught_up(&mut self) {
        for n in self.run.steering.caught_up() {
            let text = format!("reload: worker {n} answers again, and has the new rules");
            tracing::info!("{text}");
            self.run.books.note(units::now(), text);
        }
    }

    /// Says that orders do not hold everywhere.
    fn refusals(&mut self) {
        let refused = self.run.steering.refused();
        if refused > self.refused {
            tracing::warn!("{} orders found no room in a worker", refused - self.refused);
            self.refused = refused;
        }
    }

    /// Says that whoever answers questions does not read.
    fn unread(&mut self) {
        let unread = self.run.to_serve.dropped();
        if unread > self.unread {
            tracing::warn!("what answers questions does not read: {} messages to it are dropped", unread - self.unread);
            self.unread = unread;
        }
    }

    /// What the store tells, for at most one round.
    fn store_events(&mut self) {
        let until = Instant::now() + ROUND;
        while let Some(event) = self.run.store_events.wait(until) {
            match &event {
                StoreEvent::NoSpace { error } => self.full = Some(error.clone()),
                StoreEvent::SpaceAgain => self.full = None,
                _ => {}
            }
            self.run.books.store_event(units::now(), &event);
        }
    }

    /// Files wait for room in the store, a wire does not: where none comes, nobody would learn why nothing happens.
    fn import_is_stuck(&mut self, now: u64) -> bool {
        let waits =
            self.full.is_some() && self.run.capture.kind() == SourceKind::File && self.run.workers.blocks_fill() > 0.0;
        self.stuck = waits.then(|| self.stuck.unwrap_or(now));
        self.stuck.is_some_and(|since| now.saturating_sub(since) > IMPORT_FULL_NS)
    }

    fn each_second(&mut self, observer: &mut dyn Observer) {
        for event in self.run.capture.tick() {
            self.run.books.event(units::now(), event);
        }
        self.refusals();
        self.unread();
        self.caught_up();
        let now = self.sample();
        if let Some(news) = self.floods.look(now.mono_ns, &now.connections) {
            tracing::warn!("{news}");
            self.run.books.note(now.unix_ns, news);
        }
        for news in self.ages.look(&now.holdings, &self.settings) {
            tracing::warn!("{news}");
            self.run.books.note(now.unix_ns, news);
        }
        self.enter(&now);
        self.run.to_serve.state(&self.trend.state(&self.run.facts, &self.second, &now, self.started));
        if now.mono_ns.saturating_sub(self.shown.mono_ns) + SECOND / 20 >= observer.interval_ns() {
            observer.interval(&self.shown, &now, self.run.capture.progress());
            self.shown = now.clone();
        }
        self.second = now;
        self.show();
    }

    /// The ledger's part of a second.
    fn enter(&mut self, now: &Sample) {
        let nic = now.detail.nic.iter().map(|n| (n.interface.clone(), n.cause, n.packets)).collect();
        let classes = self.run.facts.classes.iter().map(|(name, _)| name.clone()).collect();
        let counted = Counted { source: by_place(&now.detail.ports), workers: self.run.workers.each(), nic, classes };
        let reports = self.run.capture.reports();
        for file in reports.iter().skip(self.files) {
            self.run.books.file(now.unix_ns, file);
        }
        self.files = reports.len();
        self.run.books.second(self.second.unix_ns, now.unix_ns, counted);
    }

    /// Once no round is left: waits for the workers, and enters what they have done. All of it can be asked for from then on.
    pub fn rest(mut self) -> Resting {
        if let (true, Some((read, total))) = (self.stopping, self.run.capture.progress())
            && read < total
        {
            let (rest, total) = (units::size(total - read), units::size(total));
            let text = format!("stopped before the end: {rest} of {total} of the capture files were not read");
            tracing::warn!("{text}");
            self.run.books.unread(units::now(), text);
        }
        // All at once are no fewer.
        if !self.stopping {
            self.gone = self.run.workers.gone();
        }
        let mut failures = self.run.workers.join();
        let last = self.sample();
        self.enter(&last);
        let files = self.run.capture.kind() == SourceKind::File;
        if let Some(why) = self.full.take().filter(|_| files && last.account.store.write_failed > 0) {
            let out = "make room there, take another --store, or a smaller --segment-size";
            failures.push(format!("not all that was read could be stored: {why}; {out}"));
        }
        let receipts_lost = self.run.scribe.finish() + self.run.workers.totals().tracker.receipts_lost;
        // Whoever orders something now learns that it is too late.
        drop(self.run.answering.take());
        Resting { control: self, last, failures, receipts_lost }
    }

    fn sample(&mut self) -> Sample {
        // The workers first: what they have received the source has seen.
        let t = self.run.workers.totals();
        let before = &self.second.detail;
        let mut ports = self.run.capture.ports(&before.ports);
        let nic = self.run.capture.nic_lost(&before.nic);
        let mut from = SourceCounts::default();
        for (port, row) in ports.iter_mut().zip(t.rows) {
            port.row = row;
            from += port.from;
        }
        let mut times = Times { step: t.step_ns, durable: t.durable_ns, ..Times::default() };
        let memory = self.run.recent.as_ref().map(|keeping| {
            let (blocks, missed) = keeping.keep().counts();
            keeping.keep().queryable_ns(&mut times.queryable);
            RecentBlocks { blocks, missed_blocks: missed }
        });
        if memory.is_none() {
            self.run.store.queryable_ns(&mut times.queryable);
        }
        Sample {
            mono_ns: monotonic(),
            unix_ns: units::now(),
            account: Account { source: self.run.capture.kind(), from, worker: t.worker, store: t.store },
            connections: Connections {
                tracked: t.tracker.live_v4 + t.tracker.live_v6,
                begun: t.tracker.begun,
                ended: t.tracker.ended,
                renewed: t.tracker.renewed,
                table_full: t.tracker.table_full,
                flood_refused: t.tracker.flood_refused,
                flooding: t.tracker.flooding,
                flood_source: t.flood_source,
                one_sided: t.tracker.one_sided,
                crowded: t.tracker.crowded > 0,
                shunted: t.tracker.shunt_live,
            },
            holdings: self.run.store.holdings(),
            nic_lost: nic.iter().map(|n| n.packets).sum(),
            detail: Detail {
                ports,
                workers: t.workers,
                tracker: t.tracker,
                keeper: self.run.store.keeper_counts(),
                memory,
                held: self.run.store.window().held(),
                nic,
                links: self.run.capture.links(),
                times,
                filesystem: filesystem(self.run.store.layout().root()),
            },
        }
    }
}

impl Resting {
    /// Once nobody asks any more: seals what is open, and closes the books.
    pub fn close(self) -> Outcome {
        let Resting { control, mut last, failures, receipts_lost } = self;
        let (crippled, started) = (control.is_crippled(), control.started);
        let Running { orders, recent, capture, store, store_events, mut books, .. } = control.run;
        drop(orders);
        drop(recent);
        last.holdings = std::thread::scope(|s| {
            let closing = s.spawn(|| store.close());
            for event in store_events {
                books.store_event(units::now(), &event);
            }
            closing.join().unwrap_or_default()
        });
        if receipts_lost > 0 {
            let text = format!("{receipts_lost} receipts of connections are lost");
            tracing::warn!("{text}");
            books.note(units::now(), text);
        }
        for failure in &failures {
            books.note(units::now(), failure.clone());
        }
        books.close(units::now());
        let (broken, files) = (last.account.check().err(), capture.reports());
        Outcome { broken, last, started, files, failures, crippled }
    }
}

/// Size and what is free to us of a path's filesystem, bytes.
fn filesystem(path: &Path) -> Option<(u64, u64)> {
    let s = rustix::fs::statvfs(path).ok()?;
    Some((s.f_blocks * s.f_frsize, s.f_bavail * s.f_frsize))
}

/// The source's counters by place: an interface, or its queues where it has several. Files have none.
fn by_place(ports: &[Port]) -> Vec<(String, SourceCounts)> {
    let several = |name: &str| ports.iter().filter(|p| p.interface == name).count() > 1;
    let place = |p: &Port| match several(&p.interface) {
        true => format!("{}:{}", p.interface, p.queue),
        false => p.interface.clone(),
    };
    ports.iter().filter(|p| !p.interface.is_empty()).map(|p| (place(p), p.from)).collect()
}
