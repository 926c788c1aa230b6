//! The plan: which terms a packet must have for an expression to be able to match it. A superset by construction: what the
//! plan excludes libpcap would reject. `not` and what is not understood exclude nothing.
//!
//! `vlan`, `mpls`, `pppoes` and `geneve` move the offsets of all that follows in the text, whether they match or not: in
//! `vlan or host A` the host is looked for behind a tag even where there is none, and may find it in bytes that are no
//! address. So what follows them prunes only where a match implies that those headers are really there.

use super::ast::{Expr, Leaf, Op};
use super::parse::parse;
use crate::index::term::Term;
use crate::limits::FILTER_LIST_MIN;
use crate::units;
use std::ops::Range;

/// Of a long list so many are shown.
const SHOWN: usize = 8;

/// A monotone condition on the terms of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Every packet.
    All,
    /// Has a term in this range, ends included; both of one kind.
    Range(Term, Term),
    /// All of them; at least two.
    And(Vec<Plan>),
    /// Any of them; at least two.
    Or(Vec<Plan>),
}

impl Plan {
    /// The plan of an expression as it stands.
    pub fn of(text: &str) -> Plan {
        Plan::with_idle(text).0
    }

    /// The same, and the parts of the expression that rule out nothing, in order of the text: what the index knows nothing of, and what is
    /// joined to it by `or`.
    pub fn with_idle(text: &str) -> (Plan, Vec<String>) {
        if text.trim().is_empty() {
            return (Plan::All, vec![]);
        }
        let Some(e) = parse(text) else { return (Plan::All, vec![words(text)]) };
        let Planned { plan, idle, .. } = plan(&e, 0);
        (plan, idle.into_iter().map(|at| words(text.get(at).unwrap_or_default())).collect())
    }

    /// The parts of an expression that are joined by `and`, each with its plan: whatever answers the whole answers each of them.
    pub fn parts(text: &str) -> Vec<(String, Plan)> {
        let Some(e) = parse(text) else { return vec![] };
        let part = |e: &Expr, given: u64| {
            let Planned { plan, implied, .. } = plan(e, given);
            ((words(text.get(e.at()).unwrap_or_default()), plan), implied)
        };
        let Expr::Chain(first, rest, _) = &e else { return vec![part(&e, 0).0] };
        if rest.iter().any(|(op, _)| *op == Op::Or) {
            return vec![part(&e, 0).0];
        }
        let mut implied = 0;
        let all = std::iter::once(&**first).chain(rest.iter().map(|(_, e)| e));
        all.map(|e| {
            let (part, more) = part(e, implied);
            implied |= more;
            part
        })
        .collect()
    }

    /// Both.
    pub fn and(self, other: Plan) -> Plan {
        match (self, other) {
            (Plan::All, p) | (p, Plan::All) => p,
            (Plan::And(mut a), Plan::And(b)) => {
                a.extend(b);
                Plan::And(a)
            }
            (Plan::And(mut a), p) | (p, Plan::And(mut a)) => {
                a.push(p);
                Plan::And(a)
            }
            (a, b) => Plan::And(vec![a, b]),
        }
    }

    /// Either.
    pub fn or(self, other: Plan) -> Plan {
        match (self, other) {
            (Plan::All, _) | (_, Plan::All) => Plan::All,
            (Plan::Or(mut a), Plan::Or(b)) => {
                a.extend(b);
                Plan::Or(a)
            }
            (Plan::Or(mut a), p) | (p, Plan::Or(mut a)) => {
                a.push(p);
                Plan::Or(a)
            }
            (a, b) => Plan::Or(vec![a, b]),
        }
    }

    /// Evaluates the plan where `has` knows of each range whether it may hold.
    pub fn may(&self, has: &mut impl FnMut(Term, Term) -> bool) -> bool {
        match self {
            Plan::All => true,
            Plan::Range(lo, hi) => has(*lo, *hi),
            Plan::And(of) => of.iter().all(|p| p.may(has)),
            Plan::Or(of) => of.iter().any(|p| p.may(has)),
        }
    }

    /// Evaluates the plan where `join` knows of two terms whether one packet may have both: [`may`](Plan::may) asks of each alone.
    pub fn may_join(&self, join: &mut impl FnMut(Term, Term) -> bool) -> bool {
        self.may_join_with(None, join)
    }

    fn may_join_with(&self, given: Option<&Given<'_>>, join: &mut impl FnMut(Term, Term) -> bool) -> bool {
        match self {
            Plan::All => true,
            Plan::Range(..) => self.single().is_none_or(|t| Given::all(given, &mut |g| join(g, t))),
            Plan::And(of) => of.iter().enumerate().all(|(n, p)| {
                // A term is asked with those before it, any other part with all of them.
                let beside = if p.single().is_some() { of.get(..n).unwrap_or_default() } else { of };
                p.may_join_with(Some(&Given { beside, above: given }), join)
            }),
            // So many probes of what is on the disk would cost more than a look into the index.
            Plan::Or(of) if of.len() >= FILTER_LIST_MIN => true,
            Plan::Or(of) => of.iter().any(|p| p.may_join_with(given, join)),
        }
    }

