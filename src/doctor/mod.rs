//! The doctor: is this machine ready for capture, and what makes it so. Owns the checks, each with what was found, the fix and
//! the way back; looks only, changes nothing. Called by the command line; `tuning/check` and `tuning/apply` are thin
//! wrappers around it.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod drivers;
mod host;
mod interface;
pub mod script;
#[cfg(test)]
mod tests;

use crate::iface::{self, Link};
use schemars::JsonSchema;
use serde::Serialize;
use std::path::PathBuf;

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "KnobState")]
pub enum State {
    /// As it should be.
    Ok,
    /// Not so.
    NotOk,
    /// It can't be told here.
    Unknown,
}

/// A command that sets a knob, and the one that sets it as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Fix {
    /// For a shell, as root.
    pub apply: String,
    /// The way back, with the value found.
    pub undo: String,
}

/// One knob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Check {
    /// The interface; empty: the host, or the store.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub interface: String,
    /// Its name, as in tuning/README.md.
    pub knob: &'static str,
    /// How it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// Why it matters, or what to do where there is no command.
    pub why: &'static str,
    /// How to set it right, where a command can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}

impl Check {
    fn new(knob: &'static str, why: &'static str, state: State, found: impl Into<String>) -> Check {
        Check { interface: String::new(), knob, state, found: found.into(), why, fix: None }
    }

    fn ok_if(knob: &'static str, why: &'static str, ok: bool, found: impl Into<String>) -> Check {
        Check::new(knob, why, if ok { State::Ok } else { State::NotOk }, found)
    }

    fn unknown(knob: &'static str, why: &'static str, found: impl Into<String>) -> Check {
        Check::new(knob, why, State::Unknown, found)
    }

    /// With a fix, unless it is as it should be.
    fn fixed_by(mut self, apply: String, undo: String) -> Check {
        self.fix = (self.state == State::NotOk).then_some(Fix { apply, undo });
        self
    }
}

/// Looks at the host, these interfaces, and the filesystem of this store.
pub fn examine(interfaces: &[String], store: Option<&PathBuf>) -> Result<Vec<Check>, iface::Error> {
    let links: Vec<Link> = interfaces.iter().map(|n| Link::by_name(n)).collect::<Result<_, _>>()?;
    let mut all = Vec::new();
    for link in &links {
        let of = |mut c: Check| {
            c.interface = link.name.clone();
            c
        };
        all.extend(interface::checks(link).into_iter().map(of));
    }
    all.extend(host::checks());
    all.extend(store.map(|path| host::filesystem(path)));
    Ok(all)
}

/// The first line of a file in /proc or /sys; `None` where there is none.
fn line(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.lines().next()?.trim().to_owned())
}
