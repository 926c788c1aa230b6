//! Where in an expression libpcap stopped: it says what is wrong, never where. Found by asking it: the first word at
//! which no continuation makes the expression right is the one in error. Called once for each refused expression, never
//! on the packet path; bounded by [`FILTER_WORDS_LOCATED_MAX`].

use super::bpf::Form;
use super::names::{self, Token, tokens};
use super::{Place, bpf};
use crate::limits::FILTER_WORDS_LOCATED_MAX;

/// What may have to follow a prefix to complete it: an operand of each kind, the rest of an accessor or a relation.
const CONTINUATIONS: &[&str] = &[
    "",
    " 1",
    " 10.1.1.1",
    " ip",
    " host 10.1.1.1",
    " 1 = 1",
    " = 1",
    "1] = 1",
    "] = 1",
    "1:1] = 1",
    " 1.1.1.1 mask 255.255.255.0",
    " 1:1:1:1:1:1",
    " mgt",
    " = 1 1",
    " 1 1",
];

/// The word in error, or the end if the expression is only unfinished; `None` if no word is (the expression as a whole
/// rejects all packets) or if it has too many words to ask about.
pub(super) fn of_error(expression: &str, link_type: u16) -> Option<Place> {
    let all: Vec<Token<'_>> = tokens(expression).take(FILTER_WORDS_LOCATED_MAX + 1).collect();
    if all.len() > FILTER_WORDS_LOCATED_MAX {
        return None;
    }
    // Right in its grammar, but "expression rejects all packets": there is no place.
    if matches!(bpf::compile(&format!("({expression}) or len > 0"), link_type, Form::Optimised), Ok(Ok(_))) {
        return None;
    }
    // A prefix of a viable prefix is viable: find the first word whose prefix is not.
    let wrong =
        all.iter().position(|t| !viable(expression.get(..t.offset + t.text.len()).unwrap_or(expression), link_type));
    Some(match wrong.and_then(|i| all.get(i)) {
        Some(token) => token.place(),
        None => Place { offset: expression.len(), word: String::new() },
    })
}

fn viable(prefix: &str, link_type: u16) -> bool {
    let open = prefix.matches('(').count().saturating_sub(prefix.matches(')').count());
    let close = ")".repeat(open);
    CONTINUATIONS.iter().any(|continuation| {
        [format!("{prefix}{continuation}{close}"), format!("{prefix}{continuation}{close} = 1")]
            .iter()
            // What libpcap would take for the name of a host it would look up.
            .any(|whole| {
                names::refuse(whole).is_ok() && matches!(bpf::compile(whole, link_type, Form::Optimised), Ok(Ok(_)))
            })
    })
}
