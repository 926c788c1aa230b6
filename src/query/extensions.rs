//! Whether an empty answer is empty only because libpcap takes an IPv6 extension header for the end: its `port 443` looks no further, where a
//! connection's key does. Asks the indexes alone, and of those only the connections that have such a header. A hint: what can't be read
//! is passed over.

use super::Query;
use super::lang::keyed::{holds, tellable, terms_of};
use super::lang::parse::parse;
use super::lang::plan::Plan;
use super::part::Question;
use super::plans::Plans;
use super::select;
use super::view::View;
use crate::index::Index;
use crate::index::term::Term;

/// Hop-by-hop options, routing, fragment, authentication, destination options, mobility, HIP, shim6.
const EXTENSIONS: [u8; 8] = [0, 43, 44, 51, 60, 135, 139, 140];

/// Whether the index of some segment of the question's window has a connection that answers the expression by its key, and an IPv6 extension
/// header.
pub(super) fn behind_extensions(query: &Query, view: &View<'_>, q: &Question<'_>) -> bool {
    let simple = query.conn.is_none() && query.community.is_none() && !query.full_scan && query.limit != Some(0);
    let Some(e) = parse(&query.filter).filter(|e| simple && !query.filter.trim().is_empty() && tellable(e)) else {
        return false;
    };
    let header = |n| Plan::Range(Term::Proto(n), Term::Proto(n));
    let plan = EXTENSIONS.map(header).into_iter().fold(Plan::Or(Vec::new()), Plan::or);
    let plans = Plans::new(plan, Plan::All);
    let found = |index: &Index| {
        let mut any = false;
        let asked = select::connections(plans.of(index.about()), index, &mut |c| {
            any |= c.key.is_v6() && q.overlaps(c.first, c.last) && holds(&e, &terms_of(&c.key));
        });
        asked.is_ok() && any
    };
    let here = view.recent.iter().filter(|r| q.wants_class(&r.reader().header().class));
    let sealed = view.sealed.iter().filter(|s| s.skip.is_some() && s.may_overlap(q));
    here.filter_map(|r| r.index()).any(found)
        || sealed.take_while(|_| q.pace.go_on()).any(|s| s.index().is_ok_and(|index| found(&index)))
}
