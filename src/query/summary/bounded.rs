//! A summary as JSON within a size: what goes as a header or a trailer of an answer, of which clients take some KiB, whatever the question was.

use super::{IncompleteReason, Summary};
use crate::shape::text;

/// A text that is longer than this is cut.
const TEXT_BYTES: usize = 512;
/// Of lists beside `incomplete` so many stay.
const LISTED: usize = 4;

impl Summary {
    /// JSON of at most so many bytes, if they are at least 4096. What does not fit is cut: texts end with how much more they have, lists
    /// with how many more they are; of reasons `incomplete_more` counts them.
    pub fn json_within(&self, bytes: usize) -> String {
        let whole = text(self);
        if whole.len() <= bytes {
            return whole;
        }
        let mut s = self.clone();
        cut(&mut s.plan);
        cut_list(&mut s.idle);
        s.damage.truncate(LISTED);
        s.damage.iter_mut().for_each(|p| cut(&mut p.segment));
        // `incomplete` names those that are left out.
        s.refused.truncate(LISTED);
        for refused in &mut s.refused {
            cut_list(&mut refused.interfaces);
            cut(&mut refused.error);
        }
        if let Some(nothing) = &mut s.nothing {
            cut_list(&mut nothing.no_match);
            nothing.stored.truncate(LISTED);
        }
        for reason in &mut s.incomplete {
            match reason {
                IncompleteReason::Lost { place, .. } => cut(place),
                IncompleteReason::LinkDown { interface, .. } => cut(interface),
                _ => {}
            }
        }
        loop {
            let less = text(&s);
            if less.len() <= bytes || s.incomplete.is_empty() {
                return less;
            }
            let keep = s.incomplete.len() / 2;
            s.incomplete_more += (s.incomplete.len() - keep) as u64;
            s.incomplete.truncate(keep);
        }
    }
}

fn cut(text: &mut String) {
    if text.len() > TEXT_BYTES {
        let end = (0..=TEXT_BYTES).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let more = text.len() - end;
        text.truncate(end);
        text.push_str(&format!("... ({more} bytes more)"));
    }
}

fn cut_list(list: &mut Vec<String>) {
    let more = list.len().saturating_sub(LISTED);
    list.truncate(LISTED);
    list.iter_mut().for_each(cut);
    if more > 0 {
        list.push(format!("... ({more} more)"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{INCOMPLETE_LISTED, SUMMARY_BYTES};

    #[test]
    fn what_fits_is_as_it_is() {
        let s = Summary { plan: "anything".into(), ..Summary::default() };
        assert_eq!(s.json_within(SUMMARY_BYTES), text(&s));
    }

    #[test]
    fn whatever_is_asked_it_fits_and_says_what_is_left_out() {
        let long = "ä".repeat(100_000);
        let mut s = Summary { plan: long.clone(), idle: vec![long.clone(); 900], limited: true, ..Summary::default() };
        for _ in 0..INCOMPLETE_LISTED + 7 {
            let (cause, place) = ("ring_full".to_owned(), long.clone());
            s.lacks(IncompleteReason::Lost { cause, place, class: None, packets: 5 });
        }
        let s = s.concluded();
        let text = s.json_within(SUMMARY_BYTES);
        assert!(text.len() <= SUMMARY_BYTES, "{}", text.len());
        let back: Summary = serde_json::from_str(&text).unwrap();
        assert_eq!(back.incomplete.len() as u64 + back.incomplete_more, s.incomplete.len() as u64 + s.incomplete_more);
        assert!(!back.complete && !back.incomplete.is_empty());
        assert!(back.plan.ends_with("bytes more)") && back.idle.last().is_some_and(|i| i == "... (896 more)"));
    }
}
