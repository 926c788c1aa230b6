//! Community IDs (version 1, seed 0): the name that Suricata and Zeek give a connection. Owns which packets have one; the index's table of
//! them is `hashes`. An ICMP connection of ours can have several: they tell types apart.

use crate::packet::Parsed;
use crate::packet::key::{Key, Kind};
use community_id::calculate_community_id;

const ICMP: u8 = 1;
const ICMP6: u8 = 58;

/// Endpoint 1 of the key sent it; type; code.
pub type IcmpKind = (bool, u8, u8);

/// Whether a connection's packets have such kinds.
pub fn has_kinds(key: &Key) -> bool {
    key.tail().kind() == Kind::Ip && matches!((key, key.tail().proto), (Key::V4(_), ICMP) | (Key::V6(_), ICMP6))
}

/// The community ID of a connection that is not ICMP; `None`: it has none of its own.
pub fn of_key(key: &Key) -> Option<String> {
    let t = key.tail();
    if t.kind() != Kind::Ip || matches!(t.proto, ICMP | ICMP6) {
        return None;
    }
    let [a, b] = key.addrs()?;
    let ports = matches!(t.proto, 6 | 17 | 132).then_some(t.port);
    calculate_community_id(0, a, b, ports.map(|[p, _]| p), ports.map(|[_, p]| p), t.proto, false).ok()
}

/// The ICMP type and code of a packet and which endpoint sent it: what its community ID is made of beside the key.
pub fn icmp(parsed: &Parsed, data: &[u8]) -> Option<IcmpKind> {
    let t = parsed.key.tail();
    if t.kind() != Kind::Ip {
        return None;
    }
    let l3 = usize::from(parsed.l3);
    let at = match (&parsed.key, t.proto) {
        (Key::V4(_), ICMP) => l3 + 4 * usize::from(data.get(l3)? & 15),
        // Behind extension headers it has no ID here.
        (Key::V6(_), ICMP6) if *data.get(l3 + 6)? == ICMP6 => l3 + 40,
        _ => return None,
    };
    Some((parsed.swapped, *data.get(at)?, *data.get(at + 1)?))
}

/// The community ID of an ICMP connection's packets of one type, code and direction.
pub fn of_icmp(key: &Key, (swapped, kind, code): IcmpKind) -> Option<String> {
    let [a, b] = key.addrs()?;
    let (from, to) = if swapped { (b, a) } else { (a, b) };
    calculate_community_id(0, from, to, Some(kind.into()), Some(code.into()), key.tail().proto, false).ok()
}

/// The community ID of a packet; `None`: it has none, or is a later fragment.
#[cfg(test)]
fn of_packet(parsed: &Parsed, data: &[u8]) -> Option<String> {
    match icmp(parsed, data) {
        Some(icmp) => of_icmp(&parsed.key, icmp),
        None => of_key(&parsed.key),
    }
}

/// What the index sorts by.
pub fn hash(id: &str) -> u32 {
    crc32c::crc32c(id.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Parser;

    fn frame(src: [u8; 4], dst: [u8; 4], proto: u8, l4: &[u8]) -> Vec<u8> {
        let mut f = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 60, 0, 0, 0, 0, 64, proto, 0, 0];
        f.extend(src);
        f.extend(dst);
        f.extend(l4);
        f.resize(74, 0);
        f
    }

    /// Values of the specification's baseline (github.com/corelight/community-id-spec) and of its ICMP examples.
    #[test]
    fn ids_are_the_specifications() {
        let id = |f: &[u8]| of_packet(&Parser::new(0, true).parse(1, f), f);
        let (a, b) = ([128, 232, 110, 120], [66, 35, 250, 204]);
        let tcp = |s: u16, d: u16| [s.to_be_bytes(), d.to_be_bytes()].concat();
        let want = Some("1:LQU9qZlK+B5F3KDmev6m5PMibrg=".to_owned());
        assert_eq!(id(&frame(a, b, 6, &tcp(34855, 80))), want);
        assert_eq!(id(&frame(b, a, 6, &tcp(80, 34855))), want, "either direction");
        let (a, b) = ([192, 168, 0, 89], [192, 168, 0, 1]);
        let want = Some("1:X0snYXpgwiv9TZtqg64sgzUn6Dk=".to_owned());
        assert_eq!(id(&frame(a, b, 1, &[8, 0, 0, 0, 0, 7, 0, 1])), want);
        assert_eq!(id(&frame(b, a, 1, &[0, 0, 0, 0, 0, 7, 0, 1])), want);
    }
}
