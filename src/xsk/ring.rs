//! The two kinds of ring that user space shares with the kernel: [`Producer`] (FILL) and [`Consumer`] (RX). Owns the
//! cursors and the memory ordering; called by the socket. Works over any memory that has the shape, so that the tests
//! drive both ends of one ring without a kernel.
//!
//! A ring is a power of two of slots and two free-running 32-bit cursors; slot = cursor mod size. The producer writes
//! slots, then publishes its cursor (release); the consumer reads that cursor (acquire), then the slots, then publishes
//! its own (release). Each side keeps copies and looks at the other's cursor only when its copy says full or empty.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What keeps a ring's memory alive.
pub trait Backing: Send + Sync {}
impl<T: Send + Sync> Backing for T {}

/// Where a ring lies in memory.
#[derive(Clone)]
pub struct Place<T> {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: Option<NonNull<AtomicU32>>,
    slots: NonNull<T>,
    size: u32,
    _backing: Arc<dyn Backing>,
}

// SAFETY: cursors and flags are atomics; slots are touched only by the one `Producer` or `Consumer` of this process,
// in the windows that the cursors give it. Copies made by `clone` (for `level`) never touch slots.
unsafe impl<T: Send> Send for Place<T> {}
// SAFETY: `&Place` reads nothing but atomics.
unsafe impl<T: Send> Sync for Place<T> {}

impl<T: Copy> Place<T> {
    /// # Safety
    /// The pointers are aligned and stay valid for reads and writes while `backing` lives; `slots` points to `size`
    /// values of `T`, any bit pattern of which is valid; at most one [`Producer`] and one [`Consumer`] exist for this
    /// memory in all processes, the kernel counted; the cursors differ by at most `size`.
    pub unsafe fn new(
        producer: NonNull<AtomicU32>,
        consumer: NonNull<AtomicU32>,
        flags: Option<NonNull<AtomicU32>>,
        slots: NonNull<T>,
        size: u32,
        backing: Arc<dyn Backing>,
    ) -> Place<T> {
        debug_assert!(size.is_power_of_two());
        Place { producer, consumer, flags, slots, size, _backing: backing }
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: valid and aligned while the backing lives, which `self` holds.
        unsafe { self.producer.as_ref() }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { self.consumer.as_ref() }
    }

    /// Slot of a cursor.
    fn slot(&self, cursor: u32) -> NonNull<T> {
        // SAFETY: masked by `size - 1`, so within the `size` slots.
        unsafe { self.slots.add((cursor & (self.size - 1)) as usize) }
    }

    /// Filled slots, from any thread; a moment's view.
    pub fn level(&self) -> u32 {
        // The consumer's cursor first: it only grows towards the other, so the difference never wraps below 0. Clamped,
        // because both move while we look.
        let consumer = self.consumer().load(Ordering::Acquire);
        self.producer().load(Ordering::Acquire).wrapping_sub(consumer).min(self.size)
    }

    /// True if the kernel sleeps on this ring until it is told (XDP_RING_NEED_WAKEUP).
    #[inline]
    pub fn needs_wakeup(&self) -> bool {
        const XDP_RING_NEED_WAKEUP: u32 = 1;
        // SAFETY: valid and aligned while the backing lives.
        self.flags.is_some_and(|f| unsafe { f.as_ref() }.load(Ordering::Relaxed) & XDP_RING_NEED_WAKEUP != 0)
    }
}

/// The filling end.
pub struct Producer<T> {
    place: Place<T>,
    next: u32,
    consumer: u32,
}

impl<T: Copy> Producer<T> {
    /// Takes the filling end where the cursors stand.
    pub fn new(place: Place<T>) -> Producer<T> {
        let (next, consumer) = (place.producer().load(Ordering::Relaxed), place.consumer().load(Ordering::Acquire));
        Producer { place, next, consumer }
    }

    /// Free slots, at least `want` if there are as many.
    #[inline]
    fn room(&mut self, want: u32) -> u32 {
        let free = self.place.size - self.next.wrapping_sub(self.consumer);
        if free >= want {
            return free;
        }
        self.consumer = self.place.consumer().load(Ordering::Acquire);
        self.place.size - self.next.wrapping_sub(self.consumer)
    }

    /// Writes `items` until they or the free slots end, publishes them together, returns how many.
    #[inline]
    pub fn push(&mut self, items: impl ExactSizeIterator<Item = T>) -> u32 {
        let room = self.room(items.len().try_into().unwrap_or(u32::MAX));
        let mut cursor = self.next;
        for item in items.take(room as usize) {
            // SAFETY: the slot is within the free window, which is ours until the cursor is published.
            unsafe { self.place.slot(cursor).write(item) };
            cursor = cursor.wrapping_add(1);
        }
        let pushed = cursor.wrapping_sub(self.next);
        if pushed > 0 {
            self.next = cursor;
            self.place.producer().store(cursor, Ordering::Release);
        }
        pushed
    }

