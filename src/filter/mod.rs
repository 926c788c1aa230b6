//! pcap-filter(7) expressions: compiled by libpcap, run by libpcap, so that a packet matches here exactly when
//! `tcpdump -r` prints it. Owns the compiled [`Filter`] and its errors. Called by the class set, the global filter and
//! queries; must never resolve a host name (see [`names`]) nor keep state between packets.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod bpf;
mod names;
mod position;

use crate::limits::FILTER_BYTES_MAX;

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

/// A compiled expression for one link type. Immutable; may be shared by threads.
#[derive(Clone, Debug)]
pub struct Filter {
    program: bpf::Program,
}

impl Filter {
    /// Checks an expression before it is known what packets it will be asked about: that it compiles for some of the
    /// common link types. The error is that of the first, Ethernet.
    pub fn check(expression: &str) -> Result<(), FilterError> {
        // Ethernet, raw IP, 802.11 with radiotap, Linux cooked (both), BSD loopback, PPP, ATM, MTP2.
        const COMMON: [u16; 9] = [1, 101, 127, 113, 276, 0, 9, 123, 140];
        let mut tries = COMMON.iter().map(|&link_type| Filter::compile(expression, link_type).map(drop));
        match tries.next() {
            Some(Err(error)) if !tries.any(|t| t.is_ok()) => Err(error),
            _ => Ok(()),
        }
    }

    /// Compiles `expression` for packets of `link_type` (LINKTYPE_*), as `tcpdump -r` would for a file of it.
    /// An expression may be right for one link type and wrong for another (`wlan type mgt` on Ethernet).
    pub fn compile(expression: &str, link_type: u16) -> Result<Filter, FilterError> {
        if expression.len() > FILTER_BYTES_MAX {
            return Err(FilterError::TooLong { bytes: expression.len() });
        }
        names::refuse(expression)?;
        match bpf::compile(expression, link_type)? {
            Ok(program) => Ok(Filter { program }),
            Err(message) => Err(FilterError::Refused { message, near: position::of_error(expression, link_type) }),
        }
    }

    /// True if libpcap's interpreter accepts the packet: `data` are its captured bytes, `wire_len` its length on the wire.
    #[inline]
    pub fn matches(&self, data: &[u8], wire_len: u32) -> bool {
        self.program.run(data, wire_len)
    }

    /// True if every packet matches, as with the empty expression.
    pub fn matches_all(&self) -> bool {
        self.program.accepts_all()
    }
}

#[cfg(test)]
mod tests;
