//! The daemon's side of questions: an HTTP API on a Unix socket, and the client that the command line is of it. Owns the socket, its
//! threads, who may ask and how much; started and stopped by `record`. It must never make a worker wait: it runs on threads of its
//! own, at idle priority where it reads packets. `src/control/API.md` tells the requests.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod accept;
mod access;
mod answers;
mod ask;
mod ask_hold;
mod ask_time;
mod audit;
mod audit_files;
mod audit_refused;
mod brake;
mod by_key;
mod call;
mod caller;
mod client;
mod clients;
mod engine;
pub mod frames;
mod holding;
mod impatient;
mod info;
mod job;
mod lanes;
mod order_lines;
mod peer;
mod places;
mod pool;
mod reloads;
mod reply;
mod role;
mod routes;
mod send;
mod server;
mod shared;
mod socket;
mod status;
mod stream;
mod tls;
mod token_use;
mod tokens;
mod totals;
pub mod whereabouts;

pub use access::{Access, TOKENS, Tcp};
pub use answers::ANSWERS;
pub use ask::{Ask, Form};
pub use ask_hold::{HoldAsk, HoldsLimitAsk};
pub use ask_time::{Long, When};
pub use client::{Address, Client, ClientError};
pub use engine::Engine;
pub use frames::{FollowerStands, TakesFrames};
pub use info::{StoreClass, StoreHolding, StoreInfo};
pub use order_lines::{AssignmentLine, SuspensionLine};
pub use reloads::Reload;
pub use role::Role;
pub use server::{NewAccess, Server};
pub use socket::SocketError;
pub use status::Status;
pub use tls::FileError;
pub use tokens::{TokenLine, Tokens};
pub use totals::Totals;

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What one client may do, and where it asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Queries of one user at a time, waiting ones included.
    pub queries: usize,
    /// Time that a query may take, ns; a follower's past and future are not counted.
    pub time_ns: u64,
    /// Bytes of one answer.
    pub bytes: u64,
}

/// Where the socket is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// In the store, `api.sock`; where that can't be, recording goes on without.
    Store,
    /// Here, or the recording does not start.
    At(#[serde(with = "crate::config::data")] PathBuf),
    /// Nowhere.
    Off,
}

/// Name of the socket in a store.
pub const SOCKET: &str = "api.sock";
