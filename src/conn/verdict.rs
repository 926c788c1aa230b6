//! What the tracker says of one packet. Read by the worker's step, which stores or counts accordingly.

use crate::class::ClassId;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Store it.
    Store {
        /// Whose segment it goes to.
        class: ClassId,
        /// What the block says of it beside its bytes.
        mark: Mark,
    },
    /// Past its connection's cutoff.
    Cut {
        /// Whose cutoff it is.
        class: ClassId,
    },
    /// The same, where one packet in some is stored past it, and this is none of them.
    SampledOut {
        /// Whose cutoff it is.
        class: ClassId,
    },
    /// Its class records nothing.
    Discard {
        /// The class.
        class: ClassId,
    },
    /// Its source begins too much that nobody answers; or the table is full and the cap on untracked packets reached.
    Flood,
}

/// A packet's place in its connection's record; becomes an option of its packet block where it says anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    /// Nothing to say.
    #[default]
    None,
    /// The last of its connection's data that is stored: it reached the cutoff.
    CutHere,
    /// Stored although its connection is not tracked: the table was full.
    Untracked,
}
