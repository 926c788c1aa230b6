//! Bad input and hard times: what is readable is recorded, the rest counted and named; an error says what and where and
//! what to do; nothing that was stored is lost.

mod common;

use common::{Retrotap, own, processes};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A pcap file of `packets` (seconds, nanoseconds, data), little endian, of this link type.
fn pcap(path: &Path, link_type: u32, packets: &[(u32, u32, Vec<u8>)]) -> Vec<u8> {
    let mut f = Vec::new();
    for n in [0xa1b2_3c4d, 0x0004_0002, 0, 0, 262_144, link_type] {
        f.extend(u32::to_le_bytes(n));
    }
    for (s, ns, data) in packets {
        for n in [*s, *ns, data.len() as u32, data.len() as u32] {
            f.extend(n.to_le_bytes());
        }
        f.extend(data);
    }
    std::fs::write(path, &f).expect("a capture");
    f
}

/// Ethernet, IPv4, UDP from port `n`.
fn udp(n: u16, len: usize) -> Vec<u8> {
    let mut p = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    let ip = (len.max(42) - 14).min(65_535) as u16;
    p.extend([0x45, 0]);
    p.extend(ip.to_be_bytes());
    p.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    p.extend(n.to_be_bytes());
    p.extend([0, 53]);
    p.extend((ip - 20).to_be_bytes());
    p.extend([0, 0]);
    p.resize(len, 7);
    p
}

fn back(r: &Retrotap) -> Vec<common::Seen> {
    let path = r.dir().join("back.pcapng");
    let q = r.run(&["query", "--force", "-w", &path.to_string_lossy()]);
    assert_eq!(q.code, Some(0), "{}", q.err);
    own(&path)
}

#[test]
fn a_truncated_file() {
    let r = Retrotap::default();
    let path = r.dir().join("x.pcap");
    let bytes = pcap(&path, 1, &[(1, 2, udp(1, 60)), (3, 4, udp(2, 60)), (5, 6, udp(3, 60))]);
    for (cut, whole, lost) in
        [(bytes.len() - 1, 2, 1), (24 + 76 + 10, 1, 1), (24 + 76, 1, 0), (24, 0, 0), (10, 0, 0), (0, 0, 0)]
    {
        std::fs::write(&path, &bytes[..cut]).expect("a capture");
        let r = Retrotap::default();
        let (ran, account) = r.record(&[&path], &[]);
        assert_eq!(account["stored"]["packets"], whole, "cut at {cut}");
        assert_eq!(account["lost"], lost, "cut at {cut}");
        let broken = cut != 24 && cut != 24 + 76;
        assert_eq!(ran.code, Some(i32::from(broken)), "cut at {cut}: {}", ran.err);
        assert_eq!(ran.err.contains("x.pcap"), broken, "cut at {cut}: {}", ran.err);
        assert_eq!(back(&r).len(), whole, "cut at {cut}");
    }
}

#[test]
fn a_lying_length_ends_one_file_and_the_next_is_read() {
    let r = Retrotap::default();
    let (bad, good) = (r.dir().join("bad.pcap"), r.dir().join("good.pcap"));
    let mut bytes = pcap(&bad, 1, &[(1, 2, udp(1, 60))]);
    for n in [1, 1, u32::MAX, 60] {
        bytes.extend(n.to_le_bytes());
    }
    bytes.extend([0; 500]);
    std::fs::write(&bad, bytes).expect("a capture");
    pcap(&good, 1, &[(3, 4, udp(2, 60))]);
    let (ran, account) = r.record(&[&bad, &good], &[]);
    assert_eq!(ran.code, Some(1));
    assert_eq!((&account["stored"]["packets"], &account["lost"]), (&2.into(), &1.into()));
    assert!(ran.err.contains("bad.pcap: at byte 100: a packet claims 4294967295"), "{}", ran.err);
    assert!(!ran.err.contains("good.pcap"), "{}", ran.err);
    assert_eq!(account["files"][0]["faults"][0]["offset_bytes"], 100);
    assert_eq!(back(&r).len(), 2);
}

