//! The whole product end to end in network namespaces: a load that knows the truth, native XDP on veth, AF_XDP, the store,
//! queries from other processes. Each test checks the sum law and that the packets offered are the packets seen.
//! Needs root.

mod brake;
#[path = "../common/mod.rs"]
mod common;
mod died;
mod syscalls;
mod world;

use common::{Seen, libpcap};
use retrotap::metrics::account::Account;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use world::{Truth, World};

/// What the load handed to the device is what the XDP program counted, packet by packet and byte by byte.
fn assert_seen(account: &Account, truth: &Truth) {
    assert_eq!(account.from.seen, truth.tally("offered"), "offered is not seen: {account:#?}");
}

fn losses(account: &Account) -> u64 {
    account.from.redirect_failed.total()
        + account.from.passed.packets
        + account.from.lost
        + account.worker.dropped.total().packets
        + account.store.write_failed
}

/// The packets of a capture file, as a multiset.
fn multiset(file: &Path) -> Vec<Vec<u8>> {
    let (packets, error) = libpcap(file);
    assert_eq!(error, None, "{}", file.display());
    let mut all: Vec<Vec<u8>> = packets.into_iter().map(|p| p.data).collect();
    all.sort();
    all
}

fn assert_in_time_order(file: &Path) -> Vec<Seen> {
    let (packets, error) = libpcap(file);
    assert_eq!(error, None, "{}", file.display());
    assert!(packets.is_sorted_by_key(|p| p.time), "an answer is in time order");
    packets
}

const LAB: [&str; 8] = ["--mix", "lab", "--active", "1024", "--gbps", "0.3", "--seconds", "2"];

/// At a rate that loses nothing: every packet that the cutoff must keep is stored, and comes back.
#[test]
fn a_lossless_load_is_kept_exactly() {
    let Some(world) = World::new() else { return };
    world.veth(0, 1);
    let recorder = world.record(None, &["-i", "tap0", "--source", "xdp"]);
    let truth = world.load(&[&["--iface", "gen0"][..], &LAB].concat());
    let account = recorder.stop();
    assert_seen(&account, &truth);
    assert_eq!(losses(&account), 0, "{account:#?}");
    assert!(account.from.shunted.packets > 0, "the kernel cut nothing: {account:#?}");
    assert_eq!(account.worker.stored, truth.tally("kept"), "stored is not what a cutoff of 15 KiB must keep");
    let (summary, answer) = world.query(&[]);
    assert_eq!(summary["packets"].as_u64(), Some(account.worker.stored.packets));
    assert_eq!(assert_in_time_order(&answer).len() as u64, account.worker.stored.packets);
}

/// Without a cutoff the answer is what was sent, byte for byte.
#[test]
fn what_was_sent_comes_back() {
    let Some(world) = World::new() else { return };
    world.veth(0, 1);
    let load =
        ["--mix", "lab", "--active", "256", "--gbps", "0.2", "--seconds", "20", "--packets", "30000", "--seed", "5"];
    let recorder = world.record(None, &["-i", "tap0", "--source", "xdp", "--cutoff", "none"]);
    let truth = world.load(&[&["--iface", "gen0"][..], &load].concat());
    let account = recorder.stop();
    assert_seen(&account, &truth);
    assert_eq!(account.worker.stored.packets, 30000, "{account:#?}");
    let (file, played) = world.play(&load);
    assert_eq!(played.tally("offered"), truth.tally("offered"), "both players make the same load");
    let (_, answer) = world.query(&[]);
    assert!(multiset(&answer) == multiset(&file), "the answer is not what was sent");

    let filters =
        ["udp", "ip6 and tcp port 443", "host 10.0.0.7", "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0", "net 198.18.0.0/17"];
    for filter in filters {
        let (_, answer) = world.query(&[filter]);
        let expected = filtered(&file, filter);
        assert!(!expected.is_empty(), "{filter} matches nothing of the load");
        assert!(multiset(&answer) == expected, "{filter}");
    }
}

