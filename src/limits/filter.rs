//! Expressions: how long they are, and what compiling one may take.

/// Longest filter expression that is compiled.
pub const FILTER_BYTES_MAX: usize = 64 << 10;
/// So many addresses, networks and ports that are joined by `or` are a list, of which libpcap compiles an example only: of fewer it makes a
/// program in milliseconds, and there its answer is taken to the bit.
pub const FILTER_LIST_MIN: usize = 64;
/// Lists of one expression: each kind of entry is one, and there are 160 lengths of networks.
pub const FILTER_LISTS_MAX: usize = 255;
/// A filter is compiled within this processor time, in a process of its own, ...
pub const FILTER_CPU_SECONDS: u64 = 2;
/// ... this memory, ...
pub const FILTER_MEMORY_BYTES: u64 = 256 << 20;
/// ... this stack, ...
pub const FILTER_STACK_BYTES: usize = 64 << 20;
/// ... and in any case within this time.
pub const FILTER_WAIT: std::time::Duration = std::time::Duration::from_secs(30);
/// So many filters are compiled at the same time.
pub const FILTER_COMPILERS: usize = 4;
/// No compiled filter is longer: libpcap makes some instructions of 8 bytes for each term.
pub const FILTER_REPLY_MAX: usize = 4 << 20;
/// What is no longer than this can't take long, and commands compile it themselves.
pub const FILTER_SHORT_BYTES: usize = 256;
/// A filter with an error in it is searched for the place only up to this many words.
pub const FILTER_WORDS_LOCATED_MAX: usize = 128;
/// Brackets within brackets, and `not` behind a keyword, that the planner follows; an expression with more is not pruned.
pub const FILTER_DEPTH_MAX: usize = 100;
/// Expressions of questions that are kept compiled.
pub const COMPILED_MAX: usize = 1024;
