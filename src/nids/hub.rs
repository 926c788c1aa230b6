//! Where alerts come together: counted, judged, and their orders given to two threads, one for commands (at once, one after the other) and
//! one for holds (which take their time). Owns the queues between them and what is told of trouble: at most once in ten seconds of each kind,
//! whatever a NIDS sends. Readers call it from their threads; it never makes them wait.

use super::alert::Alert;
use super::commands::{Commands, Work};
use super::daemon::{Daemon, Refusal};
use super::event::{Action, Counts, Event, Events, Trouble};
use super::judge::{Deed, Judge, Limited, Order, Verdict};
use super::keeper::Keeper;
use super::rules::Rules;
use super::spool::Spool;
use super::{Feed, Stop};
use crate::limits::{NIDS_ORDERS_WAITING, NIDS_PATIENCE_NS, NIDS_TELL_NS};
use crate::query::ConnSpec;
use crate::units;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What the threads share.
pub struct Shared {
    /// The recorder.
    pub daemon: Daemon,
    /// Set once: nothing is tried again.
    pub stop: Stop,
    started: Instant,
    judge: Mutex<Judge>,
    events: Arc<dyn Events>,
    inner: Mutex<Inner>,
    /// Folder that is fed back: alerts about its files are echoes.
    echoes: Option<PathBuf>,
}

#[derive(Default)]
struct Inner {
    counts: Counts,
    /// By kind: when it was last told, how many since, about the last of them.
    untold: [(Option<Instant>, u64, String); Trouble::ALL.len()],
    away: bool,
}

/// What became of an alert at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is acted on.
    Yes,
    /// It is not, for this reason.
    No(String),
}

/// The hub.
pub struct Hub {
    shared: Arc<Shared>,
    work: SyncSender<Work>,
    threads: Vec<JoinHandle<()>>,
}

impl Hub {
    /// Starts the threads.
    pub fn start(
        rules: Rules,
        daemon: Daemon,
        feed: Option<(Feed, Spool)>,
        events: Arc<dyn Events>,
        stop: Stop,
    ) -> std::io::Result<Hub> {
        let terms = rules.terms;
        let shared = Arc::new(Shared {
            echoes: feed.as_ref().map(|(feed, _)| feed.spool()),
            daemon,
            stop,
            started: Instant::now(),
            judge: Mutex::new(Judge::new(rules, 0)),
            events,
            inner: Mutex::default(),
        });
        let (work, todo) = sync_channel(NIDS_ORDERS_WAITING);
        let (keep, tokeep) = sync_channel(NIDS_ORDERS_WAITING);
        let keeper = Keeper::new(shared.clone(), feed, terms);
        let named = |name: &str| std::thread::Builder::new().name(name.into());
        let commands = Commands { shared: shared.clone(), keep };
        let threads = vec![
            named("nids-commands").spawn(move || commands.run(&todo))?,
            named("nids-holds").spawn(move || keeper.run(&tokeep))?,
        ];
        Ok(Hub { shared, work, threads })
    }

    /// A record that is no alert.
    pub fn other(&self) {
        self.shared.inner().counts.records += 1;
    }

    /// A record that can't be used.
    pub fn bad(&self, what: Trouble, why: &str) {
        let mut inner = self.shared.inner();
        inner.counts.records += 1;
        inner.counts.malformed += 1;
        drop(inner);
        self.trouble(what, why);
    }

    /// An alert.
    pub fn alert(&self, alert: Alert) -> Taken {
        let received = Instant::now();
        let echo = alert.record.get("pcap_filename").and_then(|f| f.as_str()).is_some_and(|file| {
            self.shared.echoes.as_ref().is_some_and(|spool| std::path::Path::new(file).starts_with(spool))
        });
        if echo {
            self.count(|c| c.echoes += 1);
            return Taken::No("its packets were fed back by retrotap".into());
        }
        // The judge is let go before its verdict is acted on: what finds no place is told to it again.
        let verdict = self.shared.judge().judge(alert, received, self.shared.now());
        match verdict {
            Verdict::Nothing => {
                self.count(|c| c.unmatched += 1);
                Taken::No("no rule acts on it".into())
            }
            Verdict::Repeated => {
                self.count(|c| c.repeated += 1);
                Taken::No("it was acted on lately".into())
            }
            Verdict::Limited(by) => {
                self.count(|c| c.limited += 1);
                let why = match by {
                    Limited::Rule(name) => format!("rule {name:?} has reached its limit"),
                    Limited::Offender(address) => format!("{address} has reached per_offender"),
                };
                self.trouble(Trouble::Limited, &why);
                Taken::No(why)
            }
            Verdict::Act(order) => self.order(order),
        }
    }

    fn order(&self, order: Box<Order>) -> Taken {
        let deeds = deeds(&order);
        let (a, rule) = (&order.alert, order.rule.clone());
        let event = Event::Alert {
            time: a.time,
            rule: &rule,
            what: a.what(),
            signature: a.signature.as_deref(),
            connection: a.conn.as_ref().map(ConnSpec::ends),
            offender: order.offender.map(|o| o.to_string()),
        };
        self.shared.events.event(&event);
        match self.work.try_send(Work::Order(order)) {
            Ok(()) => {
                self.count(|c| c.acted += 1);
                Taken::Yes
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.count(|c| c.waiting += 1);
                deeds.iter().for_each(|d| self.shared.judge().forget(d));
                let why = format!("{NIDS_ORDERS_WAITING} orders wait already");
                self.trouble(Trouble::Waiting, &why);
                Taken::No(why)
            }
        }
    }

