//! How far back memory has all packets, by class: for answers that are made from memory alone, so that they say what they can't have. Put together
//! from what capture has given up, which the window says, what this side has let go of, and blocks that never got here. Asked by questions
//! after they have read.

use crate::window::WindowView;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What has gone, or was never here.
pub struct MemoryReach {
    window: Arc<WindowView>,
    own: Mutex<LetGo>,
}

struct LetGo {
    /// Nothing from before this time is here, of any class, Unix ns.
    before: u64,
    /// Of each class the time of the latest packet that this side has let go of, Unix ns.
    classes: BTreeMap<String, u64>,
    /// Blocks that had not come into memory by then.
    missed: u64,
}

impl MemoryReach {
    /// Of memory that was empty when capture began.
    pub fn new(window: Arc<WindowView>) -> MemoryReach {
        let before = window.started();
        MemoryReach { window, own: Mutex::new(LetGo { before, classes: BTreeMap::new(), missed: 0 }) }
    }

    /// A run is shown no more. To be said before it is so.
    pub fn went(&self, class: &str, last: u64) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        match own.classes.get_mut(class) {
            Some(latest) => *latest = last.max(*latest),
            None => drop(own.classes.insert(class.to_owned(), last)),
        }
    }

    /// Something of before this time can't be read here.
    pub fn lost(&self, now: u64) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.before = now.max(own.before);
    }

    /// From when on all packets of a class are here, and (`None`) those of all others.
    pub fn reach(&self, now: u64) -> Vec<(Option<String>, u64)> {
        let (_, missed) = self.window.counts();
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if own.missed != missed {
            // Nobody has noted their times: they may have come just now.
            (own.missed, own.before) = (missed, now.max(own.before));
        }
        let mut classes = own.classes.clone();
        for (class, last) in self.window.gone() {
            let latest = classes.entry(class).or_default();
            *latest = last.max(*latest);
        }
        let before = own.before;
        let later = classes.into_iter().filter(|(_, last)| *last >= before);
        let later = later.map(|(class, last)| (Some(class), last.saturating_add(1)));
        std::iter::once((None, before)).chain(later).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::Window;

    #[test]
    fn each_class_reaches_as_far_as_nothing_of_it_has_gone() {
        let window = Window::create().unwrap();
        window.cells().started.store(100, std::sync::atomic::Ordering::Relaxed);
        window.name_class(0, "all");
        window.name_class(1, "dns");
        let m = MemoryReach::new(WindowView::open(window.file().unwrap()).unwrap());
        let of = |class: &str, at| (Some(class.to_owned()), at);
        assert_eq!(m.reach(200), [(None, 100)]);
        window.gone(0, 90);
        m.went("dns", 150);
        window.gone(1, 140);
        assert_eq!(m.reach(200), [(None, 100), of("dns", 151)]);
        window.gone(1, 160);
        assert_eq!(m.reach(200), [(None, 100), of("dns", 161)]);
        // A block that did not come into memory may be as new as now.
        window.missed();
        assert_eq!(m.reach(200), [(None, 200)]);
        assert_eq!(m.reach(300), [(None, 200)]);
        m.went("dns", 250);
        window.gone(0, 245);
        m.lost(240);
        assert_eq!(m.reach(300), [(None, 240), of("all", 246), of("dns", 251)]);
    }
}
