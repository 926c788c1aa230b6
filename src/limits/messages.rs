//! Messages between capture and serve.

/// Longest message between capture and serve; what is longer goes as a file beside it.
pub const MESSAGE_BYTES: usize = 64 << 10;
/// Orders of one message: 16 KiB, half a round of a worker.
pub const ORDERS_OF_MESSAGE: usize = 256;
/// Of the name of who ordered something this much is kept: a token's has 64 bytes and a word before it.
pub const ORDERED_BY_BYTES: usize = 95;
/// Longest name of a class.
pub const CLASS_NAME_BYTES: usize = 32;
/// Connections of one message of a look-up: 28 KiB, as its answer has.
pub const LOOK_UPS_OF_MESSAGE: usize = 512;
/// So many of these are under way at a time: the answers of all of them have room in a socket's buffer of 208 KiB, whoever reads late.
pub const LOOK_UPS_UNDER_WAY: usize = 4;
/// Look-ups that wait in capture; those that serve does not wait for any more are among them.
pub const LOOK_UPS_WAITING: usize = 4 * LOOK_UPS_UNDER_WAY;
/// Longest document that capture sends to serve: all orders that there can be are 20 MiB.
pub const DOCUMENT_BYTES: usize = 32 << 20;
/// Serve waits so long for capture to take a message, or to answer one that does not wait for workers; a list is given so long in all.
pub const CAPTURE_ANSWERS: std::time::Duration = std::time::Duration::from_secs(10);
/// Where serve ends, orders of so long before are said in capture's log: their lines in the audit log may be lost.
pub const ORDERS_UNENTERED: std::time::Duration = std::time::Duration::from_secs(2);
