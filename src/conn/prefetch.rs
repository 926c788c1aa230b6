//! Asks the processor for a cache line ahead of its use. The one unsafe corner of the connection table; called by the
//! table only, and without effect on any value.
#![allow(unsafe_code)]

/// Starts to load the line that `at` lies in; does nothing on processors that we know no instruction for.
#[inline(always)]
pub(super) fn line<T>(at: &T) {
    let at: *const T = at;
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
