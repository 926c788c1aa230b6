//! Mapped files whose bytes can't be had: an unreadable sector, or a file that somebody has cut short. The kernel's word for it is SIGBUS, which
//! ends the process, and with a recorder its packets. Here the page becomes zeros, which no sum fits, and its mapping is marked: who reads it
//! finds damage. Owns the list of mappings and the handler; a SIGBUS anywhere else is handed on as if nobody had asked. The handler takes
//! no lock and allocates nothing.
#![allow(unsafe_code)]

use std::ptr;
use std::sync::Once;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// So many pages of a mapping are replaced one by one; with the next one all that follows: each is a mapping of its own for the kernel, which
/// has a limit of those.
const SINGLE_PAGES: u32 = 64;

/// Where a mapping lies. Never freed, so that the handler may look at it at any time; used again.
#[derive(Debug)]
struct MappedPlace {
    used: AtomicBool,
    start: AtomicUsize,
    end: AtomicUsize,
    faults: AtomicU32,
    next: AtomicPtr<MappedPlace>,
}

static FIRST: AtomicPtr<MappedPlace> = AtomicPtr::new(ptr::null_mut());
static FAULTS: AtomicU64 = AtomicU64::new(0);
static PAGE: AtomicUsize = AtomicUsize::new(4096);
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// Pages of mapped files that could not be had since this process began.
pub fn count() -> u64 {
    FAULTS.load(Ordering::Acquire)
}

/// A mapping that may lose pages without ending the process; until it is dropped, which must be before it is unmapped.
#[derive(Debug)]
pub struct Guard(&'static MappedPlace);

impl Guard {
    /// Of `len` bytes from there.
    pub fn new(start: *const u8, len: usize) -> Guard {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(install);
        let slot = free().unwrap_or_else(add);
        slot.faults.store(0, Ordering::Relaxed);
        slot.end.store(start as usize + len, Ordering::Relaxed);
        slot.start.store(start as usize, Ordering::Release);
        Guard(slot)
    }

    /// Says so of a mapping of which it is known by other ways.
    pub fn mark(&self) {
        self.0.faults.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether a page of it could not be had: what was read of it may be zeros.
    #[inline]
    pub fn has_faulted(&self) -> bool {
        self.0.faults.load(Ordering::Acquire) > 0
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.start.store(0, Ordering::Relaxed);
        self.0.end.store(0, Ordering::Relaxed);
        self.0.used.store(false, Ordering::Release);
    }
}

fn each() -> impl Iterator<Item = &'static MappedPlace> {
    // SAFETY: slots are leaked boxes: valid and never moved for as long as the process runs; all fields are atomics.
    let at = |p: *mut MappedPlace| unsafe { p.as_ref() };
    let mut next = at(FIRST.load(Ordering::Acquire));
    std::iter::from_fn(move || {
        let slot = next?;
        next = at(slot.next.load(Ordering::Acquire));
        Some(slot)
    })
}

fn free() -> Option<&'static MappedPlace> {
    each().find(|s| s.used.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok())
}

fn add() -> &'static MappedPlace {
    let slot: &'static mut MappedPlace = Box::leak(Box::new(MappedPlace {
        used: AtomicBool::new(true),
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        faults: AtomicU32::new(0),
        next: AtomicPtr::new(ptr::null_mut()),
    }));
    let slot: *mut MappedPlace = slot;
    let mut first = FIRST.load(Ordering::Acquire);
    loop {
        // SAFETY: just leaked; nobody else knows it yet but by this list, and all fields are atomics.
        let new: &'static MappedPlace = unsafe { &*slot };
        new.next.store(first, Ordering::Relaxed);
        match FIRST.compare_exchange_weak(first, slot, Ordering::Release, Ordering::Acquire) {
            Ok(_) => return new,
            Err(now) => first = now,
        }
    }
}

fn install() {
    PAGE.store(crate::memory::page_bytes(), Ordering::Relaxed);
    // SAFETY: `sigaction` is a plain structure of which zeros are a value: no flags, no signals blocked, the default action.
    let (mut action, mut before): (libc::sigaction, libc::sigaction) =
        unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    action.sa_sigaction = on_bus as *const () as usize;
    // Threads have a stack for signals, which the standard library gives them.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: both structures live over the call, and the handler has the form that SA_SIGINFO asks for.
    if unsafe { libc::sigaction(libc::SIGBUS, &action, &mut before) } == 0 {
        let _ = BEFORE.set(before);
    }
}

/// Replaces what could not be had by zeros, if it is of a file that we have mapped.
extern "C" fn on_bus(signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a `siginfo_t` of a SIGBUS, which has an address.
    let address = unsafe { (*info).si_addr() } as usize;
    let mine = |s: &&MappedPlace| (s.start.load(Ordering::Acquire)..s.end.load(Ordering::Relaxed)).contains(&address);
    let replaced = each().find(mine).is_some_and(|slot| {
        let page = PAGE.load(Ordering::Relaxed);
        let start = address & !(page - 1);
        let faults = slot.faults.fetch_add(1, Ordering::AcqRel);
        let end =
            if faults < SINGLE_PAGES { start + page } else { slot.end.load(Ordering::Relaxed).next_multiple_of(page) };
        // SAFETY: `errno` is this thread's own, and is put back as it was for whom the handler interrupts. The pages lie in a mapping of ours,
        // which its owner holds while a thread reads it, and are read-only for everybody: zeros in their place are what the owner is told of.
        unsafe {
            let errno = libc::__errno_location();
            let before = *errno;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
            let got = libc::mmap(start as *mut libc::c_void, end - start, libc::PROT_READ, flags, -1, 0);
            *errno = before;
            got != libc::MAP_FAILED
        }
    });
    if replaced {
        FAULTS.fetch_add(1, Ordering::AcqRel);
        return;
    }
    // The instruction runs again, and meets whoever was asked before.
    let default = default_action();
    // SAFETY: the structure lives over the call, and is one that the kernel has given out, or the default.
    unsafe { libc::sigaction(signal, BEFORE.get().unwrap_or(&default), ptr::null_mut()) };
}

fn default_action() -> libc::sigaction {
    // SAFETY: zeros are a value: SIG_DFL, no flags.
    unsafe { std::mem::zeroed() }
}
