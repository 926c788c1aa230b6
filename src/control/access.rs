//! Who may do what: the roles of users and groups as they are configured, and whom the kernel vouches for. Owns the names of users and
//! groups; called by the server, once at its start and then for each connection.

use super::peer::Peer;
use super::role::Role;
use super::tls::{self, Identity};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;

/// What the configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The socket's group, whose members may query packets unless `roles` says otherwise; none: the recorder's own.
    pub group: Option<String>,
    /// Users (`alice`, `1000`) and groups (`@analysts`, `@1000`) of each role.
    pub roles: BTreeMap<Role, Vec<String>>,
    /// TCP with TLS.
    pub tcp: Option<Tcp>,
}

/// TCP with TLS and tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tcp {
    /// Where it listens.
    pub listen: SocketAddr,
    /// PEM: its certificate and those between it and its authority.
    pub certificate: PathBuf,
    /// PEM: its key.
    pub key: PathBuf,
    /// Its tokens; none: [`TOKENS`] in the store.
    pub tokens: Option<PathBuf>,
}

impl Access {
    /// This with what of `new` a reload changes: the roles, and the files that TLS is made of.
    pub fn adopt(&self, new: Access) -> Access {
        let tcp = match (&self.tcp, new.tcp) {
            (Some(old), Some(new)) => Some(Tcp { certificate: new.certificate, key: new.key, ..old.clone() }),
            (old, _) => old.clone(),
        };
        Access { group: self.group.clone(), roles: new.roles, tcp }
    }

    /// Reads all that a server needs of files and of the lists of users; the error says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        self.identity()?;
        Rights::new(self).map(drop)
    }

    /// Certificate and key, where the API is there over TCP.
    pub(super) fn identity(&self) -> Result<Option<Identity>, String> {
        let read = |tcp: &Tcp| tls::server(&tcp.certificate, &tcp.key).map_err(|e| format!("the API over TCP: {e}"));
        self.tcp.as_ref().map(read).transpose()
    }
}

/// Name of the tokens' file in a store.
pub const TOKENS: &str = "api.tokens";

/// The same with the numbers that the kernel knows.
#[derive(Debug)]
pub struct Rights {
    /// Group of the socket.
    pub group: u32,
    own: u32,
    users: HashMap<u32, Role>,
    groups: HashMap<u32, Role>,
}

impl Rights {
    /// The error names what is no user or group of this machine.
    pub fn new(access: &Access) -> Result<Rights, String> {
        let own = rustix::process::geteuid().as_raw();
        let group = match &access.group {
            None => rustix::process::getegid().as_raw(),
            Some(name) => group(name)?,
        };
        let (mut users, mut groups) = (HashMap::new(), HashMap::new());
        // The greatest role wins, and the configured ones over that of the socket's group.
        for (role, names) in &access.roles {
            for name in names {
                match name.strip_prefix('@') {
                    Some(name) => groups.insert(self::group(name)?, *role),
                    None => users.insert(user(name)?, *role),
                };
            }
        }
        groups.entry(group).or_insert(Role::Packets);
        Ok(Rights { group, own, users, groups })
    }

    /// Whether it is root, or the recorder's own user.
    pub fn is_owner(&self, uid: u32) -> bool {
        uid == 0 || uid == self.own
    }

    /// What a process may do, which is of these supplementary groups, too. Root and the recorder's own user may everything.
    pub fn of(&self, peer: &Peer, groups: &[u32]) -> Option<Role> {
        if self.is_owner(peer.uid) {
            return Some(Role::Control);
        }
        let all = std::iter::once(&peer.gid).chain(groups);
        let by_group = all.filter_map(|g| self.groups.get(g).copied());
        by_group.chain(self.users.get(&peer.uid).copied()).max()
    }
}

/// For logs.
pub fn user_name(uid: u32) -> String {
    let name = uzers::get_user_by_uid(uid).map(|u| u.name().to_string_lossy().into_owned());
    name.unwrap_or_else(|| format!("user {uid}"))
}

fn user(name: &str) -> Result<u32, String> {
    let number = name.parse().ok().or_else(|| Some(uzers::get_user_by_name(name)?.uid()));
    number.ok_or(format!("api.roles: there is no user {name} on this machine; groups are written @NAME"))
}

fn group(name: &str) -> Result<u32, String> {
    let number = name.parse().ok().or_else(|| Some(uzers::get_group_by_name(name)?.gid()));
    number.ok_or(format!("api: there is no group {name} on this machine"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_role_of_user_and_groups_counts() {
        let roles = BTreeMap::from([
            (Role::Statistics, vec!["4001".into(), "@5001".into()]),
            (Role::Connections, vec!["@5002".into()]),
            (Role::Control, vec!["4002".into()]),
        ]);
        let access = Access { group: Some("5003".into()), roles, tcp: None };
        let rights = Rights::new(&access).unwrap();
        let among = |uid, gid, groups: &[u32]| rights.of(&Peer { uid, gid, pid: 0 }, groups);
        let of = |uid, gid| among(uid, gid, &[]);
        assert_eq!(
            (among(4003, 1, &[7, 5002]), among(4003, 5001, &[5002])),
            (Some(Role::Connections), Some(Role::Connections))
        );
        assert_eq!(of(0, 1), Some(Role::Control));
        assert_eq!((of(4001, 1), of(4001, 5002)), (Some(Role::Statistics), Some(Role::Connections)));
        assert_eq!((of(4002, 5001), of(4003, 5003), of(4003, 1)), (Some(Role::Control), Some(Role::Packets), None));
        let unknown =
            |name: &str| Access { group: None, roles: [(Role::Packets, vec![name.to_owned()])].into(), tcp: None };
        for name in ["no-such-user", "@no-such-group"] {
            let e = Rights::new(&unknown(name)).unwrap_err();
            assert!(e.contains(name.trim_start_matches('@')), "{e}");
        }
    }
}
