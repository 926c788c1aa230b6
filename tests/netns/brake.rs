//! The brake in a running recorder: questions wait while a ring fills, and go on when it has been emptied.

use crate::world::{Recorder, World};
use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Nothing here takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks the recorder; the JSON of the answer.
fn ask(world: &World, request: &str, body: &str) -> Value {
    let mut stream = UnixStream::connect(world.store().join("api.sock")).expect("the socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let text =
        format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).expect("a request");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("a response");
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    serde_json::from_str(reply.lines().last().expect("a body")).expect("JSON")
}

fn brake(world: &World) -> Value {
    ask(world, "GET /v1/status", "")["brake"].clone()
}

fn until(what: &str, mut there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !there() {
        assert!(start.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How the kernel is to run the worker: `chrt`'s words.
fn run_worker(recorder: &Recorder, how: &[&str]) {
    let id = recorder.thread("worker-0").to_string();
    let ran = Command::new("chrt").args(how).args(["-p", "0", &id]).status().expect("chrt");
    assert!(ran.success(), "chrt {how:?}");
}

/// The worker is made to come after everything else, on the processor that makes the load: its ring fills, whatever is then lost is
/// in the account, and questions that came meanwhile have their answer afterwards.
fn a_ring_fills(source: &str) {
    let Some(world) = World::new() else { return };
    world.veth(0, 1);
    let recorder = world.record(Some(0), &["-i", "tap0", "--source", source, "-c", &crate::rings(&world, 8192)]);
    let mut load = vec!["--iface", "gen0", "--cpu", "0", "--mix", "lab", "--gbps", "2"];
    if source == "packet" {
        load.extend(["--pass", "tap0"]);
    }
    let mut offered = world.load(&[&load[..], &["--packets", "20000"]].concat()).tally("offered").packets;
    let waited = || brake(&world)["waited_seconds"].as_f64() > Some(0.0);
    // On a busy machine a question may come too late to wait: then once more.
    for round in 1.. {
        until("rest", || brake(&world)["on"] == false);
        run_worker(&recorder, &["--idle"]);
        let over = AtomicBool::new(false);
        offered += std::thread::scope(|scope| {
            let asked = scope.spawn(|| {
                until("the brake", || over.load(Relaxed) || brake(&world)["on"] == true);
                ask(&world, "POST /v1/count", "{}")
            });
            let first = (round * 100_000).to_string();
            let truth = world.load(&[&load[..], &["--seconds", "2", "--first-connection", &first]].concat());
            over.store(true, Relaxed);
            run_worker(&recorder, &["--other"]);
            let summary = asked.join().expect("an answer");
            assert!(summary["packets"].as_u64() > Some(0), "{source}: {summary}");
            truth.tally("offered").packets
        });
        if waited() {
            break;
        }
        assert!(round < 10, "{source}: no question waited: {}", brake(&world));
    }
    until("the end of the brake", || brake(&world)["on"] == false);
    assert!(brake(&world)["times"].as_u64() > Some(0), "{source}: {}", brake(&world));
    // Whose sums are exact.
    let account = recorder.stop();
    assert_eq!(account.from.seen.packets, offered, "{source}: {account:#?}");
}

#[test]
fn questions_wait_while_an_xdp_ring_fills() {
    a_ring_fills("xdp");
}

#[test]
fn questions_wait_while_a_packet_ring_fills() {
    a_ring_fills("packet");
}
