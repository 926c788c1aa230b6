//! Replay at the trace's own pace, or a multiple of it. Owns the relation of packet time to the monotonic clock; the
//! clock is read once a batch. Called by the file source only.

use std::time::{Duration, Instant};

/// A jump of the trace's clock by more than this is a broken clock or the next trace, not a pause: nothing waits for it.
const JUMP_NS: u64 = 24 * 3600 * 1_000_000_000;

/// When packets are due.
#[derive(Debug)]
pub struct Pace {
    /// Trace seconds per second.
    rate: f64,
    start: Instant,
    /// Trace time that has passed since `start`, ns: the sum of all steps forward.
    passed: u64,
    last: Option<u64>,
}

impl Pace {
    /// `rate` 1.0 is the trace's own pace; more is faster. Must be positive and finite.
    pub fn new(rate: f64) -> Pace {
        Pace { rate, start: Instant::now(), passed: 0, last: None }
    }

    fn step(&self, time: u64) -> u64 {
        let step = time.saturating_sub(self.last.unwrap_or(time));
        if step > JUMP_NS { 0 } else { step }
    }

    /// What is left to wait for a packet of this time; `None`: it is due. Packets that jump back are.
    pub fn wait(&self, time: u64, now: Instant) -> Option<Duration> {
        let due = Duration::try_from_secs_f64((self.passed + self.step(time)) as f64 / 1e9 / self.rate)
            .unwrap_or(Duration::MAX);
        due.checked_sub(now.saturating_duration_since(self.start)).filter(|d| !d.is_zero())
    }

    /// The packet was sent.
    pub fn sent(&mut self, time: u64) {
        self.passed += self.step(time);
        self.last = Some(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_by_the_sum_of_steps_forward() {
        const S: u64 = 1_000_000_000;
        let mut p = Pace::new(2.0);
        let at = |p: &Pace, secs: u64| p.start + Duration::from_secs(secs);
        assert_eq!(p.wait(100 * S, at(&p, 0)), None, "the first is due at once");
        p.sent(100 * S);
        assert_eq!(p.wait(104 * S, at(&p, 0)), Some(Duration::from_secs(2)));
        assert_eq!(p.wait(104 * S, at(&p, 2)), None);
        p.sent(104 * S);
        assert_eq!(p.wait(50 * S, at(&p, 2)), None, "a jump back does not wait");
        p.sent(50 * S);
        assert_eq!(p.wait(52 * S, at(&p, 2)), Some(Duration::from_secs(1)));
        assert_eq!(p.wait(1_700_000_000 * S, at(&p, 2)), None, "nor does a jump by years");
    }
}