/// A trace as load: loop after loop of it, with addresses of its own in each, as the same load in a file says.
#[test]
fn a_trace_comes_back_loop_by_loop() {
    let Some(world) = World::new() else { return };
    world.veth(0, 1);
    let (trace, _) = world.play(&["--mix", "lab", "--active", "64", "--packets", "4000", "--seconds", "20"]);
    let trace = trace.with_file_name("trace.pcap");
    std::fs::rename(world.path("truth.pcap"), &trace).expect("the trace");
    let load = ["--trace", trace.to_str().expect("a path"), "--times", "2", "--seconds", "20", "--packets", "10000"];
    let recorder = world.record(None, &["-i", "tap0", "--source", "xdp", "--cutoff", "none"]);
    let truth = world.load(&[&["--iface", "gen0"][..], &load].concat());
    let account = recorder.stop();
    assert_seen(&account, &truth);
    assert_eq!(account.worker.stored.packets, 10000, "{account:#?}");
    let (file, _) = world.play(&load);
    let (_, answer) = world.query(&[]);
    assert!(multiset(&answer) == multiset(&file), "the answer is not what was sent");
    // Two loops and a half: addresses of the trace itself are in the first only.
    let (_, first) = world.query(&["net 10.0.0.0/8 and not port 53"]);
    let own = filtered(&trace, "net 10.0.0.0/8 and not port 53");
    assert!(!own.is_empty() && multiset(&first) == own, "a later loop has connections of the first");
}

/// The packets of a file that libpcap lets pass, as a multiset.
fn filtered(file: &Path, filter: &str) -> Vec<Vec<u8>> {
    let mut capture = pcap::Capture::from_file(file).expect("the truth");
    capture.filter(filter, true).expect("a filter");
    let mut all = Vec::new();
    while let Ok(packet) = capture.next_packet() {
        all.push(packet.data.to_vec());
    }
    all.sort();
    all
}

/// A configuration with rings of this many frames.
fn rings(world: &World, frames: u32) -> String {
    let path = world.path("rings.toml");
    std::fs::write(&path, format!("frames = {frames}\n")).expect("the configuration");
    path.to_str().expect("a path").to_string()
}

/// The recorder stands still for a while (as when its machine is stolen from it): what its rings don't hold is lost, and
/// counted; then it goes on by itself.
#[test]
fn overload_is_accounted_for() {
    let Some(world) = World::new() else { return };
    world.veth(0, 1);
    let config = rings(&world, 4096);
    let mut recorder = world.record(None, &["-i", "tap0", "--source", "xdp", "--cutoff", "none", "-c", &config]);
    let received = |at_least: u64| {
        move |lines: &[Value]| lines.iter().any(|l| l["received"]["packets"].as_u64() >= Some(at_least))
    };
    let truth = std::thread::scope(|scope| {
        let load =
            scope.spawn(|| world.load(&["--iface", "gen0", "--mix", "flood", "--gbps", "0.05", "--seconds", "3"]));
        recorder.until("the first packets", received(1));
        recorder.signal("STOP");
        // 75 thousand packets, eighteen times what the rings hold.
        std::thread::sleep(std::time::Duration::from_secs(1));
        recorder.signal("CONT");
        load.join().expect("the load")
    });
    let account = recorder.stop();
    assert_seen(&account, &truth);
    assert!(account.from.redirect_failed.total() > 0, "this was no overload: {account:#?}");
    assert_eq!(world.count(""), account.store.durable);
}

/// A flood of new connections through a small table: what was tracked before goes on being stored without a gap, and of the flood
/// each packet is stored or counted.
#[test]
fn a_flood_takes_nothing_from_what_was_there() {
    let Some(world) = World::new() else { return };
    world.veth(0, 1);
    world.veth(1, 1);
    let config = world.path("flood.toml");
    let text = "connections_ipv4 = 4096\nconnections_ipv6 = 1024\n[class.all]\ncutoff = \"none\"\n";
    std::fs::write(&config, text).expect("the configuration");
    let config = config.to_str().expect("a path");
    let mut recorder = world.record(None, &["-i", "tap0", "-i", "tap1", "--source", "xdp", "-c", config]);
    let (there, flood) = std::thread::scope(|scope| {
        let there = scope.spawn(|| {
            let steady = ["--mix", "elephant", "--active", "16", "--gbps", "0.2", "--seconds", "6"];
            world.load(&[&["--iface", "gen0"][..], &steady].concat())
        });
        // Sixteen turns of 64 packets for each: all have begun.
        recorder.until("what is there before", |lines| {
            lines.iter().any(|l| l["stored"]["packets"].as_u64() >= Some(16 * 64 * 16))
        });
        let many = ["--mix", "flood", "--gbps", "0.1", "--seconds", "2", "--first-connection", "1000000"];
        let flood = world.load(&[&["--iface", "gen1"][..], &many].concat());
        (there.join().expect("the load"), flood)
    });
    let account = recorder.stop();
    let (there, flood) = (there.tally("offered"), flood.tally("offered"));
    assert_eq!(account.from.seen.packets, there.packets + flood.packets, "{account:#?}");
    let [tracked, lost] = [account.worker.untracked.packets, account.worker.dropped.flood.packets];
    assert!(tracked > 0 && lost > 0, "the table was never full: {account:#?}");
    assert_eq!(world.count("tcp port 443"), there.packets, "a gap in what was there: {account:#?}");
    let elsewhere = account.from.redirect_failed.total() + account.from.passed.packets;
    assert_eq!(world.count("tcp port 80") + lost + elsewhere, flood.packets, "{account:#?}");
}

