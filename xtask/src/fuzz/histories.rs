//! Histories of a store, asked the same questions by every way in: the test `answers` with another size and another seed. Starts it and no more.

use std::process::Command;

/// As the command line calls it.
pub const NAME: &str = "answers";
/// What it tries.
pub const ABOUT: &str = "histories of a store, asked the same questions by every way in (a test, without cargo-fuzz)";

const TEST: &str = "every_answer_is_equal_or_says_truly_what_is_missing";
/// Histories unless said otherwise.
const HISTORIES: u64 = 10_000;

/// Tries so many from this seed on.
pub fn run(histories: Option<u64>, seed: u64) -> Result<(), String> {
    let histories = histories.unwrap_or(HISTORIES);
    println!("fuzz {NAME}: {histories} from seed {seed}");
    let run = Command::new("cargo")
        .args(["test", "--quiet", "--test", "answers", "--", "--exact", TEST, "--nocapture"])
        .env("RETROTAP_ANSWERS_HISTORIES", histories.to_string())
        .env("RETROTAP_ANSWERS_SEED", seed.to_string())
        .status()
        .map_err(|e| format!("cargo: {e}"))?;
    if run.success() { Ok(()) } else { Err(format!("fuzz {NAME}: there are findings, above")) }
}
