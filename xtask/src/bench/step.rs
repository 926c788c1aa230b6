//! `bench step`: instructions a packet of the worker's step (`benches/step.rs`) under callgrind: what later changes can be compared by
//! on machines whose times are noise. Counted with a sink that only copies, and with the real writer's encoding.

use super::Options;
use super::results::{Results, columns, distinct, median, short};
use crate::json::{Value, object};
use crate::shell;
use std::process::{Command, Stdio};

const SINKS: [&str; 2] = ["memory", "store"];

/// Counts, or only makes the table.
pub fn run(options: &Options) -> Result<(), String> {
    let results = Results::open("step", options)?;
    if !options.table {
        options.fetch(&["valgrind"])?;
        if shell::find("valgrind").is_none() {
            println!("skipped: valgrind is not installed (--install fetches it)");
            return Ok(());
        }
        options.build(&["-p", "retrotap", "--example", "load"])?;
        let program = options.executable(&["--bench", "step"], "step")?;
        let file = super::trace::file(options)?;
        for sink in SINKS {
            results.add(count(&program, &file, sink, if options.smoke { 5_000 } else { 300_000 }, &[])?)?;
        }
    }
    results.table(&make(&results.all()?))
}

/// Instructions of the step over so many packets of a file; `more` is for the bench.
pub fn count(program: &str, file: &str, sink: &str, packets: u64, more: &[String]) -> Result<Value, String> {
    let mut command = Command::new("valgrind");
    command.args([
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        "--collect-atstart=no",
        "--toggle-collect=step::batch*",
    ]);
    command.args([program, "--file", file, "--sink", sink, "--packets", &packets.to_string()]).args(more);
    let out = command.stdin(Stdio::null()).output().map_err(|e| format!("valgrind: {e}"))?;
    let (said, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    let collected = errors.lines().find_map(|l| l.split_once("Collected :")?.1.trim().parse::<u64>().ok());
    let (true, Some(instructions), Ok(of)) = (out.status.success(), collected, Value::parse(said.trim())) else {
        return Err(format!("{} failed:\n{errors}{said}", shell::text(&command)));
    };
    let packets = of.number("packets")?;
    if instructions == 0 {
        return Err(format!("callgrind counted nothing: it does not know the function step::batch\n{errors}"));
    }
    Ok(object([
        ("bench", "step".into()),
        ("sink", sink.into()),
        ("file", file.rsplit('/').next().unwrap_or(file).into()),
        ("packets", packets.into()),
        ("stored", of.number("stored")?.into()),
        ("bytes", of.number("bytes")?.into()),
        ("instructions", instructions.into()),
        ("instructions_per_packet", (instructions as f64 / packets as f64).into()),
        ("valgrind", super::facts::said("valgrind", &["--version"]).into()),
    ]))
}

fn make(lines: &[Value]) -> String {
    let mut rows = vec![["commit, file, sink", "packets", "stored", "instructions/packet"].map(String::from).to_vec()];
    for commit in distinct(lines, "commit") {
        for file in distinct(lines, "file") {
            for sink in SINKS {
                let own = |l: &&Value| {
                    l.text("commit") == Some(&commit) && l.text("file") == Some(&file) && l.text("sink") == Some(sink)
                };
                let own: Vec<&Value> = lines.iter().filter(own).collect();
                let middle = |field| median(own.iter().map(|l| l.float(field).unwrap_or(f64::NAN)).collect());
                if !own.is_empty() {
                    rows.push(vec![
                        format!("{commit}, {file}, {sink}"),
                        format!("{:.0}", middle("packets")),
                        format!("{:.0}", middle("stored")),
                        short(middle("instructions_per_packet")),
                    ]);
                }
            }
        }
    }
    format!(
        "{}\nOnly the step: parse, look up, judge, store. memory: what is stored is copied; store: encoded by the real writer, without its system calls.\n",
        columns(&rows)
    )
}
