//! `cargo xtask tidy`: the rules of the source tree that no lint knows: each file says what it is for, modules depend one
//! way, `unsafe` stays in its places, the map in ARCHITECTURE.md is true. Also reports what has grown long.

use std::fs;
use std::path::{Path, PathBuf};

/// `use` edges that must not be: files under the first, modules of the crate that they must not name.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "src/query",
        &[
            "steer",
            "worker",
            "source::live",
            "source::file",
            "xsk",
            "bpf",
            "iface",
            "conn::table",
            "conn::tracker",
            "record",
            "cli",
            "control",
        ],
    ),
    (
        "src/index",
        &[
            "worker",
            "source::live",
            "source::file",
            "source::xdp",
            "source::packet",
            "xsk",
            "bpf",
            "iface",
            "conn::table",
            "conn::tracker",
            "query",
            "record",
            "cli",
            "control",
        ],
    ),
    ("src/ledger", &["worker", "source", "xsk", "bpf", "iface", "query", "record", "cli", "control"]),
    ("src/store", &["worker", "source::xdp", "source::packet", "xsk", "bpf", "iface", "query", "cli", "control"]),
    // What runs beside writers parses nothing that is stored: writers and recovery tell it.
    ("src/store/keeper", KEEPERS),
    ("src/store/writer", &["index", "ledger", "store::disk::mmap", "store::mend", "store::reader", "store::verify"]),
    ("src/store/seal.rs", KEEPERS),
    ("src/store/segment.rs", KEEPERS),
    ("src/ledger/receipts.rs", &["index", "ledger::lookup", "ledger::search", "ledger::sides", "store::disk::mmap"]),
    (
        "src/window",
        &[
            "worker", "source", "xsk", "bpf", "iface", "conn", "class", "store", "ledger", "index", "query", "recent",
            "record", "steer", "metrics", "cli", "control", "hold",
        ],
    ),
    // The two sides of the memory of recent blocks know each other by what lies in shared memory alone.
    (
        "src/recent/keep",
        &["recent::read", "index", "query", "ledger", "worker", "record", "cli", "control", "steer", "source"],
    ),
    (
        "src/recent/read",
        &["recent::keep", "query", "ledger", "worker", "record", "cli", "control", "steer", "source", "conn"],
    ),
    ("src/control", &["worker", "source", "xsk", "bpf", "iface", "record", "cli", "conn", "steer"]),
    // What both sides say: neither the one nor the other. Of a question it knows how a connection is written.
    (
        "src/messages",
        &[
            "steer",
            "worker",
            "source",
            "xsk",
            "bpf",
            "iface",
            "record",
            "cli",
            "control",
            "store",
            "index",
            "ledger",
            "recent",
            "hold",
            "nids",
            "conn::table",
            "conn::tracker",
        ],
    ),
    ("src/packet", &["conn", "class", "worker", "store", "query", "source", "cli", "control", "xsk", "bpf"]),
    // Of the sources the stages know the contract (`source::Packet`), not one that implements it.
    (
        "src/conn",
        &["steer", "worker", "store", "query", "record", "cli", "control", "xsk", "source::live", "source::file"],
    ),
    (
        "src/class",
        &["worker", "store", "query", "record", "cli", "control", "xsk", "bpf", "source::live", "source::file"],
    ),
    ("src/metrics", &["worker", "store", "query", "cli", "control", "xsk", "bpf", "conn", "class"]),
    ("src/doctor", &["worker", "store", "query", "record", "cli", "control", "source", "xsk", "bpf", "conn"]),
    ("src/source", &["worker", "store", "query", "cli", "control"]),
    ("src/xsk", &["worker", "store", "query", "cli", "control", "conn", "class"]),
    ("src/bpf", &["worker", "store", "query", "record", "cli", "control", "source::live", "source::file"]),
    ("src/filter", &["worker", "store", "query", "cli", "control", "conn", "source"]),
    ("src/worker", &["steer", "query", "cli", "control"]),
    ("src/steer", &["record", "cli", "control", "xsk", "bpf", "iface", "source"]),
    ("src/hold", &["steer", "worker", "record", "cli", "control", "xsk", "bpf", "source", "conn"]),
    ("src/evidence", &["worker", "record", "cli", "control", "xsk", "bpf", "conn", "source::live"]),
    ("src/nids", &["steer", "worker", "record", "cli", "xsk", "bpf", "source", "conn", "iface"]),
    // It knows who lives, not what for: what is handed over is bytes and descriptors.
    (
        "src/parent",
        &[
            "bpf", "cli", "class", "config", "conn", "control", "hold", "index", "ledger", "nids", "query", "recent",
            "record", "source", "steer", "store", "worker", "xsk",
        ],
    ),
    ("src/record/capture", &["query", "index", "hold", "nids", "evidence", "cli", "record::serve", "record::whole"]),
    (
        "src/record/serve",
        &["worker", "source", "xsk", "bpf", "iface", "conn", "cli", "record::capture", "record::whole"],
    ),
    // Nobody records: it knows of a recorder only what signals it takes.
    (
        "src/at_rest",
        &[
            "worker",
            "source",
            "xsk",
            "bpf",
            "iface",
            "conn",
            "steer",
            "cli",
            "record::capture",
            "record::serve",
            "record::whole",
        ],
    ),
    ("src/planning", &["worker", "query", "record", "cli", "control", "xsk", "bpf"]),
    ("src/limits", &["class", "conn", "metrics", "packet", "source", "store", "worker", "query"]),
];

