//! An answer: memory that it takes, and how much of a kind it lists.

/// Memory of all lists of connections that are being made: they are held until they are sorted, at some 400 bytes each. One that finds no room is refused.
pub const LISTS_BYTES: u64 = 1 << 30;
/// Memory of one of them.
pub const LIST_BYTES: u64 = 768 << 20;
/// Memory for the connections that all other answers meet, and their receipts. Where it is at an end the answer says that it counts at least so many.
pub const COUNTS_BYTES: u64 = 512 << 20;
/// The same of one answer: some 400,000 connections.
pub const COUNT_BYTES: u64 = 256 << 20;
/// So much each answer has in any case, whatever others have: some 2,000 connections.
pub const COUNT_BYTES_SURE: u64 = 1 << 20;
/// Of one name's packets in an answer those are kept together that no longer silence parts, and of so many such spans the times are kept.
pub const SPAN_SILENCE_NS: u64 = 1_000_000_000;
/// See [`SPAN_SILENCE_NS`].
pub const SPANS_OF_NAME: usize = 64;
/// Times of a class that have expired, apart from each other, as the ledger knows them; of more the nearest become one.
pub const EXPIRED_RANGES: usize = 64;
/// Imports that did not read all of their files, as the ledger knows them: the latest.
pub const BROKEN_IMPORTS: usize = 64;
/// Times when a link was down that are told apart; of more the oldest of an interface become one.
pub const LINK_DOWN_HELD: usize = 4096;
/// What may be missing from an answer: so many reasons are listed, of more only their number.
pub const INCOMPLETE_LISTED: usize = 64;
/// A summary that goes as a header or a trailer: hyper's client takes 16 KiB of trailers.
pub const SUMMARY_BYTES: usize = 12 << 10;
/// Interfaces that a summary names for each link type that an expression can't be asked of, and segments that are asked for their names.
pub const REFUSED_NAMED: usize = 16;
/// A pcapng answer has a place of so many bytes in its header for what it says of itself; a multiple of four.
pub const ANSWER_PLACE_BYTES: usize = 4000;
/// A manifest names so many segments that its packets come from, and says how many more there are.
pub const MANIFEST_SEGMENTS_MAX: usize = 10_000;
/// Longest manifest that is read.
pub const MANIFEST_BYTES_MAX: u64 = 16 << 20;
