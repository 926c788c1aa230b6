//! pcap-filter(7) expressions: compiled by libpcap, run by libpcap, so that a packet matches here exactly when
//! `tcpdump -r` prints it. Owns the compiled [`Filter`] and its errors. Called by the class set, the global filter and
//! queries; must never resolve a host name (see [`names`]) nor keep state between packets.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod apart;
mod bpf;
pub mod listed;
mod names;
mod position;

use crate::limits::{FILTER_BYTES_MAX, FILTER_CPU_SECONDS, FILTER_LISTS_MAX, FILTER_MEMORY_BYTES};
use bpf::Form;
use listed::machine::Machine;

/// What libpcap says where no packet can match.
const REJECTS_ALL: &str = "expression rejects all packets";
/// LINKTYPE_ETHERNET.
const ETHERNET: u16 = 1;

/// Why an expression is not a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// libpcap refused it, for this link type.
    #[error("filter: {message}{}", Near(near))]
    Refused {
        /// libpcap's own words.
        message: String,
        /// Where, if it can be told.
        near: Option<Place>,
    },
    /// A word where an address belongs. There is no DNS in the engine: the answer would depend on another machine.
    #[error("filter: {:?} would have to be looked up, and host and network names are not resolved: write the address{}", place.word, At(place))]
    Name {
        /// The word.
        place: Place,
    },
    /// Longer than any filter that means something.
    #[error("filter: {bytes} bytes long, and at most {FILTER_BYTES_MAX} are taken")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Its long lists are of more kinds than are told apart.
    #[error(
        "filter: the entries of its long lists are of {lists} kinds (words before them, IPv4 or IPv6, length of networks), and at most {FILTER_LISTS_MAX} are taken"
    )]
    TooManyLists {
        /// How many.
        lists: usize,
    },
    /// The same, where it matters for which link type.
    #[error("filter: for packets of link type {name}: {error}", error = error.reason())]
    LinkType {
        /// What libpcap calls it.
        name: String,
        /// Why.
        error: Box<FilterError>,
    },
    /// Its compilation was given up.
    #[error(
        "filter: to compile it takes more than {FILTER_CPU_SECONDS} s of processor time: ask with fewer terms at once, or for networks instead of hosts"
    )]
    TooSlow,
    /// The same.
    #[error("filter: to compile it takes more than {} MiB of memory: ask with fewer terms at once, or for networks instead of hosts", FILTER_MEMORY_BYTES >> 20)]
    TooLarge,
    /// libpcap could not be set up to compile anything.
    #[error("filter: libpcap could not be set up: {0}")]
    Setup(String),
}

/// A word of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Byte offset of the word; the expression's length if it ended too early.
    pub offset: usize,
    /// The word; empty at the end.
    pub word: String,
}

struct At<'a>(&'a Place);

impl std::fmt::Display for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, " (at column {})", self.0.offset + 1)
    }
}

struct Near<'a>(&'a Option<Place>);

impl std::fmt::Display for Near<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(place) if place.word.is_empty() => f.write_str(" (at its end)"),
            Some(place) => write!(f, " (at column {}: {:?})", place.offset + 1, place.word),
            None => Ok(()),
        }
    }
}

/// What libpcap calls a link type, or its number.
pub fn link_type_name(link_type: u16) -> String {
    bpf::name(link_type).map_or_else(|| link_type.to_string(), |name| format!("{name} ({link_type})"))
}

impl FilterError {
    /// The same with the name of the link type that it is about.
    pub fn of_link_type(self, link_type: u16) -> FilterError {
        match self {
            error @ FilterError::Refused { .. } => {
                FilterError::LinkType { name: link_type_name(link_type), error: error.into() }
            }
            other => other,
        }
    }

    /// Whether it only says that no packet can match.
    pub fn rejects_all(&self) -> bool {
        matches!(self, FilterError::Refused { message, .. } if message == REJECTS_ALL)
    }

    /// The same without the word in front.
    pub fn reason(&self) -> String {
        let text = self.to_string();
        text.strip_prefix("filter: ").map_or(text.clone(), str::to_owned)
    }
}

