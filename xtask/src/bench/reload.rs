//! `bench reload`: another configuration every two seconds while 10 Gbit/s of the lab mix come in: what is lost, and when the new cutoff
//! is in force. A connection of its own, one packet every few milliseconds through the same veth, shows that: its class goes from a small
//! cutoff to none and back, and the times of its stored packets say from when to when each held.

use super::Options;
use super::results::{Results, columns, median, short};
use crate::json::{Value, object};
use crate::netns::Namespace;
use crate::processes;
use crate::shell;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const FOLDER: &str = "target/bench/reload";
/// Time that each configuration holds.
const HOLDS: Duration = Duration::from_secs(2);
/// The probe: a packet of 1000 bytes each time that a wait of 4 ms is over.
const PROBE: &str = "exec 3>/dev/udp/198.51.100.2/4000 4<>\"$0\"; printf -v text '%01000d' 0; \
                     while :; do printf '%s' \"$text\" >&3; read -r -t 0.004 -u 4; done";

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            processes::kill(&mut self.0);
        }
    }
}

/// Measures, or only makes the table.
pub fn run(options: &Options) -> Result<(), String> {
    let results = Results::open("reload", options)?;
    if !options.table {
        options.build(&["-p", "retrotap", "--bin", "retrotap", "--example", "load"])?;
        let namespace = Namespace::new()?;
        for words in [
            "addr add 198.51.100.1/24 dev gen0",
            "neigh add 198.51.100.2 lladdr 02:00:00:00:00:02 dev gen0 nud permanent",
        ] {
            shell::output(namespace.command("ip").args(words.split(' ')))?;
        }
        for round in 1..=options.rounds() {
            measure(options, &namespace, round)?.into_iter().try_for_each(|line| results.add(line))?;
        }
    }
    let (lines, others) = results.newest()?;
    results.table(&(table(&lines) + &others))
}

