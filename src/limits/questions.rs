//! A question to the API: how long it is, how long it takes, how many one user has.

/// Longest request of the API, but for those that take lists; and longest expression in one.
pub const ASK_BYTES_MAX: usize = 256 << 10;
/// Addresses and networks that come beside an expression, together: some 40 MB of syntax tree while they are planned.
pub const ASK_ADDRESSES_MAX: usize = 100_000;
/// A question with such a list is no longer than this: an IPv6 address takes 42 bytes ...
pub const ASK_LONG_BYTES_MAX: usize = 8 << 20;
/// ... and so many questions that are longer than others may be are answered at the same time.
pub const ASKS_LONG: usize = 4;
/// What one of them takes while it is planned.
pub const ASK_LONG_PLANNED_BYTES: usize = 40 << 20;
/// A file of addresses or networks is no longer.
pub const ADDRESS_FILE_BYTES_MAX: u64 = 16 << 20;
/// A chunk of an answer goes over the socket after this time, however small it is.
pub const FIRST_CHUNK_NS: u64 = 2_000_000;
/// An answer that memory has is made at once, on the API's own threads, if that takes no more processor time than this,
pub const AT_ONCE_NS: u64 = 1_000_000;
/// looks at no more connections than these in one index,
pub const AT_ONCE_CANDIDATES: usize = 4096;
/// and has no more bytes than this.
pub const AT_ONCE_BYTES: usize = 256 << 10;
/// Queries of one user at a time unless configured.
pub const QUERIES_PER_USER: usize = 256;
/// Time of one query unless configured.
pub const QUERY_NS: u64 = 600_000_000_000;
/// Bytes of one answer unless configured.
pub const ANSWER_BYTES: u64 = 100 << 30;
