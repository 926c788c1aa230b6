//! Counters and how they are shown.
pub mod account;
pub mod http;
pub mod latency;
pub mod prometheus;
pub mod publish;
pub mod status;
pub mod tallies;
