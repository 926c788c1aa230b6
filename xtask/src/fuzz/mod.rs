//! `cargo xtask fuzz`: tries what the tests try in part, for longer and from other seeds. Two kinds of targets: parsers of bytes from outside, by
//! cargo-fuzz (`fuzz/`), and histories of stores, by a test that reads its size from the environment. Owns the command line; a finding is printed with
//! what repeats it.

mod histories;
mod parsers;

pub use parsers::test;

use parsers::{Amount, PARSERS, Parser};

/// So long unless said otherwise, all targets together.
const SECONDS: u64 = 3600;

fn help() -> String {
    let line = |(name, about): (&str, &str)| format!("  {name:<12} {about}");
    let all: Vec<String> = PARSERS.iter().map(|p| (p.name, p.about)).map(line).collect();
    format!(
        "cargo xtask fuzz parsers|TARGET... [--hours H | --runs N] [--seed S]\n\
         cargo xtask fuzz answers [--histories N] [--seed S]\n\n\
         parsers of bytes from outside, by cargo-fuzz with AddressSanitizer; --hours: of all that are named together (1)\n{}\n\n{}",
        all.join("\n"),
        line((histories::NAME, histories::ABOUT)),
    )
}

/// Runs what the command line says.
pub fn command(arguments: &[String]) -> Result<(), String> {
    // Another seed each time: what the tests try they try anyway.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (mut names, mut amount, mut histories, mut seed) = (Vec::new(), Amount::Seconds(SECONDS), None, None);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut text = || words.next().ok_or_else(|| format!("{word} needs a number"));
        let mut number = || {
            let text = text()?;
            text.parse::<u64>().map_err(|_| format!("{word}: {text:?} is no number"))
        };
        match word.as_str() {
            "--seed" => seed = Some(number()?),
            "--runs" => amount = Amount::Runs(number()?),
            "--histories" => histories = Some(number()?),
            "--hours" => {
                let text = text()?;
                let hours = text.parse::<f64>().ok().filter(|h| h.is_finite() && *h > 0.0);
                amount =
                    Amount::Seconds((hours.ok_or_else(|| format!("--hours: {text:?} is no time"))? * 3600.0) as u64);
            }
            option if option.starts_with('-') => return Err(format!("unknown option {option}\n\n{}", help())),
            name => names.push(name),
        }
    }
    match names.as_slice() {
        [] => {
            println!("{}", help());
            Ok(())
        }
        [histories::NAME] => histories::run(histories, seed.unwrap_or(now * 1_000_000)),
        ["parsers"] => parsers::run(&PARSERS.iter().collect::<Vec<_>>(), amount, seed.unwrap_or(now)),
        some => {
            let one = |name: &&str| {
                PARSERS.iter().find(|p| p.name == *name).ok_or_else(|| format!("no target {name:?}\n\n{}", help()))
            };
            let some = some.iter().map(one).collect::<Result<Vec<&Parser>, _>>()?;
            parsers::run(&some, amount, seed.unwrap_or(now))
        }
    }
}
