//! The whole way to the disk: what the segments of `retrotap record -r` hold of every capture, read with libpcap, is what the
//! oracle says a cutoff keeps.

#[path = "oracle/mod.rs"]
mod oracle;

use std::path::Path;
use std::process::Command;

use oracle::captures::{self, Capture, Packet};
use oracle::model::{Oracle, Rules};

/// What a configuration says, and the rules that it means.
fn cutoffs() -> Vec<(&'static str, Rules)> {
    let bytes = |n| Rules { cutoff_bytes: Some(n), ..Rules::default() };
    vec![
        ("cutoff = \"100\"", bytes(100)),
        ("", bytes(15 << 10)),
        ("cutoff = \"none\"\ncutoff_packets = 3", Rules { cutoff_packets: Some(3), ..Rules::default() }),
    ]
}

/// Records a capture and reads the segments.
fn through_a_store(capture: &Capture, class: &str, folder: &Path) -> Result<Vec<Packet>, String> {
    let (store, config) = (folder.join("store"), folder.join("retrotap.toml"));
    let _ = std::fs::remove_dir_all(&store);
    std::fs::write(&config, format!("segment_size = \"4MiB\"\n[class.all]\n{class}\n")).map_err(|e| e.to_string())?;
    let mut record = Command::new(env!("CARGO_BIN_EXE_retrotap"));
    record.args(["record", "-c"]).arg(&config).arg("--store").arg(&store).arg("-r").arg(&capture.path);
    let output = record.output().expect("the binary runs");
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    let mut packets = Vec::new();
    for segment in std::fs::read_dir(store.join("all")).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if segment.extension().is_none_or(|e| e != "pcapng") {
            continue;
        }
        let read = captures::read(&segment, String::new()).map_err(|e| format!("{}: {e}", segment.display()))?;
        if let Some(broken) = read.broken {
            return Err(format!("{}: {broken}", segment.display()));
        }
        if read.link_type != capture.link_type {
            return Err(format!("link type {} became {}", capture.link_type, read.link_type));
        }
        packets.extend(read.packets);
    }
    Ok(packets)
}

/// The same packets, whatever their order.
fn same<'a>(mut a: Vec<&'a Packet>, mut b: Vec<&'a Packet>) -> Result<(), String> {
    for packets in [&mut a, &mut b] {
        packets.sort_by_key(|p: &&'a Packet| (p.time, p.wire, &p.data));
    }
    let differ = |(a, b): (&&Packet, &&Packet)| (a.time, a.wire, &a.data) != (b.time, b.wire, &b.data);
    match a.iter().zip(&b).position(differ) {
        None if a.len() == b.len() => Ok(()),
        None => Err(format!("{} packets, not {}", b.len(), a.len())),
        Some(i) => Err(format!(
            "{} packets, not {}; first difference: {} ns, {} of {} bytes, not {} ns, {} of {} bytes",
            b.len(),
            a.len(),
            b[i].time,
            b[i].data.len(),
            b[i].wire,
            a[i].time,
            a[i].data.len(),
            a[i].wire
        )),
    }
}

#[test]
fn segments_hold_what_the_oracle_keeps() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut failures = Vec::new();
    let mut compared = 0;
    let Some(count) = captures::each(|capture| {
        // What libpcap can't read whole, the product may; other tests see to that.
        if capture.broken.is_some() {
            eprintln!("not compared: {}: libpcap does not read all of it", capture.name);
            return;
        }
        if capture.odd_times {
            eprintln!("not compared: {}: times on which readers differ", capture.name);
            return;
        }
        for (class, rules) in cutoffs() {
            let mut oracle = Oracle::new(rules);
            let kept = |p: &&Packet| oracle.packet(p.time, p.wire, capture.link_type, &p.data).stored;
            let expected: Vec<&Packet> = capture.packets.iter().filter(kept).collect();
            let result = through_a_store(&capture, class, folder.path());
            if let Err(wrong) = result.and_then(|answer| same(expected, answer.iter().collect())) {
                failures.push(format!("{} {class:?}: {wrong}", capture.name));
            }
            compared += 1;
        }
    }) else {
        return;
    };
    assert!(count > 0 && compared > count, "{compared} comparisons of {count} captures");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
