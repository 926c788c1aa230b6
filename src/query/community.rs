//! A community ID as a question: what Suricata and Zeek call a connection. Owns its text and how it becomes a plan: the segments'
//! indexes tell which addresses it stands for. The packets decide, as everywhere.

use super::lang::plan::Plan;
use super::part::Question;
use super::sealed::Sealed;
use crate::index::community::IcmpKind;
use crate::index::conns::Conn;
use crate::index::term::Term;
use crate::index::{Index, IndexError, Run, Skip, community};
use crate::packet::key::Key;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

/// A community ID, version 1, seed 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommunityId(String);

/// What is wrong with its text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no community ID: it is 1: and 28 letters of base64, as in 1:LQU9qZlK+B5F3KDmev6m5PMibrg=")]
pub struct CommunityIdError(String);

impl FromStr for CommunityId {
    type Err = CommunityIdError;

    fn from_str(text: &str) -> Result<CommunityId, CommunityIdError> {
        let base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
        let hash = text.strip_prefix("1:").and_then(|t| t.strip_suffix('='));
        match hash.filter(|h| h.len() == 27 && h.chars().all(base64)) {
            Some(_) => Ok(CommunityId(text.to_owned())),
            None => Err(CommunityIdError(text.to_owned())),
        }
    }
}

impl std::fmt::Display for CommunityId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl CommunityId {
    /// Whether a packet's connection has it.
    pub fn names(&self, key: &Key, icmp: Option<IcmpKind>) -> bool {
        let id = match icmp {
            Some(icmp) => community::of_icmp(key, icmp),
            None => community::of_key(key),
        };
        id.is_some_and(|id| id == self.0)
    }

    /// What its packets have: the addresses of the connections that may be it. Later fragments have the addresses too.
    pub fn plan(&self, sealed: &[Arc<Sealed>], recent: &[Arc<Run>], q: &Question<'_>) -> Plan {
        let mut pairs: Vec<[IpAddr; 2]> = Vec::new();
        let mut told = true;
        let held = || sealed.iter().filter(|s| s.may_overlap(q));
        held().filter_map(|s| s.skip.as_ref()).for_each(Skip::will_join);
        for s in held().filter(|s| s.may_have_community(&self.0)) {
            let found = s.skip.as_ref().map(|_| s.index().and_then(|i| self.pairs(&i, &mut pairs)));
            told &= !matches!(found, Some(Err(_)));
        }
        // Who is told to stop finds that out by himself.
        for index in recent.iter().filter_map(|r| r.index()).take_while(|_| q.pace.go_on()) {
            told &= self.pairs(index, &mut pairs).is_ok();
        }
        if !told {
            // An index that can't say: nothing is pruned.
            return Plan::All;
        }
        pairs.sort_unstable();
        pairs.dedup();
        let one = |a: IpAddr| Plan::Range(Term::addr(a), Term::addr(a));
        // None at all: what has an index has it not.
        pairs.into_iter().map(|[a, b]| one(a).and(one(b))).fold(Plan::Or(vec![]), Plan::or)
    }

    fn pairs(&self, index: &Index, pairs: &mut Vec<[IpAddr; 2]>) -> Result<(), IndexError> {
        let mut note = |c: &Conn| {
            let mine = match community::of_key(&c.key) {
                Some(id) => id == self.0,
                // Of ICMP the key does not tell; its packets do.
                None => matches!(c.key.tail().proto, 1 | 58),
            };
            pairs.extend(c.key.addrs().filter(|_| mine));
        };
        let mut ids = Vec::new();
        match index.community(&self.0, &mut ids)? {
            Some(()) => index.conns(&ids, &mut |c| note(&c)),
            None => index.each_conn(0, &mut |_, c| note(&c)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        assert!("1:LQU9qZlK+B5F3KDmev6m5PMibrg=".parse::<CommunityId>().is_ok());
        for bad in [
            "",
            "1:",
            "2:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            "1:LQU9qZlK+B5F3KDmev6m5PMibr=",
            "1:LQU9qZlK B5F3KDmev6m5PMibrg=",
        ] {
            assert!(bad.parse::<CommunityId>().is_err(), "{bad}");
        }
    }
}
