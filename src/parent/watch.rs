//! The loop of the parent: starts what is due, waits for whatever happens, and decides who is started again, who is ended, and with which code
//! it ends itself. Owns both halves. It has one thread, and blocks on nothing but that wait.

use super::message::{Kind, Message};
use super::pauses::Pauses;
use super::rules::{Rules, SIGNAL};
use super::signals::Signals;
use super::start::Running;
use super::{Documents, Wanted, inherit};
use crate::limits::{HALF_MESSAGES, SERVE_LAST, SERVE_SILENT_LOOKS, SERVE_START_LOOKS};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// How often it looks whether serve lives.
const LOOK: Duration = Duration::from_secs(1);
/// How long a serve without capture may take: what it has under way can't be whole any more.
const PAIR_LAST: Duration = Duration::from_secs(1);
/// The codes with which a half says itself how it ended; every other end is a death.
const OWN_CODES: std::ops::RangeInclusive<i32> = 0..=3;
/// That it was done, but not whole.
const INCOMPLETE: u8 = 1;
/// That it could not be done.
const CANNOT: u8 = 3;

/// Which program is started for a half, and what it is handed at each start.
#[derive(Debug)]
pub struct Half {
    /// Its word.
    pub word: &'static str,
    /// Descriptors.
    pub handed: Vec<OwnedFd>,
}

/// What there is to watch.
pub struct Plan {
    /// Capture.
    pub capture: Half,
    /// Serve, where it is a process of its own; it is also handed what capture hands over.
    pub serve: Option<Half>,
    /// What both begin with.
    pub begin: Vec<u8>,
    /// Makes documents.
    pub documents: Documents,
    /// A capture that dies is started again: it records from where packets go on coming.
    pub again: bool,
}

/// One half over its lives.
#[derive(Debug, Default)]
struct Lives {
    running: Option<Running>,
    /// One that was told to end, and until when it may take.
    leaving: Option<(Running, Instant)>,
    due: Option<Instant>,
    pauses: Pauses,
    /// It has worked in one of its lives.
    worked: bool,
}

impl Lives {
    /// It reads that nothing more will be said, and has a while to end.
    fn leave(&mut self, patience: Duration) {
        self.due = None;
        if let Some(mut running) = self.running.take() {
            running.leave();
            self.leaving = Some((running, Instant::now() + patience));
        }
    }

    /// One that was told to end has, or has to.
    fn left(&mut self) {
        let Some((leaving, until)) = &mut self.leaving else { return };
        if leaving.ended().is_some() {
            self.leaving = None;
        } else if Instant::now() >= *until {
            tracing::warn!("serve (process {}) does not end by itself: it is ended", leaving.pid());
            // It is killed with this.
            self.leaving = None;
        }
    }

    fn none(&self) -> bool {
        self.leaving.is_none() && self.running.is_none()
    }
}

/// The parent.
struct Parent {
    plan: Plan,
    signals: Signals,
    capture: Lives,
    serve: Lives,
    /// What capture has handed over for the next serve: each has its own, so that nothing of a dead one is left in it.
    shared: Option<Vec<OwnedFd>>,
    rules: Rules,
    /// It has been told to end.
    stopping: bool,
    /// Capture has ended for good, with this code.
    code: Option<u8>,
    looked: Instant,
}

/// Watches until the recording has ended; the code to end with. An error: nothing was started.
pub fn run(plan: Plan) -> io::Result<u8> {
    let signals = Signals::new()?;
    inherit::nothing();
    let mut parent = Parent {
        plan,
        signals,
        capture: Lives::default(),
        serve: Lives::default(),
        shared: None,
        rules: Rules::default(),
        stopping: false,
        code: None,
        looked: Instant::now(),
    };
    let running = Running::start(parent.plan.capture.word, true, &parent.plan.begin, &parent.plan.capture.handed)?;
    parent.capture.running = Some(running);
    Ok(parent.watch())
}

impl Parent {
    fn watch(mut self) -> u8 {
        loop {
            if let Some(code) = self.signalled() {
                return code;
            }
            self.hear();
            self.ends();
            self.look();
            if let (Some(code), true) = (self.code, self.capture.none() && self.serve.none()) {
                return code;
            }
            self.start_due();
            self.tell_rules();
            self.wait();
        }
    }

