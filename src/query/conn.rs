//! One connection as a question: `tcp 1.2.3.4:5 6.7.8.9:80`. Owns its grammar, the plan made of it, and which connections it names. Called by
//! the executor.

use super::community::CommunityId;
use super::lang::plan::Plan;
use super::whose::Named;
use crate::index::term::Term;
use crate::packet::key::{Key, Kind};
use crate::shape::{Endpoint, Ends};
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// A connection: protocol and two endpoints, in either order, whatever VLAN or tunnel it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnSpec {
    proto: u8,
    ends: [(IpAddr, u16); 2],
    ports: bool,
}

/// What is wrong with a connection's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no connection: {why}; write 'tcp 1.2.3.4:5 6.7.8.9:80', 'udp [2001:db8::1]:5 [2001:db8::2]:53' or 'icmp 1.2.3.4 6.7.8.9'"
)]
pub struct ConnSpecError {
    text: String,
    why: &'static str,
}

impl FromStr for ConnSpec {
    type Err = ConnSpecError;

    fn from_str(text: &str) -> Result<ConnSpec, ConnSpecError> {
        let wrong = |why| ConnSpecError { text: text.to_owned(), why };
        let words: Vec<&str> = text.split_whitespace().collect();
        let [proto, a, b] = words.as_slice() else { return Err(wrong("it has not three words")) };
        let (proto, needs_ports) = match proto.to_ascii_lowercase().as_str() {
            "tcp" => (6, true),
            "udp" => (17, true),
            "sctp" => (132, true),
            "icmp" => (1, false),
            "icmp6" => (58, false),
            n => (
                n.parse().map_err(|_| {
                    wrong("its first word is neither tcp, udp, sctp, icmp, icmp6 nor a protocol's number")
                })?,
                false,
            ),
        };
        let end = |word: &str| -> Result<(IpAddr, Option<u16>), ConnSpecError> {
            if let Ok(s) = word.parse::<SocketAddr>() {
                return Ok((s.ip(), Some(s.port())));
            }
            let bare = word.strip_prefix('[').and_then(|w| w.strip_suffix(']')).unwrap_or(word);
            bare.parse().map(|a| (a, None)).map_err(|_| wrong("an endpoint is no address"))
        };
        let ((a, ap), (b, bp)) = (end(a)?, end(b)?);
        if a.is_ipv4() != b.is_ipv4() {
            return Err(wrong("one endpoint is IPv4 and the other IPv6"));
        }
        let ports = ap.is_some() && bp.is_some();
        if ap.is_some() != bp.is_some() || needs_ports && !ports {
            return Err(wrong("an endpoint has no port"));
        }
        Ok(ConnSpec { proto, ends: [(a, ap.unwrap_or(0)), (b, bp.unwrap_or(0))], ports })
    }
}

impl std::fmt::Display for ConnSpec {
    /// As [`FromStr`] takes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&protocol_name(self.proto))?;
        self.ends.iter().try_for_each(|&(a, p)| match self.ports {
            true => write!(f, " {}", SocketAddr::new(a, p)),
            false => write!(f, " {a}"),
        })
    }
}

/// `tcp`, `udp`, `sctp`, `icmp`, `icmp6`, else the number.
pub fn protocol_name(proto: u8) -> String {
    match proto {
        6 => "tcp".into(),
        17 => "udp".into(),
        132 => "sctp".into(),
        1 => "icmp".into(),
        58 => "icmp6".into(),
        n => n.to_string(),
    }
}

impl ConnSpec {
    /// Its text with the smaller end first: both directions have one name.
    pub fn name(&self) -> String {
        let mut ends = self.ends;
        ends.sort_unstable();
        ConnSpec { ends, ..self.clone() }.to_string()
    }

    /// As it is said.
    pub fn ends(&self) -> Ends {
        let [a, b] = self.ends.map(|(address, port)| Endpoint::new(address, self.ports.then_some(port)));
        Ends { protocol: protocol_name(self.proto), a, b }
    }

    /// Protocol and endpoints.
    pub fn parts(&self) -> (u8, [(IpAddr, u16); 2]) {
        (self.proto, self.ends)
    }

    /// Of these; without ports where there are none.
    pub fn of(proto: u8, addrs: [IpAddr; 2], ports: [u16; 2]) -> ConnSpec {
        let [a, b] = addrs;
        let [p, q] = ports;
        ConnSpec { proto, ends: [(a, p), (b, q)], ports: matches!(proto, 6 | 17 | 132) || ports != [0; 2] }
    }

    /// What its packets have. Ports are not asked for: later fragments have none.
    pub fn plan(&self) -> Plan {
        let [a, b] = self.ends.map(|(a, _)| Plan::Range(Term::addr(a), Term::addr(a)));
        a.and(b)
    }

    /// Whether a key names it.
    fn names(&self, key: &Key) -> bool {
        let t = key.tail();
        if t.kind() != Kind::Ip || t.proto != self.proto {
            return false;
        }
        let Some([a, b]) = key.addrs() else { return false };
        let ends = [(a, t.port[0]), (b, t.port[1])];
        let same =
            |x: [(IpAddr, u16); 2]| if self.ports { x == self.ends } else { x.map(|e| e.0) == self.ends.map(|e| e.0) };
        let [x, y] = ends;
        same([x, y]) || same([y, x])
    }
}

/// Which connection.
#[derive(Clone, Debug)]
pub enum Which {
    /// By its endpoints.
    Ends(ConnSpec),
    /// By its community ID.
    Community(CommunityId),
}

impl Which {
    /// Whether a packet's connection is it.
    pub fn names(&self, named: &Named) -> bool {
        match self {
            Which::Ends(spec) => spec.names(&named.key),
            Which::Community(id) => id.names(&named.key, named.icmp),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for good in
            ["tcp 1.2.3.4:5 6.7.8.9:80", "UDP [2001:db8::1]:5 [2001:db8::2]:53", "icmp 1.2.3.4 6.7.8.9", "47 ::1 ::2"]
        {
            let spec = good.parse::<ConnSpec>().expect(good);
            assert_eq!(spec.to_string().parse::<ConnSpec>(), Ok(spec), "{good}");
        }
        for (bad, why) in [
            ("tcp 1.2.3.4:5", "three words"),
            ("tcp 1.2.3.4 6.7.8.9", "no port"),
            ("tcp 1.2.3.4:5 [::1]:6", "IPv6"),
            ("tpc 1.2.3.4:5 1.2.3.4:6", "first word"),
            ("tcp example.com:5 1.2.3.4:6", "no address"),
            ("tcp 1.2.3.4:70000 1.2.3.4:6", "no address"),
        ] {
            let error = bad.parse::<ConnSpec>().expect_err(bad).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
