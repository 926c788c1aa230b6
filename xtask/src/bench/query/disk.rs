//! A store of 20 GB with a cold page cache: one connection, a host in ten minutes, a host that does not occur, a network; each key once
//! and by a process of its own (`examples/cold`), next to `tcpdump -r` over the same segments. The store is a lab mix at 1 Gbit/s for
//! an hour and more, written without what the cutoff drops anyway.

use crate::bench::Options;
use crate::bench::results::{Results, columns, distinct, median, ran_on, short};
use crate::json::{Value, object};
use crate::shell;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where the store is that a part makes.
pub const STORE: &str = "target/bench/query-store";
/// Seconds of traffic: some 20 GB of segments.
const SECONDS: &str = "5000";
const SMOKE_SECONDS: &str = "2";
/// Packets of a host in its window, at most.
const HOST_PACKETS: f64 = 1000.0;
/// Different keys of each question.
const KEYS: u32 = 100;

/// Makes the store, asks, deletes it.
pub fn measure(options: &Options, results: &Results) -> Result<(), String> {
    if shell::find("tcpdump").is_none() {
        println!("skipped: query disk: tcpdump is not installed (cargo xtask setup)");
        return Ok(());
    }
    let store = match &options.file {
        Some(store) => store.clone(),
        None => {
            make(options, if options.smoke { SMOKE_SECONDS } else { SECONDS })?;
            STORE.into()
        }
    };
    let asked = ask(options, results, &store);
    if options.file.is_none() {
        let _ = fs::remove_dir_all(STORE);
    }
    asked
}

/// Plays so many seconds of the load into a recorder through a pipe.
pub fn make(options: &Options, seconds: &str) -> Result<(), String> {
    let _ = fs::remove_dir_all(STORE);
    let cannot = |e: std::io::Error| format!("load: {e}");
    let mut load = Command::new(options.programs().join("examples/load"));
    load.args(["--mix", "lab", "--gbps", "1", "--kept", "--to", "-"]);
    load.args(["--seconds", seconds]);
    let mut recorder = Command::new(options.programs().join("retrotap"));
    recorder.args(["record", "-r", "-", "--disk", "40GiB", "--json", "--store", STORE]);
    if options.smoke {
        recorder.args(["--segment-size", "4MiB"]);
    }
    let mut load = load.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(cannot)?;
    let packets = load.stdout.take().ok_or("the load has no output")?;
    let recorded =
        recorder.stdin(packets).stdout(Stdio::null()).status().map_err(|e| format!("retrotap record: {e}"))?;
    let ended = load.wait().map_err(cannot)?;
    if !recorded.success() {
        return Err(format!("{} failed ({recorded})", shell::text(&recorder)));
    }
    if ended.success() { Ok(()) } else { Err(format!("load: {ended}")) }
}

fn ask(options: &Options, results: &Results, store: &Path) -> Result<(), String> {
    let (mut bytes, mut segments) = (0, 0u64);
    sizes(store, &mut bytes, &mut segments)?;
    let mut cold = Command::new(options.programs().join("examples/cold"));
    cold.arg("--store").arg(store).arg("--retrotap").arg(options.programs().join("retrotap"));
    let keys = if options.smoke { 2 } else { KEYS };
    cold.args(["--keys", &keys.to_string(), "--rounds", &options.rounds().to_string()]);
    if !options.wants("tcpdump") {
        cold.arg("--alone");
    }
    for line in shell::output(&mut cold)?.lines() {
        let Value::Object(mut members) = Value::parse(line)? else { continue };
        members.insert(0, ("part".into(), "disk".into()));
        members.insert(0, ("bench".into(), "query".into()));
        members.push(("store".into(), object([("bytes", bytes.into()), ("segments", segments.into())])));
        results.add(Value::Object(members))?;
    }
    Ok(())
}

/// Bytes of a store, and its segments.
fn sizes(folder: &Path, bytes: &mut u64, segments: &mut u64) -> Result<(), String> {
    let cannot = |e: std::io::Error| format!("{}: {e}", folder.display());
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let about = entry.metadata().map_err(cannot)?;
        if about.is_dir() {
            sizes(&entry.path(), bytes, segments)?;
        }
        *bytes += if about.is_file() { about.len() } else { 0 };
        *segments += u64::from(entry.path().extension().is_some_and(|e| e == "pcapng"));
    }
    Ok(())
}

/// The value that a share of all is not above.
fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = ((values.len() as f64 * share).ceil() as usize).clamp(1, values.len().max(1));
    values.get(at - 1).copied().unwrap_or(f64::NAN)
}

/// A row a question.
pub fn table(lines: &[Value]) -> String {
    let head =
        ["from disk, cold", "keys", "packets", "p50 ms", "p99 ms", "most ms", "MB read", "tcpdump -r ms", "times"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for question in distinct(lines, "question") {
        let of = |tool: &str, field: &str| -> Vec<f64> {
            let own = lines.iter().filter(|l| l.text("question") == Some(&question) && l.text("tool") == Some(tool));
            // Hosts that say more than a thousand packets in ten minutes are another question.
            let few =
                |l: &&Value| !question.starts_with("host") || l.float("packets").is_some_and(|p| p <= HOST_PACKETS);
            let own = own.filter(few);
            own.filter_map(|l| l.float(field)).collect()
        };
        // Kept results of before the one shape of JSON have the other name.
        let read = ["pruning.read_bytes", "pruning.bytes_read"].map(|field| of("retrotap", field)).concat();
        let (ms, peer) = (of("retrotap", "ms"), median(of("tcpdump", "ms")));
        rows.push(vec![
            question.clone(),
            ms.len().to_string(),
            short(median(of("retrotap", "packets"))),
            short(median(ms.clone())),
            short(quantile(ms.clone(), 0.99)),
            short(quantile(ms.clone(), 1.0)),
            short(median(read) / 1e6),
            short(peer),
            short(peer / median(ms)),
        ]);
    }
    let store = lines.last();
    let size = |field: &str| store.and_then(|l| l.float(field)).unwrap_or(f64::NAN);
    format!(
        "{}\n{:.1} GB in {} segments, none of them in the page cache; each key asked once, from the start of `retrotap query` to its end. \
         tcpdump -V, all segments one after another.\n{}\n",
        columns(&rows),
        size("store.bytes") / 1e9,
        size("store.segments"),
        ran_on(lines)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_a_question() {
        let line = |tool: &str, ms: f64| {
            object([
                ("question", "net".into()),
                ("tool", tool.into()),
                ("ms", ms.into()),
                ("packets", 7u64.into()),
                ("pruning", object([("read_bytes", 2_000_000u64.into())])),
            ])
        };
        let text = table(&[line("retrotap", 10.0), line("tcpdump", 60.0), line("retrotap", 20.0)]);
        let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row, ["net", "2", "7.00", "15.0", "20.0", "20.0", "2.00", "60.0", "4.00"]);
    }
}