    /// Until something happens, or is due.
    fn wait(&self) {
        let leaving = self.serve.leaving.as_ref().map(|(_, until)| *until);
        let look = self.serve.running.as_ref().map(|_| self.looked + LOOK);
        let next = [self.capture.due, self.serve.due, leaving, look].into_iter().flatten().min();
        let halves = [&self.capture.running, &self.serve.running].into_iter().flatten();
        let halves = halves.chain(self.serve.leaving.as_ref().map(|(running, _)| running));
        let fds = self.signals.fds().chain(halves.flat_map(Running::fds));
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let pause = next.map(|at| at.saturating_duration_since(Instant::now()));
        // Rounded up: a wait that ends too early would be made again and again.
        let pause = pause.map(|p| p + Duration::from_millis(1));
        let pause = pause.map(|p| Timespec { tv_sec: p.as_secs() as i64, tv_nsec: i64::from(p.subsec_nanos()) });
        // A signal in between is none of its errors: its byte is there.
        let _ = poll(&mut fds, pause.as_ref());
    }

    /// What signals ask for; a code: at once.
    fn signalled(&mut self) -> Option<u8> {
        let heard = self.signals.heard();
        if heard.reload && !self.stopping {
            self.rules.ask(SIGNAL);
        }
        if heard.stops == 0 {
            return None;
        }
        if heard.stops > 1 || self.stopping {
            // Both are killed as they are dropped; the store is recovered at the next start.
            return Some(128u8.saturating_add(heard.signal as u8));
        }
        self.stopping = true;
        self.capture.due = None;
        match &mut self.capture.running {
            Some(capture) if !capture.tell(Kind::Stop, 0, &[]) => capture.leave(),
            Some(_) => {}
            // Between two of its lives.
            None => self.over(INCOMPLETE),
        }
        None
    }

    fn hear(&mut self) {
        for _ in 0..HALF_MESSAGES {
            let Some(message) = self.capture.running.as_mut().and_then(Running::hear) else { break };
            self.capture_says(message);
        }
        for _ in 0..HALF_MESSAGES {
            let Some(message) = self.serve.running.as_mut().and_then(Running::hear) else { break };
            self.serve_says(&message);
        }
    }

    fn capture_says(&mut self, message: Message) {
        match message.kind {
            Kind::Ready => {
                if let Some(capture) = &mut self.capture.running {
                    capture.ready = true;
                }
                self.capture.worked = true;
                if self.plan.serve.is_some() && !self.stopping {
                    (self.shared, self.serve.due) = (Some(message.fds), Some(Instant::now()));
                }
            }
            Kind::Ask if message.number != SIGNAL => self.rules.ask(message.number),
            Kind::Taken | Kind::Refused => {
                let Some(told) = self.rules.answered(message.number) else { return };
                if message.kind == Kind::Taken {
                    self.plan.begin = (self.plan.documents)(Wanted::Begin);
                }
                if let (Some(serve), Some(answer)) = (&self.serve.running, message.fds.first()) {
                    serve.tell(Kind::Rules, message.number, &[&told, answer]);
                }
            }
            _ => {}
        }
    }

    fn serve_says(&mut self, message: &Message) {
        match message.kind {
            Kind::Ready => {
                if let Some(serve) = &mut self.serve.running {
                    serve.ready = true;
                }
                self.serve.worked = true;
            }
            Kind::Ask if message.number != SIGNAL => self.rules.ask(message.number),
            _ => {}
        }
    }

    /// Who has ended, and what follows from it.
    fn ends(&mut self) {
        if let Some(status) = self.capture.running.as_mut().and_then(Running::ended) {
            // What it said last may be of use: that it worked, say.
            self.hear();
            self.capture_ended(status);
        }
        if let Some(status) = self.serve.running.as_mut().and_then(Running::ended) {
            self.hear();
            self.serve_ended(status);
        }
        self.serve.left();
    }

    fn capture_ended(&mut self, status: ExitStatus) {
        let Some(capture) = self.capture.running.take() else { return };
        let own = status.code().filter(|code| OWN_CODES.contains(code)).and_then(|code| u8::try_from(code).ok());
        let after_a_death = self.capture.worked && !capture.ready;
        match own {
            // It had its say.
            Some(code) if self.stopping || !after_a_death => self.over(code),
            _ if self.stopping || !self.plan.again || !self.capture.worked => {
                tracing::error!("capture (process {}) died: {}", capture.pid(), words(status));
                self.over(if self.stopping { INCOMPLETE } else { CANNOT });
            }
            _ => {
                let pause = self.capture.pauses.after(capture.since.elapsed());
                let when = when(pause);
                tracing::error!(
                    "capture (process {}) died: {}; nothing is recorded; it is started again {when}",
                    capture.pid(),
                    words(status)
                );
                self.capture.due = Some(Instant::now() + pause);
                // A pair: what serve was handed was capture's.
                self.shared = None;
                self.serve.leave(PAIR_LAST);
                self.rules.forget();
            }
        }
    }

