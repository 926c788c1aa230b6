//! Long lists: addresses, networks and ports in an expression that are joined by `or` in great numbers. Owns what is an entry of one, how a list
//! becomes one leaf of the syntax tree, and the names by which lists are told to people. The parser gathers them; `filter::listed` compiles them.
//!
//! `and` and `or` bind alike and group to the left: `x or a or b` is `x or (a or b)`, and of `x and a or b` only `b` may go with what follows.

use super::ast::{Expr, Leaf, Op};
use super::lex::{Kind as TokenKind, Token, lex};
use super::parse::parse_with_lists;
use super::primitive::{Addr, End, Qual, dotted};
use crate::filter::listed::{Kind, List, Listed};
use crate::index::term::Term;
use crate::limits::FILTER_LIST_MIN;
use crate::units;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::Arc;

/// What an entry asks, but for its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Form {
    proto: Option<&'static str>,
    end: End,
    what: &'static str,
    kind: Kind,
}

impl Form {
    /// The words before the entry.
    fn words(&self) -> String {
        let end = match self.end {
            End::Source => Some("src"),
            End::Destination => Some("dst"),
            End::Either | End::Other => None,
        };
        self.proto.into_iter().chain(end).chain([self.what]).collect::<Vec<_>>().join(" ")
    }
}

/// An entry of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    form: Form,
    value: u128,
    /// It takes its words from what stands before it.
    bare: bool,
}

impl Entry {
    /// An address or a network; `None`: it is not written plainly, or libpcap refuses it.
    pub(super) fn address(q: Qual, id: Token, mask: Option<Token>) -> Option<Entry> {
        let what = if q.addr == Addr::Net { "net" } else { "host" };
        let given = match mask.map(|m| m.kind) {
            None => None,
            Some(TokenKind::Num(n)) if what == "net" => Some(u8::try_from(n).ok()?),
            Some(_) => return None,
        };
        let (kind, value, protos) = match id.kind {
            TokenKind::Dotted => {
                let (value, implied) = dotted(id.text)?;
                let ones = given.unwrap_or(implied.count_ones() as u8);
                let host = u32::MAX.checked_shr(ones.into()).unwrap_or(0);
                let plain = (1..=32).contains(&ones) && value & host == 0 && (what == "net" || ones == 32);
                plain.then_some((Kind::V4(ones), u128::from(value), &["ip", "arp", "rarp"][..]))?
            }
            TokenKind::V6(a) => {
                let ones = given.unwrap_or(128);
                let host = u128::MAX.checked_shr(ones.into()).unwrap_or(0);
                let plain = (1..=128).contains(&ones) && a.to_bits() & host == 0;
                plain.then_some((Kind::V6(ones), a.to_bits(), &["ip6"][..]))?
            }
            _ => return None,
        };
        Entry::of(q, protos, what, kind, value)
    }

    /// A port by its number.
    pub(super) fn port(q: Qual, id: Token) -> Option<Entry> {
        let TokenKind::Num(n) = id.kind else { return None };
        Entry::of(q, &["tcp", "udp", "sctp"], "port", Kind::Port, u16::try_from(n).ok()?.into())
    }

    fn of(q: Qual, protos: &[&'static str], what: &'static str, kind: Kind, value: u128) -> Option<Entry> {
        let proto = match q.proto {
            None => None,
            Some(word) => Some(*protos.iter().find(|p| **p == word)?),
        };
        let form = Form { proto, end: q.end, what, kind };
        (q.end != End::Other).then_some(Entry { form, value, bare: false })
    }

    /// The same where it takes its words from what stands before it.
    pub(super) fn bare(self) -> Entry {
        Entry { bare: true, ..self }
    }

    /// The entry without its words.
    fn text(&self) -> String {
        match (self.form.kind, self.form.what) {
            (Kind::V4(_), "host") => Ipv4Addr::from_bits(self.value as u32).to_string(),
            (Kind::V4(ones), _) => format!("{}/{ones}", Ipv4Addr::from_bits(self.value as u32)),
            (Kind::V6(_), "host") => Ipv6Addr::from_bits(self.value).to_string(),
            (Kind::V6(ones), _) => format!("{}/{ones}", Ipv6Addr::from_bits(self.value)),
            (Kind::Port, _) => self.value.to_string(),
        }
    }
}

/// A long list as it stands in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where, in bytes.
    pub(super) at: Range<usize>,
    entries: Vec<Entry>,
    /// No words may stand before an entry.
    bare: bool,
}