#[test]
fn odd_link_types_lengths_and_times_come_back() {
    for link_type in [1u32, 147, 9999, 65_535] {
        let r = Retrotap::default();
        let path = r.dir().join("x.pcap");
        let packets = [
            (1_700_000_000, 999_999_999, vec![]),
            (0, 0, udp(1, 60)),
            (1_600_000_000, 1, udp(2, 262_144)),
            (u32::MAX, 5, vec![1]),
            (1_700_000_000, 999_999_999, udp(3, 65_600)),
        ];
        pcap(&path, link_type, &packets);
        let (ran, account) = r.record(&[&path], &["--cutoff", "none"]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert_eq!(account["stored"]["packets"], 5);
        let mut want = own(&path);
        want.sort_by_key(|p| p.time);
        assert!(back(&r) == want, "link type {link_type}");
    }
}

#[test]
fn the_snap_length_cuts_and_the_wire_length_stays() {
    let r = Retrotap::default();
    let path = r.dir().join("x.pcap");
    pcap(&path, 1, &[(1, 2, udp(1, 1000)), (2, 2, udp(1, 50))]);
    r.record(&[&path], &["--snaplen", "96"]);
    let got: Vec<_> = back(&r).iter().map(|p| (p.data.len(), p.wire_len)).collect();
    assert_eq!(got, [(96, 1000), (50, 50)]);
}

#[test]
fn what_is_no_capture_is_said_and_the_store_is_usable() {
    let r = Retrotap::default();
    let text = r.dir().join("notes.txt");
    std::fs::write(&text, "GET / HTTP/1.1\r\n").expect("a file");
    let (ran, account) = r.record(&[&text], &[]);
    assert_eq!((ran.code, &account["lost"]), (Some(1), &0.into()));
    assert!(ran.err.contains("not pcap or pcapng"), "{}", ran.err);
    let missing = r.run(&["record", "-r", "/does/not/exist.pcap"]);
    assert_eq!(missing.code, Some(3));
    assert!(missing.err.contains("/does/not/exist.pcap"), "{}", missing.err);
    assert!(back(&r).is_empty());
}

#[test]
fn an_error_in_a_filter_has_libpcaps_words_and_the_place() {
    let r = Retrotap::default();
    let path = r.dir().join("x.pcap");
    pcap(&path, 1, &[(1, 2, udp(1, 60))]);
    r.record(&[&path], &[]);
    for (filter, words) in
        [("udp and and port 5", "syntax error"), ("port 99999999", "port"), ("host nowhere.example", "nowhere.example")]
    {
        for args in [&["query", filter][..], &["record", "-r", &path.to_string_lossy(), "--filter", filter]] {
            let ran = r.run(args);
            assert_eq!(ran.code, Some(2), "{args:?}: {}", ran.err);
            assert!(ran.err.contains(words), "{args:?}: {}", ran.err);
            assert!(ran.err.contains("column") || ran.err.contains("near"), "{args:?}: {}", ran.err);
        }
    }
}

#[test]
fn stores_that_are_none_of_ours() {
    let r = Retrotap::default();
    let path = r.dir().join("x.pcap");
    pcap(&path, 1, &[(1, 2, udp(1, 60))]);
    let path = path.to_string_lossy().into_owned();
    // Not there.
    assert_eq!(r.run(&["query"]).code, Some(3));
    // A directory with other things in it.
    std::fs::create_dir(r.store()).expect("a directory");
    std::fs::write(r.store().join("thesis.txt"), "mine").expect("a file");
    for args in [&["query"][..], &["info"], &["verify"], &["record", "-r", &path]] {
        let ran = r.run(args);
        assert_eq!(ran.code, Some(3), "{args:?}: {}", ran.err);
        assert!(ran.err.contains("not a retrotap store"), "{args:?}: {}", ran.err);
    }
    assert_eq!(std::fs::read_dir(r.store()).expect("a directory").count(), 1, "nothing was put beside it");
    // Another version.
    let r = Retrotap::default();
    r.run(&["record", "-r", &path]);
    let identity = r.store().join("store.toml");
    let text = std::fs::read_to_string(&identity).expect("store.toml").replace("version = 1", "version = 99");
    std::fs::write(&identity, text).expect("store.toml");
    for args in [&["query"][..], &["info"], &["verify"], &["record", "-r", &path]] {
        let ran = r.run(args);
        assert_eq!(ran.code, Some(3), "{args:?}: {}", ran.err);
        assert!(ran.err.contains("version 99"), "{args:?}: {}", ran.err);
    }
}

#[test]
fn a_damaged_store_is_named_and_the_rest_comes_back() {
    let r = Retrotap::default();
    let path = r.dir().join("x.pcap");
    let packets: Vec<_> = (0..20_000u32).map(|i| (i, 0, udp(i as u16, 400))).collect();
    pcap(&path, 1, &packets);
    r.record(&[&path], &["--cutoff", "none"]);
    assert_eq!(r.run(&["verify"]).code, Some(0));
    let segment = common::segments(&r.store()).remove(0);
    let mut bytes = std::fs::read(&segment).expect("a segment");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).expect("a segment");
    let verify = r.run(&["verify"]);
    assert_eq!(verify.code, Some(1), "{}", verify.text());
    assert!(
        verify.text().contains(&*segment.to_string_lossy()) && verify.text().contains("at byte"),
        "{}",
        verify.text()
    );
    let back = r.dir().join("back.pcapng");
    let query = r.run(&["query", "-w", &back.to_string_lossy(), "--json"]);
    assert_eq!(query.code, Some(1), "{}", query.err);
    let damaged = query.json();
    assert!(damaged["damaged_blocks"].as_u64() > Some(0) || damaged["damaged_packets"].as_u64() > Some(0), "{damaged}");
    let got = own(&back);
    assert!(got.len() >= 10_000 && got.len() < 20_000, "{}", got.len());
    let want = own(&path);
    assert!(got.iter().all(|p| want.contains(p) || want.binary_search(p).is_ok()), "a packet that was never recorded");
}

