//! When a recorder ran and which links were down, from the ledger's entries one after another: the same for whoever reads the files and for
//! what a recorder holds of them. Times are those that packets carry: where a clock is set, what was stored before keeps the times of before.

use super::{Covered, Entry, What};
use crate::limits::LINK_DOWN_HELD;
use crate::shape::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An interface without link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkDown {
    /// Its name.
    pub interface: String,
    /// From.
    #[serde(with = "Time")]
    pub from: u64,
    /// To, exclusive.
    #[serde(with = "Time")]
    pub to: u64,
}

/// Why nothing was recorded at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// No recorder had run before, as far back as the ledger goes.
    Before,
    /// The recorder had been stopped.
    Stopped,
    /// The recorder had been killed, or its machine.
    Killed,
    /// The clock was set forward over this time: no packet carries it.
    ClockStep,
}

/// A time when nothing was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// From.
    #[serde(with = "Time")]
    pub from: u64,
    /// To, exclusive.
    #[serde(with = "Time")]
    pub to: u64,
    /// Why.
    pub cause: GapCause,
}

/// Whether a recorder runs, as the entries so far tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RunState {
    Stopped,
    Running {
        since: u64,
        live: bool,
        /// Time of its latest entry.
        seen: u64,
    },
}

/// All that the entries so far tell of when was recorded.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    pub state: RunState,
    /// From, to, and why no longer.
    ran: Vec<(u64, u64, GapCause)>,
    /// Interfaces without link, since.
    down: Vec<(String, u64)>,
    link_down: Vec<LinkDown>,
    /// A recorder has started: any; one of a live source.
    started: (bool, bool),
}

impl Timeline {
    pub fn new() -> Timeline {
        Timeline {
            state: RunState::Stopped,
            ran: Vec::new(),
            down: Vec::new(),
            link_down: Vec::new(),
            started: (false, false),
        }
    }

    /// Takes in an entry.
    pub fn take(&mut self, e: &Entry) {
        match &e.what {
            What::Started { source, .. } => {
                // Without an end of the one before: it was killed, and so was the entry that would say when.
                if let RunState::Running { seen, .. } = self.state {
                    self.end(seen, GapCause::Killed);
                }
                self.begin(e.t, source, e.t);
            }
            What::Continues { since, source } => {
                if self.state == RunState::Stopped {
                    self.begin(*since, source, e.t);
                } else {
                    self.sign(e.t);
                }
            }
            What::Stopped => self.end(e.t, GapCause::Stopped),
            What::Killed { alive } => self.end(*alive, GapCause::Killed),
            What::ClockStep { by } => self.step(e.t, *by),
            What::LinkDown { interface } => {
                let live = matches!(self.state, RunState::Running { live: true, .. });
                if live && !self.down.iter().any(|(i, _)| i == interface) {
                    self.down.push((interface.clone(), e.t));
                }
                self.sign(e.t);
            }
            What::LinkUp { interface } => {
                self.up(e.t, |i| i == interface);
                self.sign(e.t);
            }
            _ => self.sign(e.t),
        }
    }

    fn begin(&mut self, since: u64, source: &str, seen: u64) {
        let live = source != "file";
        self.started = (true, self.started.1 || live);
        self.down.clear();
        self.state = RunState::Running { since, live, seen };
    }

    fn sign(&mut self, t: u64) {
        if let RunState::Running { seen, .. } = &mut self.state {
            *seen = t.max(*seen);
        }
    }

    fn end(&mut self, at: u64, cause: GapCause) {
        if let RunState::Running { since, live: true, .. } = std::mem::replace(&mut self.state, RunState::Stopped) {
            let at = at.max(since);
            self.up(at, |_| true);
            self.ran.push((since, at, cause));
        }
    }

    /// Since when files are imported, if they are.
    pub fn importing(&self) -> Option<u64> {
        match self.state {
            RunState::Running { since, live: false, .. } => Some(since),
            _ => None,
        }
    }

    /// Packet time made a step: what came before carries the times of before.
    fn step(&mut self, t: u64, by: i64) {
        let RunState::Running { since, live: true, .. } = self.state else { return };
        let before = t.saturating_sub_signed(by).max(since);
        let down = self.down.clone();
        self.up(before, |_| true);
        self.down = down.into_iter().map(|(interface, _)| (interface, t)).collect();
        self.ran.push((since, before, GapCause::ClockStep));
        self.state = RunState::Running { since: t, live: true, seen: t };
    }

    fn up(&mut self, at: u64, which: impl Fn(&str) -> bool) {
        let (ended, down) = std::mem::take(&mut self.down).into_iter().partition(|(i, _)| which(i));
        self.down = down;
        for (interface, from) in ended {
            self.link_down.push(LinkDown { interface, from, to: at });
        }
        while self.link_down.len() > LINK_DOWN_HELD {
            // Too much may be said to have been down, never too little.
            let oldest = self.link_down.remove(0);
            match self.link_down.iter_mut().find(|d| d.interface == oldest.interface) {
                Some(next) => next.from = next.from.min(oldest.from),
                None => break,
            }
        }
    }

