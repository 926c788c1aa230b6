//! What an index lists.

/// Values of one kind (addresses, ports, labels, ...) that the index lists of one packet. A frame of 1,518 bytes has fewer, even with one in each four bytes that is met twice,
/// so what anybody sends over the Internet takes nothing from the index; of a longer one that is all labels its connection is looked at whenever labels are asked for.
pub const TERMS_OF_PACKET: usize = 1024;
/// The same in an index that is full: more than headers have that the parser follows.
pub const TERMS_CROWDED: usize = 64;
/// Values of one kind that the index lists of one connection: all ARP of a gateway is one, and a /16 behind it has half as many addresses.
pub const TERMS_OF_CONNECTION: usize = 1 << 17;
/// Values with their connections after which an index is full: [`TERM_BYTES`] each while it is made. A segment of the lab mix has a fifth of it.
pub const TERMS_OF_INDEX: usize = 2 << 20;
/// Memory that such a value takes: in the list of its connection, in the set of one that has many, and in the list of all.
pub const TERM_BYTES: usize = 128;
