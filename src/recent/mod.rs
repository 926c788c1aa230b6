//! Recent packets in memory, so that questions find them without the disk. Two sides that talk through shared memory alone: [`keep`], of capture, copies
//! written blocks into the arena and takes chunks back for newer ones; [`read`], of serve, takes in what the chunks' heads say, makes runs and
//! indexes of it and shows them to questions. What is given up, or never got here, is on disk: memory holds nothing that a crash could take back.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod keep;
pub mod read;
mod shares;
#[cfg(test)]
mod tests;

pub use shares::Shares;
