//! Of an empty answer: what there would have been to find. What times the store has of each class, where the window lies beside them, and which
//! parts of the question match no packet of it at all. Owns these words; made by the executor, shown by the CLI.

use super::Summary;
use crate::query::Query;
use crate::query::conn::ConnSpec;
use crate::query::lang::plan::Plan;
use crate::query::plans::Plans;
use crate::query::sealed::Sealed;
use crate::query::view::{View, gaps};
use crate::shape::{Maybe, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Of a part of the question so much is repeated.
const TEXT_CHARS: usize = 200;

/// Where a window lies beside what the store has of the classes asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WindowPlace {
    /// They overlap.
    #[default]
    Inside,
    /// It ends before the oldest packet.
    Before,
    /// It begins after the newest packet.
    After,
    /// It begins in the future.
    Future,
    /// The store has no packet of these classes.
    NoPackets,
}

/// What the store has of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoredTimes {
    /// The class.
    pub class: String,
    /// Its oldest packet; `None`: it has none.
    #[serde(with = "Maybe::<Time>")]
    pub first: Option<u64>,
    /// Its newest packet.
    #[serde(with = "Maybe::<Time>")]
    pub last: Option<u64>,
}

/// Why there may be no packet in an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NothingFound {
    /// What was looked through of each class asked for, or of each that there is: the store; of a question to memory alone what is in memory.
    pub stored: Vec<StoredTimes>,
    /// Where the window lies beside it.
    pub window: WindowPlace,
    /// Parts of the question that match no packet of all that, in whatever time or class. Parts that no index knows of are never here.
    pub no_match: Vec<String>,
}

impl NothingFound {
    /// Of this question, whose answer has no packet. `window`: from, to; `now`: Unix ns.
    pub(in crate::query) fn of(
        query: &Query,
        view: &View<'_>,
        (from, to): (u64, u64),
        now: u64,
        summary: &Summary,
    ) -> NothingFound {
        let mut stored: Vec<StoredTimes> = summary
            .stored
            .iter()
            .filter(|(class, ..)| query.classes.is_empty() || query.classes.contains(class))
            .map(|(class, first, last)| StoredTimes { class: class.clone(), first: Some(*first), last: Some(*last) })
            .collect();
        for class in query.classes.iter().filter(|c| !summary.stored.iter().any(|(have, ..)| have == *c)) {
            stored.push(StoredTimes { class: class.clone(), first: None, last: None });
        }
        stored.sort_by(|a, b| a.class.cmp(&b.class));
        stored.dedup();
        let first = stored.iter().filter_map(|s| s.first).min();
        let last = stored.iter().filter_map(|s| s.last).max();
        let window = match first.zip(last) {
            _ if from > now && last.is_none_or(|last| last < from) => WindowPlace::Future,
            None => WindowPlace::NoPackets,
            Some((first, _)) if to <= first => WindowPlace::Before,
            Some((_, last)) if from > last => WindowPlace::After,
            _ => WindowPlace::Inside,
        };
        NothingFound { stored, window, no_match: no_match(query, view) }
    }
}

/// Parts of the question that no packet matches: each of its parts that are joined by `and`, as far as filters rule it out for all that there is.
fn no_match(query: &Query, view: &View<'_>) -> Vec<String> {
    // What has no filter may have anything.
    let told = view.sealed.iter().all(|s| s.skip.is_some()) && view.recent.iter().all(|r| r.index().is_some());
    let elsewhere = view.in_memory();
    let in_memory = view.open.iter().all(|u| {
        let held = elsewhere.get(&u.segment.number).map(Vec::as_slice).unwrap_or_default();
        u.header.is_some() && gaps(u.start()..u.segment.durable.unwrap_or(0), held).is_empty()
    });
    if !told || !in_memory {
        return Vec::new();
    }
    let parts = Plan::parts(&query.filter).into_iter();
    let mut parts: Vec<(String, Plans)> = parts.map(|(text, plan)| (text, Plans::new(plan, Plan::All))).collect();
    parts.extend(query.conn.as_ref().map(|c: &ConnSpec| (c.to_string(), Plans::new(Plan::All, c.plan()))));
    let absent = |plans: &Plans| {
        let of_sealed = |s: &Sealed| s.may_have(plans) && s.may_join(plans);
        !view.sealed.iter().any(|s| !view.pace.go_on() || of_sealed(s))
            && !view
                .recent
                .iter()
                .filter_map(|r| r.index())
                .any(|i| plans.of(i.about()).may(&mut |lo, hi| lo != hi || i.may_have(lo).unwrap_or(true)))
    };
    let known = parts.into_iter().filter(|(_, plans)| *plans.whole() != Plan::All);
    known.filter(|(_, plans)| absent(plans)).map(|(text, _)| text.chars().take(TEXT_CHARS).collect()).collect()
}
