//! The tools of the trade read what a recording left, as it is: every sealed segment in tcpdump, tshark, capinfos and Suricata, with exactly
//! the packets that were stored. A tool that is not installed is reported as skipped.

mod common;

use common::{Retrotap, captures, segments};
use std::path::Path;
use std::process::Command;

/// Standard output and error of a tool that read the segment to its end; `None` if it is not installed.
fn output(tool: &str, args: &[&str]) -> Option<String> {
    let o = match Command::new(tool).args(args).output() {
        Ok(o) => o,
        Err(_) => {
            eprintln!("skipped: segments_open_everywhere: {tool} is not installed");
            return None;
        }
    };
    let text = format!("{}{}", String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr));
    assert!(o.status.success(), "{tool} {args:?}: {text}");
    Some(text)
}

/// The number behind a word.
fn after(text: &str, word: &str) -> Option<u64> {
    let digits =
        |s: &str| s.trim_start_matches([' ', ':']).chars().take_while(char::is_ascii_digit).collect::<String>();
    text.split_once(word).and_then(|(_, rest)| digits(rest).parse().ok())
}

fn tcpdump(segment: &str) -> Option<u64> {
    // --count came with tcpdump 4.99.
    output("tcpdump", &["--count", "-r", segment])?.split_whitespace().rev().nth(1)?.parse().ok()
}

fn tshark(segment: &str) -> Option<u64> {
    Some(
        output("tshark", &["-n", "-r", segment, "-T", "fields", "-e", "frame.number"])?
            .lines()
            .filter(|l| l.parse::<u64>().is_ok())
            .count() as u64,
    )
}

fn capinfos(segment: &str) -> Option<u64> {
    after(&output("capinfos", &["-c", "-M", segment])?, "Number of packets")
}

fn suricata(segment: &str, logs: &Path) -> Option<u64> {
    let logs = logs.to_string_lossy();
    let said =
        output("suricata", &["-r", segment, "-l", &logs, "-S", "/dev/null", "--runmode", "single", "-k", "none"])?;
    after(&said, "read 1 file, ")
}

/// How many packets a tool sees in a segment; `None` if it is not installed.
type Count<'a> = &'a dyn Fn(&str) -> Option<u64>;

#[test]
fn segments_open_everywhere() {
    let wanted = ["mix_apps_a.pcap", "dns_root_nsd_live.pcapng", "vxlan_burst.pcap"];
    let files: Vec<_> =
        captures("segments_open_everywhere").into_iter().filter(|p| wanted.iter().any(|w| p.ends_with(w))).collect();
    if files.is_empty() {
        return;
    }
    let r = Retrotap::default();
    let paths: Vec<&Path> = files.iter().map(|p| p.as_path()).collect();
    let (ran, account) = r.record(&paths, &["--segment-size", "4MiB"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let stored = account["stored"]["packets"].as_u64().expect("a number");
    assert!(stored > 50_000, "{account}");
    let sealed = segments(&r.store());
    assert!(sealed.len() > 2, "{sealed:?}");
    let unindexed: Vec<_> = sealed.iter().filter(|s| !s.with_extension("idx").exists()).collect();
    assert!(unindexed.is_empty(), "{unindexed:?}");
    let logs = tempfile::tempdir().expect("a directory");
    let tools: [(&str, Count<'_>); 4] = [
        ("tcpdump", &tcpdump),
        ("tshark", &tshark),
        ("capinfos", &capinfos),
        ("suricata", &|s| suricata(s, logs.path())),
    ];
    for (name, count) in tools {
        let counts: Option<Vec<u64>> = sealed.iter().map(|s| count(&s.to_string_lossy())).collect();
        if let Some(counts) = counts {
            assert_eq!(counts.iter().sum::<u64>(), stored, "{name} counts {counts:?}");
        }
    }
}

/// An answer says in its header what was asked and what is missing: capinfos shows it, and every tool reads the packets as before.
#[test]
fn an_answer_says_what_is_missing_to_the_tools() {
    let r = Retrotap::default();
    let capture = r.dir().join("c.pcap");
    let mut file: Vec<u8> =
        [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 1].iter().flat_map(|v| v.to_le_bytes()).collect();
    for n in 0..200u32 {
        file.extend([1_600_000_000 + n, 0, 60, 60].iter().flat_map(|v: &u32| v.to_le_bytes()));
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0];
        frame.extend([10, 0, 0, 1, 10, 9, 0, n as u8, 0, 53, 0, 53, 0, 26, 0, 0]);
        frame.resize(60, 0);
        file.extend(frame);
    }
    std::fs::write(&capture, file).expect("a capture");
    r.record(&[&capture], &[]);
    let answer = r.dir().join("a.pcapng").to_string_lossy().into_owned();
    let ran = r.run(&["query", "host 10.0.0.1 and udp", "--limit", "150", "-w", &answer]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let logs = tempfile::tempdir().expect("a directory");
    let tools: [(&str, Count<'_>); 4] = [
        ("tcpdump", &tcpdump),
        ("tshark", &tshark),
        ("capinfos", &capinfos),
        ("suricata", &|s| suricata(s, logs.path())),
    ];
    for (name, count) in tools {
        if let Some(packets) = count(&answer) {
            assert_eq!(packets, 150, "{name}");
        }
    }
    let Some(said) = output("capinfos", &["-k", &answer]) else { return };
    for words in [
        "Asked: host 10.0.0.1 and udp; at most 150 packets",
        "Window: all times",
        "Answer: 150 packets",
        "more would have matched",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// The units that are shipped, as systemd reads them; only the program's place is another, and its pages are not installed.
#[test]
fn the_units_are_what_systemd_takes() {
    let dir = tempfile::tempdir().expect("a folder");
    for name in ["retrotap.service", "retrotap-nids.service"] {
        let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning").join(name);
        let text = std::fs::read_to_string(&unit).expect("the unit");
        assert!(text.contains("ExecStart=/usr/local/bin/retrotap "), "{name}");
        let here = dir.path().join(name);
        std::fs::write(&here, text.replace("/usr/local/bin/retrotap", env!("CARGO_BIN_EXE_retrotap"))).expect("writes");
        let Ok(o) = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&here).output() else {
            eprintln!("skipped: the_units_are_what_systemd_takes: there is no systemd-analyze (cargo xtask setup)");
            return;
        };
        let said = String::from_utf8_lossy(&o.stderr);
        let ours: Vec<&str> = said.lines().filter(|l| l.contains("retrotap")).collect();
        assert!(o.status.success() && ours.is_empty(), "{name}: {said}");
    }
}
