//! Which datagram a fragment is of. Fragments arrive on any queue, and only the first one names its connection: all fragments
//! of a datagram therefore go to one worker, found by this hash, which remembers the first and sends the others after it. Called by
//! the worker's step.

use super::key::{Key, Kind};
use super::{Fragment, Parsed, Parser};

impl Key {
    /// The port-less key of the same pair: what later fragments parse to, and by which a first fragment is remembered.
    pub fn portless(mut self) -> Key {
        let tail = match &mut self {
            Key::V4(k) => &mut k.tail,
            Key::V6(k) => &mut k.tail,
        };
        tail.port = [0; 2];
        tail.kind = tail.kind & 0xf0 | Kind::Fragment as u8;
        self
    }
}

impl Parser {
    /// The same for every fragment of a datagram, and so for each direction of a pair with the same identification.
    pub fn datagram_hash(&self, p: &Parsed) -> u64 {
        let id = match p.fragment {
            Fragment::None => 0,
            Fragment::First(id) | Fragment::Later(id) => id,
        };
        let mut pair = p.key.portless();
        if let Key::V6(k) = &mut pair {
            // The first fragment tells the protocol past its extension headers, a later one only what comes first.
            k.tail.proto = 0;
        }
        self.hash(&pair).wrapping_add(u64::from(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first fragment of an IPv6 packet whose fragmentable part begins with destination options: TCP behind them, which later
    /// fragments do not show.
    #[test]
    fn fragments_of_a_datagram_hash_alike() {
        let fragment = |offset: u16, payload: &[u8]| {
            let mut packet = vec![0x60, 0, 0, 0, 0, 40, 44, 64];
            packet.extend([0xfd; 31]);
            packet.push(1);
            packet.extend([60, 0]);
            packet.extend((offset << 3 | 1).to_be_bytes());
            packet.extend([0, 0, 0, 9]);
            packet.extend(payload);
            packet
        };
        let parser = Parser::new(1, true);
        let first = parser.parse(
            101,
            &fragment(0, &[[6u8, 0, 0, 0, 0, 0, 0, 0], [0, 80, 0, 81, 0, 0, 0, 0], [0; 8], [0; 8]].concat()),
        );
        let later = parser.parse(101, &fragment(185, &[0; 32]));
        assert_eq!((first.fragment, later.fragment), (Fragment::First(9), Fragment::Later(9)));
        assert_eq!((first.key.tail().proto, later.key.tail().proto), (6, 60));
        assert_eq!(parser.datagram_hash(&first), parser.datagram_hash(&later));
        assert_ne!(parser.datagram_hash(&first), first.hash);
    }
}