    /// Tells of trouble, if it was not told of this kind lately.
    pub fn trouble(&self, what: Trouble, why: &str) {
        let mut inner = self.shared.inner();
        let Some((told, count, last)) = inner.untold.get_mut(what as usize) else { return };
        *count += 1;
        why.clone_into(last);
        if told.is_some_and(|t| t.elapsed() < Duration::from_nanos(NIDS_TELL_NS)) {
            return;
        }
        *told = Some(Instant::now());
        let count = std::mem::take(count);
        drop(inner);
        self.tell(what, count, why);
    }

    fn tell(&self, what: Trouble, count: u64, why: &str) {
        self.shared.events.event(&Event::Trouble { what, count, why });
        let name = serde_json::to_value(what).unwrap_or_default();
        let why: String = why.chars().take(1000).collect();
        let note = format!("nids: {count} times {}: {why}", name.as_str().unwrap_or_default());
        let _ = self.work.try_send(Work::Note(note));
    }

    /// A NIDS has come or gone.
    pub fn peer(&self, peer: &str, there: bool, why: &str) {
        self.shared.events.event(&Event::Peer { peer, there, why });
    }

    /// When everything is to end.
    pub fn stop(&self) -> &Stop {
        &self.shared.stop
    }

    /// Works off what waits, for a time; no reader may be left. What was counted.
    pub fn finish(self) -> Counts {
        self.shared.stop.set();
        for what in Trouble::ALL {
            let left =
                self.shared.inner().untold.get_mut(what as usize).map(|(_, n, why)| (std::mem::take(n), why.clone()));
            if let Some((count @ 1.., why)) = left {
                self.tell(what, count, &why);
            }
        }
        drop(self.work);
        for thread in self.threads {
            let _ = thread.join();
        }
        let counts = self.shared.inner().counts;
        if counts.left > 0 {
            let why = format!("it ended, and {} orders were not carried out, or not wholly", counts.left);
            self.shared.events.event(&Event::Trouble { what: Trouble::Left, count: counts.left, why: &why });
            let _ = self.shared.daemon.note(&format!("nids: {why}"));
        }
        self.shared.events.event(&Event::Final(counts));
        counts
    }

    fn count(&self, add: impl FnOnce(&mut Counts)) {
        let mut inner = self.shared.inner();
        inner.counts.records += 1;
        inner.counts.alerts += 1;
        add(&mut inner.counts);
    }
}

/// What an order would do, as the judge remembers it.
fn deeds(o: &Order) -> Vec<Deed> {
    let conn = o.alert.conn.as_ref().map(|c| c.name());
    let mut deeds = Vec::new();
    deeds.extend(conn.clone().filter(|_| o.suspend.is_some()).map(Deed::Suspend));
    deeds.extend(conn.filter(|_| o.hold_connection).map(Deed::HoldConnection));
    deeds.extend(o.offender.zip(o.assign.as_ref()).map(|(a, (class, _))| Deed::Assign(a, class.clone())));
    deeds.extend(o.offender.filter(|_| o.hold_offender.is_some()).map(Deed::HoldOffender));
    deeds
}

impl Shared {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self) -> MutexGuard<'_, Judge> {
        self.judge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Tries until it is done, refused for good, or too late.
    pub fn insist<T>(&self, order: &Order, mut attempt: impl FnMut() -> Result<T, Refusal>) -> Result<T, Refusal> {
        loop {
            let done = attempt();
            let away = matches!(done, Err(Refusal::Later(_)));
            if std::mem::replace(&mut self.inner().away, away) != away {
                let why = if let Err(Refusal::Later(why)) = &done { why.as_str() } else { "" };
                self.events.event(&Event::Peer { peer: "recorder", there: !away, why });
            }
            let late = order.received.elapsed() > Duration::from_nanos(NIDS_PATIENCE_NS);
            if !away || late || self.stop.is_set() {
                return done;
            }
            self.stop.wait(Duration::from_millis(250));
        }
    }

    /// An order was not carried out: all has ended.
    pub fn left(&self) {
        self.inner().counts.left += 1;
    }

    /// An action is over: told and counted; what failed may be asked for again.
    pub fn acted(&self, order: &Order, mut action: Action<'_>, deed: Option<Deed>, count: fn(&mut Counts)) {
        let now = units::now();
        action.since_alert_ns = u64::try_from(order.received.elapsed().as_nanos()).unwrap_or(u64::MAX);
        action.since_packet_ns = now.saturating_sub(order.alert.time);
        match (&action.error, deed) {
            (None, _) => count(&mut self.inner().counts),
            (Some(_), deed) => {
                self.inner().counts.failed += 1;
                deed.iter().for_each(|d| self.judge().forget(d));
            }
        }
        self.events.event(&Event::Action(action));
    }
}