/// What reads segments.
const KEEPERS: &[&str] = &[
    "index",
    "ledger",
    "store::disk::mmap",
    "store::mend",
    "store::reader",
    "store::scan",
    "store::verify",
    "store::info",
];

/// What a packet passes until it is on the disk, and what keeps that going: it names nothing of those who answer questions.
const CAPTURE: &[&str] = &[
    "src/bpf",
    "src/class",
    "src/config",
    "src/conn",
    "src/iface",
    "src/ledger/journal.rs",
    "src/ledger/pulse.rs",
    "src/ledger/receipts.rs",
    "src/memory.rs",
    "src/messages",
    "src/metrics/account.rs",
    "src/packet",
    "src/privilege",
    "src/recent/keep",
    "src/record/capture",
    "src/source",
    "src/steer",
    "src/store/catalog.rs",
    "src/store/disk",
    "src/store/event.rs",
    "src/store/format",
    "src/store/inbox.rs",
    "src/store/keeper",
    "src/store/layout.rs",
    "src/store/mend.rs",
    "src/store/open.rs",
    "src/store/recover.rs",
    "src/store/scan.rs",
    "src/store/seal.rs",
    "src/store/segment.rs",
    "src/store/sink.rs",
    "src/store/writer",
    "src/window",
    "src/worker",
    "src/xsk",
];

/// Those who answer questions.
const ANSWERING: &[&str] =
    &["cli", "control", "doctor", "evidence", "hold", "index", "nids", "planning", "query", "recent::read"];

/// Names that capture's side has of theirs all the same, still.
const STILL_ACROSS: &[(&str, &str)] = &[
    ("src/config/api.rs", "control"),
    ("src/config/settings.rs", "control"),
    ("src/messages/words.rs", "query"),
    ("src/record/capture/mod.rs", "recent::read"),
];

/// The only places that may `allow(unsafe_code)`.
const UNSAFE: &[&str] = &[
    "src/xsk",
    "src/bpf",
    "src/iface",
    "src/filter",
    "src/source/packet",
    "src/store/disk",
    "src/window",
    "src/memory.rs",
    "src/parent/inherit.rs",
    "src/query/priority",
    "src/control/peer.rs",
    "benches/table.rs",
    "benches/xdp.rs",
    "examples/bare",
    "examples/confined",
    "examples/load",
    "tests",
    "xtask/src/shell.rs",
];

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 80;
/// Folders of source text.
const TREES: &[&str] = &["src", "tests", "benches", "examples", "ebpf", "fuzz", "xtask/src"];

