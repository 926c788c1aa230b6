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
    /// Serve's.
    pub reading: Reading,
    /// Capture's.
    pub keeping: Keeping,
}

impl RecentMemory {
    /// Starts both.
    pub fn start(settings: &Settings, window: &Arc<Window>) -> io::Result<RecentMemory> {
        let keeping = Keep::start(&shares(settings), window)?;
        let Admission { arena, pins } = keeping.keep().admit()?;
        let (arena, window) = (ArenaView::open(arena, pins)?, WindowView::open(window.file()?)?);
        Ok(RecentMemory { reading: Recent::new(arena, window, &settings.store).start()?, keeping })
    }
}
