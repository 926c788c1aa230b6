//! The audit log: it only grows, and where it can't be written nothing is answered but statistics.

use crate::common::{Retrotap, processes};
use crate::rig::{Daemon, packet};

/// Names of the log's files of today and tomorrow: a test at midnight has two.
fn days() -> Vec<String> {
    let now = retrotap::units::now();
    let day = |t: u64| format!("{}.jsonl", &retrotap::units::time(t)[..10]);
    vec![day(now), day(now + 86_400_000_000_000)]
}

#[test]
fn where_the_log_cannot_be_written_only_statistics_are_answered() {
    let name = "where_the_log_cannot_be_written_only_statistics_are_answered";
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: {name}: it takes root to make a file that is always full");
        return;
    }
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &[]);
    daemon.feed((0..10).map(packet));
    daemon.until_count(10);
    daemon.stop();
    let dir = r.store().join("audit");
    std::fs::remove_dir_all(&dir).expect("the log of before");
    std::fs::create_dir(&dir).expect("a log");
    // A disk that is full: /dev/full by another name, since no link is followed.
    for day in days() {
        let made = std::process::Command::new("mknod").arg(dir.join(day)).args(["c", "1", "7"]).status();
        if !made.is_ok_and(|s| s.success()) {
            eprintln!("skipped: {name}: no device can be made here");
            return;
        }
    }
    let daemon = Daemon::start(&r, &[]);
    let ask = |path: &str| daemon.ask(path, "{}");
    // What was asked before the disk refused is known only afterwards.
    let (status, error) = daemon.until("a refusal", || Some(ask("/v1/count")).filter(|(s, _)| *s != 200));
    assert!(
        status == 503 && error["error"]["message"].as_str().is_some_and(|e| e.contains("audit log")),
        "{status} {error}"
    );
    assert_eq!((ask("/v1/query").0, ask("/v1/connections").0, ask("/v1/losses").0), (503, 503, 200));
    let shown = r.run(&["status", "--json"]).json();
    assert!(shown["audit"]["failing"].is_string(), "{shown}");
    // There is room again: what was asked meanwhile is entered, and answers go on.
    for day in days() {
        std::fs::remove_file(dir.join(day)).expect("the device");
    }
    daemon.until("answers", || (ask("/v1/count").0 == 200).then_some(()));
    let lines = daemon.audit(|l| l.iter().any(|l| l["request"] == "POST /v1/count" && l["status"] == 200));
    assert!(lines.iter().filter(|l| l["status"] == 503).count() >= 3, "{lines:?}");
    daemon.stop();
}

#[test]
fn the_log_is_only_ever_appended_to() {
    let r = Retrotap::default();
    let mut before = Vec::new();
    for n in 0..2 {
        let mut daemon = Daemon::start(&r, &[]);
        daemon.feed((n * 10..n * 10 + 10).map(packet));
        daemon.until_count(u64::from(n) * 10 + 10);
        let (status, answer) = daemon.ask("/v1/count", r#"{"filter": "udp"}"#);
        assert_eq!(status, 200, "{answer}");
        let asked = |l: &&serde_json::Value| l["ask"]["filter"] == "udp";
        daemon.audit(|l| l.iter().filter(asked).count() == n as usize + 1);
        // It is open to append, whoever writes.
        let pid = processes::with_thread(daemon.child.id(), "api").expect("the process that answers");
        let mut seen = 0;
        for fd in std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its files").flatten() {
            let is = std::fs::read_link(fd.path()).unwrap_or_default();
            if is.parent() != Some(&r.store().join("audit")) {
                continue;
            }
            seen += 1;
            let name = fd.file_name().to_string_lossy().into_owned();
            let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{name}")).expect("what it is open for");
            let flags = info.lines().find_map(|l| l.strip_prefix("flags:")).expect("flags").trim().to_owned();
            let flags = u32::from_str_radix(&flags, 8).expect("octal");
            assert_ne!(flags & rustix::fs::OFlags::APPEND.bits(), 0, "{info}");
        }
        assert_eq!(seen, 1);
        daemon.stop();
        let mut now = Vec::new();
        let mut files: Vec<_> = std::fs::read_dir(r.store().join("audit")).expect("the log").flatten().collect();
        files.sort_by_key(|f| f.file_name());
        files.iter().for_each(|f| now.extend(std::fs::read(f.path()).expect("a day")));
        assert!(now.starts_with(&before) && now.len() > before.len());
        before = now;
    }
}