/// Under load a worker asks the kernel for something once in many packets: naps, writes, sleeps; never for a packet.
#[test]
fn packets_make_no_system_calls() {
    let Some(world) = World::new() else { return };
    world.veth(0, 1);
    let recorder = world.record(None, &["-i", "tap0", "--source", "xdp"]);
    let Some(mut calls) = syscalls::Syscalls::of(recorder.thread("worker-0")) else { return };
    let truth = world.load(&["--iface", "gen0", "--mix", "dns", "--gbps", "0.2", "--seconds", "2"]);
    let made = calls.count();
    let account = recorder.stop();
    assert_seen(&account, &truth);
    let received = account.worker.received.packets;
    eprintln!("{made} system calls, {received} packets");
    assert!(made > 0 && received > 100_000 && made * 10 < received, "{made} system calls for {received} packets");
}

/// Rings so small that the fill ring is empty most of the time.
#[test]
fn a_starved_fill_ring_is_accounted_for() {
    let Some(world) = World::new() else { return };
    world.veth(0, 1);
    let config = rings(&world, 64);
    let recorder = world.record(Some(0), &["-i", "tap0", "--source", "xdp", "-c", &config]);
    let truth = world.load(&["--iface", "gen0", "--mix", "dns", "--seconds", "2", "--cpu", "0"]);
    let account = recorder.stop();
    assert_seen(&account, &truth);
    assert!(account.from.redirect_failed.no_frame > 0, "the fill ring was never empty: {account:#?}");
    assert_eq!(world.count(""), account.store.durable);
}

/// Killed while it records, and started again: what was durable is there, what came after the restart is there, and it
/// goes on by itself.
#[test]
fn killed_and_started_again() {
    let Some(world) = World::new() else { return };
    world.veth(0, 1);
    let options = ["-i", "tap0", "--source", "xdp", "--cutoff", "none"];
    let first = ["--iface", "gen0", "--mix", "dns", "--gbps", "0.05", "--seconds", "30", "--packets", "20000"];
    let mut recorder = world.record(None, &options);
    world.load(&first);
    recorder.until("all of it on disk", |lines| lines.iter().any(|l| l["durable"].as_u64() == Some(20000)));
    // More comes, and in the middle of it the end.
    let second =
        ["--iface", "gen0", "--mix", "flood", "--gbps", "0.05", "--seconds", "1", "--first-connection", "10000000"];
    let truth = std::thread::scope(|scope| {
        let load = scope.spawn(|| world.load(&second));
        recorder.until("some of the second load", |lines| {
            lines.iter().any(|l| l["received"]["packets"].as_u64() > Some(20000))
        });
        recorder.kill();
        load.join().expect("the load")
    });
    let kept = world.count("");
    assert!(kept >= 20000, "{kept} of at least 20000 packets survived");
    assert!(kept <= 20000 + truth.tally("offered").packets);
    assert_eq!(world.count("udp port 53"), 20000);

    let recorder = world.record(None, &options);
    let third = [
        "--iface",
        "gen0",
        "--mix",
        "dns",
        "--gbps",
        "0.05",
        "--seconds",
        "30",
        "--packets",
        "10000",
        "--first-connection",
        "20000000",
    ];
    let truth = world.load(&third);
    let account = recorder.stop();
    assert_seen(&account, &truth);
    assert_eq!(world.count(""), kept + 10000);
    assert_eq!(world.count("udp port 53"), 30000);
}

