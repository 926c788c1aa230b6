//! Threads of the API by lane, and who waits for them.

/// Threads that speak to the API's clients, and answer at once what memory has.
pub const API_THREADS: usize = 2;
/// Threads that read for queries.
pub const QUERY_THREADS: usize = 16;
/// Queries that wait for one of them; who comes after is told to come again.
pub const JOBS_WAITING: usize = 1024;
/// Beside those threads, so many may wait for clients who read slowly: each keeps some MiB of an answer.
pub const ANSWERS_STALLED: usize = 64;
/// Threads for questions about memory alone that the API's threads could not answer at once ...
pub const MEMORY_THREADS: usize = 2;
/// ... and how many of those wait, some milliseconds each; more go to the query threads, where beside a full load one may take seconds.
pub const MEMORY_WAITING: usize = 256;
/// Threads that answer `info` and `losses`: they read files, of the whole store.
pub const BOOKS_THREADS: usize = 2;
/// So many such questions wait ...
pub const BOOKS_WAITING: usize = 64;
/// ... and so many may one user have.
pub const BOOKS_PER_USER: usize = 4;
/// Threads that look at holds and let go of them: a few small files each.
pub const DESK_THREADS: usize = 2;
/// So many such questions wait ...
pub const DESK_WAITING: usize = 256;
/// ... and so many may one user have.
pub const DESK_PER_USER: usize = 32;
/// Threads that make holds: so many are made at the same time.
pub const KEEP_THREADS: usize = 4;
/// So many holds wait for their turn ...
pub const KEEP_WAITING: usize = 256;
/// ... and so many may one user have: a NIDS makes one after the other.
pub const KEEP_PER_USER: usize = 64;
