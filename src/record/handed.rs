//! All that serve gets from capture, in one place: what is not in [`ForServe`] does not cross the cut. Owns nothing: what is in it is memory that
//! both see, and one end of a socket.

use crate::messages::Socket;
use crate::recent::read::Reading;
use crate::store::live::Live;

/// What serve gets from capture.
pub struct ForServe {
    /// The segments that are not sealed, how far each can be read, before which time all can be, the beats of ledger and receipts, how full
    /// buffers are: the window.
    pub live: Live,
    /// Recent packets, where they are kept in memory: arena and pins, as serve sees them.
    pub recent: Option<Reading>,
    /// Orders, look-ups and reloads one way; their answers, state, the metrics page and lists the other way.
    pub messages: Socket,
}
