//! How orders are written: addresses, connections, roles. Owns the grammar; used by the API, the command line and the file.

use super::Target;
use crate::conn::orders::{Plain, Prefix, Role};
use crate::packet::key::{Key, Key4, Key6, Tail};
use crate::query::ConnSpec;
use std::net::IpAddr;

/// Reads `10.1.2.3`, `10.0.0.0/8`, `2001:db8::/32`.
pub fn prefix(text: &str) -> Result<Prefix, String> {
    let wrong = |why: &str| format!("{text:?} is no address: {why}; write 10.1.2.3, 10.0.0.0/8 or 2001:db8::1");
    let (addr, len) = match text.split_once('/') {
        Some((addr, len)) => (addr, Some(len)),
        None => (text, None),
    };
    let addr: IpAddr = addr.parse().map_err(|_| wrong("it can't be read"))?;
    let Some(len) = len else { return Ok(Prefix::host(addr)) };
    let len = len.parse().map_err(|_| wrong("its length is no number"))?;
    let prefix = Prefix::new(addr, len).ok_or_else(|| wrong("an address has fewer bits"))?;
    match prefix.parts().0 == addr.to_canonical() {
        true => Ok(prefix),
        false => Err(wrong(&format!("bits behind /{len} are set: the net is {prefix}"))),
    }
}

/// The connection that a text as `query --conn` takes it names, whatever VLAN or tunnel it is in.
pub fn connection(text: &str) -> Result<Plain, String> {
    let spec: ConnSpec = text.parse().map_err(|e: crate::query::ConnSpecError| e.to_string())?;
    let (proto, ends) = spec.parts();
    let mut ends = ends;
    ends.sort();
    let [(a, ap), (b, bp)] = ends;
    let tail = Tail { port: [ap, bp], proto, ..Tail::default() };
    let key = match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => Key::V4(Key4 { addr: [a.octets(), b.octets()], tail }),
        (a, b) => Key::V6(Key6 { addr: [a, b].map(octets), tail }),
    };
    Plain::of(&key).ok_or_else(|| format!("{text:?} names no connection"))
}

fn octets(addr: IpAddr) -> [u8; 16] {
    match addr {
        IpAddr::V4(a) => a.to_ipv6_mapped().octets(),
        IpAddr::V6(a) => a.octets(),
    }
}

/// As [`connection`] reads it.
pub fn name(plain: &Plain) -> String {
    let key = plain.key();
    let t = key.tail();
    ConnSpec::of(t.proto, key.addrs().unwrap_or([IpAddr::from([0; 4]); 2]), t.port).to_string()
}

/// What [`role`] reads.
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Either => "either",
        Role::Originator => "originator",
        Role::Responder => "responder",
    }
}

/// `originator`, `responder`; nothing: either.
pub fn role(word: Option<&str>) -> Result<Role, String> {
    match word {
        None | Some("either") => Ok(Role::Either),
        Some("originator") => Ok(Role::Originator),
        Some("responder") => Ok(Role::Responder),
        Some(other) => Err(format!("{other:?} is no role of an address: there are originator, responder, either")),
    }
}

/// One of the two.
pub fn target(conn: Option<&str>, address: Option<&str>) -> Result<Target, String> {
    match (conn, address) {
        (Some(conn), None) => connection(conn).map(Target::Connection),
        (None, Some(address)) => prefix(address).map(Target::Address),
        _ => Err("name a connection (conn) or an address (address), one of them".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["10.1.2.3", "10.0.0.0/8", "2001:db8::1", "2001:db8::/32", "0.0.0.0/0", "::/0"] {
            assert_eq!(prefix(good).map(|p| p.to_string()), Ok(good.to_owned()));
        }
        assert_eq!(prefix("10.1.2.3/32").unwrap(), prefix("10.1.2.3").unwrap());
        for (bad, why) in [
            ("10.1.2", "can't be read"),
            ("host", "can't be read"),
            ("10.1.2.3/33", "fewer bits"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.1.2.3/x", "no number"),
            ("", "can't be read"),
        ] {
            assert!(prefix(bad).unwrap_err().contains(why), "{bad}: {:?}", prefix(bad));
        }
    }

    #[test]
    fn connections() {
        let one = connection("tcp 6.7.8.9:80 1.2.3.4:5").unwrap();
        assert_eq!(one, connection("tcp 1.2.3.4:5 6.7.8.9:80").unwrap());
        for text in ["tcp 1.2.3.4:5 6.7.8.9:80", "udp [::1]:5 [2001:db8::2]:53", "icmp 1.2.3.4 6.7.8.9"] {
            assert_eq!(name(&connection(text).unwrap()), text);
        }
        assert!(connection("tcp 1.2.3.4 6.7.8.9").unwrap_err().contains("no port"));
        assert!(target(None, None).is_err() && target(Some("icmp 1.2.3.4 6.7.8.9"), Some("1.2.3.4")).is_err());
    }
}
