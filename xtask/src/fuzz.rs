//! `cargo xtask fuzz TARGET`: more of what the tests try in part, from other seeds. A target is a test that reads its size and its
//! seed from the environment; a finding is printed with what repeats it. Owns the list of targets; starts them and no more.

use std::process::Command;

/// What can be tried for longer.
struct Target {
    name: &'static str,
    /// What one round of it is called.
    unit: &'static str,
    /// The test's binary, and the test in it.
    binary: &'static str,
    test: &'static str,
    /// Environment variables of size and first seed.
    size: &'static str,
    seed: &'static str,
    about: &'static str,
}

const TARGETS: [Target; 1] = [Target {
    name: "answers",
    unit: "--histories",
    binary: "answers",
    test: "every_answer_is_equal_or_says_truly_what_is_missing",
    size: "RETROTAP_ANSWERS_HISTORIES",
    seed: "RETROTAP_ANSWERS_SEED",
    about: "histories of a store, asked the same questions by every way in",
}];

/// Histories unless said otherwise.
const ROUNDS: u64 = 10_000;

fn help() -> String {
    let targets = TARGETS.iter().map(|t| format!("  {:<10} {}", t.name, t.about)).collect::<Vec<_>>();
    format!("cargo xtask fuzz TARGET [--histories N] [--seed S]\n\n{}", targets.join("\n"))
}

/// Runs what the command line says.
pub fn command(arguments: &[String]) -> Result<(), String> {
    let Some((name, rest)) = arguments.split_first() else {
        println!("{}", help());
        return Ok(());
    };
    let target = TARGETS.iter().find(|t| t.name == name).ok_or_else(|| format!("no target {name:?}\n\n{}", help()))?;
    // Another seed each time: what the tests try they try anyway.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (mut size, mut seed) = (ROUNDS, now * 1_000_000);
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        let mut number = || {
            let text = words.next().ok_or_else(|| format!("{word} needs a number"))?;
            text.parse::<u64>().map_err(|_| format!("{word}: {text:?} is no number"))
        };
        match word.as_str() {
            "--seed" => seed = number()?,
            unit if unit == target.unit => size = number()?,
            other => return Err(format!("unknown option {other}\n\n{}", help())),
        }
    }
    println!("fuzz {}: {size} from seed {seed}", target.name);
    let run = Command::new("cargo")
        .args(["test", "--quiet", "--test", target.binary, "--", "--exact", target.test, "--nocapture"])
        .env(target.size, size.to_string())
        .env(target.seed, seed.to_string())
        .status()
        .map_err(|e| format!("cargo: {e}"))?;
    if run.success() { Ok(()) } else { Err(format!("fuzz {}: there are findings, above", target.name)) }
}
