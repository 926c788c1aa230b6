//! The original Time Machine's configuration turned into ours. Owns the correspondence of options; what has none is told, never dropped
//! in silence. Called by `retrotap import-config`. The result is checked by the reader of our own configuration.

mod grammar;

use super::Config;
use crate::limits::RECENT_BYTES_MIN;
use grammar::{Item, Part, Value};
use std::fmt::Write;
use std::path::Path;

/// What became of a configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Imported {
    /// Our configuration.
    pub toml: String,
    /// What the user should know, one line each.
    pub notes: Vec<String>,
}

/// Its own defaults, where they differ from ours.
const CUTOFF: u64 = 10_000;
const DISK: u64 = 50_000_000;
const CONN_TIMEOUT: u64 = 1800;

/// A class of theirs.
#[derive(Debug)]
struct Class {
    name: String,
    filter: String,
    precedence: i64,
    /// `None`: no cutoff.
    cutoff: Option<u64>,
    /// `None`: unlimited.
    disk: Option<u64>,
}

/// Turns `text` into ours; the error names the line.
pub fn import(text: &str) -> Result<Imported, String> {
    let mut main = Main { timeout: CONN_TIMEOUT, ..Main::default() };
    let (mut classes, mut notes) = (Vec::new(), Vec::new());
    for part in grammar::parse(text)? {
        match part {
            Part::Main(items) => items.into_iter().try_for_each(|i| main.take(i, &mut notes))?,
            Part::Class(name, line, items) => classes.push(class(name, line, items, &mut main, &mut notes)?),
            Part::Loose(item) => notes.push(format!("line {}: {}: unknown there as well", item.line, item.name)),
        }
    }
    let toml = main.write(settle(classes, &mut notes));
    // Ours has the last word: filters are compiled, names and sizes checked.
    Config::parse(&toml, Path::new("the result")).map_err(|e| e.to_string())?;
    Ok(Imported { toml, notes })
}

#[derive(Debug, Default)]
struct Main {
    device: Option<String>,
    filter: Option<String>,
    workdir: Option<String>,
    log_interval: Option<u64>,
    timeout: u64,
    segment: Option<u64>,
    /// Of all classes together.
    memory: u64,
}

impl Main {
    fn take(&mut self, item: Item, notes: &mut Vec<String>) -> Result<(), String> {
        match (item.name.as_str(), item.values.as_slice()) {
            ("device", [Value::Text(s)]) => self.device = Some(s.clone()),
            ("filter", [Value::Text(s)]) => self.filter = Some(s.clone()).filter(|f| !f.trim().is_empty()),
            ("workdir", [Value::Text(s)]) => self.workdir = Some(s.clone()),
            ("log_interval", [Value::Number(n, _)]) => self.log_interval = Some(*n).filter(|n| *n > 0),
            ("conn_timeout", [Value::Number(n, _)]) => self.timeout = (*n).max(1),
            ("device" | "filter" | "workdir" | "log_interval" | "conn_timeout", _) => return Err(bad(&item)),
            (name, _) => notes.push(format!("line {}: {name}: {}", item.line, instead(name))),
        }
        Ok(())
    }

    fn write(&self, classes: Vec<Class>) -> String {
        let mut out = String::from("# Made by retrotap import-config from a configuration of the Time Machine.\n");
        let mut line = |text: String| {
            let _ = writeln!(out, "{text}");
        };
        if let Some(device) = &self.device {
            line(format!("interfaces = [{}]", quoted(device)));
        }
        if let Some(filter) = &self.filter {
            line(format!("filter = {}", quoted(filter)));
        }
        if let Some(dir) = &self.workdir {
            line(format!("store = {}", quoted(&format!("{}/retrotap", dir.trim_end_matches('/')))));
        }
        let total = classes.iter().try_fold(0u64, |sum, c| sum.checked_add(c.disk?));
        if let Some(total) = total.filter(|t| *t > 0) {
            line(format!("disk = {total}"));
        }
        if let Some(bytes) = self.segment {
            line(format!("segment_size = {bytes}"));
        }
        if self.memory > 0 {
            line(format!("memory = {}", self.memory.max(RECENT_BYTES_MIN)));
        }
        if let Some(seconds) = self.log_interval {
            line(format!("log_interval = \"{seconds}s\""));
        }
        let mut all = false;
        for c in &classes {
            line(format!("\n[class.{}]", c.name));
            if c.name == "all" {
                all = true;
            } else {
                line(format!("filter = {}\nprecedence = {}", quoted(&c.filter), c.precedence));
            }
            match c.cutoff {
                None => line("cutoff = \"none\"".into()),
                Some(0) => line("record = \"none\"".into()),
                Some(n) => line(format!("cutoff = {n}")),
            }
            line(format!("idle_tcp = \"{0}s\"\nidle_other = \"{0}s\"", self.timeout));
            if let Some(disk) = c.disk {
                line(format!("disk = {disk}"));
            }
        }
        if !all {
            line("\n# What no class matched was not stored.\n[class.all]\nrecord = \"none\"".into());
        }
        out
    }
}

