//! Makes interfaces ready for capture and puts them back: up, promiscuous, and without the offloads that hide packets.
//! Owns the record of what was changed, in memory (put back when dropped) and in a small file (put back by the next
//! start after a kill). Promiscuous mode is a packet socket's membership and ends with the process by itself.

use super::{Error, Feature, Link, feature, set_feature, set_up};
use crate::new_file;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// What is done to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// See packets that are not addressed to the host.
    pub promiscuous: bool,
    /// Turn off what merges packets or takes tags out (only for interfaces that the host does not use).
    pub offloads_off: bool,
}

/// One thing that was changed, with the way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Was down, is up.
    Up,
    /// Was on, is off.
    Off(Feature),
}

/// The changes of one interface, as they stand in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Changed {
    interface: String,
    index: u32,
    changes: Vec<Change>,
}

/// The file's contents; of another boot it says nothing about today's interfaces.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    boot: String,
    changed: Vec<Changed>,
}

/// Interfaces made ready; dropping it puts them back.
#[derive(Debug)]
pub struct Prepared {
    changed: Vec<Changed>,
    state: Option<PathBuf>,
    memberships: Vec<OwnedFd>,
    /// What could not be turned off, in words: packets may arrive merged or without tags.
    pub warnings: Vec<String>,
}

/// Puts back what a killed process left behind in `state`. Returns the names of the interfaces; none if there is no file.
pub fn restore(state: &Path) -> Result<Vec<String>, Error> {
    let text = match fs::read(state) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::State { path: state.to_owned(), source }),
    };
    // A torn file is that of a process killed before it changed anything: it is written whole before each change.
    let left: State = serde_json::from_slice(&text).unwrap_or_default();
    let mut names = Vec::new();
    if left.boot == boot() {
        for changed in &left.changed {
            undo(changed);
            names.push(changed.interface.clone());
        }
    }
    fs::remove_file(state).map_err(|source| Error::State { path: state.to_owned(), source })?;
    Ok(names)
}

impl Prepared {
    /// Makes `links` ready. `state` is where the way back is written before each change: it has to survive the process.
    pub fn new(links: &[Link], wish: Wish, state: Option<&Path>) -> Result<Prepared, Error> {
        let mut prepared = Prepared {
            changed: Vec::new(),
            state: state.map(Path::to_owned),
            memberships: Vec::new(),
            warnings: Vec::new(),
        };
        for link in links {
            prepared.prepare(link, wish)?;
        }
        Ok(prepared)
    }

    /// Makes one more interface ready, or one that came back.
    pub fn prepare(&mut self, link: &Link, wish: Wish) -> Result<(), Error> {
        let name = &link.name;
        self.changed.retain(|c| c.interface != *name);
        self.changed.push(Changed { interface: name.clone(), index: link.index, changes: Vec::new() });
        for f in Feature::ALL.into_iter().filter(|_| wish.offloads_off) {
            // A driver that can't tell has nothing to turn off.
            if feature(name, f).unwrap_or(false) {
                self.will(Change::Off(f))?;
                let refused = set_feature(name, f, false).err();
                if feature(name, f).unwrap_or(false) {
                    let why = refused.map_or_else(|| "it stays on".to_owned(), |e| e.to_string());
                    self.warnings.push(format!("{name}: {} can't be turned off: {why}", name_of(f)));
                }
            }
        }
        if wish.promiscuous && !link.loopback {
            self.memberships.push(promiscuous(link.index).map_err(Error::kernel(name, "promiscuous mode"))?);
        }
        if !link.up {
            self.will(Change::Up)?;
            set_up(name, true).map_err(Error::kernel(name, "setting it up"))?;
        }
        Ok(())
    }

    /// Notes a change of the last interface before it is made.
    fn will(&mut self, change: Change) -> Result<(), Error> {
        if let Some(last) = self.changed.last_mut() {
            last.changes.push(change);
        }
        let Some(path) = &self.state else { return Ok(()) };
        let state = State { boot: boot(), changed: self.changed.clone() };
        let write = || {
            let text = serde_json::to_vec(&state).map_err(io::Error::other)?;
            let new = path.with_extension("new");
            new_file::write(&new, new_file::SHARED, text)?;
            fs::rename(&new, path)
        };
        write().map_err(|source| Error::State { path: path.clone(), source })
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        self.changed.iter().for_each(undo);
        if let Some(path) = &self.state {
            let _ = fs::remove_file(path);
        }
    }
}

/// Puts one interface back, last change first. Each step stands alone: an interface that has vanished needs none, and a
/// new one of the same name was never changed.
fn undo(changed: &Changed) {
    if !matches!(Link::by_index(changed.index), Ok(Some(link)) if link.name == changed.interface) {
        return;
    }
    for change in changed.changes.iter().rev() {
        let _ = match change {
            Change::Up => set_up(&changed.interface, false),
            Change::Off(f) => set_feature(&changed.interface, *f, true),
        };
    }
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn name_of(f: Feature) -> &'static str {
    match f {
        Feature::Lro => "lro",
        Feature::Gro => "gro",
        Feature::RxVlan => "rxvlan",
    }
}

/// A packet socket whose membership keeps the interface promiscuous. Protocol 0: it receives nothing.
fn promiscuous(index: u32) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    join(&socket, index)?;
    Ok(socket)
}

#[allow(unsafe_code)]
fn join(socket: &OwnedFd, index: u32) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let request = libc::packet_mreq {
        mr_ifindex: index as i32,
        mr_type: libc::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    // SAFETY: the option takes a struct packet_mreq, passed by pointer with its size; the fd is open.
    let rc = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const request).cast(),
            size_of_val(&request) as u32,
        )
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
