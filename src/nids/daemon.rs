//! The recorder as a NIDS' hand reaches it: lift a cutoff, assign an offender, hold packets, leave a word in the audit log. The one place
//! that knows requests and paths; each call is a connection of its own, so that a recorder that was started anew is found again.

use crate::control::{Client, ClientError};
use crate::hold::{Held, Hold, HoldError, Who, Why};
use crate::query::{CommunityId, ConnSpec, Query};
use crate::store::layout::Layout;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Why something was not done.
#[derive(Debug)]
pub enum Refusal {
    /// Nobody answers, or too many ask: later it may go.
    Later(String),
    /// No packet is there (yet).
    Nothing,
    /// It will never go.
    No(String),
}

impl Refusal {
    /// For people.
    pub fn text(self) -> String {
        match self {
            Refusal::Later(why) | Refusal::No(why) => why,
            Refusal::Nothing => "no packet matches: nothing is held".into(),
        }
    }
}

/// The recorder of a store.
#[derive(Clone, Debug)]
pub struct Daemon {
    store: PathBuf,
    api: PathBuf,
}

/// Packets to be held.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Of this connection.
    Conn(ConnSpec),
    /// Of the connection with this community ID.
    Community(CommunityId),
    /// From and to this address.
    Host(IpAddr),
}

impl Daemon {
    /// Of this store; its socket.
    pub fn new(store: &Path, api: &Path) -> Daemon {
        Daemon { store: store.to_owned(), api: api.to_owned() }
    }

    /// From now on, for so many ns, the connection is stored past its cutoff.
    pub fn suspend(&self, conn: &ConnSpec, lasting: u64) -> Result<(), Refusal> {
        self.post("/v1/suspensions", &json!({ "conn": conn.to_string(), "for": lasting })).map(|_| ())
    }

    /// The address' connections get this class, for so many ns.
    pub fn assign(&self, address: IpAddr, class: &str, lasting: u64) -> Result<(), Refusal> {
        let body = json!({ "address": address.to_string(), "class": class, "for": lasting });
        self.post("/v1/assignments", &body).map(|_| ())
    }

    /// Holds packets from `since` on, under this name, or with a number behind it where there is one of that name.
    pub fn hold(&self, what: &Wanted, since: u64, name: &str, reason: &str, about: &Value) -> Result<Hold, Refusal> {
        let mut query = Query { store: self.store.clone(), since: Some(since), ..Query::default() };
        match what {
            Wanted::Conn(conn) => query.conn = Some(conn.clone()),
            Wanted::Community(id) => query.community = Some(id.clone()),
            Wanted::Host(address) => query.filter = format!("host {address}"),
        }
        let held = Held::open(&self.store).map_err(refused)?;
        let who = Who::me();
        let text = |s: &_| crate::query::text(s).trim_end().to_owned();
        let names = std::iter::once(name.to_owned()).chain((2..100).map(|n| format!("{name}-{n}")));
        for name in names {
            match held.hold(&query, &name, Why { reason, who: &who, about: Some(about) }, text) {
                Err(HoldError::Exists(_)) => {}
                done => return done.map(|(hold, _)| hold).map_err(refused),
            }
        }
        Err(Refusal::No(format!("there are a hundred holds {name} already")))
    }

    /// Where a hold's packets are.
    pub fn packets(&self, name: &str) -> Option<PathBuf> {
        Held::open(&self.store).ok()?.packets(name).ok().map(|(_, path)| path)
    }

    /// The folder of all holds.
    pub fn held(&self) -> PathBuf {
        let folder = Layout::new(&self.store).held();
        folder.canonicalize().unwrap_or(folder)
    }

    /// A line in the audit log.
    pub fn note(&self, text: &str) -> Result<(), Refusal> {
        self.post("/v1/notes", &json!({ "text": text })).map(|_| ())
    }

    /// Whether a recorder answers.
    pub fn is_there(&self) -> bool {
        std::os::unix::net::UnixStream::connect(&self.api).is_ok()
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, Refusal> {
        let client = Client::connect(&self.api).map_err(|e| Refusal::Later(e.to_string()))?;
        let Some(mut client) = client else {
            return Err(Refusal::Later(format!("{}: no recorder answers there", self.api.display())));
        };
        client.post_json(path, body).map_err(|e| match e {
            ClientError::Refused(429 | 503, why) => Refusal::Later(why),
            ClientError::Refused(_, why) => Refusal::No(why),
            e => Refusal::Later(e.to_string()),
        })
    }
}

fn refused(e: HoldError) -> Refusal {
    match e {
        HoldError::Empty => Refusal::Nothing,
        e => Refusal::No(e.to_string()),
    }
}
