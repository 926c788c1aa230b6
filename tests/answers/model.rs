//! What a history must leave in its store, as the definition has it: which packets, of which class and connection, and the totals of each
//! connection. Knows nothing of the product but its configuration's words.

use crate::history::{Class, History, Run};
use crate::judge::Filters;
use crate::oracle::model::{Connection, Oracle};
use crate::oracle::parse::Name;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// A packet that was stored.
#[derive(Clone, Debug)]
pub struct Kept {
    pub time: u64,
    pub wire: u32,
    pub link: u16,
    /// What was stored of it.
    pub data: Vec<u8>,
    /// Index into the history's classes.
    pub class: usize,
    /// Index into the model's connections.
    pub connection: usize,
    pub now: Presence,
}

/// Whether a stored packet can still be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    There,
    /// Of a segment in which something is damaged.
    Doubtful,
    /// Its segment has expired.
    Expired,
}

/// A connection of one run.
#[derive(Clone, Debug)]
pub struct Known {
    pub of: Connection,
    /// The run was killed before it ended: nobody has its totals but the packets.
    pub unsaid: bool,
}

/// All that was stored, over all runs so far.
pub struct Model<'a> {
    history: &'a History,
    filters: Filters,
    oracle: Oracle,
    /// Number of the first connection of this run.
    base: usize,
    pub kept: Vec<Kept>,
    pub connections: Vec<Known>,
    /// The late classes have come.
    pub reloaded: bool,
    /// Packets of this run: given, stored, bytes stored, not stored since past a cutoff, and of classes that record nothing.
    pub given: u64,
    pub stored: u64,
    pub cut: u64,
    pub discarded: u64,
}

impl<'a> Model<'a> {
    pub fn new(history: &'a History, dir: &Path) -> Model<'a> {
        let expressions: Vec<&str> = history.classes.iter().map(|c| c.filter).collect();
        let filters = Filters::new(&history.network.links, &expressions, dir);
        Model {
            history,
            filters,
            oracle: Oracle::with_classes(Vec::new()),
            base: 0,
            kept: Vec::new(),
            connections: Vec::new(),
            reloaded: history.reload.is_none(),
            given: 0,
            stored: 0,
            cut: 0,
            discarded: 0,
        }
    }

    /// A recorder starts: it knows of no connection.
    pub fn start(&mut self) {
        let rules = |c: &Class| crate::oracle::model::Rules { vlans: self.history.vlans, ..c.rules.clone() };
        self.oracle = Oracle::with_classes(self.history.classes.iter().map(rules).collect());
        self.base = self.connections.len();
        (self.given, self.stored, self.cut, self.discarded) = (0, 0, 0, 0);
    }

    /// It takes in a chunk.
    pub fn feed(&mut self, run: &Run, chunk: usize) {
        let mut order: Vec<usize> = (1..self.history.classes.len()).filter(|n| self.has(*n)).collect();
        let class = |n: &usize| &self.history.classes[*n];
        order.sort_by_key(|n| (-i64::from(class(n).precedence), class(n).name));
        for (_, p) in &run.chunks[chunk] {
            let link = self.history.network.links[p.link];
            let first = || order.iter().copied().find(|n| self.filters.matches(link, *n, &p.data)).unwrap_or(0);
            let outcome = self.oracle.packet_of(p.time, p.wire, link, &p.data, first);
            self.given += 1;
            if outcome.stored {
                self.stored += 1;
                let snaplen = self.history.classes[outcome.class].snaplen.unwrap_or(usize::MAX);
                self.kept.push(Kept {
                    time: p.time,
                    wire: p.wire,
                    link,
                    data: p.data[..p.data.len().min(snaplen)].to_vec(),
                    class: outcome.class,
                    connection: self.base + outcome.connection - 1,
                    now: Presence::There,
                });
            } else if self.history.classes[outcome.class].rules.record {
                self.cut += 1;
            } else {
                self.discarded += 1;
            }
        }
        self.connections.truncate(self.base);
        self.connections.extend(self.oracle.connections.iter().map(|c| Known { of: c.clone(), unsaid: false }));
    }

    /// The recorder was killed.
    pub fn killed(&mut self) {
        for c in &mut self.connections[self.base..] {
            c.unsaid = true;
        }
    }

    /// The class is in force, or was.
    pub fn has(&self, class: usize) -> bool {
        self.reloaded || !self.history.classes[class].late
    }

    /// Connections of this run.
    pub fn begun(&self) -> u64 {
        (self.connections.len() - self.base) as u64
    }

    /// Connections of this run that none of their name has followed, by number: they may go on.
    pub fn may_run(&self) -> HashSet<usize> {
        let run = self.connections.iter().enumerate().skip(self.base);
        run.map(|(n, c)| (&c.of.name, n)).collect::<HashMap<&Name, usize>>().into_values().collect()
    }

    /// How many connections of this run others of their names have followed, and when the first of all began.
    pub fn followed(&self) -> (u64, u64) {
        let run = &self.connections[self.base..];
        let names: HashSet<&Name> = run.iter().map(|c| &c.of.name).collect();
        ((run.len() - names.len()) as u64, run.iter().map(|c| c.of.first).min().unwrap_or(0))
    }
}
