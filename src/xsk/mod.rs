//! AF_XDP sockets, receive only: user memory, FILL and RX rings, the socket that binds them to one queue of one
//! interface. Owns every byte that is shared with the kernel on this path; called by `source::xdp` only. It knows no
//! packet format and never looks at what a frame holds.
//!
//! A frame is in one of two hands: the kernel's (in its pool, the FILL or the RX ring) or, while it lives, the
//! [`Batch`](socket::Batch)'s, which gives all its frames back when it ends. Since the FILL ring has two
//! places for every frame there is, giving back never fails, and no frame is ever leaked or handed out twice.
//!
//! Layouts and protocol: Documentation/networking/af_xdp.rst and include/uapi/linux/if_xdp.h of Linux.
#![allow(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod map;
mod memlock;
pub mod ring;
pub mod socket;
pub mod umem;
pub mod wait;