/// Starts a recording from a pipe and waits until `packets` are queryable.
struct Piped {
    child: std::process::Child,
    pipe: Option<std::process::ChildStdin>,
}

impl Piped {
    fn start(r: &Retrotap) -> Piped {
        let mut child = r
            .command(&["record", "-r", "-", "--cutoff", "none", "--json"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let pipe = child.stdin.take();
        Piped { child, pipe }
    }

    fn write(&mut self, bytes: &[u8]) {
        use std::io::Write;
        let pipe = self.pipe.as_mut().expect("an open pipe");
        pipe.write_all(bytes).and_then(|()| pipe.flush()).expect("the recorder reads");
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("a signal");
    }
}

fn wait_for(r: &Retrotap, packets: u64) -> Duration {
    let start = Instant::now();
    loop {
        let q = r.run(&["query", "--count"]);
        if q.code == Some(0) && q.text().trim() == packets.to_string() {
            return start.elapsed();
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{} of {packets}; {}", q.text(), q.err);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn packets_are_queryable_while_they_are_recorded_and_a_signal_ends_in_order() {
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
        let r = Retrotap::default();
        let bytes = pcap(&r.dir().join("x.pcap"), 1, &(0..100).map(|i| (i, 0, udp(i as u16, 100))).collect::<Vec<_>>());
        let mut piped = Piped::start(&r);
        piped.write(&bytes);
        wait_for(&r, 100);
        // A second recorder is told who is there.
        let second = r.run(&["record", "-r", &r.dir().join("x.pcap").to_string_lossy()]);
        assert_eq!(second.code, Some(3));
        // By the number of one of its processes: the one that has the store.
        let named = |pid: &u32| second.err.contains(&pid.to_string());
        let is_named = processes::tree(piped.child.id()).iter().any(named);
        assert!(second.err.contains("in use") && is_named, "{}", second.err);
        piped.signal(signal);
        let o = piped.child.wait_with_output().expect("its end");
        assert_eq!(o.status.code(), Some(0), "{}", String::from_utf8_lossy(&o.stderr));
        let last = String::from_utf8_lossy(&o.stdout).lines().last().unwrap_or_default().to_owned();
        let account: serde_json::Value = serde_json::from_str(&last).expect("the final account");
        common::check_account(&account);
        assert_eq!((&account["durable"], &account["pending"]), (&100.into(), &0.into()));
        assert_eq!(r.run(&["verify"]).code, Some(0));
        assert_eq!(back(&r).len(), 100);
    }
}

#[test]
fn killed_and_started_again_it_goes_on() {
    let r = Retrotap::default();
    let path = r.dir().join("x.pcap");
    let packets: Vec<_> = (0..3000u32).map(|i| (i, 0, udp(i as u16, 700))).collect();
    let bytes = pcap(&path, 1, &packets);
    let mut piped = Piped::start(&r);
    piped.write(&bytes);
    wait_for(&r, 3000);
    processes::kill(&mut piped.child);
    let status = piped.child.wait().expect("its end");
    assert_eq!(status.signal(), Some(9));
    // Readable without a recorder, and again after one has recovered it and recorded more.
    wait_for(&r, 3000);
    let more = r.dir().join("y.pcap");
    pcap(&more, 1, &[(5000, 0, udp(9, 60))]);
    let (ran, _) = r.record(&[&more], &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("recovered 3000 packets"), "{}", ran.err);
    let mut want = own(&path);
    want.extend(own(&more));
    assert!(back(&r) == want);
    let verify = r.run(&["verify"]);
    assert_eq!(verify.code, Some(0), "{}", verify.text());
}

/// Runs a script in a mount namespace of its own; says so and returns nothing where that is not allowed.
fn in_namespace(test: &str, script: &str) -> Option<std::process::Output> {
    let o = Command::new("unshare").args(["-m", "sh", "-ec", script]).output();
    match o {
        Ok(o) if !String::from_utf8_lossy(&o.stderr).contains("unshare failed") => Some(o),
        _ => {
            eprintln!("skipped: {test}: no mount namespace (it needs root)");
            None
        }
    }
}

#[test]
fn on_a_full_disk_the_oldest_goes_and_is_told() {
    let r = Retrotap::default();
    let (path, mount) = (r.dir().join("x.pcap"), r.dir().join("small"));
    std::fs::create_dir(&mount).expect("a directory");
    // As fast as files go would only wait for space; it must not wait for ever either: a duration ends it.
    let packets: Vec<_> = (0..40_000u32).map(|i| (i, 0, udp(i as u16, 1400))).collect();
    pcap(&path, 1, &packets);
    let (m, p, b) = (mount.display(), path.display(), env!("CARGO_BIN_EXE_retrotap"));
    let script = format!(
        "mount -t tmpfs -o size=24m none {m}; {b} record -r {p} --cutoff none --segment-size 4MiB --duration 3s --json --store {m}/s || echo code $?; \
         {b} query --store {m}/s --count; {b} verify {m}/s >&2"
    );
    let Some(o) = in_namespace("a_full_disk", &script) else { return };
    let (out, err) = (String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr));
    let account = out.lines().rfind(|l| l.contains("\"final\"")).unwrap_or_else(|| panic!("no account: {out} {err}"));
    let account: serde_json::Value = serde_json::from_str(account).expect("JSON");
    common::check_account(&account);
    // The oldest makes room for what comes, and whoever asks is told.
    let durable = account["durable"].as_u64().expect("durable");
    assert_eq!(durable, 40_000, "{account} {err}");
    let count: u64 = out.lines().next_back().and_then(|l| l.parse().ok()).expect("a count");
    assert!(count > 1000 && count < durable, "{out} {err}");
    assert!(err.contains("expired"), "{err}");
    assert!(o.status.success(), "verify: {err}");
}

#[test]
fn without_permission() {
    let r = Retrotap::default();
    let path: PathBuf = r.dir().join("x.pcap");
    pcap(&path, 1, &[(1, 2, udp(1, 60))]);
    if !rustix::process::getuid().is_root() {
        let ran = r.run(&["record", "-r", &path.to_string_lossy(), "--store", "/proc/retrotap"]);
        assert_eq!(ran.code, Some(3), "{}", ran.err);
        eprintln!("skipped: without_permission as another user: it needs root to become one");
        return;
    }
    use std::os::unix::process::CommandExt;
    let store = r.store();
    std::fs::create_dir(&store).expect("a directory");
    for dir in [r.dir(), &store] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir, mode).expect("permissions");
    }
    let binary = r.dir().join("retrotap");
    std::fs::copy(env!("CARGO_BIN_EXE_retrotap"), &binary).expect("a copy");
    let as_group = |group: u32, args: &[&str]| {
        let o = Command::new(&binary).args(args).env("RETROTAP_STORE", &store).uid(65_534).gid(group).output();
        let o = o.expect("the binary runs");
        (o.status.code(), String::from_utf8_lossy(&o.stderr).into_owned())
    };
    let as_nobody = |args: &[&str]| as_group(65_534, args);
    let (code, err) = as_nobody(&["record", "-r", &path.to_string_lossy()]);
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("ermission denied") && err.contains("store"), "{err}");
    let (code, err) = as_nobody(&["record", "-i", "lo", "--store", &r.dir().join("s2").to_string_lossy()]);
    assert_eq!(code, Some(3), "{err}");
    // A reader needs only to read, and to be of the store's group: what is in a store is not for everybody.
    assert_eq!(r.run(&["record", "-r", &path.to_string_lossy()]).code, Some(0));
    let (code, err) = as_group(0, &["query", "--count"]);
    assert_eq!(code, Some(0), "{err}");
    let (code, err) = as_nobody(&["query", "--count"]);
    assert!(code == Some(3) && err.contains("ermission denied") && err.contains("store"), "{err}");
}

