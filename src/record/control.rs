//! The control loop: signals, the duration, samples each second, what changed. Runs on the thread that started the
//! recording; everything slow is here, nothing waits for it.

use super::ages::Watch;
use super::books::{Books, Counted};
use super::capture::Capture;
use super::detail::{Detail, Facts, Port, Times};
use super::floods::Floods;
use super::recent::RecentMemory;
use super::reload::{self, Reader, Refused};
use super::scrape;
use super::scribe::Scribe;
use super::signals::Signals;
use super::store_events::StoreEvents;
use super::trend::Trend;
use super::workers::Workers;
use super::{Observer, Outcome};
use crate::class::Roster;
use crate::config::{Changes, Settings};
use crate::control::Server;
use crate::ledger::SideMaker;
use crate::limits::IMPORT_FULL_NS;
use crate::messages::ToServe;
use crate::metrics::account::{Account, SourceCounts, SourceKind};
use crate::metrics::status::{Connections, RecentBlocks};
use crate::record::statistics::Sample;
use crate::shape;
use crate::source::clock::monotonic;
use crate::steer::{self, Answering, Steering};
use crate::store::Store;
use crate::store::event::StoreEvent;
use crate::units;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often it looks around.
const ROUND: Duration = Duration::from_millis(20);
const SECOND: u64 = 1_000_000_000;

/// What a recording is made of once it runs.
pub struct Running {
    /// Where questions are answered.
    pub api: Option<Server>,
    /// Recent packets in memory.
    pub recent: Option<RecentMemory>,
    /// The source.
    pub capture: Capture,
    /// The workers.
    pub workers: Workers,
    /// What tells them what to do.
    pub steering: Steering,
    /// What keeps that, and ends it.
    pub orders: steer::Keeping,
    /// Receipts to the disk.
    pub scribe: Scribe,
    /// What makes their side files.
    pub sides: SideMaker,
    /// The store.
    pub store: Store,
    /// What happens to it.
    pub store_events: StoreEvents,
    /// The ledger.
    pub books: Books,
    /// SIGINT, SIGTERM.
    pub signals: Signals,
    /// Ids of the classes.
    pub roster: Roster,
    /// What it is, and what is in force.
    pub facts: Facts,
    /// What is said to whoever answers questions.
    pub to_serve: ToServe,
    /// What answers it.
    pub answering: Answering,
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
}

impl Control {
    /// Takes over what was started.
    pub fn new(run: Running, settings: Settings) -> Control {
        let started = monotonic();
        let none = Sample::none(started, units::now(), run.capture.kind());
        // Before anything can be asked of it.
        run.store.window().beat(started, 0.0, 0.0);
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

    /// Until the end.
    pub fn run(mut self, reader: &Reader<'_>, observer: &mut dyn Observer) -> Outcome {
        let mut stopping = false;
        while !self.run.workers.ended() {
            self.store_events();
            let now = monotonic();
            let over = self.settings.duration_ns.is_some_and(|d| now.saturating_sub(self.started) >= d);
            if !stopping && (over || self.run.signals.stop()) {
                stopping = true;
                tracing::debug!("{}: draining", if over { "the time is over" } else { "asked to stop" });
                self.run.workers.stop();
            }
            self.beat();
            if !stopping && self.import_is_stuck(now) {
                stopping = true;
                self.run.workers.stop();
            }
            if !stopping {
                self.reloads(reader);
                self.deaths();
            }
            if now.saturating_sub(self.second.mono_ns) >= SECOND {
                self.each_second(observer);
            }
        }
        self.end(stopping)
    }

    /// A sign of life; questions wait while rings or blocks fill.
    fn beat(&self) {
        let (ring, blocks) = (self.run.capture.ring_fill(), self.run.workers.blocks_fill());
        self.run.store.window().beat(monotonic(), ring, blocks);
    }

    /// Another configuration, where somebody asks for one.
    fn reloads(&mut self, reader: &Reader<'_>) {
        if self.run.signals.reload() {
            let (status, text) = answer(self.reload(reader));
            self.run.to_serve.reloaded(None, status, &text);
        }
        while let Some(asked) = self.run.to_serve.reload_asked() {
            let (status, text) = answer(self.reload(reader));
            self.run.to_serve.reloaded(Some(asked), status, &text);
        }
    }

    fn reload(&mut self, reader: &Reader<'_>) -> Result<Changes, Refused> {
        let new = reader().map_err(|why| (422, why));
        match new.and_then(|new| reload::apply(&mut self.run, &self.settings, new)) {
            Ok((settings, changes)) => {
                self.settings = settings;
                changes.changed_in_words().iter().for_each(|w| tracing::info!("reload: {w}"));
                changes.needs_restart_in_words().iter().for_each(|w| tracing::warn!("reload: {w}"));
                changes.unassigned_in_words().iter().for_each(|w| tracing::warn!("reload: {w}"));
                if changes.changed_in_words().is_empty() {
                    tracing::info!("reload: nothing has changed");
                }
                for n in &changes.waiting_workers {
                    tracing::warn!("reload: worker {n} does not answer: it has the old rules until it does");
                }
                let config = reload::in_force(&self.settings, &self.run.roster);
                self.run.books.configuration(units::now(), config);
                self.show();
                Ok(changes)
            }
            Err((status, why)) => {
                tracing::error!("reload: refused, the configuration is as it was: {why}");
                Err((status, why))
            }
        }
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

    fn end(mut self, stopped: bool) -> Outcome {
        if let (true, Some((read, total))) = (stopped, self.run.capture.progress())
            && read < total
        {
            let (rest, total) = (units::size(total - read), units::size(total));
            let text = format!("stopped before the end: {rest} of {total} of the capture files were not read");
            tracing::warn!("{text}");
            self.run.books.unread(units::now(), text);
        }
        let mut failures = self.run.workers.join();
        let mut last = self.sample();
        self.enter(&last);
        let files = self.run.capture.kind() == SourceKind::File;
        if let Some(why) = self.full.take().filter(|_| files && last.account.store.write_failed > 0) {
            let out = "make room there, take another --store, or a smaller --segment-size";
            failures.push(format!("not all that was read could be stored: {why}; {out}"));
        }
        let receipts_lost = self.run.scribe.finish() + self.run.workers.totals().tracker.receipts_lost;
        let Running { api, answering, orders, recent, sides, capture, store, store_events, mut books, .. } = self.run;
        sides.end();
        // First: whoever orders something now learns that it is too late.
        drop(answering);
        drop(api);
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
        drop(sides);
        books.close(units::now());
        Outcome { broken: last.account.check().err(), last, started: self.started, files: capture.reports(), failures }
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
        let memory = self.run.recent.as_ref().map(|recent| {
            let (blocks, missed) = recent.keeping.keep().counts();
            recent.keeping.keep().queryable_ns(&mut times.queryable);
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
                held: self.run.recent.as_ref().map(|recent| recent.reading.recent().held()).unwrap_or_default(),
                nic,
                links: self.run.capture.links(),
                times,
                filesystem: filesystem(self.run.store.layout().root()),
            },
        }
    }
}

/// What came of a reload, as it is said: an HTTP status, and JSON or the reason.
fn answer(done: Result<Changes, Refused>) -> (u16, String) {
    done.map_or_else(|refused| refused, |changes| (200, shape::text(&changes) + "\n"))
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
