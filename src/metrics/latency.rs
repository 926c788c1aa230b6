//! Distributions of times. Owns the histogram that one thread fills and others read: fixed memory, one relaxed store for a
//! value, no lock; and the reading, whose quantiles are hdrhistogram's. Recorded once a batch or a block, never per packet.

use crate::shape::{Count, Seconds};
use hdrhistogram::Histogram as Hdr;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Each power of two is cut in so many: values are off by 6 % at most.
const STEPS: usize = 16;
const STEP_BITS: u32 = STEPS.ilog2();
/// Values from 2^40 ns (18 minutes) on count as that.
const BITS: u32 = 40;
const CELLS: usize = (BITS - STEP_BITS + 1) as usize * STEPS;

/// Filled by one thread.
#[derive(Debug)]
pub struct Histogram {
    cells: Box<[AtomicU64]>,
    sum: AtomicU64,
    max: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        let cells = (0..CELLS).map(|_| AtomicU64::new(0)).collect();
        Histogram { cells, sum: AtomicU64::new(0), max: AtomicU64::new(0) }
    }
}

/// The cell of a value: log-linear, exact below [`STEPS`].
fn cell(ns: u64) -> usize {
    let ns = ns.min((1 << BITS) - 1);
    let shift = (ns | 1).ilog2().saturating_sub(STEP_BITS);
    // The leading bit is above the steps from the second power of two on.
    shift as usize * STEPS + (ns >> shift) as usize
}

/// The first value past a cell.
fn end(cell: usize) -> u64 {
    let shift = (cell / STEPS).saturating_sub(1);
    ((cell - shift * STEPS) as u64 + 1) << shift
}

impl Histogram {
    /// Memory of one.
    pub const BYTES: usize = CELLS * size_of::<AtomicU64>();

    /// Counts a value; only the one writer calls this.
    #[inline]
    pub fn record(&self, ns: u64) {
        if let Some(c) = self.cells.get(cell(ns)) {
            c.store(c.load(Relaxed) + 1, Relaxed);
        }
        self.sum.store(self.sum.load(Relaxed).saturating_add(ns), Relaxed);
        if ns > self.max.load(Relaxed) {
            self.max.store(ns, Relaxed);
        }
    }

    /// Adds what was counted so far.
    pub fn add_to(&self, d: &mut Distribution) {
        d.cells.resize(CELLS, 0);
        for (to, from) in d.cells.iter_mut().zip(&self.cells) {
            *to += from.load(Relaxed);
        }
        d.sum = d.sum.saturating_add(self.sum.load(Relaxed));
        d.max = d.max.max(self.max.load(Relaxed));
    }
}

/// A reading of one or several histograms, ns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    cells: Vec<u64>,
    /// Of all values.
    pub sum: u64,
    /// The largest.
    pub max: u64,
}

/// What is shown of a distribution of times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quantiles {
    /// Values.
    #[serde(with = "Count")]
    pub count: u64,
    /// Half are at most this.
    #[serde(rename = "p50_seconds", with = "Seconds")]
    pub p50: u64,
    /// 99 in 100.
    #[serde(rename = "p99_seconds", with = "Seconds")]
    pub p99: u64,
    /// 999 in 1000.
    #[serde(rename = "p999_seconds", with = "Seconds")]
    pub p999: u64,
    /// The largest.
    #[serde(rename = "max_seconds", with = "Seconds")]
    pub max: u64,
}

impl Distribution {
    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.cells.iter().sum()
    }

    /// How many are below 2^`bits` ns.
    pub fn below(&self, bits: u32) -> u64 {
        self.cells.iter().enumerate().take_while(|(c, _)| end(*c) <= 1 << bits).map(|(_, n)| n).sum()
    }

    /// Its quantiles; a value is shown as the upper end of its cell, and none above the largest.
    pub fn quantiles(&self) -> Quantiles {
        let Ok(mut hdr) = Hdr::<u64>::new_with_bounds(1, 1 << BITS, 2) else { return Quantiles::default() };
        for (c, n) in self.cells.iter().enumerate().filter(|(_, n)| **n > 0) {
            hdr.saturating_record_n(end(c) - 1, *n);
        }
        let at = |q| hdr.value_at_quantile(q).min(self.max);
        Quantiles { count: hdr.len(), p50: at(0.5), p99: at(0.99), p999: at(0.999), max: self.max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cells_follow_each_other_without_a_gap() {
        let mut expected = 0;
        for ns in 0..100_000u64 {
            let c = cell(ns);
            assert!(c == expected || c == expected + 1, "{ns}: {c} after {expected}");
            assert!(ns < end(c) && (c == 0 || end(c - 1) <= ns), "{ns} is in its cell");
            expected = c;
        }
        assert_eq!(cell(u64::MAX), CELLS - 1);
        assert_eq!(end(CELLS - 1), 1 << BITS);
    }

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_values(mut values in prop::collection::vec(0u64..1 << 38, 1..500)) {
            let h = Histogram::default();
            values.iter().for_each(|v| h.record(*v));
            let mut d = Distribution::default();
            h.add_to(&mut d);
            values.sort_unstable();
            let q = d.quantiles();
            let p50 = values[(values.len() - 1) / 2];
            prop_assert_eq!(q.count as usize, values.len());
            prop_assert!(q.p50 >= p50 && q.p50 as f64 <= p50 as f64 * 1.08 + 1.0, "{} for {}", q.p50, p50);
            prop_assert_eq!((q.max, d.sum), (values[values.len() - 1], values.iter().sum()));
            for bits in [10, 20, 36] {
                prop_assert_eq!(d.below(bits) as usize, values.iter().filter(|v| **v < 1 << bits).count());
            }
        }
    }
}
