//! The query language, pcap-filter(7), as far as the planner needs it: tokens, a syntax tree of what the index can answer,
//! and the plan made of it; and its long lists, which are compiled as such. Called by the executor. It never decides a packet: libpcap does, from the untouched text.
pub mod ast;
pub mod keyed;
mod lex;
#[cfg(test)]
mod list_tests;
pub mod lists;
pub mod parse;
pub mod plan;
mod primitive;
#[cfg(test)]
pub(in crate::query) mod tests;
