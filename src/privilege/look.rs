//! What the threads of a process may do, as the kernel says it (/proc/PID/task/TID/status, proc(5)). Looks only.

use rustix::thread::CapabilitySet;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Its number.
    pub pid: u32,
    /// Whether another process of its user could read its memory, or a core file has it. `None`: it is root's, of which this can't be told.
    pub dumpable: Option<bool>,
    /// Its threads.
    pub threads: Vec<Threads>,
}

/// Threads of one name that may do the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Threads {
    /// Their name, without the number at its end.
    pub name: String,
    /// How many.
    pub count: usize,
    /// Effective user.
    pub user: u32,
    /// Effective capabilities: `net_admin`.
    pub capabilities: Vec<String>,
    /// Those that they could make effective, beside.
    pub more: Vec<String>,
    /// What they exec gains nothing.
    pub no_new_privs: bool,
    /// System calls are filtered.
    pub seccomp: bool,
}

/// Looks at a process that runs.
pub fn look(pid: u32) -> io::Result<Looked> {
    let of = format!("/proc/{pid}");
    let mut same: BTreeMap<Threads, usize> = BTreeMap::new();
    for task in std::fs::read_dir(format!("{of}/task"))? {
        // A thread that has ended meanwhile may do nothing.
        let Ok(status) = std::fs::read_to_string(task?.path().join("status")) else { continue };
        if let Some(one) = parse(&status) {
            *same.entry(one).or_default() += 1;
        }
    }
    if same.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let threads = same.into_iter().map(|(one, count)| Threads { count, ..one }).collect();
    Ok(Looked { pid, dumpable: dumpable(Path::new(&of))?, threads })
}

/// The other processes of a recorder of which one is given: who started it, if that is the same program, and what that one has started
/// besides.
pub fn family(pid: u32) -> Vec<u32> {
    let parent = |pid: u32| -> Option<u32> {
        field(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "PPid:")?.parse().ok()
    };
    // By its file: what a link is called, or which name it has given itself, says nothing.
    let program = |pid: u32| std::fs::metadata(format!("/proc/{pid}/exe")).map(|m| (m.dev(), m.ino())).ok();
    let own = program(pid);
    let Some(first) = parent(pid).filter(|first| own.is_some() && program(*first) == own) else { return Vec::new() };
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let beside = numbers.filter(|other| *other != pid && parent(*other) == Some(first) && program(*other) == own);
    let mut family = vec![first];
    family.extend(beside);
    family
}

/// The kernel gives root what is in /proc of a process that is not dumpable.
fn dumpable(of: &Path) -> io::Result<Option<bool>> {
    let text = std::fs::read_to_string(of.join("status"))?;
    let user = field(&text, "Uid:").and_then(|u| u.split_whitespace().nth(1)?.parse::<u32>().ok());
    let owner = std::fs::metadata(of.join("environ"))?.uid();
    Ok(user.filter(|u| *u != 0).map(|u| u == owner))
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|l| l.strip_prefix(name)).map(str::trim)
}

fn parse(status: &str) -> Option<Threads> {
    let set = |name: &str| u64::from_str_radix(field(status, name)?, 16).ok().map(CapabilitySet::from_bits_retain);
    let (effective, permitted) = (set("CapEff:")?, set("CapPrm:")?);
    let name = field(status, "Name:")?;
    let short = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-');
    Some(Threads {
        name: if short.is_empty() { name } else { short }.to_owned(),
        count: 0,
        user: field(status, "Uid:")?.split_whitespace().nth(1)?.parse().ok()?,
        capabilities: names(effective),
        more: names(permitted - effective),
        no_new_privs: field(status, "NoNewPrivs:") == Some("1"),
        seccomp: field(status, "Seccomp:").is_some_and(|s| s != "0"),
    })
}

fn names(set: CapabilitySet) -> Vec<String> {
    let known = CapabilitySet::from_bits_truncate((1 << 41) - 1);
    (set & known).iter_names().map(|(name, _)| name.to_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tquery-12\nUmask:\t0027\nUid:\t1000\t1001\t1001\t1001\nCapInh:\t0000000000000000\n\
        CapPrm:\t0000008000003000\nCapEff:\t0000000000001000\nNoNewPrivs:\t1\nSeccomp:\t2\n";

    #[test]
    fn a_status_is_read() {
        let one = parse(STATUS).unwrap();
        assert_eq!((&*one.name, one.user, one.no_new_privs, one.seccomp), ("query", 1001, true, true));
        assert_eq!(
            (one.capabilities, one.more),
            (vec!["net_admin".to_owned()], vec!["net_raw".to_owned(), "bpf".to_owned()])
        );
        for cut in 0..STATUS.len() {
            let _ = parse(&STATUS[..cut]);
        }
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let looked = look(std::process::id()).unwrap();
        assert!(looked.threads.iter().map(|t| t.count).sum::<usize>() >= 1);
        assert!(look(u32::MAX).is_err());
    }
}
