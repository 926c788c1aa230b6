//! `bench disk`: everything to disk (`--cutoff none`) against fio's sequential O_DIRECT write rate on the same disk, in turns. The load is
//! offered at shares of fio's rate of the same round: what was written without loss, and the most that was written at all.

use super::Options;
use super::line::point::{self, Asked};
use super::results::{Results, columns, median, ran_on, short};
use super::tool::{self, Tool};
use crate::json::Value;
use crate::netns::Namespace;
use crate::shell;
use std::path::Path;
use std::process::Command;

/// Of fio's rate.
const SHARES: &[f64] = &[0.5, 0.8, 0.95];

/// The recorder, storing everything.
const ALL: Tool = Tool {
    name: "retrotap --cutoff none",
    program: "retrotap",
    package: "",
    passed: false,
    warms: false,
    arguments: |dir| {
        tool::words(&format!(
            "record -i tap0 --source xdp --cutoff none --disk 40GiB --json --log-interval 500ms --store {dir}/store"
        ))
    },
    ready: "\"kind\":\"interval\"",
    settle_ms: 600,
    captured: tool::accounted,
};

/// Measures, or only makes the table.
pub fn run(options: &Options) -> Result<(), String> {
    let results = Results::open("disk", options)?;
    if !options.table {
        options.fetch(&["fio"])?;
        if shell::find("fio").is_none() {
            println!("skipped: fio is not installed (--install fetches it)");
            return Ok(());
        }
        options.build(&["-p", "retrotap", "--bin", "retrotap", "--example", "load"])?;
        measure(options, &results)?;
    }
    let (lines, others) = results.newest()?;
    results.table(&(make(&lines) + &others))
}

fn measure(options: &Options, results: &Results) -> Result<(), String> {
    let namespace = Namespace::new()?;
    let seconds = options.seconds.unwrap_or(if options.smoke { 0.5 } else { 8.0 });
    let program = options.programs().join(ALL.program);
    let load = options.programs().join("examples/load");
    let run = super::facts::said("date", &["+%s"]);
    for round in 1..=options.rounds() {
        for &share in if options.smoke { &SHARES[..1] } else { SHARES } {
            let fio = fio(seconds)?;
            let asked = Asked {
                tool: &ALL,
                program: &program,
                load: &load,
                mix: options.mixes.first().map_or("lab", String::as_str),
                gbps: Some(fio * share * 8.0 / 1e9),
                seconds,
                warm_up: 0.0,
                run: &run,
                round,
            };
            let Value::Object(mut members) = point::measure(&namespace, &asked)? else { continue };
            members.retain(|(key, _)| key != "bench");
            members.insert(0, ("bench".into(), "disk".into()));
            members.extend([("fio_bytes_per_s".to_string(), fio.into()), ("share_asked".to_string(), share.into())]);
            results.add(Value::Object(members))?;
        }
    }
    Ok(())
}

/// Sequential O_DIRECT writes of 1 MiB, 16 in flight, into a preallocated file: bytes/s.
fn fio(seconds: f64) -> Result<f64, String> {
    let folder = Path::new("target/bench/fio");
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut command = Command::new("fio");
    command.args(
        "--name=sequential --rw=write --bs=1M --direct=1 --ioengine=io_uring --iodepth=16 --size=8G --fallocate=posix"
            .split(' '),
    );
    command.args(["--time_based", &format!("--runtime={}", seconds.max(1.0).ceil()), "--output-format=json"]);
    let out = shell::output(command.arg(format!("--directory={}", folder.display())));
    std::fs::remove_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let out = out?;
    let report = Value::parse(&out[out.find('{').ok_or("fio printed no JSON")?..])?;
    let Some(Value::List(jobs)) = report.get("jobs") else { return Err("fio reports no job".into()) };
    jobs.first().and_then(|j| j.float("write.bw_bytes")).ok_or("fio reports no rate".into())
}

fn make(lines: &[Value]) -> String {
    let mut rows = vec![
        [
            "load, share of fio",
            "Gbit/s",
            "fio MB/s",
            "written MB/s",
            "written, share of fio",
            "lost",
            "rounds with loss",
        ]
        .map(String::from)
        .to_vec(),
    ];
    let mut shares: Vec<f64> = lines.iter().filter_map(|l| l.float("share_asked")).collect();
    shares.sort_by(f64::total_cmp);
    shares.dedup();
    let of = |l: &Value, path: &str| l.float(path).unwrap_or(f64::NAN);
    let written = |l: &Value| of(l, "account.stored.bytes") / of(l, "seconds");
    for share in shares {
        let own: Vec<&Value> = lines.iter().filter(|l| l.float("share_asked") == Some(share)).collect();
        let middle = |f: &dyn Fn(&Value) -> f64| median(own.iter().map(|l| f(l)).collect());
        let losing = own.iter().filter(|l| of(l, "lost") > 0.0).count();
        rows.push(vec![
            short(share),
            short(middle(&|l| of(l, "gbps"))),
            short(middle(&|l| of(l, "fio_bytes_per_s")) / 1e6),
            short(middle(&written) / 1e6),
            short(middle(&|l| written(l) / of(l, "fio_bytes_per_s"))),
            format!("{:.3} %", middle(&|l| of(l, "lost") / of(l, "offered.packets")) * 100.0),
            format!("{losing} of {}", own.len()),
        ]);
    }
    format!(
        "{}\nMedian of the rounds; fio measured before each. Written: bytes of packets stored per second of load.\n{}\n",
        columns(&rows),
        ran_on(lines)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::object;

    #[test]
    fn a_row_a_share() {
        let line = object([
            ("share_asked", 0.8.into()),
            ("fio_bytes_per_s", 1e9.into()),
            ("seconds", 2.0.into()),
            ("gbps", 6.4.into()),
            ("lost", 0u64.into()),
            ("offered", object([("packets", 10u64.into())])),
            ("account", object([("stored", object([("bytes", 1_600_000_000u64.into())]))])),
        ]);
        let text = make(&[line]);
        let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row, ["0.80", "6.40", "1000", "800", "0.80", "0.000", "%", "0", "of", "1"]);
    }
}
