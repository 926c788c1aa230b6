//! The kernel side as the recorder sees it: the programs of `ebpf/`, loaded, attached and read. Owns every bpf(2) call.
//! Called by `source::live` (load, attach, counters) and, through the trait [`Shunt`](crate::conn::shunt::Shunt), by the
//! worker. Everything it attaches is held by a file descriptor, so that the kernel lets go of it when the process dies,
//! however it dies.
#![allow(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod abi;
mod array;
pub mod attach;
pub mod counters;
mod map;
pub mod programs;
pub mod shunt;
#[doc(hidden)]
pub mod skel;

use std::io;

/// Why a program could not be loaded or attached.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel or libbpf refused a program or a map.
    #[error("the kernel program {program} can't be loaded: {source} (-v shows what the kernel says of it){}", hint(.source))]
    Load {
        /// Which.
        program: &'static str,
        /// The answer.
        source: io::Error,
    },
    /// Somebody else's XDP program is there.
    #[error(
        "{interface} already has an XDP program, and retrotap does not share an interface: `ip link set {interface} \
         xdp off` (or stop its owner), or record with --source packet"
    )]
    Taken {
        /// The interface.
        interface: String,
    },
    /// The interface takes no XDP program.
    #[error(
        "no XDP program can be attached to {interface}, neither in the driver ({native}) nor above it ({generic}); --source packet does without"
    )]
    Attach {
        /// The interface.
        interface: String,
        /// The answer in native mode.
        native: io::Error,
        /// The answer in generic mode.
        generic: io::Error,
    },
    /// The program that waits can't be replaced by the one that records.
    #[error("{interface}: recording can't begin: its XDP program can't be replaced: {source}")]
    Replace {
        /// The interface.
        interface: String,
        /// The answer.
        source: io::Error,
    },
    /// A map operation failed.
    #[error("the kernel's map {map}: {source}")]
    Map {
        /// Its name.
        map: &'static str,
        /// The answer.
        source: io::Error,
    },
}

fn hint(e: &io::Error) -> &'static str {
    match e.kind() {
        io::ErrorKind::PermissionDenied => {
            ": it takes root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, and a kernel that lets itself be programmed (`retrotap doctor`)"
        }
        io::ErrorKind::OutOfMemory => ": lower the size of the shunt",
        _ => "",
    }
}
