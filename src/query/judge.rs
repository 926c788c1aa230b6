//! Which packets answer: libpcap decides on the untouched text, for each link type as compiled for it. Owns the compiled filters, and the
//! sieves that each candidate is put to; called by the executor.

use super::conn::Which;
use super::lang::lists::listed;
use super::whose::Named;
use crate::filter::listed::{ListFilter, Listed};
use crate::filter::{Filter, FilterError};
use crate::limits::COMPILED_MAX;
use crate::packet::{What, layers};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// LINKTYPE_ETHERNET and LINKTYPE_RAW.
const ETHERNET: u16 = 1;
const RAW: u16 = 101;

/// A compiled expression.
#[derive(Debug)]
enum Test {
    /// libpcap's own program.
    Plain(Filter),
    /// The same with long lists.
    Listed(ListFilter),
}

impl Test {
    fn matches(&self, data: &[u8], wire_len: u32) -> bool {
        match self {
            Test::Plain(filter) => filter.matches(data, wire_len),
            Test::Listed(filter) => filter.matches(data, wire_len),
        }
    }
}

/// Compiles an expression for a link type; an error says where it is, if that can be told.
pub(super) fn check(text: &str, link_type: u16) -> Result<(), FilterError> {
    match listed(text) {
        Some(listed) => ListFilter::compile_placed(&listed, link_type).map(drop),
        None => Filter::compile(text, link_type).map(drop),
    }
}

/// The same for some of the common link types, where nobody knows for which it is meant.
pub(super) fn check_any(text: &str) -> Result<(), FilterError> {
    match listed(text) {
        Some(listed) => ListFilter::compile_placed(&listed, ETHERNET).map(drop),
        None => Filter::check(text),
    }
}

type ByLinkType = HashMap<u16, Result<Arc<Test>, FilterError>>;

/// Filters that were compiled for questions before: a question that comes often is compiled once. Shared, and bounded.
#[derive(Clone, Default)]
pub struct Compiled(Arc<Mutex<HashMap<String, ByLinkType>>>);

impl Compiled {
    /// Whether this text has been compiled for any link type.
    pub fn has(&self, text: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(text)
    }

    fn get(&self, text: &str, link_type: u16) -> Result<Arc<Test>, FilterError> {
        let known = |all: &HashMap<String, ByLinkType>| all.get(text)?.get(&link_type).cloned();
        if let Some(filter) = known(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            return filter;
        }
        let made = Filter::compile_unplaced(text, link_type).map(|filter| Arc::new(Test::Plain(filter)));
        if matches!(made, Err(FilterError::Setup(_))) {
            // That may be better the next time.
            return made;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= COMPILED_MAX {
            // Rare, and cheaper than to keep account of who was asked for last.
            all.clear();
        }
        all.entry(text.to_owned()).or_default().insert(link_type, made.clone());
        made
    }
}

/// What single packets of one link type are asked; any thread may ask it.
#[derive(Clone)]
pub struct Sieve {
    link_type: u16,
    /// There is no expression.
    all: bool,
    own: Option<Arc<Test>>,
    /// With `--any-layer`: of inner layers, which are Ethernet or raw IP.
    inner: Option<[Option<Arc<Test>>; 2]>,
}

impl Sieve {
    /// Whether anything can match.
    fn lets_any(&self) -> bool {
        // Everything: also of a link type that libpcap compiles nothing for.
        self.all || self.own.is_some() || self.inner.iter().flatten().any(Option::is_some)
    }

    /// Whether the packet, or with `--any-layer` one of its layers, matches. The connection is not asked for: see
    /// [`belongs`](Judge::belongs).
    pub fn passes(&self, data: &[u8], wire_len: u32) -> bool {
        self.all
            || self.own.as_ref().is_some_and(|f| f.matches(data, wire_len))
            || self.inner.as_ref().is_some_and(|inner| self.inside(inner, data, wire_len))
    }

    fn inside(&self, [ethernet, raw]: &[Option<Arc<Test>>; 2], data: &[u8], wire_len: u32) -> bool {
        let mut starts = Vec::new();
        layers(self.link_type, data, &mut |l| match l.what {
            What::Ethernet { .. } if l.offset > 0 => starts.push((ethernet, l.offset)),
            What::Ip4 { .. } | What::Ip6 { .. } => starts.push((raw, l.offset)),
            _ => {}
        });
        starts.into_iter().any(|(filter, at)| {
            let (Some(data), wire_len) = (data.get(at..), wire_len.saturating_sub(at as u32)) else { return false };
            filter.as_ref().is_some_and(|f| f.matches(data, wire_len))
        })
    }
}

/// The question as it is put to single packets.
pub struct Judge {
    text: String,
    /// Its long lists: they are compiled in milliseconds, and nobody keeps them after the question.
    listed: Option<Arc<Listed>>,
    known: Compiled,
    any_layer: bool,
    conn: Option<Which>,
    filters: ByLinkType,
    sieves: HashMap<u16, Arc<Sieve>>,
}

impl Judge {
    /// Nothing is compiled yet.
    pub fn new(text: &str, any_layer: bool, conn: Option<Which>, known: &Compiled) -> Judge {
        Judge {
            text: text.trim().to_owned(),
            listed: listed(text.trim()),
            known: known.clone(),
            any_layer,
            conn,
            filters: HashMap::new(),
            sieves: HashMap::new(),
        }
    }

    /// The expression.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Compiles for a link type.
    fn filter(&mut self, link_type: u16) -> &Result<Arc<Test>, FilterError> {
        let Judge { filters, known, text, listed, .. } = self;
        let compile = || match listed {
            Some(listed) => ListFilter::compile(listed, link_type).map(|filter| Arc::new(Test::Listed(filter))),
            None => known.get(text, link_type),
        };
        filters.entry(link_type).or_insert_with(compile)
    }

    /// What packets of this link type are asked.
    pub fn sieve(&mut self, link_type: u16) -> Arc<Sieve> {
        if let Some(known) = self.sieves.get(&link_type) {
            return known.clone();
        }
        let (all, any_layer) = (self.text.is_empty(), self.any_layer);
        let mut compiled = |link_type| self.filter(link_type).as_ref().ok().cloned();
        let own = if all { None } else { compiled(link_type) };
        let inner = if any_layer && !all { Some([compiled(ETHERNET), compiled(RAW)]) } else { None };
        let made = Arc::new(Sieve { link_type, all, own, inner });
        self.sieves.insert(link_type, made.clone());
        made
    }

    /// Whether anything can match in packets of this link type.
    pub fn prepare(&mut self, link_type: u16) -> bool {
        self.sieve(link_type).lets_any()
    }

    /// Why packets of this link type can't be asked.
    pub fn refuses(&mut self, link_type: u16) -> Option<FilterError> {
        if self.prepare(link_type) { None } else { self.filter(link_type).as_ref().err().cloned() }
    }

    /// Link types that were met and could not be asked, and why.
    pub fn refused(&self) -> impl Iterator<Item = (u16, &FilterError)> {
        let of = |link_type: &u16| Some((*link_type, self.filters.get(link_type)?.as_ref().err()?));
        self.sieves.iter().filter(|(_, s)| !s.lets_any()).filter_map(move |(link_type, _)| of(link_type))
    }

    /// Whether a connection is asked for.
    pub fn asks_connection(&self) -> bool {
        self.conn.is_some()
    }

    /// Whether a packet's connection is the one that is asked for, if one is.
    pub fn belongs(&self, named: &Named) -> bool {
        self.conn.as_ref().is_none_or(|which| which.names(named))
    }
}
