//! How much of a connection is stored: the limits that a count begins with, jitter included. Pure; called by the tracker
//! when a count begins.

use super::entry::{NO_BYTE_LIMIT, NO_PACKET_LIMIT, Phase};
use super::shunt::ShuntSlot;
use crate::class::{Policy, UnknownCutoff};
use crate::packet::key::Key;
use siphasher::sip::SipHasher24;
use std::hash::Hash;

/// The key of the jitter: without it nobody can tell where a connection is cut.
pub type Secret = [u8; 16];

/// Past the cutoff, with no slot and nothing stored since.
pub(super) const REACHED: Phase = Phase::Past { controls: 0, retry: 0, slot: ShuntSlot(0) };

/// The phase in which the count of a connection begins that has its first packet at `since`.
pub(super) fn begin(policy: &Policy, secret: &Secret, key: &Key, since: u64) -> Phase {
    let jitter = match policy.cutoff_jitter {
        0 => 0,
        most => jitter(secret, key, since, most),
    };
    let (bytes, packets) = match policy.cutoff_unknown {
        UnknownCutoff::Whole if key.aggregate() => (None, None),
        UnknownCutoff::Bytes(n) if key.aggregate() => (Some(n), None),
        _ => (policy.cutoff_bytes, policy.cutoff_packets),
    };
    let bytes = bytes.map_or(NO_BYTE_LIMIT, |c| c.saturating_add(jitter).min(NO_BYTE_LIMIT - 1));
    let packets = packets.map_or(NO_PACKET_LIMIT, |c| c.min(NO_PACKET_LIMIT - 1));
    if bytes == 0 || packets == 0 || !policy.record { REACHED } else { Phase::Storing { bytes, packets } }
}

/// 0 to `most` bytes, each as likely, by SipHash-2-4 of the connection and the time of its count's first packet.
fn jitter(secret: &Secret, key: &Key, since: u64, most: u64) -> u64 {
    let mut hasher = SipHasher24::new_with_key(secret);
    (key, since).hash(&mut hasher);
    let drawn = std::hash::Hasher::finish(&hasher);
    ((u128::from(drawn) * (u128::from(most) + 1)) >> 64) as u64
}

/// True if an entry can express the policy's limits.
pub(super) fn expressible(policy: &Policy) -> bool {
    let most = match policy.cutoff_unknown {
        UnknownCutoff::Bytes(n) => policy.cutoff_bytes.max(Some(n)),
        _ => policy.cutoff_bytes,
    };
    let bytes = most.unwrap_or(0).checked_add(policy.cutoff_jitter);
    bytes.is_some_and(|b| b < NO_BYTE_LIMIT) && policy.cutoff_packets.unwrap_or(0) < NO_PACKET_LIMIT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::key::Key4;

    fn bytes(policy: &Policy, secret: u8, port: u16, since: u64) -> u64 {
        let mut key = Key4::default();
        key.tail.port = [port, 80];
        match begin(policy, &[secret; 16], &Key::V4(key), since) {
            Phase::Storing { bytes, .. } => bytes,
            past => panic!("{past:?}"),
        }
    }

    #[test]
    fn jitter_is_secret_bounded_and_spread() {
        let policy = Policy { cutoff_bytes: Some(1000), cutoff_jitter: 9, ..Policy::default() };
        let mut drawn = [0; 10];
        for port in 0..10_000 {
            let b = bytes(&policy, 1, port, 5);
            assert_eq!(b, bytes(&policy, 1, port, 5), "a connection's amount can be drawn again");
            drawn[usize::try_from(b - 1000).unwrap()] += 1;
        }
        assert!(drawn.iter().all(|n| (800..1200).contains(n)), "{drawn:?}");
        let differ = |other: fn(u16) -> (u8, u64)| {
            (0..100).filter(|&p| bytes(&policy, other(p).0, p, other(p).1) != bytes(&policy, 1, p, 5)).count()
        };
        assert!(differ(|_| (2, 5)) > 50, "another secret draws another amount");
        assert!(differ(|_| (1, 6)) > 50, "another count draws another amount");
    }

    #[test]
    fn what_may_carry_many_has_a_cutoff_of_its_own() {
        let mut key = Key4::default();
        key.tail.proto = 115;
        let begun = |policy: &Policy| match begin(policy, &[1; 16], &Key::V4(key), 5) {
            Phase::Storing { bytes, packets } => (bytes, packets),
            past => panic!("{past:?}"),
        };
        let policy = Policy { cutoff_bytes: Some(100), cutoff_packets: Some(3), ..Policy::default() };
        assert_eq!(begun(&policy), (NO_BYTE_LIMIT, NO_PACKET_LIMIT));
        assert_eq!(begun(&Policy { cutoff_unknown: UnknownCutoff::Bytes(7), ..policy.clone() }), (7, NO_PACKET_LIMIT));
        assert_eq!(begun(&Policy { cutoff_unknown: UnknownCutoff::Same, ..policy }), (100, 3));
    }

    #[test]
    fn limits_of_an_entry_are_known() {
        let p = Policy { cutoff_bytes: Some(1 << 39), ..Policy::default() };
        assert!(expressible(&p));
        assert!(!expressible(&Policy { cutoff_bytes: Some(1 << 40), ..p.clone() }));
        assert!(!expressible(&Policy { cutoff_packets: Some(1 << 32), ..p.clone() }));
        assert!(!expressible(&Policy { cutoff_jitter: u64::MAX, ..p }));
        assert!(expressible(&Policy { cutoff_bytes: None, ..Policy::default() }));
    }
}