impl Run {
    /// As it is compiled: entries that are asked alike together, those that are asked like the last one last.
    fn lists(&self) -> Vec<List> {
        let mut by_form: BTreeMap<Form, Vec<u128>> = BTreeMap::new();
        for entry in &self.entries {
            by_form.entry(entry.form).or_default().push(entry.value);
        }
        let last = self.entries.last().map(|e| e.form);
        let values = last.and_then(|form| Some((form, by_form.remove(&form)?)));
        let list = |(form, values): (Form, Vec<u128>)| List::new(form.words(), self.bare, form.kind, values);
        by_form.into_iter().chain(values).map(list).collect()
    }

    /// For people, and for whoever wants to know later which list it was: by words their number, and the SHA-256 of the entries, sorted as text,
    /// a line each.
    fn told(&self) -> String {
        let mut by_words: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for entry in &self.entries {
            by_words.entry(entry.form.words()).or_default().insert(entry.text());
        }
        let told = |(words, entries): (&String, &BTreeSet<String>)| {
            let mut sum = Sha256::new();
            entries.iter().for_each(|e| sum.update(format!("{e}\n")));
            let count = units::count(entries.len() as u64);
            format!("{words} in a list of {count} (SHA-256 {:x})", sum.finalize())
        };
        by_words.iter().map(told).collect::<Vec<_>>().join(" or ")
    }
}

/// Gathers the items of a chain, and makes of each long list one leaf.
pub(super) struct Gathering {
    done: Vec<(Op, Expr)>,
    run: Vec<(Op, Expr, Entry)>,
    /// Within the brackets of `host (a or b)`.
    of_head: bool,
    lists: Vec<Run>,
}

impl Gathering {
    pub(super) fn new(first: Expr, entry: Option<Entry>, of_head: bool) -> Gathering {
        let mut all = Gathering { done: vec![], run: vec![], of_head, lists: vec![] };
        // Nothing is before it: what it is joined by is never looked at.
        all.push(Op::Or, first, entry);
        all
    }

    pub(super) fn push(&mut self, op: Op, item: Expr, entry: Option<Entry>) {
        match entry {
            Some(entry) if op == Op::Or => self.run.push((op, item, entry)),
            _ => {
                self.end_run();
                self.done.push((op, item));
            }
        }
    }

    fn end_run(&mut self) {
        let run = std::mem::take(&mut self.run);
        let entries = run.iter().map(|(.., entry)| *entry);
        // Where no words may stand libpcap refuses those that do.
        if run.len() < FILTER_LIST_MIN || self.of_head && !entries.clone().all(|e| e.bare) {
            self.done.extend(run.into_iter().map(|(op, item, _)| (op, item)));
            return;
        }
        let at = run.first().map_or(0, |(_, e, _)| e.at().start)..run.last().map_or(0, |(_, e, _)| e.at().end);
        self.lists.push(Run { at: at.clone(), entries: entries.collect(), bare: self.of_head });
        match one_leaf(&run, at) {
            Some(leaf) => self.done.push((Op::Or, leaf)),
            None => self.done.extend(run.into_iter().map(|(op, item, _)| (op, item))),
        }
    }

    /// The first item and the others; the lists go to `lists`.
    pub(super) fn finish(mut self, lists: &mut Vec<Run>) -> (Expr, Vec<(Op, Expr)>) {
        self.end_run();
        lists.append(&mut self.lists);
        let mut all = self.done.into_iter();
        let nothing = Expr::Leaf { what: Leaf::Unknown, shifts: 0, exact: false, at: 0..0 };
        let first = all.next().map_or(nothing, |(_, e)| e);
        (first, all.collect())
    }
}

