//! Options of pcapng blocks as an input has them: lists of code, length and value. Owns which of them hold numbers, whose byte order is the
//! section's, and what of a list can be kept. Made by the file source, written by the store's writer; copies bytes and judges no meaning.

/// The list that ends all lists.
const END: u16 = 0;
/// Our own codes: what an earlier recorder said of its segments is not the input's word.
const OURS: std::ops::RangeInclusive<u16> = 0xd200..=0xd2ff;

/// Which block a list is of: the same code means different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Section Header Block.
    Section,
    /// Interface Description Block.
    Interface,
    /// Enhanced Packet Block.
    Packet,
}

/// Options of a packet as they stand in its block, without the end of the list; whole ones only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputOptions<'a> {
    bytes: &'a [u8],
    /// Numbers in them are big-endian.
    big: bool,
}

/// What was left out of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Options for which there was no room.
    pub large: u64,
    /// The list breaks off in the middle of an option.
    pub broken: bool,
}

impl<'a> InputOptions<'a> {
    /// None.
    pub const NONE: InputOptions<'static> = InputOptions { bytes: &[], big: false };

    /// What can be kept of a packet block's list, `max` bytes at most: all up to the first that can't.
    pub fn of_packet(list: &'a [u8], big: bool, max: usize) -> (InputOptions<'a>, Dropped) {
        let (mut start, mut end, mut dropped, mut at) = (0, 0, Dropped::default(), 0);
        let mut walk = Walk { list, big, at: 0 };
        while let Some(option) = walk.next() {
            let Some((code, _)) = option else {
                dropped.broken = true;
                break;
            };
            if OURS.contains(&code) {
                // In front of others they are passed over; behind them they end what is kept in one piece.
                if end == start {
                    (start, end) = (walk.at, walk.at);
                }
            } else if end == at && walk.at - start <= max || end == start && walk.at - at <= max {
                if end == start {
                    start = at;
                }
                end = walk.at;
            } else {
                dropped.large += 1;
            }
            at = walk.at;
        }
        (InputOptions { bytes: list.get(start..end).unwrap_or_default(), big }, dropped)
    }

    /// Bytes that they take.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Writes them, little-endian, over `to`, which is as long as they are.
    pub fn write_to(&self, to: &mut [u8]) {
        if to.len() != self.bytes.len() {
            return;
        }
        to.copy_from_slice(self.bytes);
        if self.big {
            turn(Of::Packet, to);
        }
    }
}

/// What of a list is kept of a section or an interface: little-endian, without our own codes and those in `not`, and without the end.
pub fn kept(of: Of, list: &[u8], big: bool, not: &[u16], max: usize) -> (Vec<u8>, Dropped) {
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    for option in (Walk { list, big, at: 0 }) {
        let Some((code, value)) = option else {
            dropped.broken = true;
            break;
        };
        if OURS.contains(&code) || not.contains(&code) {
            continue;
        }
        if out.len() + 4 + value.len().next_multiple_of(4) > max {
            dropped.large += 1;
            continue;
        }
        let start = out.len();
        push(&mut out, code, value);
        if let (true, Some(value)) = (big, out.get_mut(start + 4..start + 4 + value.len())) {
            turn_value(of, code, value);
        }
    }
    (out, dropped)
}

