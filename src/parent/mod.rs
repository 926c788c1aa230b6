//! The parent of a recording: a small process that starts the halves of a recorder, capture and serve, as programs of their own, watches them,
//! starts again what dies, and ends them in order. Owns who lives and what is handed to whom; what is in a document it does not know.
//!
//! A half is this same program under a hidden word. Its standard input is a socket, over which come a document (sealed memory) and descriptors;
//! nothing else is inherited but standard output and error, the working directory and the umask. The parent never touches a packet, a store or
//! a client; who dies is seen by a descriptor of the process, never by a number that may be another's by then.
//!
//! - Serve dies, or says nothing for seconds: it is started again; capture does not notice.
//! - Capture dies: serve ends too, and both come again as a pair, for what capture handed to serve has gone with it.
//! - The parent dies: both read the end of their socket. Capture ends in order, so that the store is free for whoever comes next.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod document;
mod half;
mod inherit;
mod message;
mod pauses;
mod rules;
mod signals;
mod start;
mod watch;

pub use half::{Begun, FromParent, ToParent, begin, first_to_go};
pub use watch::{Half, Plan, run};

use std::sync::Arc;

/// The word that makes this program the capture half; no command of the command line.
pub const CAPTURE: &str = "record-capture";
/// The same of the serve half.
pub const SERVE: &str = "record-serve";

/// With which code a half ends that is to be started again: none of those with which it says how its work ended.
pub const DIED: u8 = 70;

/// What the parent asks its owner for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Somebody asks for other settings: what is to be said to capture, the settings or why there are none.
    Rules,
    /// Capture has taken the last of those: what a half is to begin with from now on.
    Begin,
}

/// Makes documents. Called on a thread of its own, since reading a configuration may take its time.
pub type Documents = Arc<dyn Fn(Wanted) -> Vec<u8> + Send + Sync>;
