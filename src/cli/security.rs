//! `retrotap doctor --security`: what a recorder that runs may still do, process by process and thread by thread.

use super::table::Table;
use super::{Exit, Failure, say, show};
use crate::parent;
use crate::privilege::{self, Looked, OF_FILES};
use crate::shape::Count;
use crate::store::catalog::Catalog;
use crate::store::layout::Layout;
use crate::units;
use schemars::JsonSchema;
use serde::Serialize;
use std::io::Write;
use std::path::Path;

/// Threads that face clients, or parse packets for their answers: they have no capability.
const GIVEN_UP: [&str; 20] = [
    "api",
    "audit",
    "books",
    "desk",
    "follow",
    "holds",
    "index-check",
    "indexer",
    "keep",
    "look-ups",
    "memory",
    "metrics",
    "query",
    "recent",
    "recent-index",
    "recent-take",
    "recovery",
    "reports",
    "requests",
    "sides",
];

/// What a recorder may do.
#[derive(Serialize, JsonSchema)]
pub struct Security {
    /// The process that records.
    #[serde(with = "Count")]
    pid: u64,
    /// What is not as it should be.
    wrong: Vec<String>,
    /// Version of this kernel's Landlock, which holds serve to its own files; null: there is none, and serve reaches whatever its user does.
    landlock: Option<u8>,
    /// The processes of the recorder: that which records first.
    processes: Vec<ProcessRights>,
}

/// What a process of a recorder may do.
#[derive(Serialize, JsonSchema)]
pub struct ProcessRights {
    /// Number of the process.
    #[serde(with = "Count")]
    pid: u64,
    /// What it does: `capture` records, `serve` answers, `parent` starts both; `recorder`: one process does all.
    role: &'static str,
    /// Whether other processes of its user can read its memory, where packets are; null: it is root's, and root may.
    dumpable: Option<bool>,
    /// Its threads, those of one kind together.
    threads: Vec<ThreadRights>,
}

/// Threads of one name that may do the same.
#[derive(Serialize, JsonSchema)]
pub struct ThreadRights {
    /// Their name.
    name: String,
    /// How many.
    #[serde(with = "Count")]
    count: u64,
    /// Number of the user that they run as.
    #[serde(with = "Count")]
    user: u64,
    /// Capabilities in force: `net_admin`.
    capabilities: Vec<String>,
    /// Those that they can put in force, beside.
    more_capabilities: Vec<String>,
    /// What they start gains no right.
    no_new_privileges: bool,
    /// System calls are filtered.
    seccomp: bool,
}

/// Looks and says.
pub fn run(store: &Path, json: bool) -> Result<Exit, Failure> {
    let none = || Failure::cannot(format!("{}: no recorder runs there", store.display()));
    let layout = Layout::new(store);
    let catalog = Catalog::open(&layout).filter(|c| c.alive(&layout, units::now())).ok_or_else(none)?;
    let pid = u32::try_from(catalog.process()).map_err(|_| none())?;
    let failed = |pid| move |e| Failure::cannot(format!("process {pid}: {e}"));
    let mut looked = vec![(role(pid), privilege::look(pid).map_err(failed(pid))?)];
    for pid in privilege::family(pid) {
        // One that has ended meanwhile may do nothing.
        looked.extend(privilege::look(pid).ok().map(|one| (role(pid), one)));
    }
    let s = of(looked);
    let exit = if s.wrong.is_empty() { Exit::Done } else { Exit::Incomplete };
    match json {
        true => show::json_line(&s),
        false => say::out().write_all(text(&s).as_bytes()).map_err(Failure::cannot)?,
    }
    Ok(exit)
}

/// By its first word.
fn role(pid: u32) -> &'static str {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    match line.split(|b| *b == 0).nth(1) {
        Some(word) if word == parent::CAPTURE.as_bytes() => CAPTURE,
        Some(word) if word == parent::SERVE.as_bytes() => SERVE,
        _ => RECORDER,
    }
}

const RECORDER: &str = "recorder";
const CAPTURE: &str = "capture";
const SERVE: &str = "serve";

