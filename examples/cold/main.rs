//! Questions to a store whose pages are not in the page cache: each key is asked once, by a process of its own, after every file of the
//! store has been dropped from the cache. Called by `cargo xtask bench query`; the keys are taken from the store's indexes, evenly over
//! its segments and the same each time. One JSON line an answer.

mod keys;

use clap::Parser;
use keys::{Question, questions};
use rustix::fs::{Advice, fadvise};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Asks a store, cold.
#[derive(Parser, Clone, Debug)]
struct Options {
    /// The store.
    #[arg(long)]
    store: PathBuf,
    /// The program that answers.
    #[arg(long)]
    retrotap: PathBuf,
    /// Different keys of each question.
    #[arg(long, default_value_t = 100)]
    keys: usize,
    /// How often the network is asked for, and by how many tcpdumps each question.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The network.
    #[arg(long, default_value = "198.19.0.0/16")]
    net: String,
    /// Ask only these.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Not tcpdump.
    #[arg(long)]
    alone: bool,
}

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let options = Options::parse();
    let mut files = Vec::new();
    files_of(&options.store, &mut files)?;
    let segments: Vec<&Path> =
        files.iter().filter(|f| f.extension().is_some_and(|e| e == "pcapng")).map(PathBuf::as_path).collect();
    let list = std::env::temp_dir().join(format!("retrotap-cold-{}", std::process::id()));
    let names: String = segments.iter().map(|s| format!("{}\n", s.display())).collect();
    std::fs::write(&list, names)?;
    let asked = all(&options, &files, &list);
    std::fs::remove_file(&list)?;
    asked
}

fn all(options: &Options, files: &[PathBuf], list: &Path) -> Result<(), Error> {
    let questions = questions(&options.store, options.keys, &options.net, options.rounds)?;
    for (name, asked) in &questions {
        if !options.only.is_empty() && !options.only.iter().any(|o| o == name) {
            continue;
        }
        for (n, question) in asked.iter().enumerate() {
            say(name, question, "retrotap", ask(options, files, question)?);
            // In turns, so that what else the machine does meets both.
            if n < options.rounds && !options.alone {
                say(name, question, "tcpdump", tcpdump(files, list, question)?);
            }
        }
    }
    Ok(())
}

fn say(name: &str, question: &Question, tool: &str, mut answer: Value) {
    if let Some(members) = answer.as_object_mut() {
        members.insert("question".into(), name.into());
        members.insert("key".into(), question.words().into());
        members.insert("tool".into(), tool.into());
    }
    println!("{answer}");
}

fn ask(options: &Options, files: &[PathBuf], question: &Question) -> Result<Value, Error> {
    let mut command = Command::new(&options.retrotap);
    command.args(["query", "--direct", "--json", "--write", "/dev/null", "--store"]).arg(&options.store);
    command.args(question.arguments());
    drop_pages(files)?;
    let started = Instant::now();
    let out = command.stdin(Stdio::null()).output()?;
    let ms = started.elapsed().as_secs_f64() * 1e3;
    if !out.status.success() {
        return Err(format!("{}: {}", question.words(), String::from_utf8_lossy(&out.stderr)).into());
    }
    let summary: Value = serde_json::from_slice(&out.stdout)?;
    let of = |name: &str| summary.get(name).cloned().unwrap_or_default();
    Ok(
        json!({ "ms": ms, "packets": of("packets"), "pruning": of("pruning"), "inside_ms": of("elapsed_seconds").as_f64().map(|s| s * 1e3) }),
    )
}

fn tcpdump(files: &[PathBuf], list: &Path, question: &Question) -> Result<Value, Error> {
    let mut command = Command::new("tcpdump");
    // `-Z root`: Debian's tcpdump becomes another user after the first file, who may not open the next.
    command.arg("-V").arg(list).args(["-Z", "root", "--count", "-n"]).arg(question.filter());
    drop_pages(files)?;
    let started = Instant::now();
    let out = command.stdin(Stdio::null()).output()?;
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let said = String::from_utf8_lossy(&out.stdout);
    let packets = said.lines().filter_map(|l| l.strip_suffix(" packets").or(l.strip_suffix(" packet")));
    let packets: Option<u64> = packets.map(str::parse).next_back().transpose()?;
    let packets = packets.ok_or_else(|| format!("tcpdump: {}", String::from_utf8_lossy(&out.stderr)))?;
    Ok(json!({ "ms": ms, "packets": packets }))
}

/// Every regular file below a folder, in the order of their names.
fn files_of(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files_of(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// Takes the files out of the page cache, and nothing else's: the machine may have other work.
fn drop_pages(files: &[PathBuf]) -> Result<(), Error> {
    for path in files {
        fadvise(File::open(path)?, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}
