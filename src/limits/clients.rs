//! Clients of the API and the metrics page: how many, and how long they may take.

/// Connections to the API's socket: of root and the recorder's own user so many, and of all others together as many; who comes after is turned
/// away ...
pub const CLIENTS_MAX: usize = 1024;
/// ... and each of those others has at most so many.
pub const CLIENTS_PER_USER: usize = 256;
/// Connections over TCP whose token is known, all together ...
pub const CLIENTS_REMOTE_MAX: usize = 256;
/// ... and of one token.
pub const CLIENTS_REMOTE_PER_USER: usize = 64;
/// Connections over TCP that have not said yet who they are; when one more comes the one that has waited longest goes.
pub const STRANGERS_MAX: usize = 128;
/// Of these one address has so many: more are closed at once.
pub const STRANGERS_PER_ADDRESS: usize = 16;
/// When tokens were used last is written down this often.
pub const TOKEN_USE: std::time::Duration = std::time::Duration::from_secs(60);
/// TLS must be agreed on within this time ...
pub const TLS_HANDSHAKE: std::time::Duration = std::time::Duration::from_secs(5);
/// ... and a request's head must come within this, also the first one after it.
pub const REQUEST_HEAD: std::time::Duration = std::time::Duration::from_secs(10);
/// A connection of whose answers nothing is taken for so long is closed: longer than an answer that is not read goes on, so that its client can
/// still be told.
pub const WRITE_STALLED: std::time::Duration = std::time::Duration::from_secs(120);
/// An answer is ended when its client has taken nothing of it for so long: a pager that is looked at goes on, a connection that hangs does not ...
pub const READ_STALLED: std::time::Duration = std::time::Duration::from_secs(60);
/// ... and for so long where other questions wait for its thread.
pub const READ_CROWDED: std::time::Duration = std::time::Duration::from_secs(2);
/// Chunks of an answer that wait for a slow client.
pub const CHUNKS_WAITING: usize = 4;
/// Connections of the metrics endpoint; when one more comes the oldest goes.
pub const METRICS_CONNECTIONS: usize = 16;
/// Longest request that it reads.
pub const METRICS_REQUEST_BYTES: usize = 8 << 10;
/// Time that a client has to ask, and to take the answer.
pub const METRICS_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);
/// Longest path of a Unix socket.
pub const SOCKET_PATH_MAX: usize = 107;
/// A recorder that starts waits so long for whoever answers about its store at rest to leave it.
pub const AT_REST_LEAVES: std::time::Duration = std::time::Duration::from_secs(5);
/// Stores at rest that one process answers about: each has its threads and its memory for answers.
pub const STORES_AT_REST: usize = 16;