/// Appends an option; values are at most 65,535 bytes long.
pub fn push(to: &mut Vec<u8>, code: u16, value: &[u8]) {
    to.extend(code.to_le_bytes());
    to.extend((value.len() as u16).to_le_bytes());
    to.extend(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

/// The options of a little-endian list, up to the first that is cut short.
pub fn each(list: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    walk(list, false)
}

/// The same in either byte order.
pub fn walk(list: &[u8], big: bool) -> impl Iterator<Item = (u16, &[u8])> {
    Walk { list, big, at: 0 }.map_while(|o| o)
}

/// Goes over a list, up to its end. `None` for an option that is cut short, which ends it.
struct Walk<'a> {
    list: &'a [u8],
    big: bool,
    at: usize,
}

impl<'a> Iterator for Walk<'a> {
    type Item = Option<(u16, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.list.get(self.at..).filter(|r| !r.is_empty())?;
        let number = |at: usize| {
            let b = rest.get(at..)?.first_chunk::<2>()?;
            Some(if self.big { u16::from_be_bytes(*b) } else { u16::from_le_bytes(*b) })
        };
        let (Some(code), Some(len)) = (number(0), number(2).map(usize::from)) else {
            self.at = self.list.len();
            return Some(None);
        };
        if code == END {
            return None;
        }
        let padded = len.next_multiple_of(4);
        match rest.get(4..4 + len).filter(|_| rest.len() >= 4 + padded) {
            Some(value) => {
                self.at += 4 + padded;
                Some(Some((code, value)))
            }
            None => {
                self.at = self.list.len();
                Some(None)
            }
        }
    }
}

/// Turns the numbers of a big-endian list of whole options, codes and lengths included.
fn turn(of: Of, list: &mut [u8]) {
    let mut at = 0;
    while let Some(head) = list.get_mut(at..at + 4) {
        head.reverse();
        head.rotate_left(2);
        let (code, len) = match head {
            [a, b, c, d] => (u16::from_le_bytes([*a, *b]), usize::from(u16::from_le_bytes([*c, *d]))),
            _ => return,
        };
        if let Some(value) = list.get_mut(at + 4..at + 4 + len) {
            turn_value(of, code, value);
        }
        at += 4 + len.next_multiple_of(4);
    }
}

/// Turns the number that an option's value is or begins with. Values of local codes can't be known: they stay as they are.
fn turn_value(of: Of, code: u16, value: &mut [u8]) {
    let number = match (of, code) {
        // Custom options begin with the enterprise's number.
        (_, 2988 | 2989 | 19372 | 19373) => 0..4,
        // Flags, queue; drop count, packet id; the verdict of an eBPF program behind its type.
        (Of::Packet, 2 | 6) => 0..4,
        (Of::Packet, 4 | 5) => 0..8,
        (Of::Packet, 7) if matches!(value.first(), Some(1 | 2)) => 1..9,
        // Speeds; time zone.
        (Of::Interface, 8 | 16 | 17) => 0..8,
        (Of::Interface, 10) => 0..4,
        _ => return,
    };
    if let Some(number) = value.get_mut(number) {
        number.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(big: bool, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (code, value) in options {
            let (code, len) = (*code, value.len() as u16);
            for n in [code, len] {
                out.extend(if big { n.to_be_bytes() } else { n.to_le_bytes() });
            }
            out.extend(*value);
            out.resize(out.len().next_multiple_of(4), 0);
        }
        out
    }

    #[test]
    fn numbers_of_a_big_endian_section_are_turned() {
        let big = list(
            true,
            &[
                (1, b"as it is"),
                (2, &[0, 0, 0, 9]),
                (4, &[0, 0, 0, 0, 0, 0, 1, 2]),
                (3, &[2, 1, 2, 3, 4]),
                (7, &[1, 0, 0, 0, 0, 0, 0, 0, 7]),
                (7, &[0, 1, 2]),
                (2988, &[0, 0, 1, 1, b'x']),
            ],
        );
        let little = list(
            false,
            &[
                (1, b"as it is"),
                (2, &[9, 0, 0, 0]),
                (4, &[2, 1, 0, 0, 0, 0, 0, 0]),
                (3, &[2, 1, 2, 3, 4]),
                (7, &[1, 7, 0, 0, 0, 0, 0, 0, 0]),
                (7, &[0, 1, 2]),
                (2988, &[1, 1, 0, 0, b'x']),
            ],
        );
        let (options, dropped) = InputOptions::of_packet(&big, true, 1000);
        let mut written = vec![0; options.len()];
        options.write_to(&mut written);
        assert_eq!((written, dropped), (little.clone(), Dropped::default()));
        assert_eq!(kept(Of::Packet, &big, true, &[], 1000), (little, Dropped::default()));
        let speed = kept(Of::Interface, &list(true, &[(8, &[0, 0, 0, 0, 0, 0, 0, 5])]), true, &[], 100).0;
        assert_eq!(speed, list(false, &[(8, &[5, 0, 0, 0, 0, 0, 0, 0])]));
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let of = |options: &[(u16, &[u8])], max| {
            let list = list(false, options);
            let (kept, dropped) = InputOptions::of_packet(&list, false, max);
            let codes: Vec<u16> = each(kept.bytes).map(|(code, _)| code).collect();
            (codes, dropped.large)
        };
        assert_eq!(of(&[(1, b"a"), (2, &[0; 4]), (1, b"b")], 16), (vec![1, 2], 1));
        assert_eq!(of(&[(1, &[7; 40]), (2, &[0; 4]), (1, b"b")], 16), (vec![2, 1], 1), "the large one is in front");
        assert_eq!(of(&[(0xd203, &[1]), (1, b"a")], 100), (vec![1], 0), "our own in front");
        assert_eq!(of(&[(1, b"a"), (0xd203, &[1]), (1, b"b")], 100), (vec![1], 1), "our own in the middle");
        assert_eq!(of(&[], 100), (vec![], 0));
    }

    #[test]
    fn a_list_that_breaks_off_keeps_its_beginning() {
        let mut cut = list(false, &[(1, b"abcd")]);
        cut.extend([1, 0, 200, 0, 1, 2, 3, 4]);
        let (options, dropped) = InputOptions::of_packet(&cut, false, 100);
        assert_eq!((options.len(), dropped.broken), (8, true));
        assert!(InputOptions::of_packet(&[1, 0, 0], false, 100).1.broken);
        assert!(kept(Of::Section, &cut, false, &[], 100).1.broken);
        let mut ended = list(false, &[(1, b"abcd")]);
        ended.extend([0, 0, 0, 0, 9, 9, 9]);
        assert_eq!(InputOptions::of_packet(&ended, false, 100).1, Dropped::default(), "nothing counts behind the end");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_list(list: Vec<u8>, big: bool, max in 0usize..200) {
            let (options, _) = InputOptions::of_packet(&list, big, max);
            let mut written = vec![0; options.len()];
            options.write_to(&mut written);
            assert!(options.len() <= max && options.len().is_multiple_of(4));
            assert_eq!(each(&written).count(), walk(options.bytes, big).count());
            for of in [Of::Section, Of::Interface, Of::Packet] {
                let (out, _) = kept(of, &list, big, &[2], max);
                assert!(out.len() <= max);
                assert!(each(&out).all(|(code, _)| code != 2));
            }
        }
    }
}