/// The probe's class is the one that changes in what is watched; `all` changes too, for the load's connections.
fn configuration(open: bool) -> String {
    let (probe, all) = if open { ("\"none\"", "12KiB") } else { ("5000", "15KiB") };
    format!(
        "[class.all]\ncutoff = \"{all}\"\n[class.probe]\nfilter = \"udp port 4000\"\nprecedence = 9\ncutoff = {probe}\n"
    )
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

fn measure(options: &Options, namespace: &Namespace, round: u32) -> Result<Vec<Value>, String> {
    let io = |e: std::io::Error| format!("{FOLDER}: {e}");
    let _ = fs::remove_dir_all(FOLDER);
    fs::create_dir_all(FOLDER).map_err(io)?;
    let at = |name: &str| format!("{FOLDER}/{name}");
    let (config, store, said) = (at("retrotap.toml"), at("store"), at("record.json"));
    fs::write(&config, configuration(false)).map_err(io)?;
    let program = options.programs().join("retrotap");
    let mut record = namespace.command("taskset");
    record.args(["-c", "1"]).arg(&program).args(["record", "-i", "tap0", "--source", "xdp", "--json"]);
    record.args(["--log-interval", "1s", "-c", &config, "--store", &store, "--disk", "20GiB"]);
    record.stdin(Stdio::null()).stdout(File::create(&said).map_err(io)?).stderr(File::create(at("log")).map_err(io)?);
    let mut record = Running(record.spawn().map_err(io)?);
    let start = Instant::now();
    while fs::read_to_string(&said).map_err(io)?.lines().count() < 1 {
        if start.elapsed() > Duration::from_secs(20) {
            return Err(format!("the recorder did not begin: {}", fs::read_to_string(at("log")).unwrap_or_default()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    shell::output(Command::new("mkfifo").arg(at("wait")))?;
    let mut probe = namespace.command("taskset");
    probe.args(["-c", "0", "bash", "-c", PROBE, &at("wait")]).stdin(Stdio::null()).stderr(Stdio::null());
    let probe = Running(probe.spawn().map_err(io)?);
    let warm_up = if options.smoke { 0.5 } else { 6.0 };
    let seconds = options.seconds.unwrap_or(if options.smoke { 7.0 } else { 22.0 });
    let gbps = options.rates.first().copied().flatten().unwrap_or(if options.smoke { 0.2 } else { 10.0 });
    let mut load = namespace.command(&options.programs().join("examples/load").to_string_lossy());
    load.args(["--iface", "gen0", "--json", "--cpu", "0", "--mix", "lab", "--seed", &round.to_string()]);
    load.args(["--warm-up", &warm_up.to_string(), "--seconds", &seconds.to_string(), "--gbps", &gbps.to_string()]);
    load.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut load = Running(load.spawn().map_err(io)?);
    std::thread::sleep(Duration::from_secs_f64(warm_up + 0.5));
    let before = last(&said)?.number("lost_packets")?;
    let mut calls = Vec::new();
    let changing = Instant::now();
    while changing.elapsed() + HOLDS + HOLDS < Duration::from_secs_f64(seconds) {
        let open = calls.len() % 2 == 0;
        fs::write(&config, configuration(open)).map_err(io)?;
        let asked = now();
        shell::output(Command::new(&program).args(["reload", "--json", "--store", &store]))?;
        calls.push((open, asked, now()));
        std::thread::sleep(HOLDS);
    }
    let mut text = String::new();
    if let Some(out) = &mut load.0.stdout {
        std::io::Read::read_to_string(out, &mut text).map_err(io)?;
    }
    let truth = Value::parse(text.trim())?;
    drop(probe);
    shell::output(Command::new("sh").args(["-c", &format!("kill -INT {}", record.0.id())]))?;
    shell::wait(&mut record.0, Duration::from_secs(40))?;
    let account = last(&said)?;
    let stored = times(&program, &store)?;
    let lines = calls.iter().enumerate().map(|(n, &(open, asked, answered))| {
        let until = calls.get(n + 1).map_or(f64::MAX, |c| c.1);
        let mut within = stored.iter().copied().filter(|t| (asked..until).contains(t));
        // Opened: from its first packet that is stored; closed: up to its last.
        let held = if open { within.next() } else { within.next_back().or(Some(asked)) };
        object([
            ("bench", "reload".into()),
            ("round", u64::from(round).into()),
            ("cutoff", if open { "raised" } else { "lowered" }.into()),
            ("answered_ms", ((answered - asked) * 1e3).into()),
            ("in_force_ms", held.map(|t| (t - asked) * 1e3).into()),
            ("gbps", truth.float("gbps").into()),
            ("mpps", truth.float("mpps").into()),
            ("lost_while_reloading", account.number("lost_packets").unwrap_or(u64::MAX).saturating_sub(before).into()),
            ("lost_before", before.into()),
            ("seen", account.number("seen.packets").unwrap_or(0).into()),
        ])
    });
    let lines = lines.collect();
    fs::remove_dir_all(FOLDER).map_err(io)?;
    Ok(lines)
}

/// The last line that the recorder has printed whole.
fn last(path: &str) -> Result<Value, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    Value::parse(whole.lines().last().unwrap_or_default())
}

/// Unix times of the probe's stored packets, in order, s.
fn times(program: &Path, store: &str) -> Result<Vec<f64>, String> {
    let file = format!("{FOLDER}/probe.pcapng");
    shell::output(Command::new(program).args(["query", "udp port 4000", "--store", store, "--force", "-w", &file]))?;
    let text = shell::output(Command::new("tcpdump").args(["-tt", "-nn", "-r", &file]))?;
    Ok(text.lines().filter_map(|l| l.split(' ').next()?.parse().ok()).collect())
}

fn table(lines: &[Value]) -> String {
    let mut rows =
        vec![["cutoff", "reloads", "answered ms", "worst", "in force ms", "worst", "lost"].map(String::from).to_vec()];
    for cutoff in ["raised", "lowered"] {
        let of: Vec<&Value> = lines.iter().filter(|l| l.text("cutoff") == Some(cutoff)).collect();
        let all = |field: &str| of.iter().filter_map(|l| l.float(field)).collect::<Vec<f64>>();
        let worst = |field: &str| short(all(field).into_iter().fold(f64::NAN, f64::max));
        let lost = all("lost_while_reloading").into_iter().fold(f64::NAN, f64::max);
        rows.push(vec![
            cutoff.into(),
            of.len().to_string(),
            short(median(all("answered_ms"))),
            worst("answered_ms"),
            short(median(all("in_force_ms"))),
            worst("in_force_ms"),
            format!("{lost:.0}"),
        ]);
    }
    let rate = |field: &str| median(lines.iter().filter_map(|l| l.float(field)).collect());
    format!(
        "reloads under {} Gbit/s, {} Mpps of the lab mix\n\n{}",
        short(rate("gbps")),
        short(rate("mpps")),
        columns(&rows)
    )
}