/// The leaf that asks for any of these, its terms sorted and apart from each other; `None`: they differ in more than one term.
fn one_leaf(run: &[(Op, Expr, Entry)], at: Range<usize>) -> Option<Expr> {
    let parts = |e: &'_ Expr| match e {
        Expr::Leaf { what: Leaf::Terms(of), .. } => Some(of.clone()),
        _ => None,
    };
    let (_, Expr::Leaf { shifts, .. }, _) = run.first()? else { return None };
    let (mut terms, mut rest, mut all_exact): (Vec<(Term, Term)>, _, _) = (Vec::with_capacity(run.len()), None, true);
    for (_, item, _) in run {
        let Expr::Leaf { exact, .. } = item else { return None };
        all_exact &= exact;
        let mut of = parts(item)?.into_iter();
        terms.extend(of.next()?);
        let more: Vec<_> = of.collect();
        if rest.get_or_insert_with(|| more.clone()) != &more {
            return None;
        }
    }
    let mut all = vec![apart(terms)];
    all.extend(rest.unwrap_or_default());
    Some(Expr::Leaf { what: Leaf::Terms(all), shifts: *shifts, exact: all_exact, at })
}

/// Sorted; what lies within another is left out. Neighbours stay apart: single terms can be looked up.
fn apart(mut terms: Vec<(Term, Term)>) -> Vec<(Term, Term)> {
    terms.sort_by_key(|&(lo, hi)| (lo, std::cmp::Reverse(hi)));
    let mut out: Vec<(Term, Term)> = Vec::with_capacity(terms.len());
    for (lo, hi) in terms {
        match out.last_mut() {
            Some(last) if lo <= last.1 => last.1 = last.1.max(hi),
            _ => out.push((lo, hi)),
        }
    }
    out
}

/// The long lists of an expression, in order.
fn runs(text: &str) -> Vec<Run> {
    // An entry and its `or` take so much.
    if text.len() < FILTER_LIST_MIN * 4 {
        return Vec::new();
    }
    match parse_with_lists(text) {
        Some((_, lists)) => lists,
        None => last_brackets(text).unwrap_or_default(),
    }
}

/// Those of `... and (list)` where the words before are libpcap's alone.
fn last_brackets(text: &str) -> Option<Vec<Run>> {
    let tokens = lex(text);
    let (last, others) = tokens.split_last().filter(|(t, _)| t.kind == TokenKind::Sym(b')'))?;
    let mut depth = 1;
    let open = others.iter().rposition(|t| {
        depth += match t.kind {
            TokenKind::Sym(b')') => 1,
            TokenKind::Sym(b'(') => -1,
            _ => 0,
        };
        depth == 0
    })?;
    let (start, before) = (others.get(open)?.at + 1, others.get(open.checked_sub(1)?)?);
    let (_, mut lists) = parse_with_lists(text.get(start..last.at)?).filter(|_| before.kind == TokenKind::And)?;
    for run in &mut lists {
        run.at = run.at.start + start..run.at.end + start;
    }
    Some(lists)
}

/// The expression as it is compiled with its long lists; `None`: it has none.
pub fn listed(text: &str) -> Option<Arc<Listed>> {
    let (runs, mut listed, mut from) = (runs(text), Listed::default(), 0);
    if runs.is_empty() {
        return None;
    }
    for run in runs {
        listed.text(from, text.get(from..run.at.start)?);
        listed.lists(run.lists());
        from = run.at.end;
    }
    listed.text(from, text.get(from..)?);
    Some(Arc::new(listed))
}

/// The expression for people: long lists by their number and sum.
pub fn told(text: &str) -> String {
    let (mut out, mut from) = (String::new(), 0);
    for run in runs(text) {
        out.push_str(text.get(from..run.at.start).unwrap_or_default());
        out.push_str(&run.told());
        from = run.at.end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}