/// What takes the place of an option of `main`.
fn instead(name: &str) -> &'static str {
    match name {
        "read_tracefile" => "name it on the command line: retrotap record -r FILE",
        "index" => "not needed: every segment is indexed by address, port, protocol, VLAN and connection",
        "indexdir" | "queryfiledir" | "classdir_format" | "profilepath" => "not needed: the store has one layout",
        "logfile" | "log_level" | "daemon" => {
            "not needed: it logs to standard error (-v, -q), a service manager keeps it"
        }
        "console" | "rmtconsole" | "rmtconsole_port" | "rmtconsole_listen_addr" => {
            "use retrotap query beside the recording"
        }
        name if name.starts_with("bro_") => "Broccoli is discontinued; there is nothing to take its place yet",
        "tweak_capture_thread" => "workers run pinned and with priority by themselves",
        "max_subscriptions" | "max_index_entries" => "no such limit",
        _ => "unknown: not taken over",
    }
}

fn class(
    name: String,
    line: usize,
    items: Vec<Item>,
    main: &mut Main,
    notes: &mut Vec<String>,
) -> Result<Class, String> {
    let plain: String = name
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' { c } else { '-' })
        .collect();
    if plain != name {
        notes.push(format!("line {line}: class {name} is called {plain}"));
    }
    let mut class = Class { name: plain, filter: String::new(), precedence: 0, cutoff: Some(CUTOFF), disk: Some(DISK) };
    for item in items {
        match (item.name.as_str(), item.values.as_slice()) {
            ("filter", [Value::Text(s)]) => class.filter = s.trim().to_owned(),
            ("precedence", [Value::Number(n, _)]) => class.precedence = i64::try_from(*n).unwrap_or(i64::MAX),
            ("precedence", [Value::Word(w)]) => class.precedence = w.parse().map_err(|_| bad(&item))?,
            ("cutoff", [Value::Number(n, _)]) => class.cutoff = Some(*n),
            ("cutoff", [Value::Word(w)]) if w == "no" => class.cutoff = None,
            ("disk", [Value::Number(n, _)]) => class.disk = Some(*n),
            ("disk", [Value::Word(w)]) if w == "unlimited" => class.disk = None,
            // One size for all classes here: the largest.
            ("filesize", [Value::Number(n, _)]) => main.segment = main.segment.max(Some((*n).max(8 << 20))),
            ("mem", [Value::Number(n, _)]) => {
                main.memory = main.memory.saturating_add(*n);
                let why =
                    "the sum is one budget that all classes share; a class may have `memory` of its own within it";
                notes.push(format!("line {}: mem of class {}: {why}", item.line, class.name));
            }
            ("filter" | "precedence" | "cutoff" | "disk" | "filesize" | "mem", _) => return Err(bad(&item)),
            ("dyn_timeout", _) => notes.push(format!(
                "line {}: dyn_timeout of class {}: said with each assignment here",
                item.line, class.name
            )),
            (name, _) => notes.push(format!("line {}: {name} of class {}: not needed here", item.line, class.name)),
        }
    }
    Ok(class)
}

/// The class that matches everything becomes `all`; what lies below it could never match.
fn settle(mut classes: Vec<Class>, notes: &mut Vec<String>) -> Vec<Class> {
    classes.sort_by_key(|c| std::cmp::Reverse(c.precedence));
    if let Some(at) = classes.iter().position(|c| c.filter.is_empty()) {
        for c in classes.drain(at + 1..) {
            notes.push(format!("class {}: a class before it matched everything; left out", c.name));
        }
        if let Some(last) = classes.last_mut().filter(|c| c.name != "all") {
            notes.push(format!("class {} matched everything: here its name is all", last.name));
            last.name = "all".into();
        }
    }
    for c in classes.iter_mut().filter(|c| c.name == "all" && !c.filter.is_empty()) {
        c.name = "all-filtered".into();
        notes.push("class all had a filter: here it is called all-filtered".into());
    }
    classes
}

fn bad(item: &Item) -> String {
    format!("line {}: {}: not a value that it can have", item.line, item.name)
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests;
