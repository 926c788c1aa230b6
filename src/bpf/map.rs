//! bpf(2) map operations on a file descriptor. Owns the unsafe calls; allocates nothing.

use libbpf_rs::libbpf_sys as sys;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// A map whose keys are `K` and whose values are `V`, or one `V` a CPU.
#[derive(Debug)]
pub(super) struct Map<K, V> {
    fd: OwnedFd,
    types: std::marker::PhantomData<fn(K) -> V>,
}

fn result(rc: i32) -> io::Result<()> {
    // libbpf 1.x returns the negative errno.
    if rc == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-rc)) }
}

impl<K: Copy, V: Copy> Map<K, V> {
    /// # Safety
    /// `fd` is a map whose key size is that of `K` and whose value size that of `V`; any bits are valid for both.
    pub(super) unsafe fn new(fd: OwnedFd) -> Map<K, V> {
        Map { fd, types: std::marker::PhantomData }
    }

    /// BPF_MAP_UPDATE_ELEM.
    pub(super) fn update(&self, key: &K, value: &V, flags: u32) -> io::Result<()> {
        // SAFETY: key and value have the map's sizes (`new`) and are only read.
        result(unsafe {
            sys::bpf_map_update_elem(
                self.fd.as_raw_fd(),
                (&raw const *key).cast(),
                (&raw const *value).cast(),
                u64::from(flags),
            )
        })
    }

    /// BPF_MAP_LOOKUP_ELEM of a per-CPU map: fills `values`, which has a place for each possible CPU.
    pub(super) fn lookup_percpu(&self, key: &K, values: &mut [V]) -> io::Result<()> {
        const { assert!(size_of::<V>().is_multiple_of(8), "the kernel rounds a CPU's value up to 8 bytes") };
        let cpus = libbpf_rs::num_possible_cpus().map_err(io::Error::other)?;
        if values.len() < cpus {
            return Err(io::Error::other("more possible CPUs than expected"));
        }
        // SAFETY: the kernel writes one value a possible CPU, for which there is room.
        result(unsafe {
            sys::bpf_map_lookup_elem(self.fd.as_raw_fd(), (&raw const *key).cast(), values.as_mut_ptr().cast())
        })
    }
}

impl<K, V> std::os::fd::AsFd for Map<K, V> {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
