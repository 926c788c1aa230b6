//! Who asks: a user whom the kernel vouches for, and the role that makes of it. Made by the server for each connection; entered in
//! the audit log with each request.

use super::role::Role;
use serde::Serialize;

/// A client, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Caller {
    /// For people and for the log.
    pub name: String,
    /// What the kernel says of it.
    #[serde(flatten)]
    pub peer: Option<Peer>,
    /// What it may do; none: nothing.
    pub role: Option<Role>,
}

/// A process as the kernel vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Peer {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Process; 0 if the kernel does not tell.
    pub pid: i32,
}

impl Caller {
    /// A process at the Unix socket; `None`: the kernel does not say which.
    pub fn local(peer: Option<Peer>) -> Caller {
        let name = peer.map_or("somebody".into(), |p| format!("user {}", p.uid));
        Caller { name, peer, role: peer.filter(Peer::allowed).map(|_| Role::Control) }
    }

    /// Whether it may do what takes this role; if not, status and reason.
    pub fn may(&self, what: &str, needs: Role) -> Result<(), (u16, String)> {
        let name = &self.name;
        match self.role {
            Some(role) if role >= needs => Ok(()),
            Some(role) => Err((403, format!("{what} takes the role {needs}, and {name} has {role}"))),
            None => Err((
                403,
                format!("{name} has no role here: only root, the recorder's user and members of its group may ask"),
            )),
        }
    }
}

impl Peer {
    /// Whether it may ask: root, the recorder's own user, and members of its group.
    fn allowed(&self) -> bool {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        self.uid == 0 || self.uid == uid || self.gid == gid || self.groups().contains(&gid)
    }

    /// Its supplementary groups, as the kernel shows them.
    fn groups(&self) -> Vec<u32> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("Groups:")).unwrap_or_default();
        line.split_whitespace().filter_map(|g| g.parse().ok()).collect()
    }
}
