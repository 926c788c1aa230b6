//! Bytes to lines, each at most so long, whatever pieces they come in. Used by the socket's and the file's readers.

use crate::limits::NIDS_LINE_MAX;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line without its end.
    Text(&'a [u8]),
    /// One that was longer than is taken; its bytes are gone.
    TooLong,
}

/// The part of a line that has come so far.
#[derive(Debug, Default)]
pub struct Lines {
    part: Vec<u8>,
    skipping: bool,
}

impl Lines {
    /// Takes bytes and gives the lines that they end, empty ones left out.
    pub fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(Line<'_>)) {
        while let Some(at) = bytes.iter().position(|b| *b == b'\n') {
            let (head, rest) = bytes.split_at(at);
            bytes = rest.get(1..).unwrap_or_default();
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if self.part.len() + head.len() > NIDS_LINE_MAX {
                self.part.clear();
                line(Line::TooLong);
                continue;
            }
            let text = if self.part.is_empty() {
                head
            } else {
                self.part.extend_from_slice(head);
                &self.part
            };
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if !text.iter().all(u8::is_ascii_whitespace) {
                line(Line::Text(text));
            }
            self.part.clear();
        }
        if self.skipping {
            return;
        }
        if self.part.len() + bytes.len() > NIDS_LINE_MAX {
            self.part = Vec::new();
            self.skipping = true;
            line(Line::TooLong);
        } else {
            self.part.extend_from_slice(bytes);
        }
    }

    /// Whether a line has begun and not ended.
    pub fn is_partial(&self) -> bool {
        self.skipping || !self.part.is_empty()
    }

    /// Forgets a line that has begun.
    pub fn clear(&mut self) {
        *self = Lines::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(lines: &mut Lines, bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
        let mut found = Vec::new();
        lines.push(bytes, |l| {
            found.push(match l {
                Line::Text(t) => Some(t.to_vec()),
                Line::TooLong => None,
            });
        });
        found
    }

    #[test]
    fn a_line_too_long_is_told_once_and_the_next_is_read() {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for _ in 0..5 {
            found.extend(all(&mut lines, &vec![b'x'; NIDS_LINE_MAX / 2]));
        }
        found.extend(all(&mut lines, b"x\n{}\r\n\n  \nrest"));
        assert_eq!(found, [None, Some(b"{}".to_vec())]);
        assert!(lines.is_partial());
        let whole = [&vec![b'y'; NIDS_LINE_MAX + 1][..], b"\nz\n"].concat();
        lines.clear();
        assert_eq!(all(&mut lines, &whole), [None, Some(b"z".to_vec())]);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in "[ab\n]{0,60}", cuts in proptest::collection::vec(0usize..60, 0..6)) {
            let whole = all(&mut Lines::default(), text.as_bytes());
            let (mut lines, mut found, mut from) = (Lines::default(), Vec::new(), 0);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(text.len())).collect();
            cuts.sort_unstable();
            cuts.push(text.len());
            for cut in cuts {
                found.extend(all(&mut lines, &text.as_bytes()[from..cut]));
                from = cut;
            }
            prop_assert_eq!(found, whole);
        }
    }
}
