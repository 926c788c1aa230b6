//! What the kernel says of who is at the other end of a Unix socket: user, group and process as of the connection's beginning, and the
//! supplementary groups that it had then. Asked of the socket itself: a process number may be another's by the time one looks in `/proc`. Owns the
//! one system call that no library has.
#![allow(unsafe_code)]

use rustix::fd::{AsFd, AsRawFd};
use schemars::JsonSchema;
use serde::Serialize;

/// A process as the kernel vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Peer {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Process; 0 if the kernel does not tell.
    pub pid: i32,
}

/// A process has no more groups (NGROUPS_MAX).
const GROUPS_MAX: usize = 65_536;

/// The supplementary groups of whoever connected; none where the kernel does not tell (before 4.13).
pub fn groups(socket: impl AsFd) -> Vec<u32> {
    // Most have few: the kernel says how many there are where they don't fit.
    let mut groups = vec![0u32; 32];
    for _ in 0..2 {
        let mut bytes = u32::try_from(size_of_val(groups.as_slice())).unwrap_or(u32::MAX);
        // SAFETY: the descriptor is open as long as it is borrowed; the kernel writes at most `bytes` bytes to the vector, which has as many,
        // and the number of bytes to `bytes`; any of them is a valid u32.
        let done = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        let n = bytes as usize / size_of::<u32>();
        if done == 0 {
            groups.truncate(n);
            return groups;
        }
        let short = std::io::Error::last_os_error().raw_os_error() == Some(libc::ERANGE);
        if !short || n > GROUPS_MAX {
            break;
        }
        groups.resize(n, 0);
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    /// The kernel's word is what this process itself has.
    #[test]
    fn groups_are_those_of_whoever_connected() {
        let (a, _b) = UnixStream::pair().unwrap();
        let mut own: Vec<u32> = rustix::process::getgroups().unwrap().iter().map(|g| g.as_raw()).collect();
        let mut told = groups(&a);
        own.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, own);
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(groups(&file), Vec::<u32>::new(), "no socket");
    }
}
