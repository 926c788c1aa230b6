//! Counters and how they are shown.
pub mod account;
pub mod latency;
pub mod publish;
pub mod tallies;
