//! The recorder as a NIDS' hand reaches it: lift a cutoff, assign an offender, hold packets and fetch them, leave a word in the audit log. The
//! one place that knows requests; each is a connection of its own, so that a recorder that was started anew is found again.

use super::Stop;
use crate::control::{Address, Client, ClientError, HoldAsk, Long, When};
use crate::hold::{self, HoldLine};
use crate::limits::NIDS_NOTE;
use crate::query::{CommunityId, ConnSpec, Summary};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fs::File;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Instant;

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

/// The recorder.
#[derive(Clone, Debug)]
pub struct Daemon {
    api: Address,
    /// Its store, where that is at hand: for people and scripts, who are told where packets are.
    store: Option<PathBuf>,
    stop: Stop,
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

/// Why packets are held.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The hold's name.
    pub name: &'a str,
    /// For people.
    pub reason: &'a str,
    /// The alert.
    pub about: &'a Value,
    /// What comes is held, too, for so many ns.
    pub follow: Option<u64>,
    /// What it may take.
    pub terms: Terms,
}

/// What holds of a NIDS may take: whoever sends what it alerts on must not fill all that there is for holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Bytes of one.
    pub size: u64,
    /// Each is let go after so many ns.
    pub age: u64,
    /// Bytes of all of them.
    pub share: u64,
}

impl Daemon {
    /// Where it answers; its store, where that is on this machine. No call lasts past the end of what `stop` allows.
    pub fn new(api: Address, store: Option<PathBuf>, stop: Stop) -> Daemon {
        Daemon { api, store, stop }
    }

    /// From now on, for so many ns, the connection is stored past its cutoff.
    pub fn suspend(&self, conn: &ConnSpec, lasting: u64) -> Result<(), Refusal> {
        self.ask::<Value>("/v1/suspensions", &json!({ "conn": conn.to_string(), "for": Long::Ns(lasting) })).map(drop)
    }

    /// The address' connections get this class, for so many ns.
    pub fn assign(&self, address: IpAddr, class: &str, lasting: u64) -> Result<(), Refusal> {
        let body = json!({ "address": address.to_string(), "class": class, "for": Long::Ns(lasting) });
        self.ask::<Value>("/v1/assignments", &body).map(drop)
    }

    /// Whether a packet is there from `since` on.
    pub fn has(&self, what: &Wanted, since: u64) -> Result<bool, Refusal> {
        let HoldAsk { conn, community_id, filter, since, .. } = asked(what, since);
        let mut ask = json!({ "filter": filter, "since": since, "limit": 1 });
        if let (Some(ask), Some((key, value))) =
            (ask.as_object_mut(), conn.map(|c| ("conn", c)).or(community_id.map(|c| ("community_id", c))))
        {
            ask.insert(key.to_owned(), value.into());
        }
        self.ask::<Summary>("/v1/count", &ask).map(|s| s.packets > 0)
    }

    /// Holds packets from `since` on, under this name, or with a number behind it where there is one of that name.
    pub fn hold(&self, what: &Wanted, since: u64, case: Case<'_>) -> Result<HoldLine, Refusal> {
        let names = std::iter::once(case.name.to_owned()).chain((2..100).map(|n| format!("{}-{n}", case.name)));
        for name in names {
            let ask = HoldAsk {
                name,
                reason: case.reason.to_owned(),
                about: Some(case.about.clone()),
                follow: case.follow.is_some(),
                lasting: case.follow.map(Long::Ns),
                keep_for: Some(Long::Ns(case.terms.age)),
                most_bytes: Some(case.terms.size),
                share_bytes: Some(case.terms.share),
                ..asked(what, since)
            };
            match self.call("/v1/holds", &ask) {
                // There is one of that name.
                Err(ClientError::Refused(409, _)) => {}
                // No packet matches.
                Err(ClientError::Refused(404, _)) => return Err(Refusal::Nothing),
                done => return done.map_err(refused),
            }
        }
        Err(Refusal::No(format!("there are a hundred holds {} already", case.name)))
    }

    /// The hold of this case, if there is one: of its name, or with a number behind it, and about the same.
    pub fn made(&self, case: Case<'_>) -> Result<Option<HoldLine>, Refusal> {
        let holds: Vec<HoldLine> = self.client().and_then(|mut c| c.list("/v1/holds")).map_err(refused)?;
        let named = |name: &str| {
            let rest = name.strip_prefix(case.name);
            rest.is_some_and(|n| n.is_empty() || n.strip_prefix('-').is_some_and(|n| n.parse::<u8>().is_ok()))
        };
        let about = |h: &HoldLine| h.record.as_ref().is_some_and(|r| r.about.as_ref() == Some(case.about));
        Ok(holds.into_iter().find(|h| named(&h.name) && about(h)))
    }

    /// Copies a hold's packets to a file.
    pub fn export(&self, name: &str, mut file: File) -> Result<(), Refusal> {
        let mut client = self.client().map_err(refused)?;
        client.file(&format!("/v1/holds/{name}/packets"), &mut file, &|| self.stop.is_over()).map_err(refused).map(drop)
    }

    /// Where a hold's packets are, if the store is at hand.
    pub fn place(&self, hold: &str) -> Option<PathBuf> {
        let path = hold::packets_of(self.store.as_deref()?, hold);
        path.exists().then_some(path)
    }

    /// A line in the audit log; in a moment, or not at all.
    pub fn note(&self, text: &str) -> Result<(), Refusal> {
        let until = Instant::now() + NIDS_NOTE;
        let mut client = self.client().map_err(refused)?;
        let done = client.ask_until("POST", "/v1/notes", &json!({ "text": text }), &|| Instant::now() >= until);
        done.map_err(refused).map(|_: Value| ())
    }

    /// Whether a recorder answers.
    pub fn is_there(&self) -> bool {
        self.client().is_ok()
    }

    /// Where.
    pub fn address(&self) -> &Address {
        &self.api
    }

    fn ask<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Refusal> {
        self.call(path, body).map_err(refused)
    }

    fn call<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        self.client()?.ask_until("POST", path, body, &|| self.stop.is_over())
    }

    fn client(&self) -> Result<Client, ClientError> {
        let at = self.api.to_string();
        let nobody = || ClientError::Connection { at, why: "no recorder answers there".into() };
        Client::at(&self.api)?.ok_or_else(nobody)
    }
}

fn asked(what: &Wanted, since: u64) -> HoldAsk {
    let mut ask = HoldAsk { since: Some(When::Ns(since)), ..HoldAsk::default() };
    match what {
        Wanted::Conn(conn) => ask.conn = Some(conn.to_string()),
        Wanted::Community(id) => ask.community_id = Some(id.to_string()),
        Wanted::Host(address) => ask.filter = format!("host {address}"),
    }
    ask
}

fn refused(e: ClientError) -> Refusal {
    match e {
        ClientError::Refused(429 | 503, why) => Refusal::Later(why),
        ClientError::Refused(_, why) | ClientError::Broken(why) => Refusal::No(why),
        ClientError::Interrupted => Refusal::No("it was under way when all ended".into()),
        e @ (ClientError::Write(_) | ClientError::Summary(_)) => Refusal::No(e.to_string()),
        e @ ClientError::Connection { .. } => Refusal::Later(e.to_string()),
    }
}
