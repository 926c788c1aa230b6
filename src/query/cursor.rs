//! Where a follower stands, for whoever has lost it: with this another one goes on, without a gap and without giving a packet twice. A text that
//! clients hand back as they got it. Owns its form and its checks: what comes back may be anything.
//!
//! A follower reads ahead of what it gives out, and packets of a segment are not in the order of time, so that one offset for each segment is not enough. There are
//! two marks: of the rounds that are over, and of the one under way. A packet was given if it lies before `read` of its segment and is of before `settled`, or
//! if it lies before `reading` and comes in the order of an answer not after `last`.

use super::merge::Order;
use crate::limits::{CURSOR_SEGMENTS_MAX, CURSOR_TEXT_MAX};
use std::fmt::Write;

/// The first bytes: what it is, and in which version.
const MAGIC: [u8; 4] = *b"rtc1";

/// Where a follower stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Identity of the store.
    pub store: u128,
    /// When its recorder was started, Unix ns.
    pub start: u64,
    /// Number and generation of the newest segment that had packets: where it still is, numbers up to its own mean what they meant.
    pub witness: Option<(u64, u64)>,
    /// Packets from this time on were asked for, Unix ns.
    pub from: u64,
    /// Time of the latest packet that was given, Unix ns.
    pub latest: u64,
    /// Of what the rounds before have read all packets before this time were given, Unix ns.
    pub settled: u64,
    /// The round under way gives those before this time.
    pub before: u64,
    /// The last one that it has given.
    pub last: Option<Order>,
    /// Segments with lower numbers have been read to their end, but for those that are named.
    pub done_below: u64,
    /// The same of the round under way.
    pub doing_below: u64,
    /// By rising numbers.
    pub segments: Vec<SegmentMarks>,
}

/// Two offsets in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentMarks {
    /// Which.
    pub number: u64,
    /// What lies before it the rounds before have read.
    pub read: u64,
    /// What lies before it the round under way reads.
    pub reading: u64,
}

/// What a text that is no cursor lacks.
const NONE: &str = "after: this is no cursor that a follower gave, or only a part of one";

impl Cursor {
    /// The text. `None`: it names more segments than one may.
    pub fn text(&self) -> Option<String> {
        let count = u32::try_from(self.segments.len()).ok().filter(|n| *n as usize <= CURSOR_SEGMENTS_MAX)?;
        let mut bytes = Vec::from(MAGIC);
        bytes.extend(self.store.to_le_bytes());
        let (number, generation) = self.witness.unwrap_or_default();
        let (time, worker, segment, offset) = self.last.unwrap_or_default();
        let numbers = [
            self.start,
            self.witness.is_some().into(),
            number,
            generation,
            self.from,
            self.latest,
            self.settled,
            self.before,
            self.last.is_some().into(),
            time,
            worker.into(),
            segment,
            offset,
            self.done_below,
            self.doing_below,
            count.into(),
        ];
        let marks = self.segments.iter().flat_map(|s| [s.number, s.read, s.reading]);
        bytes.extend(numbers.into_iter().chain(marks).flat_map(u64::to_le_bytes));
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        let mut text = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        Some(text)
    }

    /// The cursor that a text is; the error is for whoever sent it.
    pub fn parse(text: &str) -> Result<Cursor, String> {
        if text.len() > CURSOR_TEXT_MAX {
            return Err(format!("after: a cursor has at most {CURSOR_TEXT_MAX} characters"));
        }
        Cursor::read(text).ok_or_else(|| NONE.to_owned())
    }

    fn read(text: &str) -> Option<Cursor> {
        let bytes = bytes_of(text)?;
        let (all, sum) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(all).to_le_bytes() != *sum {
            return None;
        }
        let all = all.strip_prefix(&MAGIC)?;
        let (store, all) = all.split_first_chunk::<16>()?;
        let (numbers, rest) = all.as_chunks::<8>();
        if !rest.is_empty() {
            return None;
        }
        let mut numbers = numbers.iter().map(|b| u64::from_le_bytes(*b));
        let mut next = || numbers.next();
        let cursor = Cursor {
            store: u128::from_le_bytes(*store),
            start: next()?,
            witness: option(next()?, (next()?, next()?))?,
            from: next()?,
            latest: next()?,
            settled: next()?,
            before: next()?,
            last: option(next()?, (next()?, u16::try_from(next()?).ok()?, next()?, next()?))?,
            done_below: next()?,
            doing_below: next()?,
            segments: Vec::new(),
        };
        let count = usize::try_from(next()?).ok().filter(|n| *n <= CURSOR_SEGMENTS_MAX)?;
        let mut segments = Vec::with_capacity(count);
        for _ in 0..count {
            segments.push(SegmentMarks { number: next()?, read: next()?, reading: next()? });
        }
        let ascend = segments.is_sorted_by(|a, b| a.number < b.number);
        let forward = segments.iter().all(|s| s.read <= s.reading);
        let whole = next().is_none() && cursor.settled <= cursor.before && cursor.done_below <= cursor.doing_below;
        (ascend && forward && whole).then_some(Cursor { segments, ..cursor })
    }
}