/// Checks every rule; the report is what has grown long, the error what is wrong.
pub fn run() -> Result<String, String> {
    let mut wrong = Vec::new();
    let mut long = Vec::new();
    for path in files()? {
        let name = path.to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).map_err(|e| format!("{name}: {e}"))?;
        if name.ends_with(".rs") {
            if !text.starts_with("//!") {
                wrong.push(format!(
                    "{name}: does not begin with `//!` (what it owns, who calls it, what it must never do)"
                ));
            }
            wrong.extend(edges(&name, &text));
            let allowed = UNSAFE.iter().any(|p| name.starts_with(p));
            if !allowed && text.lines().any(|l| l.trim_start().starts_with('#') && l.contains("allow(unsafe_code)")) {
                wrong.push(format!("{name}: `unsafe` is kept to the places that xtask/src/tidy.rs names"));
            }
            long.extend(functions(&text).into_iter().map(|(f, n)| format!("{name}: fn {f} has {n} lines")));
        }
        for (i, line) in text.lines().enumerate() {
            if unfinished(line) {
                wrong.push(format!("{name}:{}: unfinished: {}", i + 1, line.trim()));
            }
        }
        let lines = text.lines().count();
        if lines > FILE_LINES {
            long.push(format!("{name}: {lines} lines"));
        }
    }
    wrong.extend(map()?);
    long.extend(gone_across());
    if !wrong.is_empty() {
        return Err(format!("tidy: {} things are wrong:\n  {}", wrong.len(), wrong.join("\n  ")));
    }
    if long.is_empty() {
        return Ok("tidy: every rule holds".into());
    }
    Ok(format!(
        "tidy: every rule holds; to look at, as what is longer than {FILE_LINES} lines a file or {FUNCTION_LINES} a function:\n  {}",
        long.join("\n  ")
    ))
}

fn files() -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = TREES.iter().map(PathBuf::from).filter(|p| p.is_dir()).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))? {
            let path = entry.map_err(|e| e.to_string())?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs" || e == "c" || e == "h") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn edges(name: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (place, forbidden) in FORBIDDEN.iter().filter(|(place, _)| name.starts_with(place)) {
        for (i, line) in code(name, text) {
            if let Some(module) = forbidden.iter().find(|module| names(&line, module)) {
                wrong.push(format!("{name}:{i}: {place} must not know {module}"));
            }
        }
    }
    if CAPTURE.iter().any(|place| name.starts_with(place)) {
        let still = |module: &str| STILL_ACROSS.contains(&(name, module));
        for (i, line) in code(name, text) {
            let told = wrong.iter().any(|w: &String| w.starts_with(&format!("{name}:{i}:")));
            if let Some(module) = ANSWERING.iter().find(|module| !told && names(&line, module) && !still(module)) {
                wrong.push(format!("{name}:{i}: capture must not know {module}"));
            }
        }
    }
    wrong
}

/// Lines that are no comments, each with its number, and with paths from the root of the crate.
fn code<'a>(name: &'a str, text: &'a str) -> impl Iterator<Item = (usize, String)> + 'a {
    let lines = text.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//"));
    lines.map(move |(i, line)| (i + 1, from_the_root(name, line)))
}

