//! Holds through the recorder: who made them is the kernel's word; those that follow go on over stops and kills without gap or double; the
//! limit ends them openly.

use crate::common::{Retrotap, libpcap};
use crate::rig::{Daemon, packet, sized};
use std::collections::BTreeSet;

/// Packet `n` as it comes now.
pub fn coming(n: u32) -> Vec<u8> {
    let (mut record, now) = (sized(n, 200), retrotap::units::now());
    stamp(&mut record, now);
    record
}

/// The time of a record.
fn stamp(record: &mut [u8], now: u64) {
    record[..4].copy_from_slice(&((now / 1_000_000_000) as u32).to_le_bytes());
    record[4..8].copy_from_slice(&((now % 1_000_000_000) as u32).to_le_bytes());
}

fn good(r: &Retrotap, args: &[&str]) -> String {
    let ran = r.run(args);
    assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.err);
    ran.text()
}

fn hold(r: &Retrotap, name: &str) -> serde_json::Value {
    let all = good(r, &["holds", "--json"]);
    let found =
        all.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON")).find(|h| h["name"] == name);
    found.unwrap_or_else(|| panic!("no hold {name} in {all}"))
}

/// The numbers that packets of the rig carry.
fn numbers(r: &Retrotap, name: &str) -> Vec<u32> {
    let file = r.dir().join(format!("{name}.pcapng"));
    good(r, &["export", name, "--force", "-w", &file.to_string_lossy()]);
    let (packets, error) = libpcap(&file);
    assert_eq!(error, None);
    packets.iter().map(|p| u32::from_be_bytes(p.data[42..46].try_into().expect("four bytes"))).collect()
}

#[test]
fn a_hold_through_the_recorder_has_who_the_kernel_says() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &[]);
    daemon.feed((0..1_000).map(packet));
    daemon.until_count(1_000);
    let made = r.run(&["hold", "host 10.0.0.7", "--name", "case", "--reason", "why", "--json"]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    let made = made.json();
    assert_eq!((&made["packets"], &made["by"]["uid"]), (&4.into(), &rustix::process::geteuid().as_raw().into()));
    assert_eq!(numbers(&r, "case"), [7, 263, 519, 775]);
    for (args, code, word) in [
        (&["hold", "--name", "case", "--reason", "x"][..], 2, "there is a hold case"),
        (&["hold", "host 10.3.3.3", "--name", "x", "--reason", "x"], 1, "no packet matches"),
        (&["hold", "prot udp", "--name", "x", "--reason", "x", "--follow"], 2, "filter"),
        (&["release", "nobody", "--reason", "x"], 2, "there is case"),
    ] {
        let ran = r.run(args);
        assert!(ran.code == Some(code) && ran.err.contains(word), "{args:?}: {:?} {}", ran.code, ran.err);
    }
    good(&r, &["release", "case", "--reason", "over"]);
    assert!(good(&r, &["holds"]).contains("0 B of"));
    let lines = daemon.audit(|l| l.iter().any(|l| l["request"] == "DELETE /v1/holds/case" && l["status"] == 200));
    let of = |status: u16| lines.iter().filter(|l| l["request"] == "POST /v1/holds" && l["status"] == status).count();
    assert_eq!((of(200), of(409), of(404), of(400)), (1, 1, 1, 1));
    daemon.stop();
    let alone = r.run(&["hold", "--name", "x", "--reason", "x", "--follow"]);
    assert!(alone.code == Some(3) && alone.err.contains("recorder"), "{}", alone.err);
}

