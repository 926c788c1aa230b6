//! A hand on the wheel: what a running recorder is told goes straight into the workers' mailboxes. Owns who may send what and how much of it
//! waits, and the threads that answer serve. It must never make a worker wait.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod answering;
mod boxes;
mod handle;
mod keep;
mod kept;
mod look_ups;
mod registry;
#[cfg(test)]
mod tests;
mod unentered;

pub use answering::Answering;
pub use handle::Steering;
pub use keep::{Keeping, Orders};
