//! `cargo xtask bench`: measurements that anyone can rerun. Every bench compares in turns (A B A B), shows medians, and
//! appends one JSON line for each single measurement to a file of results, from which the table is made. Nothing here
//! asserts a time. A smoke size of each runs in `cargo xtask test`.

mod disk;
mod facts;
mod line;
mod query;
mod reload;
pub mod results;
mod steer;
mod step;
mod table;
mod tool;
mod trace;
mod usage;

use crate::{json, setup, shell};
use std::path::PathBuf;
use std::process::Command;

/// The benches.
pub const BENCHES: &[Bench] = &[
    Bench {
        name: "line",
        root: true,
        what: "loss and cost of recorders at rates from 1 Gbit/s to as fast as it goes",
        run: line::run,
    },
    Bench {
        name: "reload",
        root: true,
        what: "another configuration every two seconds under 10 Gbit/s: what is lost, when it holds",
        run: reload::run,
    },
    Bench {
        name: "steer",
        root: true,
        what: "how soon an order of the API holds under half load, and what a hundred thousand of them cost",
        run: steer::run,
    },
    Bench {
        name: "disk",
        root: true,
        what: "everything to disk, against fio's sequential rate on the same disk",
        run: disk::run,
    },
    Bench {
        name: "trace",
        root: false,
        what: "a capture file through the whole pipeline, against tcpdump -r",
        run: trace::run,
    },
    Bench {
        name: "query",
        root: false,
        what: "answers from a cold disk, against tcpdump -r over the same segments",
        run: query::run,
    },
    Bench {
        name: "table",
        root: false,
        what: "the connection table, against hashbrown and the kernel's LRU map (as root)",
        run: table::run,
    },
    Bench {
        name: "step",
        root: false,
        what: "instructions a packet of the worker's step, by callgrind",
        run: step::run,
    },
];

/// One bench.
pub struct Bench {
    /// Its word on the command line, and the name of its file of results.
    pub name: &'static str,
    /// Needs root.
    pub root: bool,
    what: &'static str,
    run: fn(&Options) -> Result<(), String>,
}

/// What the command line asks for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Seconds, not minutes; with the development profile; the results are of no use but to show that the bench works.
    pub smoke: bool,
    /// Print the JSON lines instead of the table.
    pub json: bool,
    /// Only make the table of the results that there are.
    pub table: bool,
    /// Fetch by apt what the comparison needs.
    pub install: bool,
    /// How often everything is measured.
    pub rounds: Option<u32>,
    /// Length of one measurement.
    pub seconds: Option<f64>,
    /// Only these tools.
    pub tools: Vec<String>,
    /// Only these rates; `None` is unpaced.
    pub rates: Vec<Option<f64>>,
    /// Only these mixes.
    pub mixes: Vec<String>,
    /// Only these parts.
    pub parts: Vec<String>,
    /// Only these sizes.
    pub sizes: Vec<u64>,
    /// A capture file.
    pub file: Option<PathBuf>,
    /// Folder of the results.
    pub into: Option<PathBuf>,
    /// The command line, for the results.
    pub command: String,
}

/// What `cargo xtask bench` alone prints.
pub fn help() -> String {
    let mut text = String::from("cargo xtask bench NAME [OPTION...]\n\n");
    for b in BENCHES {
        text += &format!("  {:6} {}{}\n", b.name, b.what, if b.root { " (root)" } else { "" });
    }
    text + "
  --smoke          the size that the tests run: shows that the bench works, not how fast anything is
  --json           JSON lines instead of the table
  --table          measure nothing: make the table of the results that there are, of the commit measured last
  --install        fetch the other tools by apt first
  --rounds N       how often everything is measured, in turns [3]
  --seconds S      length of one measurement
  --tool A,B       only these tools
  --gbps 1,10,max  line: only these rates
  --mix A,B        line: these mixes, or capture files [lab]
  --size A,B       table, steer: these numbers of connections
  --part A,B       query, steer: only these parts
  --file FILE      trace, step: this capture file instead of a generated one; query: this store
  --into FOLDER    append results here [benches/results/<date>-<kind of host>]
"
}

