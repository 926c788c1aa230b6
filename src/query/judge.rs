//! Which packets answer: libpcap decides on the untouched text, for each link type as compiled for it. Owns the compiled filters;
//! called by the executor for each candidate.

use super::conn::{ConnMatcher, Which};
use crate::filter::{Filter, FilterError};
use crate::limits::COMPILED_MAX;
use crate::packet::{What, layers};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// LINKTYPE_ETHERNET and LINKTYPE_RAW.
const ETHERNET: u16 = 1;
const RAW: u16 = 101;

type ByLinkType = HashMap<u16, Arc<Filter>>;

/// Filters that were compiled for questions before: a question that comes often is compiled once. Shared, and bounded.
#[derive(Clone, Default)]
pub struct Compiled(Arc<Mutex<HashMap<String, ByLinkType>>>);

impl Compiled {
    /// Whether this text has been compiled for any link type.
    pub fn has(&self, text: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(text)
    }

    fn get(&self, text: &str, link_type: u16) -> Result<Arc<Filter>, FilterError> {
        let known = |all: &HashMap<String, ByLinkType>| all.get(text)?.get(&link_type).cloned();
        if let Some(filter) = known(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(filter);
        }
        let made = Arc::new(Filter::compile(text, link_type)?);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= COMPILED_MAX {
            // Rare, and cheaper than to keep account of who was asked for last.
            all.clear();
        }
        all.entry(text.to_owned()).or_default().insert(link_type, made.clone());
        Ok(made)
    }
}

/// The question as it is put to single packets.
pub struct Judge {
    text: String,
    known: Compiled,
    any_layer: bool,
    conn: Option<ConnMatcher>,
    filters: HashMap<u16, Option<Arc<Filter>>>,
    error: Option<FilterError>,
    compiled: bool,
}

impl Judge {
    /// Nothing is compiled yet.
    pub fn new(text: &str, any_layer: bool, conn: Option<Which>, known: &Compiled) -> Judge {
        let text = text.trim().to_owned();
        Judge {
            text,
            known: known.clone(),
            any_layer,
            conn: conn.map(ConnMatcher::new),
            filters: HashMap::new(),
            error: None,
            compiled: false,
        }
    }

    /// Compiles for a link type. An expression that does not compile matches nothing there.
    fn filter(&mut self, link_type: u16) -> Option<&Filter> {
        if !self.filters.contains_key(&link_type) {
            let filter = match self.known.get(&self.text, link_type) {
                Ok(f) => {
                    self.compiled = true;
                    Some(f)
                }
                Err(e) => {
                    self.error.get_or_insert(e);
                    None
                }
            };
            self.filters.insert(link_type, filter);
        }
        self.filters.get(&link_type)?.as_deref()
    }

    /// Whether anything can match in packets of this link type.
    pub fn prepare(&mut self, link_type: u16) -> bool {
        if self.text.is_empty() {
            // Everything: also of a link type that libpcap compiles nothing for.
            true
        } else if self.any_layer {
            // An inner layer may be of either.
            let (a, b, c) =
                (self.filter(link_type).is_some(), self.filter(ETHERNET).is_some(), self.filter(RAW).is_some());
            a || b || c
        } else {
            self.filter(link_type).is_some()
        }
    }

    /// The expression's error, if it compiled for no link type that was met.
    pub fn error(&mut self) -> Option<FilterError> {
        if self.text.is_empty() {
            return None;
        }
        if !self.compiled {
            self.filter(ETHERNET);
        }
        if self.compiled { None } else { self.error.take() }
    }

    /// Whether the packet, or with `--any-layer` one of its layers, matches. The connection is not asked for: see
    /// [`belongs`](Judge::belongs).
    pub fn matches(&mut self, link_type: u16, data: &[u8], wire_len: u32) -> bool {
        if self.text.is_empty() || self.filter(link_type).is_some_and(|f| f.matches(data, wire_len)) {
            return true;
        }
        self.any_layer && self.inner(link_type, data, wire_len)
    }

    fn inner(&mut self, link_type: u16, data: &[u8], wire_len: u32) -> bool {
        let mut starts = Vec::new();
        layers(link_type, data, &mut |l| match l.what {
            What::Ethernet { .. } if l.offset > 0 => starts.push((ETHERNET, l.offset)),
            What::Ip4 { .. } | What::Ip6 { .. } => starts.push((RAW, l.offset)),
            _ => {}
        });
        starts.into_iter().any(|(link_type, at)| {
            let (Some(data), wire_len) = (data.get(at..), wire_len.saturating_sub(at as u32)) else { return false };
            self.filter(link_type).is_some_and(|f| f.matches(data, wire_len))
        })
    }

    /// Whether the packet is of the connection that is asked for, if one is. Packets must come in time order.
    pub fn belongs(&mut self, link_type: u16, data: &[u8], time: u64) -> bool {
        self.conn.as_mut().is_none_or(|c| c.matches(link_type, data, time))
    }
}
