//! What a half does not inherit: every descriptor that this process itself was given by whoever started it, and the environment but for a few
//! names. Owns that list.
#![allow(unsafe_code)] // close_range(2) has no safe form; here it closes nothing.

use std::ffi::OsString;

/// Variables that a half has a use for: how it logs, what time it is here, who called it, where libraries are.
const NAMES: &[&str] =
    &["RETROTAP_LOG", "NO_COLOR", "TZ", "TZDIR", "SUDO_USER", "RUST_BACKTRACE", "LD_LIBRARY_PATH", "PATH"];

/// From now on no program that this process starts has a descriptor of it but those that it is given as standard ones.
pub fn nothing() {
    const FIRST: libc::c_uint = 3;
    // SAFETY: with this flag nothing is closed: each descriptor that is open is marked to be closed by an exec, which every one that Rust opened
    // is anyway. No memory is passed.
    let done = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done != 0 {
        tracing::debug!("close_range: {}", std::io::Error::last_os_error());
    }
}

/// The environment of a half.
pub fn environment() -> impl Iterator<Item = (&'static str, OsString)> {
    NAMES.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)))
}
