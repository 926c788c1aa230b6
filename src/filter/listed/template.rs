//! Finds where libpcap's program compares with an entry of a list. The expression is compiled several times, each list with one of two examples
//! that differ in every bit: once all with the first, then for each bit of the lists' numbers those that have it with the second. Instructions
//! that are the same each time have nothing to do with a list; of all others the pattern says with which. What does not fit this picture in any
//! instruction is an error, never a filter.
//!
//! The optimiser is left out: it would take for granted that what equals one example can't equal another.

use super::machine::{Machine, Member, Step};
use super::{Kind, List, Listed};
use crate::filter::bpf::{Form, Instruction};
use crate::filter::{FilterError, apart, names};
use crate::limits::{FILTER_BYTES_MAX, FILTER_LISTS_MAX};

/// Jumps if A equals a constant, and always.
const EQUAL: u16 = 0x15;
const ALWAYS: u16 = 0x05;
/// A jump's class, in these bits.
const CLASS: u16 = 0x07;

/// A value that an entry of the list could have. The two differ in every bit that is compared, and so does each word from the others.
pub(super) fn example(list: &List, second: bool) -> u128 {
    const FIRST: u128 = 0x5151_5151_5252_5252_5454_5454_5858_5858;
    let value = if second { !FIRST } else { FIRST };
    match list.kind {
        Kind::V4(ones) => value >> 96 & u128::from(u32::MAX.checked_shl(32 - u32::from(ones)).unwrap_or(0)),
        Kind::V6(ones) => value & u128::MAX.checked_shl(128 - u32::from(ones)).unwrap_or(0),
        Kind::Port => value >> 112,
    }
}

/// A word of an example, as it is compared.
fn word(list: &List, second: bool, number: u32) -> u32 {
    match list.kind {
        Kind::V6(_) => (example(list, second) >> (96 - 32 * number)) as u32,
        Kind::V4(_) | Kind::Port => example(list, second) as u32,
    }
}

/// Compiles for packets of a link type.
pub(super) fn compile(listed: &Listed, link_type: u16) -> Result<Machine, FilterError> {
    let lists = &listed.lists;
    if lists.len() > FILTER_LISTS_MAX {
        return Err(FilterError::TooManyLists { lists: lists.len() });
    }
    let mut programs = Vec::new();
    // The number of a list begins at 1: that of what is no list is 0.
    let bits = usize::BITS - lists.len().leading_zeros();
    for bit in std::iter::once(None).chain((0..bits).map(Some)) {
        let (text, _) = listed.with_examples(|n, list| example(list, bit.is_some_and(|bit| (n + 1) >> bit & 1 == 1)));
        if text.len() > FILTER_BYTES_MAX {
            return Err(FilterError::TooLong { bytes: text.len() });
        }
        names::refuse(&text)?;
        match apart::compile(&text, link_type, Form::Plain)? {
            Ok(program) => programs.push(program),
            Err(message) => return Err(FilterError::Refused { message, near: None }),
        }
    }
    let programs: Vec<&[Instruction]> = programs.iter().map(|p| p.instructions()).collect();
    steps(lists, &programs).filter(|steps| in_order(lists, steps)).map(Machine::new).ok_or_else(|| {
        FilterError::Refused {
            message: "libpcap compares with a list in a way that is not understood".into(),
            near: None,
        }
    })
}

/// The program, with what compares with lists; `None`: something is otherwise than expected.
fn steps(lists: &[List], programs: &[&[Instruction]]) -> Option<Vec<Step>> {
    let (first, others) = programs.split_first()?;
    if others.iter().any(|p| p.len() != first.len()) {
        return None;
    }
    let mut found = vec![0u32; lists.len()];
    let mut steps = Vec::with_capacity(first.len());
    for (at, one) in first.iter().enumerate() {
        let mut number = 0;
        for (bit, other) in others.iter().enumerate() {
            let other = other.get(at)?;
            if (other.code, other.jump_true, other.jump_false) != (one.code, one.jump_true, one.jump_false) {
                return None;
            }
            number |= usize::from(other.k != one.k) << bit;
        }
        let Some(list) = number.checked_sub(1) else {
            steps.push(Step { instruction: *one, member: None });
            continue;
        };
        // The words of an entry come one after another.
        let (of, count) = (lists.get(list)?, found.get_mut(list)?);
        let member = Member { list, word: *count % of.words_compared() };
        *count += 1;
        let right = |k: u32, second: bool| k == word(of, second, member.word);
        let all =
            others.iter().enumerate().all(|(bit, p)| p.get(at).is_some_and(|i| right(i.k, number >> bit & 1 == 1)));
        if one.code != EQUAL || !right(one.k, false) || !all {
            return None;
        }
        steps.push(Step { instruction: *one, member: Some(member) });
    }
    Some(steps)
}

/// Whether each word of an entry but the first is compared if the word before it was equal, and in no other case.
fn in_order(lists: &[List], steps: &[Step]) -> bool {
    // The first branch from here on.
    let branch = |mut at: usize| loop {
        let i = steps.get(at)?.instruction;
        at = match (i.code, i.code & CLASS) {
            (ALWAYS, _) => at.checked_add(1)?.checked_add(i.k as usize).filter(|to| *to < steps.len())?,
            (_, 5) => return Some(at),
            (_, 6) => return None,
            _ => at + 1,
        };
    };
    let member = |at: Option<usize>| at.and_then(|at| steps.get(at)?.member);
    let after = |at: usize, jump: u8| member(branch(at + 1 + usize::from(jump)));
    let fits = |from: Option<Member>, to: Option<Member>| match (from, to) {
        (Some(from), to) if lists.get(from.list).is_some_and(|l| from.word + 1 < l.words_compared()) => {
            to == Some(Member { word: from.word + 1, ..from })
        }
        (_, to) => to.is_none_or(|to| to.word == 0),
    };
    fits(None, member(branch(0)))
        && steps
            .iter()
            .enumerate()
            .filter(|(_, s)| s.instruction.code & CLASS == 5 && s.instruction.code != ALWAYS)
            .all(|(at, step)| {
                let i = step.instruction;
                fits(step.member, after(at, i.jump_true)) && fits(None, after(at, i.jump_false))
            })
}
