//! Questions beside 10 Gbit/s of the lab mix on the same two CPUs, in turns with the same load and no questions: `beside`, single
//! connections from memory by 8 clients, each of a connection that began a second or two before, each answer compared with what was sent; `scans`, 8 clients that look through the whole store again and again. What they cost the
//! capture (nothing may be lost by them) and how far they get.

use super::live::{Recorder, answers, ask, check, end, load};
use crate::bench::Options;
use crate::bench::results::{Results, columns, median, ran_on, short};
use crate::bench::usage::Watch;
use crate::json::{Value, object};
use crate::netns::Namespace;
use crate::shell;
use std::time::Duration;

/// The load's CPU; the worker has the other, and all else of the recorder and the clients both.
const LOAD_CPU: &str = "0";
const WORKER: &str = "worker_cpus = [1]\n";

/// `beside`.
pub fn measure_connections(options: &Options, results: &Results) -> Result<(), String> {
    measure(options, results, "beside", &format!(" --renew --answers {}", answers()))
}

/// `scans`.
pub fn measure_scans(options: &Options, results: &Results) -> Result<(), String> {
    measure(options, results, "scans", " --scan")
}

fn measure(options: &Options, results: &Results, part: &str, how: &str) -> Result<(), String> {
    if !shell::is_root() {
        println!("skipped: query {part}: needs root for a network namespace");
        return Ok(());
    }
    let config = "target/bench/query-worker.toml";
    std::fs::create_dir_all("target/bench").map_err(|e| e.to_string())?;
    std::fs::write(config, WORKER).map_err(|e| format!("{config}: {e}"))?;
    let (seconds, gbps) = if options.smoke { (2, "1") } else { (10, "10") };
    for round in 1..=options.rounds() {
        for asking in [false, true] {
            let namespace = Namespace::new()?;
            let mut recorder = Recorder::start(
                namespace.command("env"),
                options,
                &format!("-i tap0 --source xdp --disk 20GiB -c {config}"),
            )?;
            recorder.until("its first interval", |_| true)?;
            // From a recorder's steady state, and with something in memory and on the disk.
            let warm = if options.smoke { 1 } else { 8 };
            let mix = format!("--mix lab --seed {round}");
            let load = load(
                &namespace,
                options,
                &format!("{mix} --cpu {LOAD_CPU} --gbps {gbps} --warm-up {warm} --seconds {}", seconds + 2),
            )?;
            std::thread::sleep(Duration::from_secs(warm + 1));
            let watch = Watch::start(recorder.id());
            let asked = match asking {
                true => Some(end(ask(options, &format!("--clients 8 --seconds {seconds}{how}"))?)?),
                false => None,
            };
            let truth = end(load)?;
            let used = watch.used(0).0;
            drop(watch);
            // With the recorder go its files, and with them the answers: whether it has lost anything is known after that.
            let checked = match asking && part == "beside" {
                true => Some(check(options, &mix, truth.number("attempted.packets")?, u64::MAX)?),
                false => None,
            };
            let account = recorder.stop()?;
            let lost = account.number("lost_packets")?;
            if let Some(wrong) =
                checked.as_ref().map(|c| c.number("wrong")).transpose()?.filter(|w| *w > 0 && lost == 0)
            {
                return Err(format!("{wrong} answers are not what was sent, and nothing was lost"));
            }
            let checked = checked.unwrap_or(Value::Word("null".into()));
            let offered = truth.number("offered.packets")?;
            results.add(object([
                ("bench", "query".into()),
                ("part", part.into()),
                ("round", u64::from(round).into()),
                ("asking", u64::from(asking).into()),
                ("gbps", truth.float("gbps").into()),
                ("mpps", truth.float("mpps").into()),
                ("offered", offered.into()),
                ("seen", account.number("seen.packets")?.into()),
                ("lost", lost.into()),
                ("cpu_s", used.into()),
                ("asked", asked.unwrap_or(Value::Word("null".into()))),
                ("checked", checked),
                ("account", account),
            ]))?;
        }
    }
    Ok(())
}

fn rows(lines: &[Value], head: &str, figures: &[(&str, &str, f64)]) -> Vec<Vec<String>> {
    let mut rows = vec![vec![head.to_string(), "Gbit/s".into(), "lost".into(), "recorder CPU s".into()]];
    rows[0].extend(figures.iter().map(|(name, ..)| (*name).to_string()));
    for (name, asking) in [("without", 0), ("with", 1)] {
        let own: Vec<&Value> = lines.iter().filter(|l| l.number("asking").is_ok_and(|n| n == asking)).collect();
        let of = |field: &str| median(own.iter().filter_map(|l| l.float(field)).collect());
        let lost: Vec<String> = own.iter().filter_map(|l| Some(l.number("lost").ok()?.to_string())).collect();
        let mut row = vec![name.to_string(), short(of("gbps")), lost.join(" "), short(of("cpu_s"))];
        row.extend(figures.iter().map(|(_, field, scale)| short(of(field) * scale)));
        rows.push(row);
    }
    rows
}

/// With and without questions.
pub fn table_connections(lines: &[Value]) -> String {
    let figures = [
        ("queries/s", "asked.per_second", 1.0),
        ("p50 ms", "asked.p50_us", 1e-3),
        ("p99 ms", "asked.p99_us", 1e-3),
        ("most ms", "asked.max_us", 1e-3),
        ("answers", "asked.queries", 1.0),
        ("empty", "asked.empty", 1.0),
        ("right", "checked.right", 1.0),
        ("wrong", "checked.wrong", 1.0),
        ("under way", "checked.under_way", 1.0),
    ];
    about(&rows(lines, "connections, 8 clients", &figures), lines)
}

/// With and without scans.
pub fn table_scans(lines: &[Value]) -> String {
    let figures = [
        ("scans/s", "asked.per_second", 1.0),
        ("MB/s", "asked.scanned_bytes_per_second", 1e-6),
        ("Mpps", "asked.scanned_packets_per_second", 1e-6),
    ];
    about(&rows(lines, "full scans, 8 clients", &figures), lines)
}

fn about(rows: &[Vec<String>], lines: &[Value]) -> String {
    format!(
        "{}\nBeside the lab mix on the same two CPUs, in turns; lost: packets of each run. {}\n",
        columns(rows),
        ran_on(lines)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_with_and_one_without() {
        let line = |asking: u64, lost: u64| {
            let asked = object([("per_second", Some(4500.0).into()), ("p99_us", Some(20_000.0).into())]);
            object([("asking", asking.into()), ("lost", lost.into()), ("gbps", Some(10.0).into()), ("asked", asked)])
        };
        let text = table_connections(&[line(0, 0), line(1, 3), line(0, 0), line(1, 4)]);
        let row = |n: usize| text.lines().nth(n).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(row(1).starts_with("without 10.0 0 0") && row(2).starts_with("with 10.0 3 4 - 4500 - 20.0"), "{text}");
    }
}
