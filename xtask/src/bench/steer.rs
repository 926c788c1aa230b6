//! `bench steer`: how soon an order of the outside holds, and what orders cost. On a veth under half load (5 Gbit/s of the lab mix): from a
//! request for a suspended cutoff to the next stored packet of a connection that the kernel cuts, and of fifty of one address; assignments a
//! second (`tests/steer/live.rs`, which is the smoke size too). By callgrind: instructions a packet of the step with and without 100,000 assignments. And
//! the walk over a full table of four million connections (`benches/steer.rs`).

use super::results::{Results, columns, median, short};
use super::{Options, step, trace};
use crate::json::{Value, object};
use crate::shell;
use std::process::{Command, Stdio};

/// The test that measures when it is told how much.
const TEST: &str = "live::the_kernel_lets_go_of_what_is_suspended";

/// Measures, or only makes the table.
pub fn run(options: &Options) -> Result<(), String> {
    let results = Results::open("steer", options)?;
    if !options.table {
        options.build(&["-p", "retrotap", "--bin", "retrotap", "--example", "load"])?;
        if options.wants_part("live") {
            let program = options.executable(&["--test", "steer"], "steer")?;
            for round in 1..=options.rounds() {
                results.add(live(options, &program, round)?)?;
            }
        }
        if options.wants_part("walk") {
            let program = options.executable(&["--bench", "steer"], "steer")?;
            let connections = options.sizes.first().copied().unwrap_or(if options.smoke { 20_000 } else { 4_000_000 });
            for _ in 0..options.rounds() {
                results.add(walk(&program, connections, if options.smoke { 1_000 } else { 100_000 })?)?;
            }
        }
        if options.wants_part("step") {
            if shell::find("valgrind").is_none() {
                println!("skipped: step: valgrind is not installed (bench step --install fetches it)");
            } else {
                let program = options.executable(&["--bench", "step"], "step")?;
                let (file, packets) = (trace::file(options)?, if options.smoke { 5_000 } else { 300_000 });
                for assignments in [0, 100_000] {
                    let more = ["--assignments".to_owned(), assignments.to_string()];
                    let counted = step::count(&program, &file, "memory", packets, &more)?;
                    results.add(object([
                        ("bench", "steer".into()),
                        ("part", "step".into()),
                        ("assignments", (assignments as u64).into()),
                        ("packets", counted.number("packets")?.into()),
                        ("instructions_per_packet", counted.float("instructions_per_packet").into()),
                    ]))?;
                }
            }
        }
    }
    let (lines, others) = results.newest()?;
    results.table(&(table(&lines) + &others))
}

/// What a program printed, with what it belongs to.
fn said(text: &str, part: &str) -> Result<Value, String> {
    let line = text.lines().find_map(|l| l.find('{').map(|at| &l[at..]));
    let Value::Object(mut members) = Value::parse(line.ok_or(format!("{part}: no result in {text}"))?)? else {
        return Err(format!("{part}: a result is an object"));
    };
    members.push(("bench".into(), "steer".into()));
    members.push(("part".into(), part.into()));
    Ok(Value::Object(members))
}

fn live(options: &Options, program: &str, round: u32) -> Result<Value, String> {
    let gbps = options.rates.first().copied().flatten().unwrap_or(if options.smoke { 0.0 } else { 5.0 });
    let (rounds, seconds) = if options.smoke { (5, 0.5) } else { (100, options.seconds.unwrap_or(45.0)) };
    let mut command = Command::new(program);
    command.args([TEST, "--exact", "--nocapture"]).env("RETROTAP_STEER", format!("{rounds},{gbps},{seconds}"));
    eprintln!("bench steer: round {round} at {gbps} Gbit/s");
    said(&shell::output(&mut command)?, "live")
}

fn walk(program: &str, connections: u64, orders: u64) -> Result<Value, String> {
    let mut command = Command::new(program);
    command.args(["--connections", &connections.to_string(), "--orders", &orders.to_string()]).stdin(Stdio::null());
    said(&shell::output(&mut command)?, "walk")
}

fn table(lines: &[Value]) -> String {
    let of = |part: &str| lines.iter().filter(|l| l.text("part") == Some(part)).collect::<Vec<_>>();
    let (live, walk, step) = (of("live"), of("walk"), of("step"));
    let middle = |of: &[&Value], field: &str| median(of.iter().filter_map(|l| l.float(field)).collect());
    let mut text = String::new();
    if !live.is_empty() {
        let mut rows = vec![
            ["from the request to the next stored packet", "n", "median ms", "p99 ms", "worst ms"]
                .map(String::from)
                .to_vec(),
        ];
        for (field, name) in [("connection", "one connection"), ("address_of_50", "fifty of one address")] {
            let of = |what: &str| short(middle(&live, &format!("{field}.{what}")));
            rows.push(vec![name.into(), of("n"), of("median_ms"), of("p99_ms"), of("max_ms")]);
        }
        let of = |field: &str| short(middle(&live, field));
        text += &format!(
            "suspend-cutoff by the API beside {} Gbit/s of the lab mix\n\n{}\nassignments a second: {} one a request by {} clients, {} in lists of 40,000\n\n",
            of("gbps"),
            columns(&rows),
            of("assignments.single_per_s"),
            of("assignments.clients"),
            of("assignments.list_per_s"),
        );
    }
    if !walk.is_empty() {
        let of = |field: &str| short(middle(&walk, field));
        text += &format!(
            "the walk over {} connections in {} places with {} assignments: {} ms of processor time, at most {} us between two batches\n\n",
            of("connections"),
            of("places"),
            of("orders"),
            of("walk_ms"),
            of("longest_us"),
        );
    }
    if !step.is_empty() {
        let mut rows = vec![["assignments", "instructions/packet"].map(String::from).to_vec()];
        let row = |l: &&Value| Some(vec![short(l.float("assignments")?), short(l.float("instructions_per_packet")?)]);
        rows.extend(step.iter().filter_map(row));
        text += &columns(&rows);
    }
    text
}
