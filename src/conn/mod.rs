//! Connections: the table, the rules that begin and end a connection, cutoff, fragments, receipts, and what is left to the
//! shunt. Called by the worker's step ([`Tracker`]); knows nothing of sources, blocks or disks.
//!
//! The rules are those of section 2 of the design and of `tests/vectors.md`. What is decided beyond them:
//! - **Class that records nothing**: its connections are as past their cutoff from the first packet, SYN, FIN and RST too.
//! - **Shunt and time**: the kernel knows no timeouts. A shunted connection that falls silent for longer than its timeout is ended by the sweep;
//!   a packet that hits the shunt between the two still belongs to it.
//! - **Hourly receipts** are made when the hour of Unix time changes, for all connections begun before it.
//! - **A connection that lasts 833 days** is ended as idle and begun anew.
//! - **A full table**: connections that have ended make room in the two buckets that a new one can be in. Else its packets are
//!   stored untracked, at most [`UNTRACKED_PER_SECOND`](crate::limits::UNTRACKED_PER_SECOND); no connection that goes on is
//!   ever evicted.
//! - **Floods**: connections that nobody answers are limited by source and in all (`flood.rs`); what is refused is not tracked.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod began;
mod cutoff;
mod entry;
mod fixed;
mod flood;
mod fragments;
pub mod orders;
mod plan;
pub mod receipt;
mod retire;
pub mod shunt;
mod stats;
mod steer;
mod sweep;
mod table;
mod tracker;
mod untracked;
pub mod verdict;

#[cfg(test)]
mod tests;

pub use cutoff::Secret;
pub use plan::{TrackerError, TrackerMemory, TrackerPlan, expressible};
pub use stats::TrackerStats;
pub use tracker::Tracker;
