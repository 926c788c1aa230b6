//! `bench trace`: a capture file from the page cache through the whole pipeline (`record -r`, one worker, cutoff 15 KiB) against
//! `tcpdump -r FILE -w /dev/null`, in turns: packets a second, and the processor time of each.

use super::Options;
use super::results::{Results, columns, distinct, median, ran_on, short};
use super::usage::Watch;
use crate::json::{Value, object};
use crate::shell;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const STORE: &str = "target/bench/trace-store";
const FILE: &str = "target/bench/trace.pcap";

/// Measures, or only makes the table.
pub fn run(options: &Options) -> Result<(), String> {
    let results = Results::open("trace", options)?;
    if !options.table {
        options.build(&["-p", "retrotap", "--bin", "retrotap", "--example", "load"])?;
        measure(options, &results)?;
    }
    let (lines, others) = results.newest()?;
    results.table(&(make(&lines) + &others))
}

/// A generated file, lab mix at its own pace, or the one that was given.
pub fn file(options: &Options) -> Result<String, String> {
    if let Some(file) = &options.file {
        return Ok(file.to_string_lossy().into_owned());
    }
    fs::create_dir_all("target/bench").map_err(|e| format!("target/bench: {e}"))?;
    let packets = if options.smoke { "20000" } else { "4000000" };
    let mut load = Command::new(options.programs().join("examples/load"));
    load.args(["--mix", "lab", "--active", "4096", "--seconds", "3600", "--packets", packets, "--to", FILE]);
    shell::output(&mut load)?;
    Ok(FILE.into())
}

fn measure(options: &Options, results: &Results) -> Result<(), String> {
    let file = file(options)?;
    let packets = count(&file)?;
    let name = Path::new(&file).file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned());
    let retrotap = options.programs().join("retrotap");
    // The first reading brings the file into the page cache.
    for round in 0..=options.rounds() {
        for tool in ["retrotap", "tcpdump"] {
            let mut command;
            if tool == "retrotap" {
                let _ = fs::remove_dir_all(STORE);
                command = Command::new(&retrotap);
                command.args(["record", "--json", "-r", &file, "--store", STORE]);
            } else {
                command = Command::new("tcpdump");
                command.args(["-r", &file, "-w", "/dev/null"]);
            }
            let (took, cpu) = time(&mut command)?;
            if round == 0 {
                continue;
            }
            results.add(object([
                ("bench", "trace".into()),
                ("round", u64::from(round).into()),
                ("tool", tool.into()),
                ("file", name.as_str().into()),
                ("packets", packets.into()),
                ("file_bytes", fs::metadata(&file).map_or(0, |m| m.len()).into()),
                ("seconds", took.into()),
                ("cpu_s", cpu.into()),
                ("packets_per_s", (packets as f64 / took).into()),
                ("tool_command", shell::text(&command).into()),
            ]))?;
        }
    }
    let _ = fs::remove_dir_all(STORE);
    if options.file.is_none() {
        let _ = fs::remove_file(&file);
    }
    Ok(())
}

fn count(file: &str) -> Result<u64, String> {
    let out = shell::output(Command::new("capinfos").args(["-M", "-c", "-T", "-r", file]))?;
    out.split_whitespace().last().and_then(|n| n.parse().ok()).ok_or(format!("capinfos does not count {file}: {out}"))
}

/// Seconds from start to end, and of processor time as far as it was seen.
fn time(command: &mut Command) -> Result<(f64, f64), String> {
    let start = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|e| format!("cannot run {}: {e}", shell::text(command)))?;
    let watch = Watch::start(child.id());
    let status = child.wait().map_err(|e| e.to_string())?;
    let took = start.elapsed().as_secs_f64();
    if !status.success() {
        return Err(format!("{} failed ({status})", shell::text(command)));
    }
    Ok((took, watch.used(0).0))
}

fn make(lines: &[Value]) -> String {
    let mut rows =
        vec![["file, tool", "packets", "million packets/s", "s", "CPU s", "by tcpdump's"].map(String::from).to_vec()];
    for file in distinct(lines, "file") {
        for tool in distinct(lines, "tool") {
            let own = |tool: &str, field: &str| {
                let of_tool = lines.iter().filter(|l| l.text("file") == Some(&file) && l.text("tool") == Some(tool));
                median(of_tool.map(|l| l.float(field).unwrap_or(f64::NAN)).collect())
            };
            rows.push(vec![
                format!("{file}, {tool}"),
                format!("{:.0}", own(&tool, "packets")),
                short(own(&tool, "packets_per_s") / 1e6),
                short(own(&tool, "seconds")),
                short(own(&tool, "cpu_s")),
                short(own(&tool, "packets_per_s") / own("tcpdump", "packets_per_s")),
            ]);
        }
    }
    format!(
        "{}\nMedian of the rounds, the file in the page cache. retrotap: from start to exit, recorded, sealed and indexed; tcpdump: -w /dev/null.\n\
         {}\n",
        columns(&rows),
        ran_on(lines)
    )
}
