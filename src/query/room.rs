//! Memory for what answers gather of connections: how much all of them may take together, and how much one of them. Owns the account;
//! whoever gathers asks before it grows, and gives back when it is gone. Never a reason for a wrong answer: what finds no room is refused, or said.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Room is taken so many bytes at a time.
const STEP: u64 = 256 << 10;

/// Memory of all.
#[derive(Debug)]
pub struct AnswerRoom {
    /// Of all together, and of one.
    most: [u64; 2],
    taken: AtomicU64,
}

/// Why there is no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomFull {
    /// It has as much as one may have.
    Own,
    /// Others have the rest.
    Others,
}

impl AnswerRoom {
    /// So many bytes for all together, and for one.
    pub fn new(all: u64, one: u64) -> Arc<AnswerRoom> {
        Arc::new(AnswerRoom { most: [all, one], taken: AtomicU64::new(0) })
    }

    /// Bytes that are taken.
    pub fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    /// Bytes that one may take.
    pub fn of_one(&self) -> u64 {
        let [_, one] = self.most;
        one
    }

    /// Nothing of it yet.
    pub fn share(self: &Arc<AnswerRoom>) -> Share {
        Share { room: self.clone(), has: 0 }
    }
}

/// What one of them has of it.
#[derive(Debug)]
pub struct Share {
    room: Arc<AnswerRoom>,
    has: u64,
}

impl Share {
    /// Takes what is lacking to so many bytes.
    #[inline]
    pub fn up_to(&mut self, bytes: u64) -> Result<(), RoomFull> {
        if bytes <= self.has { Ok(()) } else { self.grow(bytes) }
    }

    fn grow(&mut self, bytes: u64) -> Result<(), RoomFull> {
        let [all, one] = self.room.most;
        if bytes > one {
            return Err(RoomFull::Own);
        }
        let more = bytes.next_multiple_of(STEP).min(one).max(bytes) - self.has;
        let with = |taken: u64| taken.checked_add(more).filter(|sum| *sum <= all);
        self.room.taken.fetch_update(Relaxed, Relaxed, with).map_err(|_| RoomFull::Others)?;
        self.has += more;
        Ok(())
    }

    /// The room that it is of.
    pub fn room(&self) -> &Arc<AnswerRoom> {
        &self.room
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.has, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_together_and_each_take_so_much_and_give_it_back() {
        let room = AnswerRoom::new(10 * STEP, 6 * STEP);
        let (mut a, mut b) = (room.share(), room.share());
        assert_eq!((a.up_to(1), a.up_to(STEP), room.taken()), (Ok(()), Ok(()), STEP));
        assert_eq!((a.up_to(6 * STEP), a.up_to(6 * STEP + 1)), (Ok(()), Err(RoomFull::Own)));
        assert_eq!((b.up_to(4 * STEP), b.up_to(4 * STEP + 1)), (Ok(()), Err(RoomFull::Others)));
        assert_eq!(room.taken(), 10 * STEP);
        drop(a);
        assert_eq!((b.up_to(5 * STEP), room.taken()), (Ok(()), 5 * STEP));
        drop(b);
        assert_eq!(room.taken(), 0);
    }
}
