//! A question as it comes over the socket: JSON, every field optional, an unknown one an error. Owns the names of the fields and
//! what they mean; the command line makes one, the daemon takes it apart.

use super::ask_time::{Long, When};
use crate::limits::{ASK_BYTES_MAX, AUDIT_ASK_BYTES};
use crate::query::{Addresses, CommunityId, ConnSpec, Cursor, Query, Sort};
use crate::units;
use axum::body::Bytes;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Format of the packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// With interfaces, nanoseconds and the summary as a comment.
    #[default]
    Pcapng,
    /// The same with room in the section's header, for whoever makes a file of it and copies that comment there.
    #[serde(rename = "pcapng-file")]
    PcapngFile,
    /// One link type.
    Pcap,
}

/// The question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ask {
    /// pcap-filter expression.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter: String,
    /// Of these addresses, or of these networks, one at either end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// See `hosts`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nets: Vec<String>,
    /// Also inside tags and tunnels.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub any_layer: bool,
    /// One connection: `tcp 1.2.3.4:5 6.7.8.9:80`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conn: Option<String>,
    /// The connection with this community ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub community_id: Option<String>,
    /// Only these classes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Only what came in by these interfaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,
    /// From this time on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<When>,
    /// Before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<When>,
    /// The last so long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Long>,
    /// At most so many packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Only what is in memory.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub memory_only: bool,
    /// Without index: for comparison.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub full_scan: bool,
    /// Format of the packets.
    #[serde(skip_serializing_if = "is_default")]
    pub format: Form,
    /// Says also where the packets come from, for a manifest: the body is made of frames.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub manifest: bool,
    /// Goes on with what comes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
    /// A follower says where it stands: the body is made of frames.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cursors: bool,
    /// Goes on where a follower stood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Of connections: what comes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<Sort>,
    /// Of connections: only the first so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top: Option<usize>,
    /// So long.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasting: Option<Long>,
}

fn is_default(form: &Form) -> bool {
    *form == Form::default()
}

impl Ask {
    /// The query that it is, of this store; the error is for whoever asked.
    pub fn query(&self, store: &Path) -> Result<Query, String> {
        let now = units::now();
        let when = |name: &str, w: &Option<When>| {
            w.as_ref().map(|w| w.unix_ns(now)).transpose().map_err(|e| format!("{name}: {e}"))
        };
        let (since, until) = (when("since", &self.since)?, when("until", &self.until)?);
        let last = self.last.as_ref().map(Long::ns).transpose().map_err(|e| format!("last: {e}"))?;
        if last.is_some() && (since.is_some() || until.is_some()) {
            return Err("last cannot be used with since and until: last counts back from now".into());
        }
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            return Err("since must be before until: the window is empty".into());
        }
        if self.filter.len() > ASK_BYTES_MAX {
            let most = units::size(ASK_BYTES_MAX as u64);
            return Err(format!("filter: longer than {most}: give addresses and networks in hosts and nets"));
        }
        if self.conn.is_some() && self.community_id.is_some() {
            return Err("conn and community_id both name a connection: give one of them".into());
        }
        let conn = match self.conn.as_deref().map(str::parse::<ConnSpec>) {
            None => None,
            Some(parsed) => Some(parsed.map_err(|e| e.to_string())?),
        };
        let community = match self.community_id.as_deref().map(str::parse::<CommunityId>) {
            None => None,
            Some(parsed) => Some(parsed.map_err(|e| e.to_string())?),
        };
        Ok(Query {
            community,
            store: store.to_owned(),
            filter: self.addresses()?.joined(&self.filter),
            any_layer: self.any_layer,
            conn,
            classes: self.classes.clone(),
            interfaces: self.interfaces.clone(),
            since,
            until,
            last,
            limit: self.limit,
            memory_only: self.memory_only,
            full_scan: self.full_scan,
        })
    }

    /// The addresses and networks; the error names the entry.
    fn addresses(&self) -> Result<Addresses, String> {
        let mut all = Addresses::default();
        let wrong = |list, n: usize, e| format!("{list}: entry {}: {e}", n + 1);
        for (n, word) in self.hosts.iter().enumerate() {
            all.host(word).map_err(|e| wrong("hosts", n, e))?;
        }
        for (n, word) in self.nets.iter().enumerate() {
            all.net(word).map_err(|e| wrong("nets", n, e))?;
        }
        Ok(all)
    }

    /// How long a follower follows, ns.
    pub fn lasting(&self) -> Result<Option<u64>, String> {
        match &self.lasting {
            Some(_) if !self.follow => Err("for says how long to follow: without follow it means nothing".into()),
            None => Ok(None),
            Some(long) => long.ns().map(Some).map_err(|e| format!("for: {e}")),
        }
    }

    /// Where a follower stood that this one goes on from.
    pub fn after(&self) -> Result<Option<Cursor>, String> {
        match &self.after {
            _ if self.cursors && !self.follow => {
                Err("cursors say where a follower stands: without follow they mean nothing".into())
            }
            None => Ok(None),
            Some(_) if !self.follow => {
                Err("after says where a follower goes on: without follow it means nothing".into())
            }
            Some(_) if self.since.is_some() || self.last.is_some() => {
                Err("since and last cannot be used with after: it has when the first one began".into())
            }
            Some(text) => Cursor::parse(text).map(Some),
        }
    }

    /// That nothing is asked which only packets have.
    pub fn lists(&self) -> Result<(), String> {
        let cursors = self.cursors || self.after.is_some();
        let packets =
            self.lasting.is_some() || self.limit.is_some() || !is_default(&self.format) || self.manifest || cursors;
        match (self.follow, packets) {
            (false, false) => Ok(()),
            _ => Err("follow, for, limit, format, manifest, cursors and after are for /v1/query: connections take sort and top".into()),
        }
    }

    /// That nothing is asked which only a list of connections has.
    pub fn gives_packets(&self) -> Result<(), String> {
        match (self.sort, self.top) {
            (None, None) => Ok(()),
            _ => Err("sort and top are for /v1/connections: packets come in the order of time, up to limit".into()),
        }
    }

    /// The question that a query is.
    pub fn of(query: &Query, format: Form) -> Ask {
        Ask {
            filter: query.filter.clone(),
            any_layer: query.any_layer,
            conn: query.conn.as_ref().map(ConnSpec::to_string),
            community_id: query.community.as_ref().map(CommunityId::to_string),
            classes: query.classes.clone(),
            interfaces: query.interfaces.clone(),
            since: query.since.map(When::Ns),
            until: query.until.map(When::Ns),
            last: query.last.map(Long::Ns),
            limit: query.limit,
            memory_only: query.memory_only,
            full_scan: query.full_scan,
            format,
            ..Ask::default()
        }
    }
}