    /// The ring's place in memory.
    pub fn place(&self) -> &Place<T> {
        &self.place
    }
}

/// The emptying end.
pub struct Consumer<T> {
    place: Place<T>,
    next: u32,
    producer: u32,
}

impl<T: Copy> Consumer<T> {
    /// Takes the emptying end where the cursors stand.
    pub fn new(place: Place<T>) -> Consumer<T> {
        let (next, producer) = (place.consumer().load(Ordering::Relaxed), place.producer().load(Ordering::Acquire));
        Consumer { place, next, producer }
    }

    /// Filled slots, at most `max`. They stay ours until [`release`](Consumer::release).
    #[inline]
    pub fn available(&mut self, max: u32) -> u32 {
        if self.producer.wrapping_sub(self.next) < max {
            self.producer = self.place.producer().load(Ordering::Acquire);
        }
        self.producer.wrapping_sub(self.next).min(max)
    }

    /// The filled slot `i`; `None` past what [`available`](Consumer::available) last saw.
    #[inline]
    pub fn peek(&self, i: u32) -> Option<T> {
        // SAFETY: the slot is within the filled window, which is ours until the cursor is published.
        (i < self.producer.wrapping_sub(self.next))
            .then(|| unsafe { self.place.slot(self.next.wrapping_add(i)).read() })
    }

    /// Gives back the first `n` filled slots, at most those seen.
    #[inline]
    pub fn release(&mut self, n: u32) {
        let n = n.min(self.producer.wrapping_sub(self.next));
        if n > 0 {
            self.next = self.next.wrapping_add(n);
            self.place.consumer().store(self.next, Ordering::Release);
        }
    }

    /// The ring's place in memory.
    pub fn place(&self) -> &Place<T> {
        &self.place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::UnsafeCell;
    use std::collections::VecDeque;

    struct Memory {
        producer: AtomicU32,
        consumer: AtomicU32,
        slots: Box<[UnsafeCell<u64>]>,
    }
    // SAFETY: a test's two ends keep to the ring's protocol.
    unsafe impl Sync for Memory {}

    fn ring(size: u32, start: u32) -> (Producer<u64>, Consumer<u64>) {
        let memory = Arc::new(Memory {
            producer: AtomicU32::new(start),
            consumer: AtomicU32::new(start),
            slots: (0..size).map(|_| UnsafeCell::new(u64::MAX)).collect(),
        });
        let slots = NonNull::new(memory.slots[0].get()).unwrap();
        let (p, c) = (NonNull::from(&memory.producer), NonNull::from(&memory.consumer));
        // SAFETY: the pointers lead into `memory`, which the place holds; one producer and one consumer are made.
        let place = unsafe { Place::new(p, c, None, slots, size, memory.clone()) };
        (Producer::new(place.clone()), Consumer::new(place))
    }

    proptest! {
        /// The ring against a queue, from starts that make the cursors wrap.
        #[test]
        fn behaves_like_a_bounded_queue(
            bits in 0u32..7,
            before_wrap in 0u32..200,
            steps in prop::collection::vec((any::<bool>(), 0u32..100, 0u32..100), 1..200),
        ) {
            let size = 1 << bits;
            let (mut producer, mut consumer) = ring(size, u32::MAX - before_wrap);
            let mut model = VecDeque::new();
            let mut next = 0u64;
            for (push, n, m) in steps {
                if push {
                    let pushed = producer.push((0..n).map(|i| next + u64::from(i)).collect::<Vec<_>>().into_iter());
                    prop_assert_eq!(pushed, n.min(size - model.len() as u32));
                    model.extend((0..u64::from(pushed)).map(|i| next + i));
                    next += u64::from(pushed);
                } else {
                    let seen = consumer.available(n);
                    // A consumer that already saw more than asked for may lag behind the producer, never ahead of it.
                    prop_assert_eq!(seen, n.min(model.len() as u32));
                    for i in 0..seen {
                        prop_assert_eq!(consumer.peek(i), Some(model[i as usize]));
                    }
                    let released = m.min(seen);
                    consumer.release(released);
                    model.drain(..released as usize);
                }
                prop_assert_eq!(producer.place().level(), model.len() as u32);
            }
        }
    }

    #[test]
    fn two_threads_lose_and_repeat_nothing() {
        const N: u64 = 200_000;
        let (mut producer, mut consumer) = ring(64, u32::MAX - 1000);
        std::thread::scope(|s| {
            s.spawn(move || {
                let mut next = 0;
                while next < N {
                    let end = (next + 7).min(N);
                    let items: Vec<u64> = (next..end).collect();
                    next += u64::from(producer.push(items.into_iter()));
                }
            });
            let mut expected = 0;
            while expected < N {
                let seen = consumer.available(16);
                for i in 0..seen {
                    assert_eq!(consumer.peek(i), Some(expected));
                    expected += 1;
                }
                consumer.release(seen);
            }
            assert_eq!(consumer.available(1), 0);
        });
    }
}