    fn serve_ended(&mut self, status: ExitStatus) {
        let Some(serve) = self.serve.running.take() else { return };
        let own = status.code().filter(|code| OWN_CODES.contains(code)).and_then(|code| u8::try_from(code).ok());
        if let (Some(code), false, None) = (own.filter(|code| *code > 1), self.serve.worked, self.code) {
            // As wrong settings do, before there was anything to serve: it has said why.
            self.code = Some(code);
            self.stopping = true;
            if let Some(capture) = &mut self.capture.running {
                capture.leave();
            }
            return;
        }
        let pause = self.serve.pauses.after(serve.since.elapsed());
        tracing::warn!(
            "serve (process {}) died: {}; recording goes on; it is started again {}",
            serve.pid(),
            words(status),
            when(pause)
        );
        if self.code.is_none() {
            self.serve.due = Some(Instant::now() + pause);
        }
    }

    /// Capture has ended for good.
    fn over(&mut self, code: u8) {
        self.code.get_or_insert(code);
        self.serve.leave(SERVE_LAST);
    }

    /// Each second: whether serve lives. Counted in looks of this process, so that one that was stopped itself blames nobody.
    fn look(&mut self) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        let Some(serve) = &mut self.serve.running else { return };
        serve.silent += 1;
        let most = if serve.heard { SERVE_SILENT_LOOKS } else { SERVE_START_LOOKS };
        if serve.silent >= most {
            tracing::warn!("serve (process {}) says nothing any more: it is ended", serve.pid());
            serve.kill();
        }
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        if self.capture.due.is_some_and(|at| at <= now) {
            self.capture.due = None;
            match Running::start(self.plan.capture.word, true, &self.plan.begin, &self.plan.capture.handed) {
                Ok(running) => self.capture.running = Some(running),
                Err(e) => {
                    tracing::error!("capture cannot be started: {e}");
                    self.capture.due = Some(now + self.capture.pauses.after(Duration::ZERO));
                }
            }
        }
        // Two at once would be in each other's way.
        if self.serve.none() && self.serve.due.is_some_and(|at| at <= now) {
            self.serve.due = None;
            self.start_serve();
        }
    }

    fn start_serve(&mut self) {
        let (Some(serve), Some(capture)) = (&self.plan.serve, &self.capture.running) else { return };
        let Some(shared) = self.shared.take() else {
            // Once it has answered.
            if !capture.tell(Kind::Again, 0, &[]) {
                self.serve.due = Some(Instant::now() + LOOK);
            }
            return;
        };
        let own: io::Result<Vec<OwnedFd>> = serve.handed.iter().map(OwnedFd::try_clone).collect();
        let handed = own.map(|own| own.into_iter().chain(shared).collect::<Vec<OwnedFd>>());
        match handed.and_then(|handed| Running::start(serve.word, false, &self.plan.begin, &handed)) {
            Ok(running) => self.serve.running = Some(running),
            Err(e) => {
                tracing::error!("serve cannot be started: {e}");
                self.serve.due = Some(Instant::now() + self.serve.pauses.after(Duration::ZERO));
            }
        }
    }

    /// Other settings, once they are read.
    fn tell_rules(&mut self) {
        let Some(capture) = self.capture.running.as_ref().filter(|c| c.ready && !self.stopping) else { return };
        let Ok(wake) = self.signals.waker() else { return };
        if let Some((number, document)) = self.rules.next(&self.plan.documents, wake)
            && !capture.tell(Kind::Rules, number, &[document])
        {
            tracing::error!("reload: capture does not listen");
            self.rules.answered(number);
        }
    }
}

fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with {code}"),
        (_, Some(signal)) => format!("signal {signal}{}", if status.core_dumped() { ", with a core file" } else { "" }),
        _ => status.to_string(),
    }
}

fn when(pause: Duration) -> String {
    if pause.is_zero() { "now".into() } else { format!("in {pause:?}") }
}
