//! The brake: while a ring is fuller than it should be, questions wait, whatever they read; while the disk's queue is, those that may read the
//! disk. Owns the marks; how full they are capture says in the window. Felt before each block that a question reads.

use crate::limits::BEAT_NS;
use crate::units::monotonic;
use crate::window::WindowView;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How full the recorder's buffers are, each as a part of 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// The fullest ring: packets that no worker has taken yet.
    pub ring: f64,
    /// Blocks of the fullest worker that wait for the disk or are on their way to it.
    pub blocks: f64,
}

/// Above either the brake is on; below half of both it is off again.
const MARK: Load = Load { ring: 0.2, blocks: 0.4 };
/// How often a question looks whether it may go on.
const LOOK: Duration = Duration::from_millis(2);

/// The brake.
#[derive(Clone, Default)]
pub struct Brake {
    state: Arc<BrakeState>,
    /// Of a question that reads nothing but memory.
    memory_only: bool,
}

#[derive(Default)]
struct BrakeState {
    /// Whoever says how full they are; `None`: they are empty.
    window: Option<Arc<WindowView>>,
    on: AtomicBool,
    /// Because of a ring.
    ring: AtomicBool,
    times: AtomicU64,
    waited_ns: AtomicU64,
}

impl Brake {
    /// As capture says that it is to be.
    pub fn of(window: Arc<WindowView>) -> Brake {
        Brake { state: Arc::new(BrakeState { window: Some(window), ..BrakeState::default() }), memory_only: false }
    }

    /// Looks how full they are now. What capture said that gives no sign of life any more counts for nothing.
    fn feel(&self) {
        if let Some(window) = &self.state.window {
            let lives = monotonic().saturating_sub(window.beat()) <= BEAT_NS;
            let (ring, blocks) = if lives { window.load() } else { Default::default() };
            self.press(Load { ring, blocks });
        }
    }

    /// How full they are now.
    fn press(&self, load: Load) {
        let (ring, blocks) = (load.ring / MARK.ring, load.blocks / MARK.blocks);
        if ring >= 1.0 {
            self.state.ring.store(true, Relaxed);
        } else if ring < 0.5 {
            self.state.ring.store(false, Relaxed);
        }
        if ring.max(blocks) >= 1.0 && !self.state.on.swap(true, Relaxed) {
            self.state.times.fetch_add(1, Relaxed);
        } else if ring.max(blocks) < 0.5 {
            self.state.on.store(false, Relaxed);
        }
    }

    /// For a question that reads nothing but memory: blocks that wait for the disk are none of its business.
    pub fn of_memory(&self) -> Brake {
        Brake { state: self.state.clone(), memory_only: true }
    }

    /// Whether it is on.
    pub fn on(&self) -> bool {
        self.feel();
        if self.memory_only { self.state.ring.load(Relaxed) } else { self.state.on.load(Relaxed) }
    }

    /// How often somebody found it on who had found it off, and how long questions have waited in all, ns.
    pub fn counts(&self) -> (u64, u64) {
        (self.state.times.load(Relaxed), self.state.waited_ns.load(Relaxed))
    }

    /// A question: waits while it is on and `patient` holds.
    pub fn wait(&self, patient: impl Fn() -> bool) {
        if !self.on() {
            return;
        }
        let start = Instant::now();
        while self.on() && patient() {
            std::thread::sleep(LOOK);
        }
        self.state.waited_ns.fetch_add(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::job::{Cancel, Measure};
    use crate::query::pace::{Pace, Stopped};

    #[test]
    fn it_goes_on_above_a_mark_and_off_well_below_both() {
        let brake = Brake::default();
        let load = |ring, blocks| Load { ring, blocks };
        for (now, on) in [
            (load(0.0, 0.0), false),
            (load(0.19, 0.39), false),
            (load(0.2, 0.0), true),
            (load(0.15, 0.0), true),
            (load(0.05, 0.3), true),
            (load(0.05, 0.1), false),
            (load(0.0, 0.5), true),
            (load(0.0, 0.0), false),
        ] {
            brake.press(now);
            assert_eq!(brake.on(), on, "{now:?}");
        }
        assert_eq!(brake.counts().0, 2);
    }

    /// Blocks that wait for the disk stop nobody who does not read it.
    #[test]
    fn memory_waits_for_rings_alone() {
        let brake = Brake::default();
        let memory = brake.of_memory();
        for (ring, blocks, on) in
            [(0.0, 0.9, false), (0.3, 0.9, true), (0.15, 0.0, true), (0.05, 0.9, false), (0.0, 0.0, false)]
        {
            brake.press(Load { ring, blocks });
            assert_eq!(memory.on(), on, "ring {ring}, blocks {blocks}");
        }
    }

    /// What capture says, as long as it gives signs of life.
    #[test]
    fn who_is_dead_brakes_nobody() {
        let window = crate::window::Window::create().unwrap();
        let brake = Brake::of(WindowView::open(window.file().unwrap()).unwrap());
        assert!(!brake.on());
        // A beat of some time to come, so that no wait of this test ages it.
        let later = monotonic() + 3600 * BEAT_NS;
        for (beat, ring, on) in [(later, 0.9, true), (later, 0.0, false), (later, 0.9, true), (1, 0.9, false)] {
            window.beat(beat, ring, 0.0);
            assert_eq!((brake.on(), brake.of_memory().on()), (on, on), "{beat} {ring}");
        }
        assert_eq!(brake.counts().0, 2);
    }

    /// A question stands while the brake is on, goes on when it is off, and can be cancelled all the while.
    #[test]
    fn a_question_waits_and_can_be_cancelled() {
        let (brake, cancel, waits) = (Brake::default(), Cancel::default(), AtomicBool::new(false));
        brake.press(Load { ring: 0.9, blocks: 0.0 });
        std::thread::scope(|scope| {
            let (brake, cancel, waits) = (&brake, &cancel, &waits);
            let first = scope.spawn(move || {
                brake.wait(|| {
                    waits.store(true, Relaxed);
                    true
                });
            });
            while !waits.load(Relaxed) && !first.is_finished() {
                std::thread::sleep(LOOK);
            }
            assert!(!first.is_finished(), "it stands");
            brake.press(Load::default());
            first.join().unwrap();
            assert!(brake.counts().1 > 0, "it had waited");
            brake.press(Load { ring: 0.0, blocks: 1.0 });
            let second = scope.spawn(|| {
                let measure = Measure::new(cancel.clone(), Cancel::default(), None, brake.clone());
                (measure.go_on(), measure.stopped())
            });
            cancel.cancel();
            assert_eq!(second.join().unwrap(), (false, Some(Stopped::Gone)));
        });
    }
}
