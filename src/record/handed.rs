//! All that serve gets from capture, in one place: what is not in [`ForServe`] does not cross the cut. Owns nothing: what is in it is memory that
//! both see, and one end of a socket. To another process these are descriptors.

use crate::messages::Socket;
use crate::recent::read::{Reading, Recent};
use crate::store::live::Live;
use crate::window::arena::ArenaView;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// What serve gets from capture.
pub struct ForServe {
    /// The segments that are not sealed, how far each can be read, before which time all can be, the beats of ledger and receipts, how full
    /// buffers are: the window.
    pub live: Live,
    /// Recent packets, where they are kept in memory: arena and pins, as serve sees them.
    pub recent: Option<Reading>,
    /// Orders and look-ups one way; their answers, state, the metrics page and lists the other way.
    pub messages: Socket,
}

impl ForServe {
    /// Of what capture has handed over to this process: window, socket, and where recent packets are in memory arena and pins.
    pub fn of(handed: Vec<OwnedFd>, store: &Path) -> io::Result<ForServe> {
        let mut handed = handed.into_iter();
        let lacks = || io::Error::other("capture has handed over too little");
        let window = handed.next().ok_or_else(lacks)?;
        let messages = handed.next().ok_or_else(lacks)?;
        let live = Live::open(window, store)?;
        let recent = match (handed.next(), handed.next()) {
            (Some(arena), Some(pins)) => {
                Some(Recent::new(ArenaView::open(arena, pins)?, live.window().clone(), store).start()?)
            }
            _ => None,
        };
        Ok(ForServe { live, recent, messages: messages.into() })
    }
}
