//! libpcap's compiler in a process of its own. An expression is a stranger's program for it: some of 5 KB keep its optimiser busy for minutes,
//! some of 30 KB overflow its stack. Owns the limits of that process and what exceeding them is called; what comes back is checked before
//! anybody runs it. Asked by `filter` only; a process that has not called [`always`] or [`where_long`] compiles in itself (tests, benches).

mod child;
mod inherited;
mod pool;
pub mod wire;

pub use child::serve;

use super::FilterError;
use super::bpf::{self, Form, Program};
use super::position;
use crate::limits::FILTER_SHORT_BYTES;
use pool::CompilerPool;
use std::sync::OnceLock;

/// The word that makes this program a compiler; no command of the command line.
pub const WORD: &str = "compile-filters";

/// Who compiles what.
#[derive(Debug)]
struct Apart {
    pool: CompilerPool,
    /// Expressions up to this length are compiled here.
    short: usize,
}

static APART: OnceLock<Apart> = OnceLock::new();

/// From now on every expression is compiled apart: in the recorder, whose end would cost packets.
pub fn always() {
    let _ = APART.set(Apart { pool: CompilerPool::default(), short: 0 });
}

/// From now on long expressions are compiled apart: in commands that end with their answer. What is short can't take long.
pub fn where_long() {
    let _ = APART.set(Apart { pool: CompilerPool::default(), short: FILTER_SHORT_BYTES });
}

fn apart(expression: &str) -> Option<&'static CompilerPool> {
    APART.get().filter(|a| expression.len() > a.short).map(|a| &a.pool)
}

/// Compiles an expression for a link type; the inner error is libpcap's message.
pub(super) fn compile(expression: &str, link_type: u16, form: Form) -> Result<Result<Program, String>, FilterError> {
    // Every packet: nothing to compile, and asked by every question without an expression.
    match apart(expression).filter(|_| !expression.is_empty()) {
        Some(pool) => pool.compile(expression, link_type, form),
        None => bpf::compile(expression, link_type, form),
    }
}

/// Where an expression that libpcap refuses is wrong, if that can be told within the limits.
pub(super) fn place(expression: &str, link_type: u16) -> Option<super::Place> {
    match apart(expression) {
        Some(pool) => pool.place(expression, link_type),
        None => position::of_error(expression, link_type),
    }
}

#[cfg(test)]
mod tests;
