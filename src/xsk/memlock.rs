//! The limit on locked memory, which user memory counts against where the process lacks CAP_IPC_LOCK.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises RLIMIT_MEMLOCK as far as the process may. Returns what it is now; `None`: no limit.
pub(super) fn raise() -> Option<u64> {
    let now = getrlimit(Resource::Memlock);
    now.current?;
    if setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None }).is_ok() {
        return None;
    }
    let _ = setrlimit(Resource::Memlock, Rlimit { current: now.maximum, maximum: now.maximum });
    getrlimit(Resource::Memlock).current
}
