//! `cargo xtask deny`: cargo-deny over deny.toml. cargo-deny is a large program, so `test` does not need it; this command
//! builds it once when it is missing.

use crate::shell;
use std::process::Command;

/// Checks licences, sources, bans and advisories.
pub fn run(install: bool) -> Result<(), String> {
    if shell::find("cargo-deny").is_none() {
        if !install {
            return Err("cargo-deny is missing: cargo install --locked cargo-deny".into());
        }
        println!("deny: cargo-deny is missing; building it (some minutes)");
        shell::run(Command::new("cargo").args(["install", "--locked", "cargo-deny"]))?;
    }
    shell::run(Command::new("cargo").args(["deny", "--all-features", "check"]))
}
