//! `bench line`: who loses what at which rate, and at what cost. In a network namespace of its own, the load of
//! `examples/load` on CPU 0 goes through a veth to one recorder after another on CPU 1, in turns, rate by rate.
//!
//! Mind that on a veth the generator, the XDP program and what puts packets into the recorder's ring share the generator's CPU: an
//! unpaced load throttles itself, so what is comparable there is the time that a packet takes above bare XDP_DROP.

pub mod point;
mod table;

use super::Options;
use super::results::Results;
use super::tool::{TOOLS, Tool};
use crate::netns::Namespace;
use crate::{shell, term};
use std::path::{Path, PathBuf};
use std::process::Command;

const RATES: &[Option<f64>] = &[Some(1.0), Some(2.0), Some(5.0), Some(10.0), Some(20.0), None];

/// The tools of the smoke size.
const SMOKE: &[&str] = &["drop", "xsk", "retrotap", "tcpdump"];

/// Measures, or only makes the table.
pub fn run(options: &Options) -> Result<(), String> {
    let results = Results::open("line", options)?;
    if !options.table {
        measure(options, &results)?;
    }
    let (lines, others) = results.newest()?;
    results.table(&(table::make(&lines) + &others))
}

fn measure(options: &Options, results: &Results) -> Result<(), String> {
    let peers: Vec<&str> =
        TOOLS.iter().filter(|t| options.wants(t.name)).map(|t| t.package).filter(|p| !p.is_empty()).collect();
    options.fetch(&peers)?;
    options.build(&["-p", "retrotap", "--bin", "retrotap", "--example", "load", "--example", "bare"])?;
    if std::thread::available_parallelism().map_or(1, |n| n.get()) < 2 {
        return Err("bench line needs two CPUs: one for the load, one for the recorder".into());
    }
    let mut tools: Vec<(&Tool, PathBuf)> = Vec::new();
    for tool in TOOLS.iter().filter(|t| options.wants(t.name) && (!options.smoke || SMOKE.contains(&t.name))) {
        match program(tool, options) {
            Some(path) => tools.push((tool, path)),
            None => eprintln!("bench: {} is not installed (--install fetches it)", tool.name),
        }
    }
    if let Some(unknown) = options.tools.iter().find(|name| !TOOLS.iter().any(|t| t.name == **name)) {
        let known: Vec<&str> = TOOLS.iter().map(|t| t.name).collect();
        return Err(format!("no tool {unknown}; there are {}", known.join(", ")));
    }
    let namespace = Namespace::new()?;
    // Merged segments would be neither the packets nor the number of packets that were offered.
    shell::output(namespace.command("ethtool").args(["-K", "tap0", "gro", "off"]))?;
    let rates = match &options.rates[..] {
        [] if options.smoke => &[None],
        [] => RATES,
        asked => asked,
    };
    let lab = [String::from("lab")];
    let mixes = if options.mixes.is_empty() { &lab[..] } else { &options.mixes };
    let run = super::facts::said("date", &["+%s"]);
    for round in 1..=options.rounds() {
        for mix in mixes {
            for &gbps in rates {
                for (tool, program) in &tools {
                    // The ceiling loses nothing that would be interesting below it.
                    if gbps.is_some() && options.tools.is_empty() && matches!(tool.name, "drop" | "xsk") {
                        continue;
                    }
                    let asked = point::Asked {
                        tool,
                        program,
                        load: &options.programs().join("examples/load"),
                        mix,
                        gbps,
                        seconds: options.seconds.unwrap_or(if options.smoke { 0.3 } else { 5.0 }),
                        warm_up: if options.smoke { 0.3 } else { 6.0 },
                        run: &run,
                        round,
                    };
                    let line = point::measure(&namespace, &asked)?;
                    if !options.json && !options.smoke {
                        println!("{}", term::dim(&table::line(&line)));
                    }
                    results.add(line)?;
                }
            }
        }
    }
    Ok(())
}

/// Where a tool's program is.
fn program(tool: &Tool, options: &Options) -> Option<PathBuf> {
    if !tool.package.is_empty() {
        return shell::find(tool.program);
    }
    let path = options.programs().join(tool.program);
    path.exists().then_some(path)
}

/// What the program calls itself.
fn version(program: &Path) -> String {
    let out = Command::new(program).arg("--version").output();
    let text = out.map(|o| format!("{}{}", String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr)));
    text.unwrap_or_default().lines().next().unwrap_or_default().to_string()
}
