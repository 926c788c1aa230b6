//! retrotap: a time machine for network taps. The way of a packet through these modules is in ARCHITECTURE.md.

pub mod bpf;
pub mod class;
pub mod cli;
pub mod config;
pub mod conn;
pub mod control;
pub mod doctor;
pub mod filter;
pub mod hold;
pub mod iface;
pub mod index;
pub mod ledger;
pub mod limits;
pub mod memory;
pub mod metrics;
pub mod nids;
pub mod packet;
pub mod planning;
pub mod query;
pub mod recent;
pub mod record;
pub mod source;
pub mod store;
pub mod units;
pub mod worker;
pub mod xsk;
