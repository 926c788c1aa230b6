//! Who asks: a process that the kernel vouches for, or whoever has a token, and the role that makes of it. Made for each connection to the
//! socket and each request over TCP; entered in the audit log with each request.

use super::access::{Rights, user_name};
use super::role::Role;
use super::tokens::Tokens;
use crate::shape::Endpoint;
use axum::http::{HeaderMap, header};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use std::net::SocketAddr;

/// A client, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Caller {
    /// For people and for the log: a user, or a token.
    pub name: String,
    /// What the kernel says of it.
    #[serde(flatten)]
    pub peer: Option<Peer>,
    /// Where it is, if it is not on this machine's socket.
    #[serde(rename = "from", skip_serializing_if = "Option::is_none", serialize_with = "from")]
    #[schemars(with = "Endpoint")]
    pub address: Option<SocketAddr>,
    /// What it may do; none: nothing.
    pub role: Option<Role>,
    /// Why it may nothing.
    #[serde(skip)]
    lacks: Option<String>,
}

fn from<S: Serializer>(address: &Option<SocketAddr>, to: S) -> Result<S::Ok, S::Error> {
    address.map(|a| Endpoint::new(a.ip(), Some(a.port()))).serialize(to)
}

/// Where a connection comes from.
#[derive(Clone, Debug)]
pub enum From {
    /// The socket.
    Local(Caller),
    /// TCP; each request says by its token who asks.
    Remote(SocketAddr),
}

/// A process as the kernel vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Peer {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Process; 0 if the kernel does not tell.
    pub pid: i32,
}

impl Caller {
    /// Of a request.
    pub fn of(from: From, headers: &HeaderMap, tokens: &Tokens) -> Caller {
        match from {
            From::Local(caller) => caller,
            From::Remote(address) => Caller::remote(address, headers, tokens),
        }
    }

    /// A process at the Unix socket; `None`: the kernel does not say which.
    pub fn local(peer: Option<Peer>, rights: &Rights) -> Caller {
        let name = peer.map_or("somebody".into(), |p| user_name(p.uid));
        let role = peer.and_then(|p| rights.of(&p));
        Caller { name, peer, address: None, role, lacks: None }
    }

    /// Whoever has the token of a request that came over TCP.
    fn remote(address: SocketAddr, headers: &HeaderMap, tokens: &Tokens) -> Caller {
        let said = headers.get(header::AUTHORIZATION).map(|v| v.to_str().unwrap_or_default());
        let secret = said.map(|v| v.split_once(' ').filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer")));
        let token = match secret {
            None => Err("a request over TCP takes a token: Authorization: Bearer TOKEN".to_owned()),
            Some(None) => Err("of Authorization only Bearer is known".to_owned()),
            Some(Some((_, secret))) => tokens.of(secret.trim(), crate::units::now()),
        };
        let (name, role, lacks) = match token {
            Ok(token) => (format!("token {}", token.name), Some(token.role), None),
            Err(why) => ("somebody".to_owned(), None, Some(why)),
        };
        Caller { name, peer: None, address: Some(address), role, lacks }
    }

    /// Whoever sent the recorder a signal.
    pub fn signal() -> Caller {
        Caller { name: "a signal".into(), peer: None, address: None, role: Some(Role::Control), lacks: None }
    }

    /// Whether it may do what takes this role; if not, status and reason.
    pub fn may(&self, what: &str, needs: Role) -> Result<(), (u16, String)> {
        let name = &self.name;
        match (self.role, &self.lacks) {
            (Some(role), _) if role >= needs => Ok(()),
            (Some(role), _) => Err((403, format!("{what} takes the role {needs}, and {name} has {role}"))),
            (None, Some(why)) => Err((401, why.clone())),
            (None, None) => Err((
                403,
                format!(
                    "{name} has no role here: only root, the recorder's user, members of its group and whom [api.roles] names may ask"
                ),
            )),
        }
    }
}

impl Peer {
    /// Its supplementary groups, as the kernel shows them.
    pub fn groups(&self) -> Vec<u32> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("Groups:")).unwrap_or_default();
        line.split_whitespace().filter_map(|g| g.parse().ok()).collect()
    }
}
