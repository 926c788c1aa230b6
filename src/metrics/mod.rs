//! Counters and how they are shown.
pub mod account;
pub mod publish;
