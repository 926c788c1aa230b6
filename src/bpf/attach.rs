//! An XDP program on an interface, by a bpf_link: it goes when the link's descriptor is closed, at the latest when the
//! process dies. In the driver where it can be, else above it (generic), and says which.

use super::Error;
use crate::limits::BUSY_NS;
use libbpf_rs::libbpf_sys as sys;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Where the program runs.
#[derive(Debug)]
pub enum Mode {
    /// In the driver, before any copy.
    Native,
    /// Above the driver, with the reason.
    Generic(io::Error),
}

/// An attached program; dropping it detaches.
#[derive(Debug)]
pub struct Attached {
    _link: OwnedFd,
    /// Where it runs.
    pub mode: Mode,
}

const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// Attaches `program`. Refuses an interface that has an XDP program, whosever, unless it goes within
/// [`BUSY_NS`].
pub fn attach(program: BorrowedFd<'_>, interface: &str, ifindex: u32) -> Result<Attached, Error> {
    const PAUSE: Duration = Duration::from_millis(10);
    for _ in 0..BUSY_NS / PAUSE.as_nanos() as u64 {
        match attach_once(program, interface, ifindex) {
            Err(Error::Taken { .. }) => std::thread::sleep(PAUSE),
            other => return other,
        }
    }
    attach_once(program, interface, ifindex)
}

fn attach_once(program: BorrowedFd<'_>, interface: &str, ifindex: u32) -> Result<Attached, Error> {
    let taken = |e: &io::Error| matches!(e.raw_os_error(), Some(libc::EBUSY | libc::EEXIST));
    let native = match link(program, ifindex, XDP_FLAGS_DRV_MODE) {
        Ok(link) => return Ok(Attached { _link: link, mode: Mode::Native }),
        Err(e) if taken(&e) => return Err(Error::Taken { interface: interface.to_owned() }),
        Err(e) => e,
    };
    match link(program, ifindex, XDP_FLAGS_SKB_MODE) {
        Ok(link) => Ok(Attached { _link: link, mode: Mode::Generic(native) }),
        Err(e) if taken(&e) => Err(Error::Taken { interface: interface.to_owned() }),
        Err(generic) => Err(Error::Attach { interface: interface.to_owned(), native, generic }),
    }
}

fn link(program: BorrowedFd<'_>, ifindex: u32, flags: u32) -> io::Result<OwnedFd> {
    // SAFETY: zeroes are valid for this struct of integers and pointers; `sz` tells libbpf its size.
    let mut options: sys::bpf_link_create_opts = unsafe { std::mem::zeroed() };
    options.sz = size_of_val(&options) as _;
    options.flags = flags;
    // SAFETY: the descriptor is a loaded program's, and the options live through the call.
    let fd = unsafe { sys::bpf_link_create(program.as_raw_fd(), ifindex as i32, sys::BPF_XDP, &raw const options) };
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(-fd));
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

impl Attached {
    /// This program from now on, in place of the one that is attached: no packet goes by both or by none.
    pub fn replace(&self, program: BorrowedFd<'_>, interface: &str) -> Result<(), Error> {
        // SAFETY: two open descriptors; no options.
        let done = unsafe { sys::bpf_link_update(self._link.as_raw_fd(), program.as_raw_fd(), std::ptr::null()) };
        match done {
            0 => Ok(()),
            errno => {
                Err(Error::Replace { interface: interface.to_owned(), source: io::Error::from_raw_os_error(-errno) })
            }
        }
    }
}

impl AsFd for Attached {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self._link.as_fd()
    }
}
