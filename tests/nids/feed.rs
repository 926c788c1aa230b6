//! Any other tool on a pipe: `query --follow` gives it the past and goes on with what comes.

use crate::common::Retrotap;
use crate::rig::{Daemon, packet};
use std::process::{Command, Output, Stdio};

/// 300 packets through `query --follow` into a tool, 200 of them recorded while it reads.
fn into(tool: &mut Command, sink: &str) -> Option<Output> {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", "16MiB"]);
    daemon.feed((0..100).map(packet));
    daemon.until_count(100);
    let fifo = r.dir().join("feed");
    let mut query = r.command(&[
        "query",
        "--follow",
        "--limit",
        "300",
        "--for",
        "60s",
        "-w",
        if sink == "-" { "-" } else { fifo.to_str()? },
    ]);
    let tool = if sink == "-" {
        let mut query = query.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary runs");
        tool.stdin(query.stdout.take().expect("a pipe"));
        std::thread::spawn(move || query.wait());
        tool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    } else {
        let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs");
        assert!(made.success());
        let mut query = query.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs");
        std::thread::spawn(move || query.wait());
        tool.arg(&fifo).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    };
    let Ok(tool) = tool else {
        daemon.stop();
        return None;
    };
    daemon.feed((100..300).map(packet));
    // The limit ends the query, and with it the tool.
    let out = tool.wait_with_output().expect("its output");
    daemon.stop();
    Some(out)
}

#[test]
fn a_follower_feeds_tcpdump_through_a_pipe_and_a_fifo() {
    for sink in ["-", "fifo"] {
        let mut tcpdump = Command::new("tcpdump");
        tcpdump.args(if sink == "-" { &["-nr", "-"][..] } else { &["-nr"] });
        let Some(out) = into(&mut tcpdump, sink) else {
            eprintln!("skipped: a_follower_feeds_tcpdump_through_a_pipe_and_a_fifo: there is no tcpdump");
            return;
        };
        let said = String::from_utf8_lossy(&out.stdout);
        assert_eq!(said.lines().count(), 300, "{sink}: {said}{}", String::from_utf8_lossy(&out.stderr));
    }
}

#[test]
fn a_follower_feeds_a_real_suricata() {
    let logs = tempfile::tempdir().expect("a directory");
    let rules = logs.path().join("all.rules");
    std::fs::write(&rules, "alert udp any any -> any 53 (msg:\"seen\"; content:\"|00 00|\"; sid:9000004; rev:1;)\n")
        .expect("rules");
    let mut suricata = Command::new("suricata");
    suricata
        .args(["-r", "/dev/stdin", "-k", "none", "--runmode", "single", "-l"])
        .arg(logs.path())
        .arg("-S")
        .arg(&rules);
    let Some(out) = into(&mut suricata, "-") else {
        eprintln!("skipped: a_follower_feeds_a_real_suricata: there is no suricata");
        return;
    };
    let said = [out.stdout, out.stderr].map(|o| String::from_utf8_lossy(&o).into_owned()).concat();
    let alerts = std::fs::read_to_string(logs.path().join("fast.log")).unwrap_or_default();
    assert_eq!(alerts.lines().count(), 300, "{said}");
}
