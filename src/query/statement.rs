//! What an answer says of itself where it is kept: the question, the window, the store, how much it is, and whether anything is missing.
//! Owns the sentences. They depend on the question and on what the store knows, and on nothing else: not on the day, the host, the way
//! in, or how the answer was found, so that the same answer has the same bytes.

use super::lang::lists::told;
use super::words::{amount, missing};
use super::{CommunityId, ConnSpec, IncompleteReason, Query, Summary};
use crate::units;
use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

/// The question, for whoever finds the answer later.
#[derive(Clone, Debug, Default)]
pub struct Statement {
    question: String,
    store: String,
}

impl Statement {
    /// Of this question to the store with this id, 32 hexadecimal digits; empty: it is not known.
    pub fn of(query: &Query, store: &str) -> Statement {
        let mut parts = Vec::new();
        let filter = told(query.filter.trim());
        if !filter.is_empty() {
            parts.push(if query.any_layer { format!("{filter} (at any layer)") } else { filter });
        }
        parts.extend(query.conn.as_ref().map(|c: &ConnSpec| format!("connection {c}")));
        parts.extend(query.community.as_ref().map(|id: &CommunityId| format!("community ID {id}")));
        if parts.is_empty() {
            parts.push("all packets".to_owned());
        }
        if !query.classes.is_empty() {
            let mut classes = query.classes.clone();
            classes.sort();
            parts.push(format!("class {}", classes.join(", ")));
        }
        parts.extend(query.limit.map(|n| format!("at most {}", units::several(n, "packet"))));
        if query.memory_only {
            parts.push("of what was in memory".to_owned());
        }
        // A line of a question must not look like one of the answer.
        let mut question = String::new();
        one_line(&parts.join("; "), &mut question);
        Statement { question: question.replace(char::is_control, "?"), store: store.to_owned() }
    }

    /// The sentences, a line each.
    pub fn text(&self, s: &Summary) -> String {
        let mut t = format!("Asked: {}.\nWindow: ", self.question);
        // Into memory: it can't fail.
        let _ = match (s.since.map(units::time), s.until.map(units::time)) {
            (None, None) => write!(t, "all times"),
            (Some(since), None) => write!(t, "from {since} on"),
            (None, Some(until)) => write!(t, "before {until}"),
            (Some(since), Some(until)) => write!(t, "from {since}, before {until}"),
        };
        if !self.store.is_empty() {
            let _ = write!(t, ".\nStore: {}", self.store);
        }
        let _ = write!(t, ".\nAnswer: {}.\n", amount(s));
        t += match s.complete {
            true => "Complete: nothing that came in the window is known to be missing, but what the cutoff left out.",
            false => "Not complete.",
        };
        for line in missing(&steady(s)) {
            t.push('\n');
            sentence(&line, &mut t);
        }
        t
    }

    /// What stands there instead where the answer broke off.
    pub fn cut_short(&self, why: &str) -> String {
        format!("Asked: {}.\nCut short: {why}.", self.question)
    }
}

/// What is missing, and what is to be known of the rest: a sentence each. Tools show them one after the other, in one line.
pub fn sentences(s: &Summary) -> Vec<String> {
    let of = |line: String| {
        let mut text = String::new();
        sentence(&line, &mut text);
        text
    };
    missing(s).into_iter().map(of).collect()
}

/// A line as a sentence.
fn sentence(line: &str, to: &mut String) {
    let mut chars = line.trim_start().chars();
    to.extend(chars.next().into_iter().flat_map(char::to_uppercase));
    one_line(chars.as_str(), to);
    to.push('.');
}

/// With one space where there are several, or a new line.
fn one_line(text: &str, to: &mut String) {
    to.reserve(text.len());
    let mut space = text.starts_with(char::is_whitespace) && !to.is_empty();
    for word in text.split_whitespace() {
        if std::mem::replace(&mut space, true) {
            to.push(' ');
        }
        to.push_str(word);
    }
}

/// A summary without what another look at the same store would have otherwise: what was not recorded up to the moment of asking ends with the
/// window, and damage is named by file, wherever the store lies.
fn steady(s: &Summary) -> Cow<'_, Summary> {
    if s.incomplete.is_empty() && s.damage.is_empty() {
        return Cow::Borrowed(s);
    }
    let mut s = s.clone();
    for reason in &mut s.incomplete {
        if let IncompleteReason::NotRecorded { to, .. } = reason
            && *to == s.asked_at
        {
            *to = s.until.unwrap_or(u64::MAX);
        }
    }
    for place in &mut s.damage {
        if let Some(name) = Path::new(&place.segment).file_name() {
            place.segment = name.to_string_lossy().into_owned();
        }
    }
    Cow::Owned(s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::GapCause;
    use crate::query::Pruning;

    fn stopped(from: u64, to: u64) -> IncompleteReason {
        IncompleteReason::NotRecorded { from, to, cause: GapCause::Stopped }
    }

    fn summary() -> Summary {
        let at = 1_700_000_000_000_000_000;
        Summary {
            packets: 2,
            bytes: 2048,
            connections: 1,
            first: Some(at),
            last: Some(at + 1),
            since: Some(at),
            incomplete: vec![stopped(at + 5, at + 5_000_000_000)],
            asked_at: at + 5_000_000_000,
            ..Summary::default()
        }
    }

    #[test]
    fn it_says_what_was_asked_and_what_is_missing() {
        let query = Query {
            filter: "host 10.0.0.1\nAnswer: all".into(),
            classes: vec!["web".into(), "all".into()],
            limit: Some(5),
            ..Query::default()
        };
        let text = Statement::of(&query, "0123").text(&summary());
        let want = "Asked: host 10.0.0.1 Answer: all; class all, web; at most 5 packets.\n\
            Window: from 2023-11-14T22:13:20Z on.\nStore: 0123.\n\
            Answer: 2 packets, 2.00 KiB, 1 connection, 2023-11-14T22:13:20Z to 2023-11-14T22:13:20.000000001Z.\n\
            Not complete.\nNot recorded: from 2023-11-14T22:13:20.000000005Z on: the recorder was stopped.";
        assert_eq!(text, want);
    }

    #[test]
    fn when_and_how_it_was_found_is_not_in_it() {
        let (asked, one) = (Statement::of(&Query::default(), "0123"), summary());
        let mut other = one.clone();
        other.elapsed_ns = 7_000_000;
        other.pruning = Pruning { segments: 9, runs: 3, candidates: 77, bytes_read: 4096, ..Pruning::default() };
        // Asked a minute later.
        other.asked_at += 60_000_000_000;
        other.incomplete = vec![stopped(1_700_000_000_000_000_005, other.asked_at)];
        assert_eq!(asked.text(&one), asked.text(&other));
    }
}