#[test]
fn an_interface_that_is_not_there() {
    let r = Retrotap::default();
    let ran = r.run(&["record", "-i", "nosuch0"]);
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    assert!(ran.err.contains("nosuch0"), "{}", ran.err);
    assert!(!r.store().exists(), "a store was made for nothing");
}

#[test]
fn the_plan_says_all_memory_and_touches_nothing() {
    let r = Retrotap::default();
    let path = r.dir().join("x.pcap");
    pcap(&path, 1, &[]);
    let ran = r.run(&["record", "-r", &path.to_string_lossy(), "--plan"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for part in ["connections IPv4", "blocks", "in all"] {
        assert!(ran.text().contains(part), "{}", ran.text());
    }
    let json = r.run(&["record", "-r", &path.to_string_lossy(), "--plan", "--json"]).json();
    assert!(json["parts"].as_array().is_some_and(|p| p.len() > 4), "{json}");
    let questions: Vec<(&str, u64)> = json["questions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|p| (p["part"].as_str().expect("a name"), p["bytes"].as_u64().expect("a number")))
        .collect();
    for (part, bytes) in [
        ("receipts held", 64 << 20),
        ("long lists of addresses", 160 << 20),
        ("lists of connections", 1 << 30),
        ("connections of other answers", 512 << 20),
        ("the same that each has in any case", 82 << 20),
        ("indexes being made", 256 << 20),
    ] {
        assert!(questions.contains(&(part, bytes)), "{part}: {json}");
    }
    assert_eq!(questions.len(), 8, "{json}");
    // As a start would refuse it.
    let large = r.run(&["record", "-r", &path.to_string_lossy(), "--plan", "--disk", "900PiB"]);
    assert_eq!(large.code, Some(2), "{}", large.err);
    assert!(large.err.contains("disk = 900 PiB: the filesystem of"), "{}", large.err);
    assert!(!r.store().exists());
}
