//! A hand on the wheel: what a running recorder is told, from the API's and the control's threads straight into the workers'
//! mailboxes. Owns who may send what and how much of it waits; used by `record` and by the API. It must never make a worker wait.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod boxes;
mod handle;
mod keep;
mod kept;
mod registry;
mod said;
#[cfg(test)]
mod tests;
mod totals;
mod words;

pub use crate::conn::orders::{Prefix, Role};
pub use handle::{SteerError, Steering};
pub use keep::{Keeping, Orders};
pub use kept::{Assigned, Suspended};
pub use registry::{Assignment, RegistryError, Suspension, Target};
pub use said::{AssignmentLine, SuspensionLine};
pub use totals::Totals;
pub use words::{connection, prefix, role, target};
