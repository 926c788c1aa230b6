//! What serve reaches: its list of files and ports, made of the settings. Owns that list; the kernel holds it from the start of serve to its end,
//! also where other settings come.

use crate::config::Settings;
use crate::control::Place;
use crate::metrics::http::Address;
use crate::privilege::{self, Files};
use landlock::{LandlockStatus, RulesetStatus};
use std::path::{Path, PathBuf};

/// What everybody reads who has a C library, asks for users, groups and hosts by name, and tells the time of this place. Of other processes /proc
/// gives what it gives everybody: the kernel lets a confined process look into none.
const OF_ALL: &[&str] = &[
    "/etc",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/proc",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/dev/urandom",
    // resolv.conf leads there; caches of users.
    "/run/systemd",
    "/run/nscd",
    "/var/lib/sss",
];

/// From now on this process is serve, with these settings, and nothing else: what it reaches and calls is listed. Before it has threads.
pub fn confine(settings: &Settings) {
    match privilege::only(&files(settings)) {
        Ok(status) => match (status.landlock, status.ruleset) {
            (LandlockStatus::Available { .. }, RulesetStatus::FullyEnforced) => {
                tracing::debug!("serve reaches its own files alone (Landlock)");
            }
            (LandlockStatus::Available { effective_abi, .. }, _) => {
                tracing::debug!(
                    "serve reaches its own files alone, but for what this kernel's Landlock can't refuse (ABI {})",
                    effective_abi as u8
                );
            }
            _ => tracing::debug!("serve reaches whatever its user does: this kernel has no Landlock"),
        },
        Err(e) => tracing::warn!("serve reaches whatever its user does (Landlock): {e}"),
    }
    privilege::calls_of_serve();
}

fn files(settings: &Settings) -> Files {
    let mut files = Files {
        own: vec![settings.store.clone()],
        read: OF_ALL.iter().map(PathBuf::from).collect(),
        write: vec!["/dev/null".into()],
        ..Files::default()
    };
    // Where else libraries are.
    files.read.extend(std::env::var_os("LD_LIBRARY_PATH").iter().flat_map(std::env::split_paths));
    if let Place::At(path) = &settings.api {
        files.sockets.push(folder(path));
    }
    match &settings.metrics {
        Some(Address::Unix(path)) => files.sockets.push(folder(path)),
        Some(Address::Tcp(_, port)) => files.ports.push(*port),
        None => {}
    }
    if let Some(tcp) = &settings.api_access.tcp {
        files.ports.push(tcp.listen.port());
        // Folders, and those where links lead: a new certificate takes the place of the old one.
        for path in [&tcp.certificate, &tcp.key] {
            files.read.push(folder(path));
            files.read.extend(path.canonicalize().ok().map(|real| folder(&real)));
        }
        // Beside it is written when each was used.
        files.own.extend(tcp.tokens.as_deref().map(folder));
    }
    files
}

fn folder(path: &Path) -> PathBuf {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}
