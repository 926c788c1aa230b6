//! Network interfaces: what one is ([`Link`]), which source suits it ([`choose`]), and how it is made ready for capture
//! and put back ([`prepare`]). Called before and after the capture and once a second by `source::live`; never on the
//! packet path. Everything is asked of the kernel for the calling thread's network namespace (netlink, ioctl,
//! /proc/thread-self/net), not of /sys, which shows the namespace that it was mounted in.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod addresses;
mod choose;
mod ethtool;
mod link;
pub mod prepare;
pub mod tuning;

pub use addresses::{Addresses, addresses, default_routes};
pub use choose::{Choice, Host, Reason, Refused, Request, choose};
pub use ethtool::{Feature, driver, feature, queues, set_feature};
pub use link::{Link, NicCounters, set_up};

use std::io;

/// Why an interface can't be used or was not understood.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No interface of this name.
    #[error("there is no interface {name:?} (`ip link` lists them)")]
    Unknown {
        /// As given.
        name: String,
    },
    /// The kernel refused.
    #[error("interface {name}: {what}: {source}{}", hint(.source))]
    Kernel {
        /// The interface.
        name: String,
        /// What was asked.
        what: &'static str,
        /// Its answer.
        source: io::Error,
    },
    /// The file that says how to put interfaces back.
    #[error("{}: {source}", path.display())]
    State {
        /// The file.
        path: std::path::PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

fn hint(e: &io::Error) -> &'static str {
    match e.kind() {
        io::ErrorKind::PermissionDenied => {
            " (it takes root, or CAP_NET_ADMIN and CAP_NET_RAW: `retrotap doctor` says what this user lacks)"
        }
        _ => "",
    }
}

impl Error {
    fn kernel(name: &str, what: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Kernel { name: name.to_owned(), what, source }
    }
}
