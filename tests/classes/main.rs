//! Storage classes from the outside: what the keys of a class do to a recording, and that budgets hold.

#[path = "../common/mod.rs"]
mod common;
mod memory;
mod reload;
#[path = "../api/rig.rs"]
#[allow(dead_code)]
mod rig;

use common::{Ran, Retrotap, Seen, own};
use serde_json::Value;
use std::path::Path;

/// A pcap file of (Unix ns, data), little endian, Ethernet.
fn pcap(path: &Path, packets: impl IntoIterator<Item = (u64, Vec<u8>)>) {
    let mut f = Vec::new();
    for n in [0xa1b2_3c4d, 0x0004_0002, 0, 0, 262_144, 1] {
        f.extend(u32::to_le_bytes(n));
    }
    for (t, data) in packets {
        for n in [(t / S) as u32, (t % S) as u32, data.len() as u32, data.len() as u32] {
            f.extend(n.to_le_bytes());
        }
        f.extend(data);
    }
    std::fs::write(path, &f).expect("a capture");
}

const S: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;
const START: u64 = 1_700_000_000 * S;
const MIB: u64 = 1 << 20;

/// Ethernet, IPv4, UDP between two ports of two hosts; `n` makes the payload another.
fn udp(from: u16, to: u16, n: u32, len: usize) -> Vec<u8> {
    let mut p = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    let ip = (len - 14) as u16;
    p.extend([0x45, 0]);
    p.extend(ip.to_be_bytes());
    p.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    p.extend(from.to_be_bytes());
    p.extend(to.to_be_bytes());
    p.extend((ip - 20).to_be_bytes());
    p.extend([0, 0]);
    p.extend(n.to_be_bytes());
    p.resize(len, 7);
    p
}

