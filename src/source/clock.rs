//! Packet time: the monotonic clock, which the kernel stamps packets with, plus an offset that makes it Unix time. Owns
//! the offset: measured each second, slewed by at most 500 ppm, stepped when it is off by 100 ms or more. Read by workers
//! once a batch; ticked by `source::live`.
//!
//! Between two ticks the offset is a function of the monotonic clock, so that packet time never jumps while it is slewed
//! and never runs backwards.

use rustix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};

/// The offset moves by at most one part in this many.
const SLEW: u64 = 2_000;
/// From this difference on it is stepped, ns.
const STEP_NS: u64 = 100_000_000;

/// The offset, as one thread sets it and all read it.
#[derive(Debug)]
pub struct Clock {
    /// Odd while the three below are being changed.
    version: AtomicU64,
    /// Offset at `since`, ns.
    base: AtomicI64,
    /// Monotonic time from which it is slewed.
    since: AtomicU64,
    /// How far it has to go from `base`, ns.
    to_go: AtomicI64,
}

/// The clock was set: packet time jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Monotonic time of the jump, ns.
    pub at: u64,
    /// Forwards or backwards, ns.
    pub by: i64,
}

fn ns(clock: ClockId) -> u64 {
    let t = clock_gettime(clock);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

pub use crate::units::monotonic;

/// Realtime less monotonic clock, with the monotonic time it was measured at: of several tries the one that was
/// interrupted least.
pub fn measure() -> (u64, i64) {
    let mut best = (u64::MAX, 0, 0);
    for _ in 0..5 {
        let before = monotonic();
        let real = ns(ClockId::Realtime);
        let took = monotonic() - before;
        if took < best.0 {
            best = (took, before + took / 2, real as i64 - (before + took / 2) as i64);
        }
    }
    (best.1, best.2)
}

impl Clock {
    /// A clock that is right now.
    pub fn start() -> Clock {
        let (at, offset) = measure();
        Clock::at(at, offset)
    }

    fn at(since: u64, offset: i64) -> Clock {
        Clock {
            version: AtomicU64::new(0),
            base: AtomicI64::new(offset),
            since: AtomicU64::new(since),
            to_go: AtomicI64::new(0),
        }
    }

    /// What to add to monotonic time `at` to get Unix time, ns.
    #[inline]
    pub fn offset(&self, at: u64) -> i64 {
        self.read(|base, since, to_go| {
            let most = (at.saturating_sub(since) / SLEW) as i64;
            base + to_go.clamp(-most, most)
        })
    }

    /// What `of` makes of base, since and to_go as they stood at one moment.
    #[inline]
    fn read(&self, of: impl Fn(i64, u64, i64) -> i64) -> i64 {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let (base, since, to_go) = (
                self.base.load(Ordering::Relaxed),
                self.since.load(Ordering::Relaxed),
                self.to_go.load(Ordering::Relaxed),
            );
            fence(Ordering::Acquire);
            if version & 1 == 0 && self.version.load(Ordering::Relaxed) == version {
                return of(base, since, to_go);
            }
            std::hint::spin_loop();
        }
    }

    /// Unix time of monotonic time `at`, ns.
    #[inline]
    pub fn unix(&self, at: u64) -> u64 {
        at.saturating_add_signed(self.offset(at))
    }

    /// Packet time of a packet that the kernel stamped with the realtime clock: what is still to be slewed is left out.
    pub fn corrected(&self, realtime: u64) -> u64 {
        let measured = self.read(|base, _, to_go| base + to_go);
        self.unix(realtime.saturating_add_signed(measured.saturating_neg()))
    }

    /// Measures; to be called each second by one thread. Returns the step if the clock was set.
    pub fn tick(&self) -> Option<Step> {
        let (at, measured) = measure();
        self.adjust(at, measured)
    }

    fn adjust(&self, at: u64, measured: i64) -> Option<Step> {
        let now = self.offset(at);
        let off = measured - now;
        let step = off.unsigned_abs() >= STEP_NS;
        self.version.fetch_add(1, Ordering::Acquire);
        self.base.store(if step { measured } else { now }, Ordering::Relaxed);
        self.since.store(at, Ordering::Relaxed);
        self.to_go.store(if step { 0 } else { off }, Ordering::Relaxed);
        self.version.fetch_add(1, Ordering::Release);
        step.then_some(Step { at, by: off })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_small_difference_is_slewed_and_a_large_one_stepped() {
        let clock = Clock::at(10 * S, 1000);
        assert_eq!(clock.unix(10 * S), 10 * S + 1000);
        // 2 ms off: 0.5 ms a second.
        assert_eq!(clock.adjust(10 * S, 1000 + 2_000_000), None);
        assert_eq!(clock.offset(10 * S), 1000);
        assert_eq!(clock.offset(11 * S), 1000 + 500_000);
        assert_eq!(clock.offset(14 * S), 1000 + 2_000_000);
        assert_eq!(clock.offset(99 * S), 1000 + 2_000_000);
        assert_eq!(clock.adjust(20 * S, -5 * S as i64), Some(Step { at: 20 * S, by: -5 * S as i64 - 2_001_000 }));
        assert_eq!(clock.offset(20 * S), -5 * S as i64);
    }

    #[test]
    fn realtime_stamps_follow_the_slewed_clock() {
        let clock = Clock::at(10 * S, 100 * S as i64);
        assert_eq!(clock.corrected(112 * S), 112 * S);
        // The realtime clock is 2 ms ahead: a stamp of monotonic time 12 s reads 112.002 s.
        clock.adjust(11 * S, 100 * S as i64 + 2_000_000);
        assert_eq!(clock.corrected(112 * S + 2_000_000), 112 * S + 500_000);
        assert_eq!(clock.unix(12 * S), 112 * S + 500_000);
    }

    proptest! {
        /// Packet time never runs backwards nor faster than 500 ppm, whatever the measurements, unless it steps.
        #[test]
        fn time_is_monotonic_between_steps(noise in prop::collection::vec((1u64..3 * S, -90_000_000i64..90_000_000), 1..40)) {
            let clock = Clock::at(0, 0);
            let (mut at, mut unix) = (0, 0);
            for (later, offset) in noise {
                let next = at + later;
                let before = clock.unix(next);
                if clock.adjust(next, offset).is_none() {
                    prop_assert_eq!(clock.unix(next), before);
                    let passed = before - unix;
                    prop_assert!(passed.abs_diff(later) <= later / SLEW + 1);
                }
                (at, unix) = (next, clock.unix(next));
            }
        }
    }

    #[test]
    fn it_is_right_at_the_start() {
        let clock = Clock::start();
        let real = ns(ClockId::Realtime);
        assert!(clock.unix(monotonic()).abs_diff(real) < S);
    }
}