fn of(looked: Vec<(&'static str, Looked)>) -> Security {
    let pid = looked.first().map_or(0, |(_, first)| first.pid.into());
    let mut wrong = Vec::new();
    let of_files: Vec<String> = OF_FILES.iter_names().map(|(name, _)| name.to_lowercase()).collect();
    let mut process = |(role, looked): (&'static str, Looked)| {
        // Beside one that records, whoever is none of the halves has started it.
        let role = if role == RECORDER && looked.pid != pid as u32 { "parent" } else { role };
        for t in &looked.threads {
            let more = t.capabilities.iter().chain(&t.more).any(|c| t.user != 0 || !of_files.contains(c));
            if more && (role == SERVE || GIVEN_UP.contains(&&*t.name)) {
                wrong.push(format!("threads {} of {role} have capabilities that they do not need", t.name));
            }
            if !t.seccomp {
                wrong.push(format!("threads {} of {role} make any system call", t.name));
            }
            // The parent is who starts: what it starts has that from its beginning.
            if !t.no_new_privs {
                wrong.push(format!("what threads {} of {role} start can gain rights", t.name));
            }
        }
        if looked.dumpable == Some(true) && role != "parent" {
            wrong.push(format!(
                "other processes of its user can read the memory of {role}, and a core file would have packets in it"
            ));
        }
        let threads = looked.threads.into_iter().map(|t| ThreadRights {
            name: t.name,
            count: t.count as u64,
            user: t.user.into(),
            capabilities: t.capabilities,
            more_capabilities: t.more,
            no_new_privileges: t.no_new_privs,
            seccomp: t.seccomp,
        });
        ProcessRights { pid: looked.pid.into(), role, dumpable: looked.dumpable, threads: threads.collect() }
    };
    let processes = looked.into_iter().map(&mut process).collect();
    Security { pid, wrong, landlock: privilege::landlock(), processes }
}

fn text(s: &Security) -> String {
    let list = |c: &[String]| if c.is_empty() { "none".to_owned() } else { c.join(" ") };
    let process = |p: &ProcessRights| {
        let mut table =
            Table::new(&["threads", ">count", ">user", "capabilities", "can be had", "new rights", "system calls"]);
        for t in &p.threads {
            table.row([
                t.name.clone(),
                t.count.to_string(),
                t.user.to_string(),
                list(&t.capabilities),
                list(&t.more_capabilities),
                if t.no_new_privileges { "none" } else { "by exec" }.into(),
                if t.seccomp { "filtered" } else { "all" }.into(),
            ]);
        }
        let memory = match p.dumpable {
            Some(true) => "its user's processes can read its memory",
            Some(false) => "only root can read its memory",
            None => "it is root's",
        };
        format!("{}, process {}: {memory}\n\n{table}", p.role, p.pid)
    };
    let mut text = s.processes.iter().map(process).collect::<Vec<_>>().join("\n");
    text += &match s.landlock {
        // All that is on the list: ports from 4, signals from 6 on.
        Some(version) if version >= 6 => "\nserve reaches its own files alone (Landlock)\n".to_owned(),
        Some(version) => format!("\nserve reaches its own files alone, as far as version {version} of Landlock goes\n"),
        None => "\nserve reaches whatever its user does: this kernel has no Landlock\n".to_owned(),
    };
    for w in &s.wrong {
        text += &format!("\nnot ok: {w}");
    }
    if !s.wrong.is_empty() {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privilege::Threads;

    #[test]
    fn what_is_too_much_is_wrong() {
        let thread = |name: &str, user, capabilities: &[&str], no_new_privs| Threads {
            name: name.into(),
            count: 2,
            user,
            capabilities: capabilities.iter().map(|c| (*c).into()).collect(),
            more: Vec::new(),
            no_new_privs,
            seccomp: name != "bare",
        };
        let looked = |threads: Vec<Threads>, dumpable| Looked { pid: 7, dumpable, threads };
        let wrong = |threads, dumpable| of(vec![(RECORDER, looked(threads, dumpable))]).wrong.len();
        let fine = vec![
            thread("worker", 9, &["net_admin"], true),
            thread("api", 9, &[], true),
            thread("query", 0, &["dac_override", "chown"], true),
        ];
        assert_eq!(wrong(fine.clone(), Some(false)), 0);
        assert_eq!(wrong(fine, Some(true)), 1);
        assert_eq!(wrong(vec![thread("api", 9, &["dac_override"], true)], None), 1);
        assert_eq!(wrong(vec![thread("api", 0, &["bpf"], true)], None), 1);
        assert_eq!(wrong(vec![thread("worker", 0, &["bpf"], false)], None), 1);
        assert_eq!(wrong(vec![thread("bare", 9, &[], true)], None), 1);
        let own = || vec![thread("worker", 9, &["bpf"], true)];
        let beside = |role, threads| {
            let other = Looked { pid: 8, ..looked(threads, Some(false)) };
            of(vec![(CAPTURE, looked(own(), Some(false))), (role, other)])
        };
        assert_eq!(beside(SERVE, own()).wrong.len(), 1, "nothing in serve may");
        let parent = beside(RECORDER, own());
        assert_eq!((parent.wrong.len(), parent.processes[1].role), (0, "parent"));
    }
}