/// Records with this configuration.
fn record(r: &Retrotap, config: &str, file: &Path) -> Value {
    let path = r.dir().join("retrotap.toml");
    std::fs::write(&path, config).expect("a configuration");
    let (ran, account) = r.record(&[file], &["-c", &path.to_string_lossy()]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    account
}

fn refused(r: &Retrotap, config: &str, args: &[&str]) -> Ran {
    let path = r.dir().join("retrotap.toml");
    std::fs::write(&path, config).expect("a configuration");
    let path = path.to_string_lossy();
    let args: Vec<&str> = args.iter().map(|a| if *a == "CONFIG" { &*path } else { a }).collect();
    let ran = r.run(&args);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    ran
}

fn back(r: &Retrotap, filter: &str) -> Vec<Seen> {
    let path = r.dir().join("back.pcapng");
    let q = r.run(&["query", filter, "--force", "-w", &path.to_string_lossy()]);
    assert!(matches!(q.code, Some(0 | 1)), "{}", q.err);
    own(&path)
}

/// Bytes of all files of a class.
fn used(r: &Retrotap, class: &str) -> u64 {
    let files = std::fs::read_dir(r.store().join(class)).into_iter().flatten().flatten();
    files.map(|e| e.metadata().map_or(0, |m| m.len())).sum()
}

#[test]
fn the_sample_works_as_it_is() {
    let r = Retrotap::default();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning/retrotap.toml.sample");
    let file = r.dir().join("x.pcap");
    pcap(&file, (0..10).map(|n| (START + n, udp(1, 53, n as u32, 100))));
    // Its disk budget may be more than this machine's disk.
    let store = r.store();
    let args = ["-c", &sample.to_string_lossy(), "--disk", "1GiB", "--store", &store.to_string_lossy()];
    let (ran, account) = r.record(&[&file], &args);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(account["stored"]["packets"], 10);
    assert!(used(&r, "dns") > 0);
}

#[test]
fn what_a_mirror_port_doubles_is_stored_once() {
    let r = Retrotap::default();
    let file = r.dir().join("x.pcap");
    let once: Vec<(u64, Vec<u8>)> = (0..2000u32).map(|n| (START + u64::from(n) * MS, udp(9, 9, n, 200))).collect();
    // Each again 2 ms later, and the first hundred once more long after.
    let mut all = once.clone();
    all.extend(once.iter().map(|(t, d)| (t + 2 * MS, d.clone())));
    all.extend(once.iter().take(100).map(|(t, d)| (t + 10 * S, d.clone())));
    all.sort_by_key(|(t, _)| *t);
    pcap(&file, all);
    let account = record(&r, "dedup = true\n[class.all]\ncutoff = \"none\"\n", &file);
    assert_eq!((&account["duplicate"]["packets"], &account["stored"]["packets"]), (&2000.into(), &2100.into()));
    assert_eq!(account["duplicate"]["bytes"], 2000 * 200);
    let stored: Vec<Vec<u8>> = back(&r, "udp").into_iter().map(|p| p.data).collect();
    let want: Vec<Vec<u8>> = once.iter().chain(once.iter().take(100)).map(|(_, d)| d.clone()).collect();
    assert_eq!(stored, want);
    let off = Retrotap::default();
    let account = record(&off, "[class.all]\ncutoff = \"none\"\n", &file);
    assert_eq!((&account["duplicate"]["packets"], &account["stored"]["packets"]), (&0.into(), &4100.into()));
}

#[test]
fn a_class_may_keep_headers_only_or_nothing() {
    let r = Retrotap::default();
    let file = r.dir().join("x.pcap");
    let packets = (0..300u32).map(|n| (START + u64::from(n) * MS, udp(7, [25, 53, 80][n as usize % 3], n, 500)));
    pcap(&file, packets);
    let account = record(
        &r,
        "[class.all]\ncutoff = \"none\"\n[class.mail]\nfilter = \"port 25\"\nsnaplen = 64\ncutoff = \"none\"\n\
         [class.web]\nfilter = \"port 80\"\nrecord = \"none\"\n",
        &file,
    );
    assert_eq!((&account["stored"]["packets"], &account["class_discard"]["packets"]), (&200.into(), &100.into()));
    let lens = |filter| back(&r, filter).into_iter().map(|p| (p.data.len(), p.wire_len)).collect::<Vec<_>>();
    assert_eq!(lens("port 25"), [(64, 500); 100]);
    assert_eq!(lens("port 53"), [(500, 500); 100]);
    assert_eq!(lens("port 80"), []);
}

/// Receipts have ids of classes: the store knows their names, whatever configurations came after.
#[test]
fn a_receipt_keeps_its_class_over_restarts_with_other_classes() {
    let r = Retrotap::default();
    let none = |name: &str, port: u16| format!("[class.{name}]\nfilter = \"port {port}\"\nrecord = \"none\"\n");
    let run = |minute: u64, ports: &[u16], config: &str| {
        let file = r.dir().join("x.pcap");
        let packets = ports.iter().flat_map(|port| {
            (0..5u32).map(|n| (START + minute * 60 * S + u64::from(n) * MS, udp(1000 + minute as u16, *port, n, 100)))
        });
        pcap(&file, packets);
        record(&r, config, &file);
    };
    run(0, &[53, 80], &[none("dns", 53), none("web", 80)].concat());
    run(1, &[25, 80], &[none("mail", 25), none("web", 80)].concat());
    run(2, &[53], &none("names", 53));
    run(3, &[53], &none("dns", 53));
    let ran = r.run(&["connections", "--json", "--sort", "first"]);
    let all: Vec<Value> = ran.text().lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let end = |e: &Value| format!("{}:{}", e["address"].as_str().expect("an address"), e["port"]);
    let mut classes: Vec<(String, String)> = all
        .iter()
        .map(|c| (format!("{} {}", end(&c["a"]), end(&c["b"])), c["class"].as_str().expect("a class").to_owned()))
        .collect();
    classes.sort();
    let one =
        |minute: u16, port: u16, class: &str| (format!("10.0.0.1:{} 10.0.0.2:{port}", 1000 + minute), class.to_owned());
    let expected = [
        one(0, 53, "dns"),
        one(0, 80, "web"),
        one(1, 25, "mail"),
        one(1, 80, "web"),
        one(2, 53, "names"),
        one(3, 53, "dns"),
    ];
    assert_eq!(classes, expected, "{}", ran.text());
    let kept = r.store().join("classes.json");
    let names = |path: &Path| serde_json::from_slice::<Value>(&std::fs::read(path).expect("the names")).expect("JSON");
    assert_eq!(names(&kept), serde_json::json!({"version": 1, "names": ["all", "dns", "web", "mail", "names"]}));
    // There is no room for another name: said, with the way out.
    let full: Vec<String> = ["all".to_owned()].into_iter().chain((1..64).map(|n| format!("c{n}"))).collect();
    std::fs::write(&kept, serde_json::json!({"version": 1, "names": full}).to_string()).expect("writes");
    let (config, file) = (r.dir().join("retrotap.toml"), r.dir().join("x.pcap").to_string_lossy().into_owned());
    let args = ["record", "-r", &file, "-c", &config.to_string_lossy()];
    let ran = r.run(&args);
    assert!(
        ran.code != Some(0) && ran.err.contains("classes.json") && ran.err.contains("64"),
        "{:?} {}",
        ran.code,
        ran.err
    );
    std::fs::write(&config, none("c63", 53)).expect("a configuration");
    let ran = r.run(&args);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    // What can't be read is said, and no reason not to record.
    std::fs::write(&kept, "{\"version\": 1, \"names\": [\"all\", \"all\"]}").expect("writes");
    let ran = r.run(&args);
    assert!(ran.code == Some(0) && ran.err.contains("other classes"), "{}", ran.err);
    assert_eq!(names(&kept)["names"], serde_json::json!(["all", "c63"]));
}

/// Twenty classes in use at once: every packet in its own, whole segments.
#[test]
fn twenty_classes_at_once_lose_nothing_and_do_not_thrash() {
    let r = Retrotap::default();
    let file = r.dir().join("x.pcap");
    let port = |n: u32| 1000 + (n % 20) as u16;
    pcap(&file, (0..100_000u32).map(|n| (START + u64::from(n) * 10_000, udp(port(n), port(n), n, 600))));
    let mut config = "disk = \"2GiB\"\nsegment_size = \"4MiB\"\n".to_owned();
    for n in 0..20 {
        config += &format!("[class.c{n}]\nfilter = \"port {}\"\ncutoff = \"none\"\n", 1000 + n);
    }
    let account = record(&r, &config, &file);
    assert_eq!(account["stored"]["packets"], 100_000);
    for n in 0..20 {
        let class = std::fs::read_dir(r.store().join(format!("c{n}"))).expect("its folder").flatten();
        let segments = class.filter(|e| e.path().extension().is_some_and(|e| e == "pcapng")).count();
        // 3 MB of packets each.
        assert_eq!(segments, 1, "class c{n}");
        assert_eq!(back(&r, &format!("port {}", 1000 + n)).len(), 5000);
    }
}

#[test]
fn a_class_keeps_its_budget_its_share_and_its_segment_size_across_restarts_and_when_it_shrinks() {
    let r = Retrotap::default();
    let file = r.dir().join("x.pcap");
    // A flood of one class, and a little of another in front of it.
    let quiet = (0..2000u32).map(|n| (START + u64::from(n), udp(53, 53, n, 1000)));
    let flood = (0..60_000u32).map(|n| (START + S + u64::from(n), udp(80, 80, n, 1400)));
    pcap(&file, quiet.chain(flood));
    let config = |flood: u64, quiet: u64| {
        format!(
            "disk = \"200MiB\"\nsegment_size = \"4MiB\"\n[class.flood]\nfilter = \"port 80\"\ncutoff = \"none\"\ndisk = \"{flood}MiB\"\n\
             [class.quiet]\nfilter = \"port 53\"\ncutoff = \"none\"\ndisk = \"{quiet}MiB\"\nsegment_size = \"5MiB\"\n"
        )
    };
    for (round, budget) in [40, 40, 16].into_iter().enumerate() {
        record(&r, &config(budget, 40), &file);
        let flood = used(&r, "flood");
        assert!(flood <= budget * MIB, "round {round}: {flood} bytes of {budget} MiB");
        assert!(flood + 3 * 4 * MIB > budget * MIB, "round {round}: {flood} bytes of {budget} MiB");
        let quiet = back(&r, "port 53").len();
        assert_eq!(quiet, 2000 * (round + 1), "the flood took nothing from it");
    }
    // The newest of the flood are there.
    let left = back(&r, "port 80");
    assert_eq!(left.last().map(|p| p.data.clone()), Some(udp(80, 80, 59_999, 1400)));
}

#[test]
fn budgets_that_cannot_be_are_refused_with_numbers() {
    let r = Retrotap::default();
    let file = r.dir().join("x.pcap");
    pcap(&file, [(START, udp(1, 2, 3, 100))]);
    let name = file.to_string_lossy().into_owned();
    for (config, words) in [
        ("disk = \"900TiB\"\n", &["900 TiB", "in all"][..]),
        ("[class.all]\ndisk = \"900TiB\"\n", &["class all", "900 TiB", "in all"]),
        ("disk = \"1GiB\"\n[class.all]\ndisk = \"2GiB\"\n", &["2.00 GiB together", "1.00 GiB"]),
        ("disk = \"1GiB\"\n[class.all]\ndisk = \"1MiB\"\n", &["class all", "1048576", "at least"]),
        ("[class.x]\nfilter = \"tcp prt 5\"\n", &["line 2, column 10", "class x"]),
        ("[class.x]\nfilter = \"tcp\"\n[class.x]\n", &["line 3, column 8", "duplicate"]),
    ] {
        let ran = refused(&r, config, &["record", "-c", "CONFIG", "-r", &name]);
        for word in words {
            assert!(ran.err.contains(word), "{config}: {:?} lacks {word:?}", ran.err);
        }
    }
    assert!(!r.store().join("all").exists());
}

/// Makes all segments of a class look as if they had been recorded so long ago.
fn age(r: &Retrotap, class: &str, by: std::time::Duration) {
    for entry in std::fs::read_dir(r.store().join(class)).expect("its folder").flatten() {
        let file = std::fs::File::options().write(true).open(entry.path()).expect("a segment");
        file.set_modified(std::time::SystemTime::now() - by).expect("its time");
    }
}

const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

#[test]
fn what_is_too_old_goes_and_only_that() {
    let r = Retrotap::default();
    let file = r.dir().join("x.pcap");
    pcap(&file, (0..300u32).map(|n| (START + u64::from(n), udp(7, [53, 80][n as usize % 2], n, 500))));
    let config =
        "[class.all]\ncutoff = \"none\"\n[class.dns]\nfilter = \"port 53\"\ncutoff = \"none\"\nmax_age = \"2h\"\n";
    record(&r, config, &file);
    age(&r, "dns", 3 * HOUR);
    age(&r, "all", 3 * HOUR);
    record(&r, config, &file);
    assert_eq!((back(&r, "port 53").len(), back(&r, "port 80").len()), (150, 300));
}

#[test]
fn a_budget_that_does_not_hold_min_age_is_told_before_the_start() {
    let r = Retrotap::default();
    let file = r.dir().join("x.pcap");
    pcap(&file, (0..10_000u32).map(|n| (START + u64::from(n), udp(7, 53, n, 1000))));
    // 10 MB in an hour: 100 MiB hold some ten hours.
    let config = |min: &str| {
        format!(
            "store = \"{}\"\ndisk = \"100MiB\"\n[class.all]\ncutoff = \"none\"\nmin_age = \"{min}\"\n",
            r.store().display()
        )
    };
    record(&r, &config("1h"), &file);
    age(&r, "all", HOUR);
    let path = r.dir().join("retrotap.toml");
    let path = path.to_string_lossy();
    for (min, short) in [("1d", true), ("2h", false)] {
        std::fs::write(&*path, config(min)).expect("a configuration");
        let plan = r.run(&["record", "--plan", "-c", &path, "-r", &file.to_string_lossy()]);
        let check = r.run(&["check-config", &path, "--json"]);
        assert_eq!((plan.code, check.code), (Some(0), Some(0)), "{} {}", plan.err, check.err);
        let notes = check.json()["notes"].to_string();
        for said in [&plan.err, &notes] {
            assert_eq!(said.contains("min_age is 1d") && said.contains("class all: its budget holds"), short, "{said}");
        }
    }
}
