//! `cargo xtask deny`: cargo-deny over deny.toml. Builds cargo-deny once when it is missing. Advisories come from a repository of their own, which
//! not every machine can reach: the tests check the rest.

use crate::{setup, shell};
use std::process::Command;

/// What needs no more than the registry.
const OFFLINE: [&str; 3] = ["bans", "licenses", "sources"];

/// Checks licences, sources, bans and advisories.
pub fn run(install: bool) -> Result<(), String> {
    ensure(install)?;
    shell::run(Command::new("cargo").args(["deny", "--all-features", "check"]))
}

/// The same without advisories, and silent where all is right.
pub fn offline(install: bool) -> Result<(), String> {
    ensure(install)?;
    let check = ["deny", "--all-features", "--log-level", "error", "check", "--hide-inclusion-graph"];
    shell::output(Command::new("cargo").args(check).args(OFFLINE)).map(|_| ())
}

/// Advisories alone. `Ok(Err)`: their data can't be had here, and why.
pub fn advisories(install: bool) -> Result<Result<(), String>, String> {
    ensure(install)?;
    let check = ["deny", "--all-features", "--log-level", "error", "check", "--hide-inclusion-graph", "advisories"];
    match shell::output(Command::new("cargo").args(check)) {
        Ok(_) => Ok(Ok(())),
        Err(e) if e.contains("failed to fetch advisory database") => Ok(Err("their database can't be reached".into())),
        Err(e) => Err(e),
    }
}

fn ensure(install: bool) -> Result<(), String> {
    if shell::find("cargo-deny").is_some() {
        return Ok(());
    }
    if !install {
        return Err(format!("cargo-deny is missing: cargo install --locked {}", setup::CARGO_DENY));
    }
    setup::build(setup::CARGO_DENY)
}
