//! What several integration tests share.
#![allow(dead_code)]

pub mod memory;
pub mod processes;
pub mod said;

use std::path::{Path, PathBuf};

/// All capture files below the directory that RETROTAP_TRACES names, or a word on standard error and nothing.
pub fn captures(test: &str) -> Vec<PathBuf> {
    let Some(root) = std::env::var_os("RETROTAP_TRACES") else {
        eprintln!("skipped: {test}: RETROTAP_TRACES does not name the captures");
        return Vec::new();
    };
    let mut found = Vec::new();
    walk(Path::new(&root), &mut found);
    found.sort();
    assert!(!found.is_empty(), "no captures below {}", root.to_string_lossy());
    found
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("the captures' directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "pcap" || e == "pcapng" || e == "erf") {
            found.push(path);
        }
    }
}

/// A packet as a reader returned it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Unix time, ns.
    pub time: u64,
    /// Length on the wire.
    pub wire_len: u32,
    /// Captured bytes.
    pub data: Vec<u8>,
}

/// What libpcap reads from a file, in file order, and the error that it stops with.
pub fn libpcap(path: &Path) -> (Vec<Seen>, Option<String>) {
    let mut packets = Vec::new();
    let magic: Vec<u8> = std::fs::read(path).expect("the capture").into_iter().take(4).collect();
    let unit =
        if [[0xa1, 0xb2, 0x3c, 0x4d], [0x4d, 0x3c, 0xb2, 0xa1]].iter().any(|m| m == &magic[..]) { 1 } else { 1000 };
    let pcapng = magic == [0x0a, 0x0d, 0x0d, 0x0a];
    let mut capture = match pcap::Capture::from_file_with_precision(path, pcap::Precision::Nano) {
        Ok(c) => c,
        Err(e) => return (packets, Some(e.to_string())),
    };
    loop {
        match capture.next_packet() {
            Ok(p) => {
                // libpcap takes both halves of a pcap file's time as signed; they are 32 bits without a sign.
                let seconds = match p.header.ts.tv_sec {
                    s if s < 0 => u64::from(s as u32),
                    s => s as u64,
                };
                let nanos = match p.header.ts.tv_usec {
                    f if f >= 0 => f as u64,
                    f => u64::from((f / unit) as u32) * unit as u64,
                };
                let time = match p.header.ts.tv_sec {
                    s if s < 0 && pcapng => 0, // before 1970: held there
                    _ => seconds.saturating_mul(1_000_000_000).saturating_add(nanos).min(u64::MAX - 1),
                };
                // A packet is as long as what was captured of it.
                let wire_len = p.header.len.max(p.header.caplen);
                packets.push(Seen { time, wire_len, data: p.data.to_vec() });
            }
            Err(pcap::Error::NoMorePackets) => return (packets, None),
            Err(e) => return (packets, Some(e.to_string())),
        }
    }
}

/// The binary, with a store of its own.
pub struct Retrotap {
    dir: tempfile::TempDir,
}

/// What a run of the binary left.
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub out: Vec<u8>,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// The last line of standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        let text = self.text();
        let last = text.lines().last().unwrap_or_default();
        let value =
            serde_json::from_str(last).unwrap_or_else(|e| panic!("{e} in {last:?}; standard error: {}", self.err));
        said::check_rules("a command", &value);
        value
    }
}

impl Default for Retrotap {
    fn default() -> Self {
        Retrotap { dir: tempfile::tempdir().expect("a directory") }
    }
}

impl Retrotap {
    /// The directory that all its files are in.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the store is.
    pub fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// The binary with the store in its environment.
    pub fn command(&self, args: &[&str]) -> std::process::Command {
        let mut c = std::process::Command::new(env!("CARGO_BIN_EXE_retrotap"));
        c.args(args).env("RETROTAP_STORE", self.store()).env_remove("RETROTAP_LOG").stdin(std::process::Stdio::null());
        c
    }

    /// Runs it to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        let o = self.command(args).output().expect("the binary runs");
        Ran { code: o.status.code(), out: o.stdout, err: String::from_utf8_lossy(&o.stderr).into_owned() }
    }

    /// Records files; returns the final account, whose sums are checked.
    pub fn record(&self, files: &[&Path], more: &[&str]) -> (Ran, serde_json::Value) {
        let names: Vec<String> = files.iter().map(|f| f.to_string_lossy().into_owned()).collect();
        let mut args = vec!["record", "--json"];
        args.extend(more);
        args.push("-r");
        args.extend(names.iter().map(String::as_str));
        let ran = self.run(&args);
        let account = ran.json();
        check_account(&account);
        (ran, account)
    }
}

/// The sum law, on the printed account, apart from the product's own check.
pub fn check_account(a: &serde_json::Value) {
    let n =
        |path: &str| a.pointer(path).and_then(serde_json::Value::as_u64).unwrap_or_else(|| panic!("no {path} in {a}"));
    assert_eq!(a["kind"], "final", "{a}");
    let received = n("/received/packets");
    match a["source"].as_str() {
        Some("xdp") => {
            let redirected = n("/redirected/packets");
            assert_eq!(n("/seen/packets"), n("/shunted/packets") + redirected + n("/passed/packets"), "{a}");
            let failed: u64 = ["ring_full", "no_frame", "too_big", "unbound"]
                .iter()
                .map(|c| n(&format!("/redirect_failed/{c}")))
                .sum();
            assert_eq!(redirected, received + n("/in_ring") + failed, "{a}");
        }
        Some("packet" | "file") => {
            assert_eq!(n("/seen/packets"), n("/shunted/packets") + received + n("/lost"), "{a}");
        }
        other => panic!("source {other:?}"),
    }
    let parts = ["stored", "cut", "filtered", "class_discard", "sampled_out", "duplicate"];
    let kept: u64 = parts.iter().map(|c| n(&format!("/{c}/packets"))).sum();
    let causes = ["disk_stall", "handoff_full", "flood"];
    let dropped: u64 = causes.iter().map(|c| n(&format!("/dropped/{c}/packets"))).sum();
    assert_eq!(received, kept + dropped, "{a}");
    assert_eq!(n("/stored/packets"), n("/durable") + n("/pending") + n("/write_failed"), "{a}");
}

/// What retrotap's own file source reads: more than libpcap where that refuses a file.
pub fn own(path: &Path) -> Vec<Seen> {
    use retrotap::source::{Polled, Source, file::FileSource};
    let mut source = FileSource::open(&[path.to_owned()], None).expect("the file opens");
    let mut packets = Vec::new();
    while source
        .poll(|batch, _| {
            packets.extend(batch.iter().map(|p| Seen { time: p.time, wire_len: p.wire_len, data: p.data.to_vec() }));
        })
        .expect("a poll")
        != Polled::End
    {}
    packets
}

/// The sealed segments of a store, in the order of their names.
pub fn segments(store: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(store, &mut found);
    found.sort();
    found
}
