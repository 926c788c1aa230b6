//! The command line as a user meets it: exit codes, messages, what goes to which stream.

mod common;

use common::Retrotap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn retrotap(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_retrotap"))
        .args(args)
        .env_remove("RETROTAP_STORE")
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs")
}

fn out(o: &Output) -> String {
    String::from_utf8_lossy(&o.stdout).into_owned()
}

fn err(o: &Output) -> String {
    String::from_utf8_lossy(&o.stderr).into_owned()
}

#[test]
fn help_and_version_are_no_errors() {
    let help = retrotap(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for word in ["record", "query", "info", "verify", "completions", "man", "Exit codes"] {
        assert!(out(&help).contains(word), "help lacks {word}");
    }
    for command in ["record", "query", "info", "verify"] {
        let help = retrotap(&[command, "--help"]);
        assert_eq!(help.status.code(), Some(0));
        assert!(out(&help).contains("RETROTAP_STORE"), "{command}");
    }
    let version = retrotap(&["--version"]);
    assert_eq!(out(&version), format!("retrotap {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_is_2_and_says_the_way_out() {
    for (args, word) in [
        (&["record", "--store", "/tmp/x"][..], "-i eth1"),
        (&["record", "-r", "a.pcap"], "--store"),
        (&["record", "-r", "a.pcap", "-i", "eth0", "--store", "/tmp/x"], "cannot be used with"),
        (&["record", "-r", "a.pcap", "--source", "xdp", "--store", "/tmp/x"], "--source"),
        (&["record", "-i", "eth0", "--source", "file", "--store", "/tmp/x"], "-r"),
        (&["record", "-i", "eth0", "--pace", "1", "--store", "/tmp/x"], "--read"),
        (&["record", "-r", "a.pcap", "--cutoff", "15 apples", "--store", "/tmp/x"], "15KiB"),
        (&["record", "-r", "a.pcap", "--cutoff", "0", "--store", "/tmp/x"], "record = \"none\""),
        (&["record", "-r", "a.pcap", "--filter", "prot tcp", "--store", "/tmp/x"], "filter"),
        (&["record", "-r", "a.pcap", "--workers", "3", "--store", "/tmp/x"], "files are read by one"),
        (&["query", "--store", "/tmp/x", "--last", "10m", "--since", "13:15"], "cannot be used with"),
        (&["query", "--store", "/tmp/x", "--last", "soon"], "10m"),
        (&["nonsense"], "unrecognized"),
    ] {
        let o = retrotap(args);
        assert_eq!(o.status.code(), Some(2), "{args:?}: {}", err(&o));
        assert!(err(&o).contains(word), "{args:?}: {} lacks {word}", err(&o));
        assert!(out(&o).is_empty(), "{args:?}");
    }
}

#[test]
fn a_configuration_with_an_error_is_named_with_its_place() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = dir.path().join("c.toml");
    std::fs::write(&config, "interfaces = [\"eth1\"]\ncuttof = 3\n").expect("a file");
    let config = config.to_string_lossy().into_owned();
    let o = retrotap(&["record", "-c", &config]);
    assert_eq!(o.status.code(), Some(2));
    assert!(err(&o).contains(&config) && err(&o).contains("line 2, column 1"), "{}", err(&o));
    let o = retrotap(&["record", "-c", "/does/not/exist.toml"]);
    assert_eq!(o.status.code(), Some(3));
    assert!(err(&o).contains("/does/not/exist.toml"), "{}", err(&o));
}

#[test]
fn completions_and_manual_pages() {
    for shell in ["bash", "zsh", "fish"] {
        let o = retrotap(&["completions", shell]);
        assert_eq!(o.status.code(), Some(0));
        assert!(out(&o).contains("retrotap"), "{shell}");
    }
    assert!(out(&retrotap(&["man"])).starts_with(".ie \\n(.g"));
    let dir = tempfile::tempdir().expect("a directory");
    let o = retrotap(&["man", &dir.path().to_string_lossy()]);
    assert_eq!(o.status.code(), Some(0), "{}", err(&o));
    assert!(dir.path().join("retrotap-record.1").exists());
    assert_eq!(retrotap(&["man", "/does/not/exist"]).status.code(), Some(3));
}

#[test]
fn colours_only_on_a_terminal() {
    let o = retrotap(&["record", "-r", "/does/not/exist.pcap", "--store", "/tmp/x"]);
    assert!(!err(&o).contains('\x1b'));
    assert!(Path::new("/does").exists() || err(&o).starts_with("error: "), "{}", err(&o));
}

/// A pcap of UDP packets to port 53 and TCP packets to port 80, one a millisecond.
fn mix(dir: &Path) -> String {
    let mut f = Vec::new();
    for n in [0xa1b2_3c4du32, 0x0004_0002, 0, 0, 262_144, 1] {
        f.extend(n.to_le_bytes());
    }
    for i in 0..400u32 {
        let (proto, port) = if i % 4 == 0 { (17, 53) } else { (6, 80) };
        let mut p = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 3, 0xda];
        p.extend([0, 0, 0, 0, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x30, 0x39, 0, port]);
        p.resize(1000, 0);
        for n in [1_700_000_000, i * 1_000_000, 1000, 1000] {
            f.extend(n.to_le_bytes());
        }
        f.extend(p);
    }
    let path = dir.join("mix.pcap");
    std::fs::write(&path, f).expect("a capture");
    path.to_string_lossy().into_owned()
}

#[test]
fn classes_of_a_configuration_have_their_own_cutoff_and_folder() {
    let r = Retrotap::default();
    let path = mix(r.dir());
    let config = r.dir().join("c.toml");
    std::fs::write(&config, "[class.all]\ncutoff = \"10KiB\"\n[class.dns]\nfilter = \"port 53\"\ncutoff = \"none\"\n")
        .expect("a file");
    let (ran, account) = r.record(&[Path::new(&path)], &["-c", &config.to_string_lossy()]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    // 100 of dns whole, and of the other connection the 11 packets that begin below 10 KiB.
    assert_eq!((&account["stored"]["packets"], &account["cut"]["packets"]), (&111.into(), &289.into()));
    assert_eq!(account["connections"]["begun"], 2);
    let classes: Vec<_> = account["classes"].as_array().expect("classes").iter().map(|c| &c["class"]).collect();
    assert_eq!(classes, ["all", "dns"]);
    for (args, packets) in [
        (&["query", "--json"][..], 111),
        (&["query", "--json", "--class", "dns"], 100),
        (&["query", "--json", "tcp port 80"], 11),
        (&["query", "--json", "--conn", "tcp 10.0.0.1:12345 10.0.0.2:80"], 11),
        (&["query", "--json", "--limit", "7"], 7),
        (&["query", "--json", "--last", "100ms"], 26), // back from 396 ms, both ends
        (&["query", "--json", "--since", "1700000000.1", "--until", "1700000000.2"], 25),
    ] {
        let ran = r.run(args);
        assert_eq!((ran.code, &ran.json()["packets"]), (Some(0), &packets.into()), "{args:?}: {}", ran.err);
    }
    let summary = r.run(&["query", "tcp", "--json"]).json();
    assert_eq!((&summary["cut_connections"], &summary["cut_packets"]), (&1.into(), &289.into()), "{summary}");
    let count = r.run(&["query", "udp", "--count"]);
    assert_eq!(count.text(), "100\n");
    let wrong = r.run(&["query", "--class", "web"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.err);
    assert!(wrong.err.contains("all, dns"), "{}", wrong.err);
}

#[test]
fn answers_go_to_files_and_pipes_in_both_formats() {
    let r = Retrotap::default();
    let path = mix(r.dir());
    r.record(&[Path::new(&path)], &["--cutoff", "none"]);
    let want = common::libpcap(Path::new(&path)).0;
    for format in ["pcapng", "pcap"] {
        let file = r.dir().join(format!("answer.{format}"));
        let ran = r.run(&["query", "-w", &file.to_string_lossy(), "--format", format]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(ran.text().starts_with("400 packets"), "the summary is on standard output: {}", ran.text());
        assert!(common::libpcap(&file) == (want.clone(), None), "{format}");
        let ran = r.run(&["query", "-w", "-", "--format", format]);
        assert!(ran.err.starts_with("400 packets"), "the summary is on standard error: {}", ran.err);
        let piped = r.dir().join("piped");
        std::fs::write(&piped, &ran.out).expect("a file");
        assert!(common::libpcap(&piped) == (want.clone(), None), "{format}");
    }
    // An empty answer is a file that can be read.
    for format in ["pcapng", "pcap"] {
        let file = r.dir().join(format!("empty.{format}"));
        r.run(&["query", "port 9999", "-w", &file.to_string_lossy(), "--format", format]);
        assert_eq!(common::libpcap(&file), (vec![], None), "{format}");
    }
    let nowhere = r.run(&["query", "-w", "/does/not/exist"]);
    assert_eq!(nowhere.code, Some(3), "{}", nowhere.err);
}

#[test]
fn info_and_verify_as_json() {
    let r = Retrotap::default();
    let path = mix(r.dir());
    r.record(&[Path::new(&path)], &["--cutoff", "none"]);
    let info = r.run(&["info", "--json"]).json();
    assert_eq!(
        (&info["total"]["packets"], &info["total"]["connections"], &info["recording"]),
        (&400.into(), &2.into(), &false.into())
    );
    let verify = r.run(&["verify", "--json"]).json();
    assert_eq!(
        (&verify["packets"], &verify["indexes"], &verify["problems"]),
        (&400.into(), &1.into(), &serde_json::json!([]))
    );
    let text = r.run(&["info"]).text();
    assert!(text.contains("at rest") && text.contains("all"), "{text}");
}

#[test]
fn the_traces_own_pace_and_a_duration() {
    let r = Retrotap::default();
    let path = mix(r.dir());
    let start = std::time::Instant::now();
    let (_, account) = r.record(&[Path::new(&path)], &["--pace", "0.5", "--cutoff", "none"]);
    assert!(start.elapsed() >= std::time::Duration::from_millis(798), "0.4 s of trace at half its pace");
    assert_eq!(account["stored"]["packets"], 400);
    let r = Retrotap::default();
    let (ran, account) =
        r.record(&[Path::new(&path)], &["--pace", "0.001", "--duration", "1500ms", "--log-interval", "500ms"]);
    assert_eq!(ran.code, Some(0), "a duration that ends it is no fault: {}", ran.err);
    assert!(account["seen"]["packets"].as_u64() < Some(400), "{account}");
    let kinds: Vec<serde_json::Value> = ran
        .text()
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON")["kind"].clone())
        .collect();
    assert_eq!(kinds.last(), Some(&"final".into()));
    assert!(kinds.iter().filter(|k| *k == "interval").count() >= 1, "{kinds:?}");
}

#[test]
fn a_global_filter_counts_what_it_leaves_out() {
    let r = Retrotap::default();
    let path = mix(r.dir());
    let (_, account) = r.record(&[Path::new(&path)], &["--filter", "tcp", "--cutoff", "none"]);
    assert_eq!((&account["stored"]["packets"], &account["filtered"]["packets"]), (&300.into(), &100.into()));
}

/// A capture of `n` packets of 1000 bytes, a millisecond apart, each a connection of its own.
fn capture_of(n: u32, path: &Path) {
    let mut bytes = Vec::new();
    for v in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 1] {
        bytes.extend(v.to_le_bytes());
    }
    for i in 0..n {
        for v in [1_600_000_000 + i / 1000, i % 1000 * 1000, 1000, 1000] {
            bytes.extend(v.to_le_bytes());
        }
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 3, 0xda, 0, 0, 0, 0, 64, 17, 0, 0];
        frame.extend([10, 0, 0, 1, 10, 9, (i >> 8) as u8, i as u8, 0, 53, 0, 53, 3, 0xc6, 0, 0]);
        frame.resize(1000, 0);
        bytes.extend(frame);
    }
    std::fs::write(path, bytes).expect("a capture");
}

#[test]
fn an_answer_replaces_nothing_before_it_is_there() {
    let r = Retrotap::default();
    let (capture, kept) = (r.dir().join("c.pcap"), r.dir().join("kept.pcapng"));
    capture_of(10, &capture);
    r.record(&[&capture], &[]);
    std::fs::write(&kept, "an earlier answer").expect("a file");
    let wrong = r.run(&["query", "tcp port", "--force", "-w", &kept.to_string_lossy()]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.err);
    assert_eq!(std::fs::read_to_string(&kept).expect("the file"), "an earlier answer");
    let there = r.run(&["query", "-w", &kept.to_string_lossy()]);
    assert!(there.code == Some(3) && there.err.contains("--force"), "{:?}: {}", there.code, there.err);
    assert_eq!(std::fs::read_to_string(&kept).expect("the file"), "an earlier answer");
    let segment = common::segments(&r.store()).remove(0);
    let inside = r.run(&["query", "-w", &segment.to_string_lossy()]);
    assert_eq!(inside.code, Some(2), "{}", inside.err);
    assert!(inside.err.contains("inside the store"), "{}", inside.err);
    assert_eq!(r.run(&["verify"]).code, Some(0));
    assert_eq!(r.run(&["query", "--force", "-w", &kept.to_string_lossy()]).code, Some(0));
    assert_eq!(common::libpcap(&kept).0.len(), 10);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(kept.metadata().expect("the file").permissions().mode() & 0o777, 0o600, "packets are for their owner");
    assert_eq!(r.run(&["query", "-w", "/dev/null"]).code, Some(0), "a device is written as it is");
    let left: Vec<_> =
        std::fs::read_dir(r.dir()).expect("the directory").map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn what_the_budget_took_is_said_and_leaves_no_index() {
    let r = Retrotap::default();
    let capture = r.dir().join("c.pcap");
    capture_of(40_000, &capture);
    r.record(&[&capture], &["--disk", "24MiB", "--segment-size", "4MiB"]);
    let verified = r.run(&["verify"]);
    assert_eq!(verified.code, Some(0), "{}{}", verified.text(), verified.err);
    let everything = r.run(&["query", "--json"]).json();
    assert!(everything["packets"].as_u64().expect("a number") < 40_000, "{everything}");
    let [gone] = everything["incomplete"].as_array().expect("a list").as_slice() else { panic!("{everything}") };
    assert_eq!((&gone["why"], &gone["class"]), (&"expired".into(), &"all".into()), "{everything}");
    // The next packet after the last that has expired is the first that there is.
    let (to, first) = (common::said::unix_ns(&gone["to"]), common::said::unix_ns(&everything["first"]));
    assert!(everything["complete"] == false && to + 1_000_000 == first, "{everything}");
    let last = r.run(&["query", "--last", "1ms", "--json"]).json();
    assert_eq!((&last["complete"], &last["incomplete"]), (&true.into(), &serde_json::json!([])), "{last}");
}

#[test]
fn a_configuration_is_checked_without_starting_anything() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("retrotap.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        retrotap(&["check-config", file.to_str().unwrap()])
    };
    let sample = out(&retrotap(&["check-config", "--json", "tuning/retrotap.toml.sample"]));
    let sample: serde_json::Value = serde_json::from_str(&sample).unwrap();
    // A small disk is the one thing that the sample may find wrong.
    let errors = sample["errors"].as_array().unwrap();
    assert!(errors.iter().all(|e| e.as_str().unwrap().contains("the filesystem of")), "{sample}");
    assert_eq!((sample["good"].as_bool(), sample["classes"][0].as_str()), (Some(errors.is_empty()), Some("all")));
    assert_eq!(check("").status.code(), Some(0));
    for (text, what) in [
        ("disc = 5", "line 1, column 1"),
        ("filter = \"porrt 5\"", "line 1, column 10"),
        ("[class.a]\nfilter = \"tcp\"\n[class.a]\nfilter = \"udp\"", "duplicate key"),
        ("store = \"/tmp/x\"\ndisk = \"900PiB\"", "has"),
        ("[class.all]\ndisk = \"900PiB\"", "class all: disk"),
    ] {
        let checked = check(text);
        assert_eq!(checked.status.code(), Some(2), "{text}: {}", err(&checked));
        assert!(err(&checked).contains(what), "{text}: {}", err(&checked));
    }
    // Good, and perhaps not meant.
    let same = "filter = \"udp  port 53\"\n[class.a]\nfilter = \"udp port 53\"";
    for (text, what) in [
        (
            format!("[class.b]\n{same}"),
            Some("class b: no connection ever gets it: class a has the same filter and precedence"),
        ),
        (
            format!("[class.b]\nprecedence = 2\n{same}"),
            Some("class a: no connection ever gets it: class b has the same filter and a higher"),
        ),
        (format!("[class.b]\n{}", same.replace("udp  port 53", "udp port 54")), None),
    ] {
        let checked = check(&text);
        assert_eq!(checked.status.code(), Some(0), "{text}: {}", err(&checked));
        let said = err(&checked);
        assert_eq!(said.contains("no connection ever"), what.is_some(), "{text}: {said}");
        assert!(said.contains(what.unwrap_or_default()), "{text}: {said}");
    }
}

#[test]
fn an_imported_configuration_is_good() {
    let dir = tempfile::tempdir().unwrap();
    let (theirs, ours) = (dir.path().join("tm.conf"), dir.path().join("ours.toml"));
    let text = "main { device \"eth1\"; rmtconsole 1; }\nclass \"all\" { filter \"\"; cutoff 15k; disk 1g; }\n";
    std::fs::write(&theirs, text).unwrap();
    let import = || retrotap(&["import-config", theirs.to_str().unwrap(), "-o", ours.to_str().unwrap()]);
    let imported = import();
    assert_eq!(imported.status.code(), Some(0));
    assert!(err(&imported).contains("rmtconsole"));
    assert_eq!(retrotap(&["check-config", ours.to_str().unwrap()]).status.code(), Some(0));
    // Somebody's file is not overwritten.
    assert_eq!(import().status.code(), Some(3));
    std::fs::write(&theirs, "main {").unwrap();
    assert_eq!(import().status.code(), Some(2));
}

/// Who is watched, and which addresses a store has, is for the owner and his group alone, whatever the umask lets others read.
#[test]
fn nothing_of_a_store_is_everybodys() {
    use std::os::unix::fs::PermissionsExt;
    let r = Retrotap::default();
    capture_of(1000, &r.dir().join("in.pcap"));
    let input = r.dir().join("in.pcap");
    let (ran, _) = r.record(&[&input], &["--cutoff", "none"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(r.run(&["hold", "udp or tcp or ip", "--name", "case", "--reason", "why"]).code, Some(0));
    assert_eq!(r.run(&["token", "new", "--role", "packets", "--name", "me"]).code, Some(0));
    let (mut todo, mut seen) = (vec![r.store()], 0);
    while let Some(path) = todo.pop() {
        let meta = std::fs::symlink_metadata(&path).expect("a file of the store");
        assert_eq!(meta.permissions().mode() & 0o027, 0, "{}: {:o}", path.display(), meta.permissions().mode());
        if meta.is_dir() {
            todo.extend(std::fs::read_dir(&path).expect("a directory").map(|e| e.expect("an entry").path()));
        }
        seen += 1;
    }
    assert!(seen > 12, "{seen} files");
}