    /// Whether [`may_join`](Plan::may_join) has anything to ask.
    pub fn joins(&self) -> bool {
        let mut any = false;
        self.may_join(&mut |_, _| {
            any = true;
            true
        });
        any
    }

    fn single(&self) -> Option<Term> {
        match self {
            Plan::Range(a, b) if a == b => Some(*a),
            _ => None,
        }
    }

    /// The single addresses that it asks for anywhere, in order of the text.
    pub fn hosts(&self) -> Vec<Term> {
        match self {
            Plan::All => vec![],
            Plan::Range(a, b) if a == b && a.filter_key().is_some() => vec![*a],
            Plan::Range(..) => vec![],
            Plan::And(of) | Plan::Or(of) => of.iter().flat_map(Plan::hosts).collect(),
        }
    }
}

/// Single terms that a packet must have for a part of a plan to matter: of the parts beside it, and of those beside what it is part of.
struct Given<'a> {
    beside: &'a [Plan],
    above: Option<&'a Given<'a>>,
}

impl Given<'_> {
    fn all(mut given: Option<&Given<'_>>, each: &mut impl FnMut(Term) -> bool) -> bool {
        while let Some(here) = given {
            if !here.beside.iter().filter_map(Plan::single).all(&mut *each) {
                return false;
            }
            given = here.above;
        }
        true
    }
}

impl std::fmt::Display for Plan {
    /// A line a term, terms of a part under their part.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        fn tree(plan: &Plan, depth: usize, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{:1$}", "", depth * 2)?;
            match plan {
                Plan::All => writeln!(f, "anything: only time and class rule segments out"),
                Plan::Range(lo, hi) if lo == hi => writeln!(f, "{lo}"),
                Plan::Range(lo, hi) => writeln!(f, "{lo} to {hi}"),
                Plan::And(of) | Plan::Or(of) => {
                    let all = matches!(plan, Plan::And(_));
                    writeln!(f, "{}", if all { "all of, the rarest in a segment first" } else { "any of" })?;
                    let shown = if of.len() < FILTER_LIST_MIN { of.len() } else { SHOWN };
                    of.iter().take(shown).try_for_each(|p| tree(p, depth + 1, f))?;
                    match of.len() - shown {
                        0 => Ok(()),
                        more => writeln!(f, "{:1$}... ({2} more)", "", depth * 2 + 2, units::count(more as u64)),
                    }
                }
            }
        }
        tree(self, 0, f)
    }
}

/// On one line.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What becomes of an expression.
struct Planned {
    plan: Plan,
    /// Shifts (bits, in order of the text) whose headers are there whenever it matches.
    implied: u64,
    /// Where in the text is what rules out nothing.
    idle: Vec<Range<usize>>,
}

impl Planned {
    fn of(plan: Plan, implied: u64, e: &Expr) -> Planned {
        let idle = if plan == Plan::All { vec![e.at()] } else { vec![] };
        Planned { plan, implied, idle }
    }
}

/// Plans `e`. `given` are shifts whose headers are there if this part of the expression matters at all.
fn plan(e: &Expr, given: u64) -> Planned {
    match e {
        Expr::Not(..) => Planned::of(Plan::All, 0, e),
        Expr::Leaf { what, shifts, .. } => {
            // Of more than 63 shifts nothing is claimed.
            let before = u32::try_from(*shifts).ok().and_then(|s| 1u64.checked_shl(s)).map_or(u64::MAX, |bit| bit - 1);
            if before & !given != 0 {
                return Planned::of(Plan::All, 0, e);
            }
            match what {
                Leaf::Unknown => Planned::of(Plan::All, 0, e),
                Leaf::Terms(of) => Planned::of(terms(of), 0, e),
                Leaf::Shift { terms: of, sound } => Planned::of(terms(of), if *sound { before + 1 } else { 0 }, e),
            }
        }
        Expr::Chain(first, rest, _) => rest.iter().fold(plan(first, given), |so_far, (op, e)| match op {
            Op::And => {
                let more = plan(e, given | so_far.implied);
                let (plan, implied) = (so_far.plan.and(more.plan), so_far.implied | more.implied);
                let mut idle = so_far.idle;
                idle.extend(more.idle);
                Planned { plan, implied, idle }
            }
            Op::Or => {
                let more = plan(e, given);
                let (plan, implied) = (so_far.plan.or(more.plan), so_far.implied & more.implied);
                // With one side the other rules out nothing either.
                let idle = match plan {
                    Plan::All => Vec::from([Range { start: first.at().start, end: e.at().end }]),
                    _ => {
                        let mut idle = so_far.idle;
                        idle.extend(more.idle);
                        idle
                    }
                };
                Planned { plan, implied, idle }
            }
        }),
    }
}

fn terms(of: &[Vec<(Term, Term)>]) -> Plan {
    of.iter().fold(Plan::All, |p, any| {
        let any = any.iter().map(|&(lo, hi)| Plan::Range(lo, hi)).reduce(Plan::or).unwrap_or(Plan::All);
        p.and(any)
    })
}
