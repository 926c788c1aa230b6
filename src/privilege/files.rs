//! Which files, ports and processes a process reaches, whoever it is (landlock(7), by `landlock`). As much of the list as this kernel knows; what it
//! does not is told. Never undone; what the process starts is bound as well.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope, path_beneath_rules,
};
use std::path::{Path, PathBuf};

/// All that is known of here. What a later kernel can refuse is not refused before somebody has looked what that means.
const KNOWN: ABI = ABI::V7;

/// What a process reaches. What is not there is nothing to reach.
#[derive(Debug, Default)]
pub struct Files {
    /// Folders in which it reads, writes, makes and removes files, folders and sockets.
    pub own: Vec<PathBuf>,
    /// Folders in which it makes and removes sockets.
    pub sockets: Vec<PathBuf>,
    /// Files and folders that it reads.
    pub read: Vec<PathBuf>,
    /// Files that it reads and writes.
    pub write: Vec<PathBuf>,
    /// TCP ports that it listens on; it connects to none.
    pub ports: Vec<u16>,
}

/// From now on the calling thread, and whatever it starts, reaches these and executes [its program](programs) alone; it sends no signal to a
/// process outside, and connects to no abstract socket outside. Before there are threads.
pub fn only(files: &Files) -> Result<RestrictionStatus, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let own = read
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::MakeSock
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer;
    let sockets: BitFlags<AccessFs> = AccessFs::MakeSock | AccessFs::RemoveFile;
    let ports = files.ports.iter().map(|port| Ok(NetPort::new(*port, AccessNet::BindTcp)));
    Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()?
        .add_rules(path_beneath_rules(&files.own, own))?
        .add_rules(path_beneath_rules(&files.sockets, sockets))?
        .add_rules(path_beneath_rules(&files.read, read))?
        .add_rules(path_beneath_rules(&files.write, AccessFs::ReadFile | AccessFs::WriteFile))?
        .add_rules(path_beneath_rules(programs(), AccessFs::Execute | AccessFs::ReadFile))?
        .add_rules::<_, _, _, RulesetError>(ports)?
        .restrict_self()
}

/// Which version of Landlock this kernel has, as far as it is known here; none: it has none, or it is switched off.
pub fn landlock() -> Option<u8> {
    // A thread that does nothing else loses what it may execute.
    let look = || Ruleset::default().handle_access(AccessFs::Execute)?.create()?.restrict_self();
    let looked = std::thread::spawn(look).join().ok()?.ok()?;
    match looked.landlock {
        LandlockStatus::Available { effective_abi, .. } => Some(effective_abi as u8),
        _ => None,
    }
}

/// This program and its loader.
fn programs() -> Vec<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mapped = maps.lines().filter_map(|line| line.find('/').and_then(|at| line.get(at..))).map(Path::new);
    let loader = |path: &&Path| path.file_name().and_then(|n| n.to_str()).is_some_and(|name| name.starts_with("ld"));
    let mut all: Vec<PathBuf> = mapped.filter(loader).map(PathBuf::from).collect();
    all.push("/proc/self/exe".into());
    all.dedup();
    all
}