/// Packets are found by another process while the recorder is still at work, and before its segment is sealed.
#[test]
fn queries_see_what_has_just_arrived() {
    let Some(world) = World::new() else { return };
    world.veth(0, 1);
    let recorder = world.record(None, &["-i", "tap0", "--source", "xdp", "--cutoff", "none"]);
    for round in 1..=3u64 {
        let first = (round * 1_000_000).to_string();
        world.load(&[
            "--iface",
            "gen0",
            "--mix",
            "dns",
            "--gbps",
            "0.05",
            "--seconds",
            "30",
            "--packets",
            "5000",
            "--first-connection",
            &first,
        ]);
        // The promise is one second after arrival; the load has ended by now.
        std::thread::sleep(std::time::Duration::from_secs(1));
        assert_eq!(world.count("udp port 53"), round * 5000, "round {round}:\n{}", recorder.log());
    }
    let account = recorder.stop();
    assert_eq!(account.worker.stored.packets, 15000);
}

/// A connection as its stored packets show it.
#[derive(Default)]
struct Kept {
    /// Without SYN, FIN and RST.
    bytes: u64,
    last: u64,
}

type Ends = (Vec<u8>, Vec<u8>, u16, u16);

/// The endpoints of a packet of the load, the lower first, and whether it is a SYN or FIN.
fn ends(data: &[u8]) -> (Ends, bool) {
    let (addresses, l4) = if data[12] == 0x86 { (22..54, 54) } else { (26..34, 34) };
    let half = addresses.len() / 2;
    let (a, b) = data[addresses].split_at(half);
    let port = |at: usize| u16::from_be_bytes([data[at], data[at + 1]]);
    let proto = if data[12] == 0x86 { data[20] } else { data[23] };
    let control = proto == 6 && data[l4 + 13] & 3 != 0;
    let (x, y) = ((a.to_vec(), port(l4)), (b.to_vec(), port(l4 + 2)));
    let (low, high) = if x <= y { (x, y) } else { (y, x) };
    ((low.0, high.0, low.1, high.1), control)
}

/// What a cutoff promises for each connection when its packets may have been taken in another order than they were sent:
/// nothing more is stored once that much of it is stored, and no less than that.
fn assert_cutoff_kept(answer: &Path, sent: &Path, cutoff: u64) {
    let mut kept: HashMap<Ends, Kept> = HashMap::new();
    for p in assert_in_time_order(answer) {
        let (ends, control) = ends(&p.data);
        if !control {
            let k = kept.entry(ends).or_default();
            k.bytes += u64::from(p.wire_len);
            k.last = k.last.max(u64::from(p.wire_len));
        }
    }
    let mut offered: HashMap<Ends, u64> = HashMap::new();
    for p in libpcap(sent).0 {
        let (ends, control) = ends(&p.data);
        *offered.entry(ends).or_default() += if control { 0 } else { u64::from(p.wire_len) };
    }
    assert!(offered.values().any(|&bytes| bytes > 2 * cutoff), "the load crosses no cutoff");
    // SYN and FIN count too, at most four of 86 bytes.
    let control = 4 * 86;
    for (ends, total) in offered {
        let k = kept.remove(&ends).unwrap_or_default();
        assert!(k.bytes < cutoff + k.last, "{ends:?}: {} bytes stored past the cutoff", k.bytes);
        assert!(k.bytes >= total.min(cutoff - control), "{ends:?}: only {} of {total} bytes stored", k.bytes);
    }
    assert!(kept.is_empty(), "{} connections that were never sent", kept.len());
}

const SPLIT: [&str; 12] =
    ["--mix", "lab", "--active", "64", "--gbps", "0.2", "--seconds", "60", "--packets", "40000", "--seed", "3"];

/// Two queues, two workers, and connections that change between the queues all the time.
#[test]
fn two_queues_count_together() {
    let Some(world) = World::new() else { return };
    if std::thread::available_parallelism().map_or(1, |n| n.get()) < 2 {
        eprintln!("skipped: one CPU feeds only one queue of a veth");
        return;
    }
    world.veth(0, 2);
    let recorder = world.record(None, &["-i", "tap0", "--source", "xdp", "--workers", "2"]);
    let truth = world.load(&[&["--iface", "gen0", "--cpu", "0,1", "--hop-ms", "3"][..], &SPLIT].concat());
    let account = recorder.stop();
    assert_seen(&account, &truth);
    assert_eq!(losses(&account), 0, "{account:#?}");
    assert!(account.worker.handed_over.packets > 0, "no packet came to another worker than its owner: {account:#?}");
    let (_, answer) = world.query(&[]);
    assert_cutoff_kept(&answer, &world.play(&SPLIT).0, 15 << 10);
}

