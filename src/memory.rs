//! Words to the machine about memory: a cache line will be needed soon, a range is worth huge pages, or belongs near a CPU.
//! Hints: no value changes by them. Called where memory is large or far away: the connection table, the frames of the rings.
#![allow(unsafe_code)]

use rustix::mm::{Advice, madvise};

/// Starts to load the cache line that `at` lies in, whatever it is; does nothing on processors that we know no instruction for.
#[inline(always)]
pub fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing into the program and faults on no address; SSE is part of x86_64.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a prefetch reads nothing into the program and faults on no address.
    unsafe {
        core::arch::asm!("prfm pldl1keep, [{}]", in(reg) at, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = at;
}

/// Bytes of a page. Asked of libc: rustix reads it where valgrind, under which instructions are counted, has nothing.
pub fn page_bytes() -> usize {
    // SAFETY: a number in, a number out.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
}

/// Makes something on a CPU, so that the memory it touches is of that CPU's node; afterwards this thread runs where it did.
pub fn near<T>(cpu: Option<usize>, make: impl FnOnce() -> T) -> T {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let before = sched_getaffinity(None);
    if let Some(cpu) = cpu.filter(|cpu| *cpu < CpuSet::MAX_CPU) {
        let mut set = CpuSet::new();
        set.set(cpu);
        // Refused: a CPU that there is not; the pinning of the worker will say so.
        let _ = sched_setaffinity(None, &set);
    }
    let made = make();
    if let Ok(before) = before {
        let _ = sched_setaffinity(None, &before);
    }
    made
}

/// A vector of `n` values in transparent huge pages as far as the system has them, all touched: random access then misses the
/// TLB less. `value` must not be all zero bytes, else pages may stay untouched.
pub fn huge_vec<T: Copy>(n: usize, value: T) -> Vec<T> {
    const PAGE: usize = 4096;
    let mut v = Vec::with_capacity(n);
    let start = (v.as_ptr() as usize).next_multiple_of(PAGE);
    let end = (v.as_ptr() as usize + n * size_of::<T>()) / PAGE * PAGE;
    if end > start {
        // SAFETY: the pages lie within the vector's own memory; advice about page size changes no content. Where it is refused
        // ordinary pages do.
        let _ = unsafe { madvise(start as *mut _, end - start, Advice::LinuxHugepage) };
    }
    v.resize(n, value);
    v
}
