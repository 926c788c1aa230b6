//! What capture and serve say to each other: two ends of a socket pair that keeps messages apart (SOCK_SEQPACKET). Owns the messages, byte by
//! byte, and both ends; names neither workers nor requests of clients. Serve asks in structs of fixed size, without files; capture checks each
//! byte of them. Capture answers, and sends what is long as a sealed file in memory. It never waits for serve: what finds no room is dropped
//! and counted.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod document;
mod key;
mod order;
mod refusal;
mod report;
mod request;
mod socket;
#[cfg(test)]
mod tests;
mod to_capture;
mod to_serve;
mod wire;
mod words;

pub use crate::conn::orders::{Prefix, Role};
pub use document::DocumentKind;
pub use order::{InForce, Order, OrderedBy, Target};
pub use refusal::OrderError;
pub use report::{OrdersTaken, Report};
pub use request::{ListKind, Request, RequestKind};
pub use socket::Socket;
pub use to_capture::{NoAnswer, ToCapture};
pub use to_serve::ToServe;
pub use wire::Malformed;
pub use words::{connection, name, prefix, role, role_name, target};