/// A tap with two ports: each direction of a connection on an interface of its own.
#[test]
fn two_directions_on_two_interfaces_count_together() {
    let Some(world) = World::new() else { return };
    world.veth(0, 1);
    world.veth(1, 1);
    let recorder = world.record(None, &["-i", "tap0", "-i", "tap1", "--source", "xdp"]);
    let truth = world.load(&[&["--iface", "gen0", "--iface", "gen1"][..], &SPLIT].concat());
    let account = recorder.stop();
    assert_seen(&account, &truth);
    assert_eq!(losses(&account), 0, "{account:#?}");
    let (_, answer) = world.query(&[]);
    assert_cutoff_kept(&answer, &world.play(&SPLIT).0, 15 << 10);
}

/// The source that takes nothing from the host.
#[test]
fn af_packet_keeps_the_same() {
    let Some(world) = World::new() else { return };
    world.veth(0, 1);
    let recorder = world.record(None, &["-i", "tap0", "--source", "packet"]);
    let truth = world.load(&[&["--iface", "gen0", "--pass", "tap0"][..], &SPLIT].concat());
    let account = recorder.stop();
    assert_seen(&account, &truth);
    assert_eq!(losses(&account), 0, "{account:#?}");
    assert_eq!(account.worker.stored, truth.tally("kept"));
}

/// Followers of a live capture, one from before the load and one from its midst, through memory that holds a part of it: each gets
/// what a query gives afterwards, packet by packet, and in its order but for what came late and is said to.
#[test]
fn followers_get_what_a_query_gives_later() {
    let Some(world) = World::new() else { return };
    world.veth(0, 2);
    let recorder =
        world.record(None, &["-i", "tap0", "--source", "xdp", "--memory", "32MiB", "--segment-size", "8MiB"]);
    let follow = |name: &str, filter: &str| {
        let file = world.path(name);
        let mut command = std::process::Command::new(world::RETROTAP);
        command.args(["query", filter, "--follow", "--json", "--store"]).arg(world.store()).arg("-w").arg(&file);
        let child = command.stdout(std::process::Stdio::piped()).spawn().expect("a follower");
        (child, file)
    };
    let mut followers = vec![(follow("early.pcapng", ""), "")];
    let midst = std::thread::scope(|scope| {
        let load = scope.spawn(|| world.load(&[&["--iface", "gen0"][..], &LAB].concat()));
        std::thread::sleep(std::time::Duration::from_millis(900));
        let midst = [(follow("midst.pcapng", ""), ""), (follow("some.pcapng", "tcp port 443"), "tcp port 443")];
        load.join().expect("the load");
        midst
    });
    followers.extend(midst);
    let account = recorder.stop();
    assert_eq!(losses(&account), 0, "{account:#?}");
    for ((child, file), filter) in followers {
        let ended = child.wait_with_output().expect("its end");
        assert!(ended.status.success(), "{filter}");
        let summary: Value = serde_json::from_slice(&ended.stdout).expect("a summary");
        let (mut got, error) = libpcap(&file);
        assert_eq!(error, None);
        // What a stalled worker brings late comes late, and is said.
        let mut newest = 0;
        let mut late = 0;
        for p in &got {
            late += u64::from(p.time < newest);
            newest = p.time.max(newest);
        }
        assert_eq!(summary["late_packets"], late, "{filter}: {summary}");
        if late > 0 {
            got.sort_by_key(|p| p.time);
        }
        let (later, answer) = world.query(&[filter]);
        let mut want = assert_in_time_order(&answer);
        assert!(!want.is_empty(), "{filter}");
        let lacking = want.iter().filter(|p| got.binary_search(p).is_err()).count();
        assert_eq!(
            got.len(),
            want.len(),
            "{filter}: {lacking} are lacking; the follower: {summary}; the query: {later}"
        );
        if late > 0 {
            got.sort();
            want.sort();
        }
        assert!(got == want, "{filter}: not the same packets, or not their order");
    }
}
