//! The memory of recent packets in this process: the side that keeps it and the side that reads it, which know each other by shared memory alone.

use super::capture::shares;
use crate::config::Settings;
use crate::recent::keep::{Admission, Keep, Keeping};
use crate::recent::read::{Reading, Recent};
use crate::window::arena::ArenaView;
use crate::window::{Window, WindowView};
use std::io;
use std::sync::Arc;

/// Both sides. The reading one ends first.
pub struct RecentMemory {
    /// Serve's, where it is in this process.
    pub reading: Option<Reading>,
    /// Capture's.
    pub keeping: Keeping,
}

impl RecentMemory {
    /// Starts capture's, and with `reads` serve's.
    pub fn start(settings: &Settings, window: &Arc<Window>, reads: bool) -> io::Result<RecentMemory> {
        let keeping = Keep::start(&shares(settings), window)?;
        let reading = || {
            let Admission { arena, pins } = keeping.keep().admit()?;
            let (arena, window) = (ArenaView::open(arena, pins)?, WindowView::open(window.file()?)?);
            Recent::new(arena, window, &settings.store).start()
        };
        let reading = reads.then(reading).transpose()?;
        Ok(RecentMemory { reading, keeping })
    }
}