/// Reads the command line and runs.
pub fn command(words: &[String]) -> Result<(), String> {
    let Some((name, rest)) = words.split_first().filter(|(name, _)| !name.starts_with('-')) else {
        print!("{}", help());
        return Ok(());
    };
    let Some(bench) = BENCHES.iter().find(|b| b.name == name) else {
        return Err(format!("unknown bench {name}\n\n{}", help()));
    };
    let mut options = parse(rest)?;
    options.command = format!("cargo xtask bench {}", words.join(" "));
    if bench.root && !options.table && !shell::is_root() {
        return Err(format!("bench {name} makes network namespaces or loads eBPF: run it as root (sudo -E)"));
    }
    (bench.run)(&options)
}

fn parse(words: &[String]) -> Result<Options, String> {
    let mut options = Options::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value\n\n{}", help()));
        let list = |text: &String| text.split(',').map(str::to_string).collect::<Vec<_>>();
        let bad = |text: &str| format!("{word} {text}: not a number\n\n{}", help());
        match word.as_str() {
            "--smoke" => options.smoke = true,
            "--json" => options.json = true,
            "--table" => options.table = true,
            "--install" => options.install = true,
            "--rounds" => options.rounds = Some(value().and_then(|v| v.parse().map_err(|_| bad(v)))?),
            "--seconds" => options.seconds = Some(value().and_then(|v| v.parse().map_err(|_| bad(v)))?),
            "--tool" => options.tools = list(value()?),
            "--part" => options.parts = list(value()?),
            "--mix" => options.mixes = list(value()?),
            "--gbps" => {
                let rate = |text: &String| match text.as_str() {
                    "max" => Ok(None),
                    text => text.parse().map(Some).map_err(|_| bad(text)),
                };
                options.rates = list(value()?).iter().map(rate).collect::<Result<_, _>>()?;
            }
            "--size" => {
                let sizes = list(value()?);
                options.sizes = sizes.iter().map(|s| s.parse().map_err(|_| bad(s))).collect::<Result<_, _>>()?;
            }
            "--file" => options.file = Some(value()?.into()),
            "--into" => options.into = Some(value()?.into()),
            other => return Err(format!("unknown option {other}\n\n{}", help())),
        }
    }
    Ok(options)
}

impl Options {
    /// How often everything is measured.
    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.smoke { 1 } else { 3 }).max(1)
    }

    /// Is this tool asked for?
    fn wants(&self, tool: &str) -> bool {
        self.tools.is_empty() || self.tools.iter().any(|t| t == tool)
    }

    /// Folder of the compiled programs.
    pub fn programs(&self) -> PathBuf {
        format!("target/{}", if self.smoke { "debug" } else { "release" }).into()
    }

    /// Compiles what a bench runs: cargo's words for it.
    pub fn build(&self, what: &[&str]) -> Result<(), String> {
        let profile: &[&str] = if self.smoke { &[] } else { &["--release"] };
        shell::run(Command::new("cargo").args(["build", "--quiet"]).args(profile).args(what))
    }

    /// Is this part asked for?
    fn wants_part(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|p| p == part)
    }

    /// Compiles a test or a bench of the package (cargo's words for it, and its name); where it is.
    fn executable(&self, what: &[&str], name: &str) -> Result<String, String> {
        let mut command = Command::new("cargo");
        command
            .args(if self.smoke { &["test"][..] } else { &["test", "--release"] })
            .args(["--quiet", "-p", "retrotap"]);
        command.args(what).args(["--no-run", "--message-format=json-render-diagnostics"]);
        let out = shell::output(&mut command)?;
        let messages = out.lines().filter_map(|l| json::Value::parse(l).ok());
        let mut found = messages
            .filter(|m| m.text("target.name") == Some(name))
            .filter_map(|m| m.text("executable").map(String::from));
        found.next_back().ok_or(format!("cargo does not say where it put {name}"))
    }

    /// Fetches packages when asked to.
    fn fetch(&self, packages: &[&str]) -> Result<(), String> {
        if self.install { setup::fetch(packages) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn options() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        let o = super::parse(&words("--gbps 1,2.5,max --tool a,b --rounds 4 --smoke")).unwrap();
        assert_eq!(o.rates, [Some(1.0), Some(2.5), None]);
        assert_eq!((o.rounds(), o.wants("a"), o.wants("c"), o.smoke), (4, true, false, true));
        for bad in ["--gbps x", "--rounds", "--rounds x", "--no-such"] {
            assert!(super::parse(&words(bad)).is_err(), "{bad}");
        }
    }
}
