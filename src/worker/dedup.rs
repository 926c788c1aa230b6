//! Duplicates: a mirror (SPAN) port that copies a packet where it comes in and where it goes out brings each one twice. Owns
//! what a worker remembers of the frames that it has kept: a keyed 64-bit hash of all their bytes and their time, in a table of
//! fixed size. Asked by the step before the tracker, off unless configured.
//!
//! A frame is a duplicate if one with the same bytes and length on the wire was kept at most the window before or after it, on whichever
//! interface. What a switch has changed (a tag, a MAC address, the TTL) is another frame. A table that is full lets duplicates
//! through; it never takes for one what is none.

use crate::limits::DEDUP_FRAMES;
use crate::source::Packet;
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// Frames of one bucket; the oldest makes room.
const WAYS: usize = 4;

/// A frame that was kept. A window is never 0, so that an empty place, with a time of 0, is far from any frame.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    hash: u64,
    time: u64,
}

/// What one worker remembers.
#[derive(Debug)]
pub struct Dedup {
    /// `None`: off.
    window_ns: Option<u64>,
    key: [u8; 16],
    buckets: Box<[[Kept; WAYS]]>,
}

impl Dedup {
    /// Takes its memory whether on or off, so that it can be switched on later. `key` is secret: nobody can make two frames that
    /// are taken for one.
    pub fn new(window_ns: Option<u64>, key: [u8; 16]) -> Dedup {
        Dedup { window_ns, key, buckets: vec![[Kept::default(); WAYS]; DEDUP_FRAMES / WAYS].into() }
    }

    /// Bytes of its table.
    pub const BYTES: usize = DEDUP_FRAMES * size_of::<Kept>();

    /// On with another window, or off.
    pub fn set_window(&mut self, window_ns: Option<u64>) {
        self.window_ns = window_ns;
    }

    /// Whether this frame is a copy; if not, it is remembered.
    #[inline]
    pub fn is_duplicate(&mut self, p: &Packet<'_>) -> bool {
        match self.window_ns {
            None => false,
            Some(window) => self.look(p, window),
        }
    }

    fn look(&mut self, p: &Packet<'_>, window: u64) -> bool {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write_u32(p.wire_len);
        hasher.write(p.data);
        let hash = hasher.finish();
        let n = self.buckets.len() as u64;
        let Some(bucket) = self.buckets.get_mut((hash % n) as usize) else { return false };
        if bucket.iter().any(|k| k.hash == hash && k.time.abs_diff(p.time) <= window) {
            return true;
        }
        if let Some(oldest) = bucket.iter_mut().min_by_key(|k| k.time) {
            *oldest = Kept { hash, time: p.time };
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(data: &[u8], wire_len: u32, time: u64) -> Packet<'_> {
        Packet { time, wire_len, iface: 0, hash: None, data, options: crate::source::InputOptions::NONE }
    }

    const START: u64 = 1_700_000_000_000_000_000;

    proptest! {
        /// As long as nothing has to make room it says what the definition says.
        #[test]
        fn it_finds_what_a_list_of_all_frames_finds(
            frames in prop::collection::vec((0u8..12, 0u32..2, -2i64..9), 1..400), window in 1u64..20,
        ) {
            let mut dedup = Dedup::new(Some(window), [7; 16]);
            let mut kept: Vec<(u8, u32, u64)> = Vec::new();
            let mut now = START;
            for (what, more, step) in frames {
                now = now.saturating_add_signed(step);
                let data = [what; 60];
                let is = kept.iter().any(|(w, m, t)| (*w, *m) == (what, more) && t.abs_diff(now) <= window);
                prop_assert_eq!(dedup.is_duplicate(&packet(&data, 60 + more, now)), is);
                // A place in the table is a frame's newest: the model forgets what a later one of it replaced only when the bucket is
                // full, so of each frame the last few count.
                if !is {
                    kept.push((what, more, now));
                    let same = |k: &&(u8, u32, u64)| (k.0, k.1) == (what, more);
                    prop_assume!(kept.iter().filter(same).filter(|k| k.2.abs_diff(now) <= 40).count() <= WAYS);
                }
            }
        }
    }

    #[test]
    fn a_full_table_never_takes_one_frame_for_another() {
        let mut dedup = Dedup::new(Some(1000), [3; 16]);
        let mut data = [0u8; 64];
        for n in 0..3 * DEDUP_FRAMES as u64 {
            data[..8].copy_from_slice(&n.to_le_bytes());
            assert!(!dedup.is_duplicate(&packet(&data, 64, START)), "{n}");
        }
        assert!(dedup.is_duplicate(&packet(&data, 64, START + 1000)));
        assert!(!dedup.is_duplicate(&packet(&data, 64, START + 1001)));
        dedup.set_window(None);
        assert!(!dedup.is_duplicate(&packet(&data, 64, START + 1001)));
    }
}