/// Whether a line names something of a module of the crate.
fn names(line: &str, module: &str) -> bool {
    let path = format!("crate::{module}");
    line.match_indices(&path)
        .any(|(at, _)| !line[at + path.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Names that are listed as being across still, and are not there any more.
fn gone_across() -> Vec<String> {
    let there = |(name, module): &&(&str, &str)| {
        fs::read_to_string(name).is_ok_and(|text| code(name, &text).any(|(_, line)| names(&line, module)))
    };
    let gone = STILL_ACROSS.iter().filter(|one| !there(one));
    gone.map(|(name, module)| format!("{name} no longer names {module}: xtask/src/tidy.rs need not list it")).collect()
}

/// A line of a file with every path that goes up written from the root of the crate.
fn from_the_root(name: &str, line: &str) -> String {
    let path = name.trim_end_matches(".rs").trim_end_matches("/mod");
    let mut whole = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("super::") {
        let (before, mut from) = rest.split_at(at);
        let mut folders: Vec<&str> = path.split('/').skip(1).collect();
        while let Some(further) = from.strip_prefix("super::") {
            folders.pop();
            from = further;
        }
        whole.push_str(before);
        whole.push_str("crate::");
        folders.iter().for_each(|f| whole.push_str(&format!("{f}::")));
        rest = from;
    }
    whole + rest
}

fn unfinished(line: &str) -> bool {
    // In two parts, so that a search for them does not find this line.
    [("TO", "DO"), ("FIX", "ME"), ("todo", "!("), ("unimplemented", "!(")]
        .iter()
        .any(|(a, b)| line.contains(&format!("{a}{b}")))
}

/// Functions longer than the bound, by name; relies on rustfmt: a function ends at a brace as deep as its first line.
fn functions(text: &str) -> Vec<(String, usize)> {
    let mut long = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (start, line) in lines.iter().enumerate() {
        let body = line.trim_start();
        let words: Vec<&str> = body.split_whitespace().take(6).collect();
        let Some(at) = words.iter().position(|w| *w == "fn") else { continue };
        let lead = ["pub", "const", "async", "unsafe", "extern", "\"C\""];
        if !words[..at].iter().all(|w| lead.contains(w) || w.starts_with("pub(")) {
            continue;
        }
        let indent = &line[..line.len() - body.len()];
        let end = lines[start..].iter().position(|l| *l == format!("{indent}}}")).unwrap_or(0);
        if end + 1 > FUNCTION_LINES {
            let name = words.get(at + 1).and_then(|w| w.split(['(', '<']).next()).unwrap_or("?");
            long.push((name.to_string(), end + 1));
        }
    }
    long
}

/// Every path of this repository that ARCHITECTURE.md or README.md names in backticks exists.
fn map() -> Result<Vec<String>, String> {
    let mut wrong = Vec::new();
    for document in ["ARCHITECTURE.md", "README.md"].iter().filter(|d| Path::new(d).exists()) {
        let text = fs::read_to_string(document).map_err(|e| format!("{document}: {e}"))?;
        for quoted in text.split('`').skip(1).step_by(2) {
            let path = quoted.split([':', '#']).next().unwrap_or("");
            let ours = TREES.iter().chain(&["xtask", "tuning", ".ci"]).any(|t| path.starts_with(&format!("{t}/")));
            if ours && !path.contains(['*', ' ', '<', '{']) && !Path::new(path).exists() {
                wrong.push(format!("{document}: there is no {path}"));
            }
        }
    }
    Ok(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_forbidden_edges() {
        assert_eq!(edges("src/query/plan.rs", "use crate::worker::Step;\n").len(), 1);
        assert_eq!(edges("src/query/plan.rs", "// use crate::worker::Step;\nuse crate::workers;\n").len(), 0);
        assert_eq!(edges("src/query/plan.rs", "use crate::conn::receipt::Receipt;\n").len(), 0);
        assert_eq!(edges("src/worker/step.rs", "let x = crate::query::ask();\n").len(), 1);
        // Across the cut, but for what is listed.
        assert_eq!(edges("src/store/open.rs", "use crate::index::Run;\n").len(), 1);
        assert_eq!(edges("src/messages/words.rs", "use crate::query::ConnSpec;\n").len(), 0);
        assert_eq!(edges("src/messages/key.rs", "use crate::query::ConnSpec;\n").len(), 1);
        assert_eq!(edges("src/record/mod.rs", "use crate::index::Indexer;\n").len(), 0);
        // Paths that go up are the same paths.
        assert_eq!(edges("src/store/keeper/mod.rs", "use super::scan::Depth;\n").len(), 1);
        assert_eq!(edges("src/store/keeper/shelf/mod.rs", "use super::super::reader::SegmentReader;\n").len(), 1);
        assert_eq!(
            edges("src/store/keeper/shelf/mod.rs", "use super::reader::Shelf;\nuse super::roll::{self, Roll};\n").len(),
            0
        );
        assert_eq!(edges("src/store/seal.rs", "let a = super::layout::x(super::scan::y());\n").len(), 1);
    }

    #[test]
    fn measures_functions() {
        let body = "    x;\n".repeat(100);
        let text = format!("/// fn\npub fn long(a: u8) {{\n{body}}}\n\nfn short() {{\n    y;\n}}\n");
        assert_eq!(functions(&text), [("long".to_string(), 102)]);
    }
}
