//! A filter as the planner sees it: the parts that the index can answer, everything else as [`Leaf::Unknown`]. Made by
//! the parser of this folder, read by the planner. It decides nothing: libpcap compiles the untouched text.

use crate::index::term::Term;
use std::ops::Range;

/// `and` or `or`: in pcap-filter they bind alike and group to the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Both.
    And,
    /// Either.
    Or,
}

/// An expression; each part knows where in the text it stands, in bytes, brackets around it included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// `first op a op b ...`, grouped to the left.
    Chain(Box<Expr>, Vec<(Op, Expr)>, Range<usize>),
    /// Its opposite.
    Not(Box<Expr>, Range<usize>),
    /// A primitive.
    Leaf {
        /// What it asks.
        what: Leaf,
        /// How many headers libpcap has been told to step over by `vlan`, `mpls`, `pppoes` and `geneve` before it, in the
        /// order of the text, whatever the logic: they move the offsets of all that follows.
        shifts: usize,
        /// A connection's key answers it: the terms are all that it asks, and it asks for no direction.
        exact: bool,
        /// Where.
        at: Range<usize>,
    },
}

impl Expr {
    /// Where in the text.
    pub fn at(&self) -> Range<usize> {
        match self {
            Expr::Chain(_, _, at) | Expr::Not(_, at) | Expr::Leaf { at, .. } => at.clone(),
        }
    }

    /// The same, standing here.
    pub(super) fn standing(mut self, here: Range<usize>) -> Expr {
        match &mut self {
            Expr::Chain(_, _, at) | Expr::Not(_, at) | Expr::Leaf { at, .. } => *at = here,
        }
        self
    }
}

/// A primitive, as far as the index can answer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// All of these: each any of the ranges of terms, ends included. Implied by the primitive, not equal to it.
    Terms(Vec<Vec<(Term, Term)>>),
    /// The same, and a header to step over from here on.
    Shift {
        /// What it implies.
        terms: Vec<Vec<(Term, Term)>>,
        /// Where it matches, what follows is read from where the packet has it.
        sound: bool,
    },
    /// Something that the index knows nothing of.
    Unknown,
}

/// A primitive that moves the offsets of all that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    /// `vlan`
    Vlan,
    /// `mpls`
    Mpls,
    /// `pppoes`
    Pppoes,
    /// `geneve`
    Geneve,
}