/// A compiled expression for one link type. Immutable; may be shared by threads.
#[derive(Clone, Debug)]
pub struct Filter {
    program: bpf::Program,
    /// Runs it where it jumps back, and so might never end.
    counted: Option<Machine>,
}

impl Filter {
    fn of(program: bpf::Program) -> Filter {
        let counted = program.jumps_back().then(|| Machine::plain(program.instructions()));
        Filter { program, counted }
    }

    /// Checks an expression before it is known what packets it will be asked about: that it compiles for some of the
    /// common link types. The error is that of the first, Ethernet.
    pub fn check(expression: &str) -> Result<(), FilterError> {
        // Ethernet, raw IP, Linux cooked (both), PPP, ATM, MTP2.
        const COMMON: [u16; 7] = [ETHERNET, 101, 113, 276, 9, 123, 140];
        // 802.11 with radiotap, BSD loopback: libpcap does not see there that nothing can match, because it computes where headers are.
        const COMPUTED: [u16; 2] = [127, 0];
        let mut never = None;
        for link_type in COMMON {
            match Filter::compile_unplaced(expression, link_type) {
                Ok(_) => return Ok(()),
                Err(error) if error.rejects_all() => never = Some(error),
                Err(_) => {}
            }
        }
        match never {
            Some(error) => Err(error),
            None if COMPUTED.iter().any(|&l| Filter::compile_unplaced(expression, l).is_ok()) => Ok(()),
            None => Filter::compile(expression, ETHERNET).map(drop),
        }
    }

    /// Compiles `expression` for packets of `link_type` (LINKTYPE_*), as `tcpdump -r` would for a file of it.
    /// An expression may be right for one link type and wrong for another (`wlan type mgt` on Ethernet).
    pub fn compile(expression: &str, link_type: u16) -> Result<Filter, FilterError> {
        Filter::compile_unplaced(expression, link_type).map_err(|error| match error {
            FilterError::Refused { message, .. } => {
                FilterError::Refused { message, near: apart::place(expression, link_type) }
            }
            other => other,
        })
    }

    /// The same without a search for the place of an error, which costs hundreds of times as much.
    pub fn compile_unplaced(expression: &str, link_type: u16) -> Result<Filter, FilterError> {
        if expression.len() > FILTER_BYTES_MAX {
            return Err(FilterError::TooLong { bytes: expression.len() });
        }
        names::refuse(expression)?;
        match apart::compile(expression, link_type, Form::Optimised)? {
            Ok(program) => Ok(Filter::of(program)),
            Err(message) => Err(FilterError::Refused { message, near: None }),
        }
    }

    /// A filter as it goes from one process of this program to another: its instructions.
    pub fn bytes(&self) -> Vec<u8> {
        self.program.bytes()
    }

    /// The other way; `None`: that is no program that libpcap's interpreter runs to an end.
    pub fn checked(bytes: &[u8]) -> Option<Filter> {
        bpf::Program::checked(bytes).map(Filter::of)
    }

    /// As libpcap makes it without its optimiser (`tcpdump -O`).
    #[cfg(test)]
    pub(crate) fn compile_as_written(expression: &str, link_type: u16) -> Result<Filter, FilterError> {
        match bpf::compile(expression, link_type, Form::Plain)? {
            Ok(program) => Ok(Filter::of(program)),
            Err(message) => Err(FilterError::Refused { message, near: None }),
        }
    }

    /// True if libpcap's interpreter accepts the packet: `data` are its captured bytes, `wire_len` its length on the wire.
    #[inline]
    pub fn matches(&self, data: &[u8], wire_len: u32) -> bool {
        match &self.counted {
            None => self.program.run(data, wire_len),
            Some(machine) => machine.run(&[], data, wire_len),
        }
    }

    /// True if every packet matches, as with the empty expression.
    pub fn matches_all(&self) -> bool {
        self.program.accepts_all()
    }
}

#[cfg(test)]
mod tests;