#[test]
fn a_hold_that_follows_goes_on_where_it_stood() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &[]);
    daemon.feed((0..1).map(|_| coming(7_000)));
    daemon.until_count(1);
    good(
        &r,
        &[
            "hold",
            "net 10.0.0.0/8 and less 300",
            "--name",
            "f",
            "--reason",
            "why",
            "--since",
            "-1h",
            "--follow",
            "--for",
            "1h",
        ],
    );
    daemon.until("its past", || (hold(&r, "f")["packets"] == 1).then_some(()));
    daemon.feed((0..100).map(coming));
    daemon.until("what came", || (hold(&r, "f")["packets"] == 101).then_some(()));
    daemon.stop();
    let mut fed = 100;
    let mut feed = |daemon: &mut Daemon, held: u64| {
        daemon.feed((fed..fed + 100).map(coming));
        fed += 100;
        daemon.until_count(u64::from(fed));
        daemon.until("the hold", || (hold(&r, "f")["packets"] == held).then_some(()));
    };
    // Stopped and started: what comes then, and killed and started.
    let mut daemon = Daemon::start(&r, &[]);
    feed(&mut daemon, 201);
    daemon.kill();
    // A slice that was under way when it died.
    let file = r.store().join("held/f/packets.pcapng");
    let mut torn = std::fs::File::options().append(true).open(&file).expect("the packets");
    std::io::Write::write_all(&mut torn, &[0x0a; 100]).expect("half a slice");
    let mut daemon = Daemon::start(&r, &[]);
    feed(&mut daemon, 301);
    good(&r, &["holds", "--verify"]);
    let all = numbers(&r, "f");
    let expected: BTreeSet<u32> = (0..300).chain([7_000]).collect();
    assert_eq!((all.len(), all.iter().copied().collect::<BTreeSet<_>>()), (301, expected));
    let f = hold(&r, "f");
    assert!(f["follows"].is_object() && f["follows"]["ended"].is_null(), "{f}");
    // The limit ends it, openly, and what is there stays.
    good(&r, &["holds", "--limit", "64KiB"]);
    daemon.feed((300..900).map(coming));
    let ended = daemon.until("its end", || {
        let f = hold(&r, "f");
        f["follows"]["ended"].as_str().map(str::to_owned)
    });
    assert!(ended.contains("64.0 KiB"), "{ended}");
    assert!(good(&r, &["holds"]).contains("reached their limit"));
    let full = r.run(&["hold", "--name", "more", "--reason", "x"]);
    assert!(full.code == Some(3) && full.err.contains("does not fit"), "{:?} {}", full.code, full.err);
    good(&r, &["holds", "--verify"]);
    good(&r, &["release", "f", "--reason", "over"]);
    assert!(!file.exists());
    // Without an API nothing is given to one that follows: said at the start.
    good(&r, &["hold", "host 10.3.3.3", "--name", "g", "--reason", "why", "--follow"]);
    daemon.stop();
    let empty = r.dir().join("empty.pcap");
    std::fs::write(&empty, [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0])
        .expect("writes");
    let ran = r.run(&["record", "-r", &empty.to_string_lossy(), "--api", "off"]);
    assert!(ran.code == Some(0) && ran.err.contains("g wait"), "{:?} {}", ran.code, ran.err);
}

#[test]
fn a_hold_that_follows_outlives_the_budget() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--disk", "64MiB"]);
    let wide = |n: u32| {
        let mut record = sized(n, 1500);
        stamp(&mut record, retrotap::units::now());
        record
    };
    let follow = ["hold", "host 10.0.0.7", "--name", "f", "--reason", "why", "--follow", "--json"];
    daemon.feed((0..256).map(wide));
    daemon.until_count(256);
    let made = r.run(&follow).json();
    // Its past at once.
    assert_eq!((&made["packets"], &made["by"]["uid"]), (&1.into(), &rustix::process::geteuid().as_raw().into()));
    // Twice the budget, not faster than the hold follows.
    let mut fed = 256;
    for _ in 0..8 {
        daemon.feed((fed..fed + 12_800).map(wide));
        fed += 12_800;
        let held = u64::from(fed / 256);
        daemon.until("the hold", || (hold(&r, "f")["packets"] == held).then_some(()));
    }
    daemon.until("retention", || {
        let (_, summary) = daemon.ask("/v1/count", r#"{"filter": "host 10.0.0.7"}"#);
        (summary["packets"].as_u64()? < u64::from(fed / 256)).then_some(())
    });
    let expected: Vec<u32> = (0..fed).filter(|n| n % 256 == 7).collect();
    assert_eq!(numbers(&r, "f"), expected);
    let f = hold(&r, "f");
    assert!(f["summary"]["incomplete"].as_array().is_some_and(|r| r.iter().all(|r| r["why"] != "expired")), "{f}");
    good(&r, &["holds", "--verify"]);
    daemon.stop();
    // From the files, when nobody records.
    assert_eq!(numbers(&r, "f"), expected);
    assert!(good(&r, &["holds", "--verify"]).contains("every sum is right"));
}

#[test]
fn what_was_not_followed_in_time_is_told() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &[]);
    daemon.feed((0..100).map(coming));
    daemon.until_count(100);
    good(&r, &["hold", "udp", "--name", "f", "--reason", "why", "--follow"]);
    daemon.stop();
    // Somebody has changed the packets meanwhile: nothing is added to them, and what is wrong is said.
    let file = r.store().join("held/f/packets.pcapng");
    let mut bytes = std::fs::read(&file).expect("the packets");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&file, &bytes).expect("writes");
    let mut daemon = Daemon::start(&r, &[]);
    daemon.feed((100..200).map(coming));
    daemon.until_count(200);
    daemon.until("the word", || daemon.log().contains("not those that were held").then_some(()));
    let ran = r.run(&["holds", "--verify"]);
    assert!(ran.code == Some(1) && ran.err.contains("f:"), "{:?} {}", ran.code, ran.err);
    let copy = r.dir().join("copy.pcapng");
    let ran = r.run(&["export", "f", "-w", &copy.to_string_lossy()]);
    assert!(ran.code == Some(3) && ran.err.contains("held were"), "{:?} {}", ran.code, ran.err);
    assert!(!copy.exists(), "half a hold is none");
    assert_eq!(std::fs::read(&file).expect("the packets"), bytes);
    daemon.stop();
}
