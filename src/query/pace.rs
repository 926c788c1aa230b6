//! What may slow a query down or end it: its caller's business, asked before each block is read. Owns the contract; the daemon
//! brakes, counts and cancels through it, the command line does nothing of that.

use std::fmt;

/// Why a query was ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Whoever asked has gone.
    Gone,
    /// It took longer than is allowed.
    Time,
    /// Its answer is larger than is allowed.
    Bytes,
    /// Whoever asked does not read the answer.
    Unread,
    /// The recorder ends.
    Ending,
    /// It takes more than what is at hand.
    NotAtHand,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stopped::Gone => "whoever asked has gone",
            Stopped::Time => "the query took longer than the daemon allows (api.query_time): narrow it down",
            Stopped::Bytes => "the answer is larger than the daemon allows (api.query_bytes): narrow it down",
            Stopped::Unread => "the answer was not read for so long that it is ended: read on, or ask for less",
            Stopped::Ending => "the process that answers ends",
            Stopped::NotAtHand => "the answer takes more than what is at hand",
        })
    }
}

/// Asked before each block is read.
pub trait Pace {
    /// May sleep. False: give up.
    fn go_on(&self) -> bool;
    /// It takes more than a look at memory: what went from there must be read from its file, or too many candidates be looked at. False: give up.
    fn may_take_long(&self) -> bool {
        true
    }
    /// Connections that one index may name before that is asked.
    fn most(&self) -> usize {
        usize::MAX
    }
    /// Why [`go_on`](Pace::go_on) said false, if it did.
    fn stopped(&self) -> Option<Stopped>;
}

/// As fast as it goes, to the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Freely;

impl Pace for Freely {
    fn go_on(&self) -> bool {
        true
    }
    fn stopped(&self) -> Option<Stopped> {
        None
    }
}
