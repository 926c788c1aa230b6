//! Who holds how many of a writer's block buffers: they are one pool, and the last quarter of it is for classes that hold few. So a
//! class that comes faster than the disk takes it stalls alone; the others go on.

use crate::class::ClassId;
use crate::limits::CLASSES_MAX;

/// This part of the pool is kept for those that hold little.
const RESERVE: usize = 4;

/// The pool's book.
#[derive(Debug)]
pub(super) struct Shares {
    held: [u32; CLASSES_MAX],
    /// By buffer index.
    of: Vec<Option<ClassId>>,
    reserve: usize,
}

impl Shares {
    /// For a pool of so many; buffers have indexes below `indexes`.
    pub(super) fn new(pool: usize, indexes: usize) -> Shares {
        Shares { held: [0; CLASSES_MAX], of: vec![None; indexes], reserve: pool / RESERVE }
    }

    /// Whether the class may have one more of the `free` ones, beside so many classes.
    pub(super) fn allows(&self, class: ClassId, free: usize, classes: usize) -> bool {
        if free > self.reserve || classes < 2 {
            return true;
        }
        let held = self.held.get(usize::from(class)).map_or(0, |n| *n as usize);
        held < (self.reserve / classes).max(1)
    }

    /// A class takes a buffer.
    pub(super) fn take(&mut self, index: u16, class: ClassId) {
        if let (Some(of), Some(held)) = (self.of.get_mut(usize::from(index)), self.held.get_mut(usize::from(class))) {
            (*of, *held) = (Some(class), *held + 1);
        }
    }

    /// A buffer is free again.
    pub(super) fn give_back(&mut self, index: u16) {
        let class = self.of.get_mut(usize::from(index)).and_then(Option::take);
        if let Some(held) = class.and_then(|c| self.held.get_mut(usize::from(c))) {
            *held -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greedy_class_leaves_the_others_their_part() {
        let mut shares = Shares::new(64, 66);
        let mut free: Vec<u16> = (0..64).collect();
        let take = |shares: &mut Shares, free: &mut Vec<u16>, class| {
            let may = shares.allows(class, free.len(), 4);
            if may && let Some(index) = free.pop() {
                shares.take(index, class);
                return Some(index);
            }
            None
        };
        let greedy: Vec<u16> = std::iter::from_fn(|| take(&mut shares, &mut free, 0)).collect();
        assert_eq!(greedy.len(), 48);
        for class in 1..4 {
            assert_eq!(std::iter::from_fn(|| take(&mut shares, &mut free, class)).count(), 4, "class {class}");
        }
        shares.give_back(greedy[0]);
        free.push(greedy[0]);
        assert_eq!(take(&mut shares, &mut free, 0), None, "it still holds more than its part");
        let mut alone = Shares::new(8, 8);
        (0..7).for_each(|i| alone.take(i, 0));
        assert!(alone.allows(0, 1, 1), "who is alone has all of it");
    }
}
