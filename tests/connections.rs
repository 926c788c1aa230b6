//! `retrotap connections` against what was really sent: totals of every connection of a capture, shunted or cut bytes included, from
//! receipts alone or with the index; by filter, by community ID; the packets where the key does not tell.

mod common;

use common::Retrotap;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const PACKETS: u32 = 40;

/// 30 connections of 40 packets of 1000 bytes, both directions, a millisecond apart; every third is UDP, every fifth tagged.
fn capture(dir: &Path) -> PathBuf {
    let mut pcap = Vec::new();
    for v in [0xa1b2_3c4du32, 0x0004_0002, 0, 0, 65535, 1] {
        pcap.extend(v.to_le_bytes());
    }
    for n in 0..PACKETS * 30 {
        let (conn, number) = ((n % 30) as u8, n / 30);
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        if conn % 5 == 0 {
            frame.extend([0x81, 0, 0, 7]);
        }
        let proto = if conn % 3 == 0 { 17 } else { 6 };
        frame.extend([8, 0, 0x45, 0, 3, 200, 0, 0, 0, 0, 64, proto, 0, 0]);
        let (client, server) = ([10, 0, 0, conn], [192, 0, 2, conn % 4]);
        let (cport, sport) = ([0x80, conn], [1, 187]);
        if number % 2 == 0 {
            frame.extend([client, server].concat());
            frame.extend([cport, sport].concat());
        } else {
            frame.extend([server, client].concat());
            frame.extend([sport, cport].concat());
        }
        // Data offset and ACK of TCP.
        frame.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0]);
        frame.resize(1000, 0);
        for v in [1_700_000_000 + n / 1000, n % 1000 * 1_000_000, frame.len() as u32, frame.len() as u32] {
            pcap.extend(v.to_le_bytes());
        }
        pcap.extend(frame);
    }
    let path = dir.join("c.pcap");
    std::fs::write(&path, pcap).expect("the capture");
    path
}

fn ask(r: &Retrotap, args: &[&str]) -> Vec<serde_json::Value> {
    let ran = r.run(&[&["connections", "--json"], args].concat());
    assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.err);
    ran.text().lines().map(|l| serde_json::from_str(l).expect("a line of JSON")).collect()
}

/// An end as people write it.
fn end(e: &serde_json::Value) -> String {
    format!("{}:{}", e["address"].as_str().expect("an address"), e["port"])
}

#[test]
fn connections_have_their_true_totals() {
    let r = Retrotap::default();
    let path = capture(r.dir());
    assert_eq!(r.record(&[&path], &["--cutoff", "10000"]).0.code, Some(0));
    // The packet that crosses the cutoff is whole: ten of 1000 bytes reach it.
    let check = |all: &[serde_json::Value], from_receipts: bool| {
        let mut by_client = BTreeMap::new();
        for c in all {
            let seen = if from_receipts { u64::from(PACKETS) } else { 10 };
            assert_eq!((c["seen_packets"].as_u64(), c["seen_bytes"].as_u64()), (Some(seen), Some(seen * 1000)), "{c}");
            assert_eq!((c["stored_packets"].as_u64(), c["cut"].as_bool()), (Some(10), Some(true)), "{c}");
            assert_eq!(c["end"], if from_receipts { "stopped" } else { "no_receipt" }, "{c}");
            assert_eq!(c["class"], "all", "{c}");
            by_client.insert(end(&c["a"]), c.clone());
        }
        by_client
    };
    let all = ask(&r, &[]);
    assert_eq!(check(&all, true).len(), 30);
    let one = &check(&all, true)["10.0.0.5:32773"];
    assert_eq!((end(&one["b"]), one["vlan"].to_string()), ("192.0.2.1:443".to_owned(), "[7]".to_owned()));
    let count = |filter: &str| ask(&r, &[filter]).len();
    assert_eq!(count("host 10.0.0.5"), 1, "in a tag, too");
    assert_eq!(count("host 192.0.2.1"), 8);
    assert_eq!((count("udp"), count("not udp"), count("vlan 7"), count("port 443 and not vlan 7")), (10, 20, 6, 24));
    assert_eq!((count("host 10.9.9.9"), count("net 10.0.0.0/28 and tcp")), (0, 10));
    // What the key does not tell, the packets do: those that are not in a tag, as for tcpdump.
    assert_eq!((count("src host 10.0.0.4"), count("src host 10.0.0.5"), count("len > 999")), (1, 0, 30));
    assert_eq!(count("src host 10.0.0.4 and src port 443"), 0);
    let id = one["community_id"].as_str().expect("an ID");
    let found = ask(&r, &["--community-id", id]);
    assert_eq!((found.len(), &found[0]["a"]), (1, &one["a"]));
    let packets = r.run(&["query", "--community-id", id, "--json"]).json();
    assert_eq!((&packets["packets"], &packets["cut_packets"]), (&10.into(), &30.into()), "{packets}");
    let none = r.run(&["query", "--community-id", "1:LQU9qZlK+B5F3KDmev6m5PMibrg=", "--json"]).json();
    assert_eq!((&none["packets"], &none["pruning"]["candidates"]), (&0.into(), &0.into()), "{none}");
    // The summary of a query says the same as the receipts.
    let whole = r.run(&["query", "--json", "--count"]).json();
    assert_eq!((&whole["cut_connections"], &whole["cut_bytes"]), (&30.into(), &(30 * 30 * 1000).into()), "{whole}");

    // Without receipts: what is stored. Without packets: what the receipts say.
    let receipts = r.store().join("receipts");
    let aside = r.dir().join("aside");
    std::fs::rename(&receipts, &aside).expect("moves");
    std::fs::create_dir(&receipts).expect("makes");
    assert_eq!(check(&ask(&r, &[]), false).len(), 30);
    std::fs::remove_dir_all(&receipts).expect("removes");
    std::fs::rename(&aside, &receipts).expect("moves");
    std::fs::remove_dir_all(r.store().join("all")).expect("removes");
    assert_eq!(check(&ask(&r, &["net 10 and not host 10.0.0.3"]), true).len(), 29);
}

