//! Expressions in which addresses, networks or ports are joined by `or` in such numbers that libpcap's compiler would take minutes and
//! gigabytes for them. Each list is one leaf: libpcap compiles the expression with an example in the place of each list, and where its program
//! compares with the example, ours asks whether the list has the value. So all that libpcap knows of a link type, and of headers between, is
//! libpcap's here too. Owns what a list is, and the filters made of them. Called by queries; knows nothing of the language: `query::lang` finds
//! the lists.
//!
//! The answer is libpcap's own to the whole expression, but for packets that end within the headers that are asked: of these libpcap rejects what
//! comes to an entry that asks for what is not there before one that matches, so that its answer depends on the order of the words. Here entries
//! that are asked alike are asked together: they match what one of them alone would match.

pub(super) mod machine;
mod template;
#[cfg(test)]
mod tests;

use super::{FilterError, Place, apart};
use machine::Machine;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::Arc;

/// What the entries of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// IPv4 addresses, or networks of so many leading bits.
    V4(u8),
    /// The same of IPv6.
    V6(u8),
    /// Ports.
    Port,
}

/// Entries that are asked alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// The words before each entry: `src host`.
    words: String,
    /// They stand before the brackets around the list.
    bare: bool,
    kind: Kind,
    values: Values,
}

/// Sorted, without doubles; of networks the first address.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Values {
    Narrow(Box<[u32]>),
    Wide(Box<[u128]>),
}

impl List {
    /// Of these entries, in any order. `words`: what stands before each, or if `bare` before the brackets around them.
    pub fn new(words: String, bare: bool, kind: Kind, mut values: Vec<u128>) -> List {
        values.sort_unstable();
        values.dedup();
        let values = match kind {
            Kind::V6(_) => Values::Wide(values.into()),
            Kind::V4(_) | Kind::Port => Values::Narrow(values.into_iter().map(|v| v as u32).collect()),
        };
        List { words, bare, kind, values }
    }

    /// As it is written with one entry.
    fn example(&self, value: u128) -> String {
        let host = self.words.ends_with("host");
        let what = match self.kind {
            Kind::V4(_) if host => Ipv4Addr::from_bits(value as u32).to_string(),
            Kind::V6(_) if host => Ipv6Addr::from_bits(value).to_string(),
            Kind::V4(ones) => format!("{}/{ones}", Ipv4Addr::from_bits(value as u32)),
            Kind::V6(ones) => format!("{}/{ones}", Ipv6Addr::from_bits(value)),
            Kind::Port => value.to_string(),
        };
        if self.bare { what } else { format!("{} {what}", self.words) }
    }

    /// How many 32-bit words of a packet are compared with an entry, one after another.
    fn words_compared(&self) -> u32 {
        match self.kind {
            Kind::V6(ones) => u32::from(ones).div_ceil(32),
            Kind::V4(_) | Kind::Port => 1,
        }
    }

    /// Whether it has a value of one word.
    fn has(&self, value: u32) -> bool {
        matches!(&self.values, Values::Narrow(all) if all.binary_search(&value).is_ok())
    }

    /// Whether some entry of several words begins with the first `count` words of these.
    fn begins(&self, words: &[u32; 4], count: u32) -> bool {
        let Values::Wide(all) = &self.values else { return false };
        let whole = words.iter().fold(0u128, |so_far, word| so_far << 32 | u128::from(*word));
        let rest = u128::MAX.checked_shr(32 * count).unwrap_or(0);
        let from = all.partition_point(|value| *value < whole & !rest);
        all.get(from).is_some_and(|value| value & !rest == whole & !rest)
    }
}

/// A piece of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// As it was written, from this byte of the expression on.
    Text(usize, String),
    /// These lists, joined by `or`.
    Lists(Range<usize>),
}

/// An expression with lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    pieces: Vec<Piece>,
    lists: Vec<List>,
}

impl Listed {
    /// Goes on with what is written at this byte of the expression.
    pub fn text(&mut self, at: usize, text: &str) {
        self.pieces.push(Piece::Text(at, text.to_owned()));
    }

    /// Goes on with lists, joined by `or`; the last of them has the words of the last entry: what follows may take them over.
    pub fn lists(&mut self, lists: Vec<List>) {
        let from = self.lists.len();
        self.lists.extend(lists);
        self.pieces.push(Piece::Lists(from..self.lists.len()));
    }

    /// The text with one example in the place of each list, and where its pieces begin; `example` is given the list's number.
    fn with_examples(&self, example: impl Fn(usize, &List) -> u128) -> (String, Vec<usize>) {
        let (mut whole, mut starts) = (String::new(), Vec::new());
        for piece in &self.pieces {
            starts.push(whole.len());
            match piece {
                Piece::Text(_, text) => whole.push_str(text),
                Piece::Lists(range) => {
                    let numbered = self.lists.iter().enumerate().skip(range.start).take(range.len());
                    let words: Vec<String> = numbered.map(|(n, list)| list.example(example(n, list))).collect();
                    whole.push_str(&words.join(" or "));
                }
            }
        }
        (whole, starts)
    }

    /// Where in the expression stands what is at this byte of the text with examples; `None`: in an example.
    fn place(&self, offset: usize, starts: &[usize]) -> Option<usize> {
        let piece = starts.partition_point(|start| *start <= offset).checked_sub(1)?;
        match self.pieces.get(piece)? {
            Piece::Text(at, _) => Some(at + offset - starts.get(piece)?),
            Piece::Lists(_) => None,
        }
    }
}

/// A compiled expression with lists, for one link type. Immutable; may be shared by threads.
#[derive(Clone, Debug)]
pub struct ListFilter {
    machine: Machine,
    listed: Arc<Listed>,
}

impl ListFilter {
    /// Compiles for packets of `link_type` (LINKTYPE_*).
    pub fn compile(listed: &Arc<Listed>, link_type: u16) -> Result<ListFilter, FilterError> {
        Ok(ListFilter { machine: template::compile(listed, link_type)?, listed: listed.clone() })
    }

    /// The same; an error says where in the expression it is, if that can be told.
    pub fn compile_placed(listed: &Arc<Listed>, link_type: u16) -> Result<ListFilter, FilterError> {
        ListFilter::compile(listed, link_type).map_err(|error| match error {
            FilterError::Refused { message, .. } => {
                let (text, starts) = listed.with_examples(|_, list| template::example(list, false));
                let place = |p: Place| Some(Place { offset: listed.place(p.offset, &starts)?, word: p.word });
                FilterError::Refused { message, near: apart::place(&text, link_type).and_then(place) }
            }
            other => other,
        })
    }

    /// True if the packet matches: `data` are its captured bytes, `wire_len` its length on the wire.
    pub fn matches(&self, data: &[u8], wire_len: u32) -> bool {
        self.machine.run(&self.listed.lists, data, wire_len)
    }
}