/// A long question as the audit log has it: of `hosts` and `nets` how many there are, and the SHA-256 of them sorted as text, a line each.
/// `None`: it is short, or has no such list.
pub fn with_lists_counted(body: &Bytes) -> Option<Bytes> {
    if body.len() <= AUDIT_ASK_BYTES {
        return None;
    }
    let mut ask: serde_json::Value = serde_json::from_slice(body).ok()?;
    let mut told = false;
    for name in ["hosts", "nets"] {
        let Some(list) = ask.get_mut(name).filter(|list| list.is_array()) else { continue };
        let mut all = Addresses::default();
        // A question with an entry that is none is refused, and the log says why.
        for word in list.as_array()?.iter().filter_map(|entry| entry.as_str()) {
            let _ = if name == "hosts" { all.host(word) } else { all.net(word) };
        }
        let (count, sha256) = if name == "hosts" { all.hosts_told() } else { all.nets_told() };
        *list = serde_json::json!({ "count": count, "sha256": sha256 });
        told = true;
    }
    if told { Some(serde_json::to_vec(&ask).ok()?.into()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_comes_back_from_its_text() {
        let query = Query {
            filter: "host 10.0.0.1".into(),
            conn: Some("udp 1.2.3.4:5 6.7.8.9:53".parse().unwrap()),
            since: Some(5),
            until: Some(7),
            limit: Some(0),
            ..Query::default()
        };
        let text = serde_json::to_string(&Ask::of(&query, Form::Pcap)).unwrap();
        let back: Ask = serde_json::from_str(&text).unwrap();
        assert_eq!(back.format, Form::Pcap);
        let again = back.query(Path::new("")).unwrap();
        assert_eq!(format!("{again:?}"), format!("{query:?}"));
    }

    /// The audit log has a long list by its sum, whatever else is asked.
    #[test]
    fn a_long_list_is_entered_by_its_sum() {
        let hosts: Vec<String> = (0..5000u32).map(|n| std::net::Ipv4Addr::from(n << 8).to_string()).collect();
        let ask = Ask { hosts, filter: "tcp".into(), ..Ask::default() };
        let body = Bytes::from(serde_json::to_vec(&ask).unwrap());
        let entered: serde_json::Value = serde_json::from_slice(&with_lists_counted(&body).unwrap()).unwrap();
        assert_eq!((&entered["filter"], &entered["hosts"]["count"]), (&"tcp".into(), &5000.into()), "{entered}");
        assert_eq!(entered["hosts"]["sha256"].as_str().unwrap().len(), 64);
        let query = ask.query(Path::new("")).unwrap();
        assert!(query.filter.starts_with("tcp and (host 0.0.0.0 or 0.0.1.0 or "), "{}", &query.filter[..60]);
        assert_eq!(with_lists_counted(&Bytes::from_static(b"{\"hosts\": [\"10.0.0.1\"]}")), None);
    }

    #[test]
    fn nonsense_is_named() {
        for (text, why) in [
            (r#"{"since": "2026-11-21T13:15:00Z", "until": "2026-11-21T13:15:00Z"}"#, "empty"),
            (
                r#"{"conn": "udp 1.2.3.4:5 6.7.8.9:53", "community_id": "1:LQU9qZlK+B5F3KDmev6m5PMibrg="}"#,
                "one of them",
            ),
            (r#"{"last": "soon"}"#, "last"),
            (r#"{"hosts": ["10.0.0.1", "a"]}"#, "hosts: entry 2"),
            (r#"{"nets": ["10.0.0.1/8"]}"#, "10.0.0.0/8"),
            (r#"{"since": "yesteryear"}"#, "since"),
            (r#"{"last": 5, "since": "13:15"}"#, "counts back"),
            (r#"{"conn": "tcp here there"}"#, "no connection"),
        ] {
            let error = serde_json::from_str::<Ask>(text).unwrap().query(Path::new("")).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(serde_json::from_str::<Ask>(r#"{"filtre": "tcp"}"#).is_err());
        for (text, allowed) in [(r#"{"since": 7}"#, "a time is a text"), (r#"{"last": true}"#, "\"10m\"")] {
            let error = serde_json::from_str::<Ask>(text).unwrap_err().to_string();
            assert!(error.contains(allowed) && !error.contains("variant"), "{text}: {error}");
        }
    }
}