    /// Whether all recordings so far were imports.
    pub fn only_imported(&self) -> bool {
        self.started == (true, false)
    }

    /// What of `from..to` was recorded; `alive`: the last sign of life.
    pub fn covered(&self, from: u64, to: u64, alive: u64) -> Covered {
        let mut ran = self.ran.clone();
        // Of many only a few are of the window.
        let overlaps = |d: &&LinkDown| d.from < to && d.to > from;
        let mut link_down: Vec<LinkDown> = self.link_down.iter().filter(overlaps).cloned().collect();
        if let RunState::Running { since, live: true, seen } = self.state {
            let end = alive.max(seen).max(since);
            ran.push((since, end, GapCause::Killed));
            link_down.extend(self.down.iter().map(|(i, from)| LinkDown { interface: i.clone(), from: *from, to: end }));
        }
        link_down.retain_mut(|d| {
            (d.from, d.to) = (d.from.max(from), d.to.min(to));
            d.from < d.to
        });
        let recorded = clip(ran.iter().map(|(a, b, _)| (*a, *b)).collect(), from, to);
        let cause = |at: u64| {
            let before = ran.iter().filter(|(_, end, _)| *end <= at).max_by_key(|(_, end, _)| *end);
            before.map_or(GapCause::Before, |(.., cause)| *cause)
        };
        let gaps =
            gaps(&recorded, from, to).into_iter().map(|(from, to)| Gap { from, to, cause: cause(from) }).collect();
        Covered { recorded, gaps, link_down }
    }
}

/// The parts of intervals inside a window, sorted and joined where they touch.
fn clip(mut intervals: Vec<(u64, u64)>, from: u64, to: u64) -> Vec<(u64, u64)> {
    intervals.sort_unstable();
    let mut out: Vec<(u64, u64)> = Vec::new();
    for (a, b) in intervals.into_iter().map(|(a, b)| (a.max(from), b.min(to))).filter(|(a, b)| a < b) {
        match out.last_mut() {
            Some(last) if a <= last.1 => last.1 = last.1.max(b),
            _ => out.push((a, b)),
        }
    }
    out
}

/// What is left of a window between sorted intervals.
fn gaps(recorded: &[(u64, u64)], from: u64, to: u64) -> Vec<(u64, u64)> {
    let mut at = from;
    let mut out = Vec::new();
    for (a, b) in recorded {
        if at < *a {
            out.push((at, *a));
        }
        at = at.max(*b);
    }
    if at < to {
        out.push((at, to));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn of(entries: &[(u64, What)]) -> Timeline {
        let mut t = Timeline::new();
        entries.iter().for_each(|(at, what)| t.take(&Entry { t: at * S, what: what.clone() }));
        t
    }

    fn started(source: &str) -> What {
        What::Started { version: "0".into(), source: source.into(), config: serde_json::Value::Null }
    }

    #[test]
    fn a_gap_says_why() {
        let t = of(&[
            (100, started("xdp")),
            (200, What::Stopped),
            (300, started("xdp")),
            (400, What::Killed { alive: 350 * S }),
            (400, started("xdp")),
        ]);
        let gap = |from, to, cause| Gap { from: from * S, to: to * S, cause };
        let c = t.covered(50 * S, 600 * S, 500 * S);
        let all = [
            gap(50, 100, GapCause::Before),
            gap(200, 300, GapCause::Stopped),
            gap(350, 400, GapCause::Killed),
            gap(500, 600, GapCause::Killed),
        ];
        assert_eq!(c.gaps, all);
        assert_eq!(t.covered(220 * S, 230 * S, 500 * S).gaps, [gap(220, 230, GapCause::Stopped)]);
    }

    /// A host whose clock was three days behind at the start: the ledger must not claim these days, and not deny what was stored with their times.
    #[test]
    fn a_clock_that_is_set_forward_covers_nothing_in_between() {
        let day = 86_400;
        let t = of(&[(1000, started("xdp")), (1060 + 3 * day, What::ClockStep { by: (3 * day * S) as i64 })]);
        let c = t.covered(900 * S, (1100 + 3 * day) * S, (1090 + 3 * day) * S);
        assert_eq!(c.recorded, [(1000 * S, 1060 * S), ((1060 + 3 * day) * S, (1090 + 3 * day) * S)]);
        assert_eq!(c.gaps[1], Gap { from: 1060 * S, to: (1060 + 3 * day) * S, cause: GapCause::ClockStep });
    }

    #[test]
    fn a_clock_that_is_set_back_denies_nothing_that_was_stored() {
        let by = -7200 * S as i64;
        let down = What::LinkDown { interface: "eth0".into() };
        let t = of(&[(10_000, started("xdp")), (10_050, down), (10_300 - 7200, What::ClockStep { by })]);
        let c = t.covered(0, 20_000 * S, 4000 * S);
        assert_eq!(c.recorded, [(3100 * S, 4000 * S), (10_000 * S, 10_300 * S)], "nothing after the last sign of life");
        let down: Vec<_> = c.link_down.iter().map(|d| (d.from / S, d.to / S)).collect();
        assert_eq!(down, [(10_050, 10_300), (3100, 4000)]);
    }
}
