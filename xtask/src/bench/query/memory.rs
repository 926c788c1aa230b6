//! Single connections from memory, over the socket, when nothing else runs: with 8 clients, and with one.

use super::live::{Recorder, answers, ask, check, end};
use crate::bench::Options;
use crate::bench::results::{Results, columns, median, ran_on, short};
use crate::json::{Value, object};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Measures.
pub fn measure(options: &Options, results: &Results) -> Result<(), String> {
    // The recorder's input stays open: its memory is there as long as it is.
    let mut env = Command::new("env");
    env.stdin(Stdio::piped());
    let mut recorder = Recorder::start(env, options, "-r - --memory 1GiB")?;
    // 5 Gbit/s for 0.2 or 2 s.
    let sent = if options.smoke { 125_000 } else { 1_250_000u64 };
    let mut load = Command::new(options.programs().join("examples/load"));
    load.args(["--mix", "lab", "--gbps", "5", "--seconds", "60", "--packets", &sent.to_string(), "--to", "-"]);
    let mut load = load.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(|e| format!("load: {e}"))?;
    let (mut packets, mut input) = (load.stdout.take().ok_or("the load has no output")?, recorder.input()?);
    std::io::copy(&mut packets, &mut input).map_err(|e| format!("load: {e}"))?;
    load.wait().map_err(|e| format!("load: {e}"))?;
    // The last blocks are written, and indexed.
    recorder.until("rest", |line| line.number("pending").is_ok_and(|n| n == 0))?;
    std::thread::sleep(Duration::from_secs(if options.smoke { 1 } else { 4 }));
    for round in 1..=options.rounds() {
        for clients in [8u64, 1] {
            let seconds = if options.smoke { 1 } else { 5 };
            let said = end(ask(options, &format!("--clients {clients} --seconds {seconds} --answers {}", answers()))?)?;
            let line = [
                ("bench", "query".into()),
                ("part", "memory".into()),
                ("round", u64::from(round).into()),
                ("checked", check(options, "--mix lab", sent, 0)?),
            ];
            let Value::Object(said) = said else { return Err("ask said nothing".into()) };
            let Value::Object(line) = object(line) else { return Err("no line".into()) };
            results.add(Value::Object(line.into_iter().chain(said).collect()))?;
        }
    }
    drop(input);
    recorder.stop().map(|_| ())
}

/// A row for each number of clients.
pub fn table(lines: &[Value]) -> String {
    let head =
        ["from memory, clients", "queries/s", "p50 us", "p99 us", "first byte p50 us", "p99 us", "most us", "empty"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for clients in ["8", "1"] {
        let of = |field: &str| {
            let own = lines.iter().filter(|l| l.number("clients").is_ok_and(|n| n.to_string() == clients));
            median(own.filter_map(|l| l.float(field)).collect())
        };
        let figures = ["per_second", "p50_us", "p99_us", "first_p50_us", "first_p99_us", "first_max_us", "empty"];
        rows.push([clients.to_string()].into_iter().chain(figures.map(|f| short(of(f)))).collect());
    }
    format!(
        "{}\nOne connection a question, of those in memory; nothing else runs; the clients on the same CPUs. {}\n",
        columns(&rows),
        ran_on(lines)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_each_number_of_clients() {
        let line = |clients: u64, rate: f64| object([("clients", clients.into()), ("per_second", Some(rate).into())]);
        let text = table(&[line(8, 20_000.0), line(8, 22_000.0), line(1, 7_000.0)]);
        let row = |n: usize| text.lines().nth(n).unwrap().split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        assert_eq!((row(1), row(2)), ("8 21000".into(), "1 7000".into()), "{text}");
    }
}
