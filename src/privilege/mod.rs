//! What a recorder may do, and how it gives up what it does not need: the process what no part of it needs, and threads that face clients or parse
//! packets every capability. Looks also at a recorder that runs. Never takes a right that it has not been given. prctl(2), capabilities(7).

mod calls;
mod files;
mod look;

pub use calls::of_serve as calls_of_serve;
pub use files::{Files, landlock, only};
pub use look::{Looked, Threads, family, look};

use rustix::process::{DumpableBehavior, geteuid, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities, set_no_new_privs,
};

/// What makes root the owner of files that are another user's: without it root could not write into a store in somebody's home.
pub const OF_FILES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER);

/// At the start of a recording, before there are threads: no program that it starts gains rights, nobody but root reads its memory, where
/// packets are, neither alive nor in a core file, and no system call is made that no part of a recorder makes. What the system refuses is said.
pub fn of_a_recorder() {
    if let Err(e) = set_no_new_privs(true) {
        tracing::warn!("programs that the recorder starts could gain rights (no_new_privs): {e}");
    }
    if let Err(e) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!("other processes of this user can read the recorder's memory (dumpable): {e}");
    }
    calls::without_dangerous();
}

/// The calling thread, and those that it starts from now on, lose every capability; root's keep [those of files](OF_FILES).
pub fn without_capabilities() {
    let rest = if geteuid().is_root() { OF_FILES } else { CapabilitySet::empty() };
    // Ambient ones first: they would come back by exec.
    let _ = clear_ambient_capability_set();
    let given_up = capabilities(None).and_then(|have| {
        // No more than there are.
        let rest = have.permitted & rest;
        set_capabilities(None, CapabilitySets { effective: rest, permitted: rest, inheritable: CapabilitySet::empty() })
    });
    if let Err(e) = given_up {
        tracing::warn!("a thread keeps its capabilities: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_and_its_own_lose_what_they_had() {
        let of = || capabilities(None).unwrap();
        let before = of();
        let (own, its) = std::thread::spawn(move || {
            without_capabilities();
            (of(), std::thread::spawn(of).join().unwrap())
        })
        .join()
        .unwrap();
        for sets in [own, its] {
            assert!(OF_FILES.contains(sets.permitted) && OF_FILES.contains(sets.effective), "{sets:?}");
            assert!(sets.inheritable.is_empty());
        }
        // The others have what they had.
        assert_eq!(of(), before);
    }
}
