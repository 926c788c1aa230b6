//! What a process was started with beside its standard input, output and error: whoever started the program may have left files and sockets open.
#![allow(unsafe_code)] // close_range(2) has no safe form.

/// The first that is not standard.
const FIRST: libc::c_uint = 3;

/// Closes all of it. Called first of all, before this process has opened anything.
pub fn close() {
    // SAFETY: a system call with three integers. Nothing of this process owns a descriptor from 3 on yet, so that nothing that is used is closed.
    let done = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0) };
    if done != 0 {
        tracing::debug!("close_range: {}", std::io::Error::last_os_error());
    }
}