/// What of an expression rules out nothing is named, for people and for programs.
#[test]
fn what_rules_out_nothing_is_named() {
    let r = Retrotap::default();
    let path = capture(r.dir());
    assert_eq!(r.record(&[&path], &[]).0.code, Some(0));
    let filter = "host 10.0.0.4 and tcp[13] = 16 and not  port 99";
    let told = r.run(&["query", filter, "--count", "--explain"]);
    assert_eq!((told.code, told.text().trim()), (Some(0), "16"), "{}", told.err);
    for line in ["  address 10.0.0.4\n", "\nrules out nothing: tcp[13] = 16\n", "\nrules out nothing: not port 99\n"] {
        assert!(told.err.contains(line), "{line:?}: {}", told.err);
    }
    let json = r.run(&["query", filter, "--count", "--json"]).json();
    assert_eq!(json["idle"], serde_json::json!(["tcp[13] = 16", "not port 99"]), "{json}");
    let json = r.run(&["query", "host 10.0.0.4", "--count", "--json"]).json();
    assert_eq!(json.get("idle"), None, "{json}");
}

#[test]
fn sorted_limited_and_as_csv() {
    let r = Retrotap::default();
    let path = capture(r.dir());
    assert_eq!(r.record(&[&path], &["--cutoff", "none"]).0.code, Some(0));
    let top = ask(&r, &["--sort", "last", "--top", "3"]);
    assert_eq!(
        top.iter().map(|c| end(&c["a"])).collect::<Vec<_>>(),
        ["10.0.0.29:32797", "10.0.0.28:32796", "10.0.0.27:32795"]
    );
    let csv = r.run(&["connections", "udp", "--csv"]);
    assert_eq!((csv.code, csv.text().lines().count()), (Some(0), 11));
    let fields = |line: &str| line.split(',').count();
    assert!(csv.text().lines().all(|l| fields(l) == 18), "{}", csv.text());
    assert!(r.run(&["connections"]).text().ends_with("30 connections\n"));
    // A window: those that lasted into it.
    assert_eq!(ask(&r, &["--until", "2023-11-14T22:13:20.010Z"]).len(), 10);
    for (args, word) in [
        (&["connections", "prot tcp"][..], "filter"),
        (&["connections", "--class", "nobody"], "no class"),
        (&["connections", "--community-id", "1:x"], "base64"),
    ] {
        let ran = r.run(args);
        assert_eq!((ran.code, ran.err.contains(word)), (Some(2), true), "{args:?}: {}", ran.err);
    }
}