/// What is there if the flag says so; no flag: neither.
fn option<T>(flag: u64, value: T) -> Option<Option<T>> {
    match flag {
        0 => Some(None),
        1 => Some(Some(value)),
        _ => None,
    }
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    if rest.is_empty() { pairs.iter().map(|[a, b]| Some(digit(*a)? << 4 | digit(*b)?)).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> Cursor {
        let segments = [(3, 0, 0), (7, 4096, 8192), (u64::MAX, 5, u64::MAX)];
        Cursor {
            store: u128::MAX / 3,
            start: 1,
            witness: Some((7, 9)),
            from: 10,
            latest: 11,
            settled: 12,
            before: 13,
            last: Some((12, 65_535, 7, 4100)),
            done_below: 8,
            doing_below: 9,
            segments: segments.map(|(number, read, reading)| SegmentMarks { number, read, reading }).into(),
        }
    }

    /// The same bytes with a sum that fits.
    fn summed(text: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut bytes = bytes_of(text).unwrap();
        bytes.truncate(bytes.len() - 4);
        change(&mut bytes);
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn a_cursor_comes_back_from_its_text() {
        for c in [cursor(), Cursor::default(), Cursor { last: None, witness: None, ..cursor() }] {
            assert_eq!(Cursor::parse(&c.text().unwrap()), Ok(c));
        }
        let most: Vec<_> =
            (0..CURSOR_SEGMENTS_MAX as u64).map(|number| SegmentMarks { number, read: 1, reading: 2 }).collect();
        let full = Cursor { segments: most.clone(), ..cursor() };
        let text = full.text().unwrap();
        assert!(text.len() <= CURSOR_TEXT_MAX, "{}", text.len());
        assert_eq!(Cursor::parse(&text), Ok(full));
        let more = most.into_iter().chain([SegmentMarks { number: u64::MAX, read: 0, reading: 0 }]).collect();
        assert_eq!(Cursor { segments: more, ..cursor() }.text(), None);
    }

    #[test]
    fn what_is_no_cursor_is_told() {
        let text = cursor().text().unwrap();
        for end in 0..text.len() {
            assert!(Cursor::parse(&text[..end]).is_err(), "the first {end}");
        }
        // Each byte as another: the sum finds it.
        for at in 0..text.len() {
            let other = if &text[at..=at] == "0" { "1" } else { "0" };
            assert!(Cursor::parse(&format!("{}{other}{}", &text[..at], &text[at + 1..])).is_err(), "at {at}");
        }
        for wrong in ["", "ä", "zz", &text.to_uppercase(), &"0".repeat(CURSOR_TEXT_MAX + 1)] {
            assert!(Cursor::parse(wrong).is_err(), "{}", &wrong[..wrong.len().min(9)]);
        }
    }

    /// Made by somebody who knows the form: counts that are none, segments that are not in order, offsets that go back.
    #[test]
    fn what_makes_no_sense_is_told() {
        let text = cursor().text().unwrap();
        assert!(Cursor::parse(&summed(&text, |_| ())).is_ok());
        let count = 20 + 15 * 8;
        for number in [0, 2, 4, CURSOR_SEGMENTS_MAX as u64, u64::from(u32::MAX), u64::MAX] {
            let wrong = summed(&text, |b| b[count..count + 8].copy_from_slice(&number.to_le_bytes()));
            assert!(Cursor::parse(&wrong).is_err(), "{number} segments");
        }
        assert!(Cursor::parse(&summed(&text, |b| b.extend([0; 8]))).is_err(), "more behind it");
        let with = |segments: &[(u64, u64, u64)]| {
            let marks = segments.iter().map(|&(number, read, reading)| SegmentMarks { number, read, reading });
            Cursor { segments: marks.collect(), ..cursor() }.text().unwrap()
        };
        assert!(Cursor::parse(&with(&[(1, 0, 0), (1, 0, 0)])).is_err(), "the same twice");
        assert!(Cursor::parse(&with(&[(2, 0, 0), (1, 0, 0)])).is_err(), "not in order");
        assert!(Cursor::parse(&with(&[(2, 5, 4)])).is_err(), "back");
        assert!(Cursor::parse(&Cursor { settled: 14, ..cursor() }.text().unwrap()).is_err(), "settled is later");
        assert!(Cursor::parse(&Cursor { done_below: 10, ..cursor() }.text().unwrap()).is_err(), "less than there was");
    }
}
