//! `cargo xtask torture`: proofs that take minutes and a machine to themselves: the recorder under load while its parts are killed, or while somebody
//! means harm. Owns the command line and what is a missed bar; each proof prints a table and appends its measurements to a file, as the benches do.
//! Never run by the tests.

mod hostile;
mod http;
mod packets;
mod requests;
mod rig;
mod sender;
mod serve;

use crate::bench::Options;
use crate::shell;

/// What the command line asks for.
pub struct Asked {
    /// What a bench has too: results, profile, command.
    bench: Options,
    /// Kills in all.
    times: u32,
    gbps: f64,
    /// Length of one turn of `hostile`.
    seconds: u64,
}

pub const HELP: &str = "cargo xtask torture NAME [OPTION...] (root)

  serve            serve is killed again and again under load, in turns with the same without: what is lost, when it answers,
                   whether orders, memory and a follower outlive it
  hostile          requests that mean harm under load, over the socket and over TLS, in turns with the same without: what is lost,
                   what an honest client waits, memory, the audit log

  --times N        serve: kills in all [100]
  --gbps N         load of the lab mix [serve: 10, hostile: 5]
  --seconds S      hostile: length of a turn; the requests are sent once at least [180]
  --development    programs of the development profile: shows that it works, not how well
  --into FOLDER    append results here [benches/results/<date>-<kind of host>]
  --json           JSON lines instead of the table
";

/// Reads the command line and runs; the error is a bar that is missed, or why nothing could be measured.
pub fn command(words: &[String]) -> Result<(), String> {
    let Some((name, rest)) = words.split_first().filter(|(name, _)| !name.starts_with('-')) else {
        print!("{HELP}");
        return Ok(());
    };
    // This program again, as somebody else or in the namespace: where the repository is may be closed to him.
    if name == sender::WORD {
        return sender::run(rest);
    }
    shell::enter_repository()?;
    let run = match name.as_str() {
        "serve" => serve::run,
        "hostile" => hostile::run,
        _ => return Err(format!("unknown torture {name}\n\n{HELP}")),
    };
    let mut asked = parse(rest, if name == "serve" { 10.0 } else { 5.0 })?;
    asked.bench.command = format!("cargo xtask torture {}", words.join(" "));
    if !shell::is_root() {
        return Err(format!("torture {name} makes network namespaces and loads eBPF: run it as root (sudo -E)"));
    }
    run(&asked)
}

fn parse(words: &[String], gbps: f64) -> Result<Asked, String> {
    let mut asked = Asked { bench: Options::default(), times: 100, gbps, seconds: 180 };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value\n\n{HELP}"));
        let bad = |text: &String| format!("{word} {text}: not such a number\n\n{HELP}");
        match word.as_str() {
            "--times" => asked.times = value().and_then(|v| v.parse().map_err(|_| bad(v)))?,
            "--gbps" => asked.gbps = value().and_then(|v| v.parse().map_err(|_| bad(v)))?,
            "--seconds" => asked.seconds = value().and_then(|v| v.parse().map_err(|_| bad(v)))?,
            "--development" => asked.bench.smoke = true,
            "--into" => asked.bench.into = Some(value()?.into()),
            "--json" => asked.bench.json = true,
            other => return Err(format!("unknown option {other}\n\n{HELP}")),
        }
    }
    match asked.times > 0 && asked.gbps > 0.0 && asked.seconds >= 10 {
        true => Ok(asked),
        false => Err(format!("--times and --gbps are above 0, --seconds is 10 at least\n\n{HELP}")),
    }
}

/// The end of a proof: the bars that are missed.
fn judged(bars: &[(bool, String)]) -> Result<(), String> {
    let missed: Vec<&str> = bars.iter().filter(|(held, _)| !held).map(|(_, what)| what.as_str()).collect();
    if missed.is_empty() { Ok(()) } else { Err(format!("bars that are missed:\n  {}", missed.join("\n  "))) }
}

/// The bars as lines of a table.
fn shown(bars: &[(bool, String)]) -> String {
    bars.iter().map(|(held, what)| format!("{}  {what}\n", if *held { "held  " } else { "MISSED" })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        let asked = parse(&words("--times 6 --gbps 2.5 --development"), 10.0).expect("options");
        assert_eq!((asked.times, asked.gbps, asked.seconds, asked.bench.smoke), (6, 2.5, 180, true));
        for bad in ["--times x", "--times 0", "--gbps", "--gbps -1", "--seconds 3", "--no-such"] {
            assert!(parse(&words(bad), 10.0).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_missed_bar_is_named() {
        let bars = [(true, "one".to_string()), (false, "two".to_string())];
        assert!(judged(&bars[..1]).is_ok());
        assert!(judged(&bars).is_err_and(|e| e.contains("two") && !e.contains("one")));
        assert_eq!(shown(&bars), "held    one\nMISSED  two\n");
    }
}
