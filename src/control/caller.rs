//! Who asks: a process that the kernel vouches for, or whoever has a token, and the role that makes of it. Made for each connection to the
//! socket and each request over TCP; entered in the audit log with each request.

use super::access::{Rights, user_name};
use super::peer::Peer;
use super::places::RemotePlace;
use super::role::Role;
use super::shared::Shared;
use super::tokens::Tokens;
use crate::shape::Endpoint;
use axum::http::{HeaderMap, header};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use std::net::SocketAddr;
use std::sync::Arc;

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
    lacks: Option<(u16, String)>,
}

fn from<S: Serializer>(address: &Option<SocketAddr>, to: S) -> Result<S::Ok, S::Error> {
    address.map(|a| Endpoint::new(a.ip(), Some(a.port()))).serialize(to)
}

/// Where a connection comes from.
#[derive(Clone, Debug)]
pub enum From {
    /// The socket.
    Local(Arc<Local>),
    /// TCP; each request says by its token who asks.
    Remote(SocketAddr, Arc<RemotePlace>),
}

/// Who is at the other end of the socket.
#[derive(Debug)]
pub struct Local {
    /// The process; none: the kernel does not say which.
    pub peer: Option<Peer>,
    /// Its user's name.
    pub name: String,
    /// Its supplementary groups.
    pub groups: Vec<u32>,
}

impl Local {
    /// As the kernel has it of this connection.
    pub fn of(peer: Option<Peer>, groups: Vec<u32>) -> Local {
        let name = peer.map_or("somebody".into(), |p| user_name(p.uid));
        Local { peer, name, groups }
    }
}

impl Caller {
    /// Of a request. What a user may is what he may now, however long the connection has stood.
    pub fn of(from: From, headers: &HeaderMap, shared: &Shared) -> Caller {
        match from {
            From::Local(local) => Caller::local(&local, &shared.rights()),
            From::Remote(address, place) => {
                let caller = Caller::remote(address, headers, &shared.tokens);
                match caller.role.map(|_| place.is_of(&caller.name)) {
                    Some(Err(why)) => Caller { role: None, lacks: Some((429, why)), ..caller },
                    _ => caller,
                }
            }
        }
    }

    /// A process at the Unix socket.
    fn local(local: &Local, rights: &Rights) -> Caller {
        let role = local.peer.and_then(|p| rights.of(&p, &local.groups));
        Caller { name: local.name.clone(), peer: local.peer, address: None, role, lacks: None }
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
            Err(why) => ("somebody".to_owned(), None, Some((401, why))),
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
            (None, Some(why)) => Err(why.clone()),
            (None, None) => Err((
                403,
                format!(
                    "{name} has no role here: only root, the recorder's user, members of its group and whom [api.roles] names may ask"
                ),
            )),
        }
    }
}
