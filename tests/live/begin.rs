//! The beginning of a recording in the midst of traffic: what comes before that moment is neither taken nor counted, and from then on nothing
//! is missing.

use crate::net::{Sender, in_namespace, udp, veth};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const RETROTAP: &str = env!("CARGO_BIN_EXE_retrotap");
/// Bytes before the number in a frame: Ethernet, IPv4, UDP.
const BEFORE: usize = 14 + 20 + 8;

fn begun_in_traffic(source: &str) {
    veth("s0", "t0", 1, 1500);
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let done = AtomicBool::new(false);
    let ran = std::thread::scope(|s| {
        s.spawn(|| {
            let sender = Sender::new("s0");
            for n in 0u32.. {
                sender.send(&udp(1, 53, n, 60));
                if done.load(Relaxed) {
                    return;
                }
                std::thread::sleep(Duration::from_micros(50));
            }
        });
        let mut record = Command::new(RETROTAP);
        record.args(["record", "--json", "-i", "t0", "--source", source, "--duration", "2s", "--cutoff", "none"]);
        let ran = record.arg("--store").arg(&store).stdin(Stdio::null()).output();
        done.store(true, Relaxed);
        ran.unwrap()
    });
    let text = String::from_utf8_lossy(&ran.stdout);
    let said: Value = serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let (seen, passed, stored) = (&said["seen"]["packets"], &said["passed"]["packets"], &said["stored"]["packets"]);
    assert!(seen.as_u64() > Some(100) && passed == 0 && stored == seen && said["lost_packets"] == 0, "{said}");
    let mut query = Command::new(RETROTAP);
    let out = query.args(["query", "--format", "pcap", "-w", "-", "--store"]).arg(&store).output().unwrap();
    let numbers = numbers(&out.stdout);
    assert_eq!(Some(numbers.len() as u64), seen.as_u64());
    assert!(numbers[0] > 0, "it began before the traffic");
    assert!(numbers.windows(2).all(|n| n[1] == n[0] + 1), "a gap after the beginning");
}

/// What the frames of a pcap file of nanoseconds are numbered by.
fn numbers(mut file: &[u8]) -> Vec<u32> {
    file = &file[24..];
    let mut all = Vec::new();
    while let Some((head, rest)) = file.split_at_checked(16) {
        let len = u32::from_le_bytes(head[8..12].try_into().unwrap()) as usize;
        all.push(u32::from_be_bytes(rest[BEFORE..BEFORE + 4].try_into().unwrap()));
        file = &rest[len..];
    }
    all
}

#[test]
fn xdp_begins_in_traffic_without_a_loss() {
    in_namespace("live-begin-xdp", || begun_in_traffic("xdp"));
}

#[test]
fn packet_begins_in_traffic_without_a_loss() {
    in_namespace("live-begin-packet", || begun_in_traffic("packet"));
}
