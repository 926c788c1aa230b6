//! Counters of one thread as others read them: one writer, relaxed stores once a batch, no lock. The values of one reading may be
//! some packets apart; at rest they are exact. Written by the worker's loop, read by the control thread.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What can be laid out as a fixed number of words.
pub trait Words: Default {
    /// Hands every word to `out`, always in the same order.
    fn put(&self, out: &mut impl FnMut(u64));
    /// Takes them back in that order.
    fn take(from: &mut impl FnMut() -> u64) -> Self;
}

impl Words for u64 {
    fn put(&self, out: &mut impl FnMut(u64)) {
        out(*self);
    }
    fn take(from: &mut impl FnMut() -> u64) -> u64 {
        from()
    }
}

impl Words for [u64; 2] {
    fn put(&self, out: &mut impl FnMut(u64)) {
        self.iter().for_each(|w| out(*w));
    }
    fn take(from: &mut impl FnMut() -> u64) -> [u64; 2] {
        [from(), from()]
    }
}

/// Implements [`Words`] for a struct of words.
#[macro_export]
macro_rules! words {
    ($t:ty: $($f:ident),+ $(,)?) => {
        impl $crate::metrics::publish::Words for $t {
            fn put(&self, out: &mut impl FnMut(u64)) {
                $($crate::metrics::publish::Words::put(&self.$f, out);)+
            }
            fn take(from: &mut impl FnMut() -> u64) -> Self {
                Self { $($f: $crate::metrics::publish::Words::take(from)),+ }
            }
        }
    };
}

/// Word by word.
pub fn sum<T: Words>(a: &T, b: &T) -> T {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    a.put(&mut |w| left.push(w));
    b.put(&mut |w| right.push(w));
    let mut words = left.into_iter().zip(right).map(|(l, r)| l.wrapping_add(r));
    T::take(&mut || words.next().unwrap_or(0))
}

/// A published copy.
#[derive(Debug)]
pub struct Published<T> {
    cells: Box<[AtomicU64]>,
    what: PhantomData<fn() -> T>,
}

impl<T: Words> Default for Published<T> {
    fn default() -> Self {
        let mut cells = Vec::new();
        T::default().put(&mut |w| cells.push(AtomicU64::new(w)));
        Published { cells: cells.into(), what: PhantomData }
    }
}

impl<T: Words> Published<T> {
    /// Publishes; only the one writer calls this.
    pub fn set(&self, value: &T) {
        let mut cells = self.cells.iter();
        value.put(&mut |w| {
            if let Some(c) = cells.next() {
                c.store(w, Relaxed);
            }
        });
    }

    /// The values last published.
    pub fn get(&self) -> T {
        let mut cells = self.cells.iter();
        T::take(&mut || cells.next().map_or(0, |c| c.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::account::{Tally, WorkerCounts};

    #[test]
    fn what_was_set_is_read() {
        let mut c = WorkerCounts { cut: Tally { packets: 1, bytes: 60 }, ..WorkerCounts::default() };
        c.dropped.flood = Tally { packets: 3, bytes: 180 };
        let p = Published::<WorkerCounts>::default();
        assert_eq!(p.get(), WorkerCounts::default());
        p.set(&c);
        assert_eq!(p.get(), c);
    }
}
