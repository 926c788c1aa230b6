//! `cargo xtask deny`: cargo-deny over deny.toml. Builds cargo-deny once when it is missing. Advisories come from a repository of their own, which
//! not every machine can reach: the tests check the rest.

use crate::shell;
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

fn ensure(install: bool) -> Result<(), String> {
    if shell::find("cargo-deny").is_some() {
        return Ok(());
    }
    if !install {
        return Err("cargo-deny is missing: cargo install --locked cargo-deny".into());
    }
    println!("deny: cargo-deny is missing; building it (some minutes)");
    // Unoptimised: it is built much sooner, and has little to do.
    shell::run(Command::new("cargo").args(["install", "--quiet", "--locked", "--debug", "cargo-deny"]))
}
