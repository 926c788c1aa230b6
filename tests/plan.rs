//! `retrotap plan -r`: what it says a cutoff keeps is what a recorder with that cutoff stores, to the packet, for every
//! capture of moderate size.

mod common;

use serde_json::Value;
use std::path::Path;
use std::process::Command;

const CUTOFFS: [(&str, u64); 4] = [("100", 100), ("4KiB", 4 << 10), ("15KiB", 15 << 10), ("1MiB", 1 << 20)];
/// Larger ones add time, not cases.
const BYTES_MAX: u64 = 4 << 20;

fn last_json(command: &mut Command) -> Value {
    let out = command.output().expect("the binary runs");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let last = text.lines().last().unwrap_or_else(|| panic!("{command:?}: {}", String::from_utf8_lossy(&out.stderr)));
    serde_json::from_str(last).expect("JSON")
}

fn retrotap() -> Command {
    Command::new(env!("CARGO_BIN_EXE_retrotap"))
}

fn stored(capture: &Path, cutoff: &str, folder: &Path) -> (u64, u64, u64) {
    let store = folder.join("store");
    let _ = std::fs::remove_dir_all(&store);
    let mut record = retrotap();
    record.args(["record", "--json", "--cutoff", cutoff, "--store"]).arg(&store).arg("-r").arg(capture);
    let account = last_json(&mut record);
    let number = |v: &Value| v.as_u64().expect("a number");
    (
        number(&account["connections"]["begun"]),
        number(&account["stored"]["packets"]),
        number(&account["stored"]["bytes"]),
    )
}

#[test]
fn the_plan_is_what_a_recorder_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut compared = 0;
    let small = |p: &std::path::PathBuf| p.metadata().is_ok_and(|m| m.len() <= BYTES_MAX);
    for capture in common::captures("the_plan_is_what_a_recorder_does").into_iter().filter(small).step_by(6) {
        let mut plan = retrotap();
        plan.args(["plan", "--json", "--cutoffs", &CUTOFFS.map(|(word, _)| word).join(","), "-r"]).arg(&capture);
        let plan = last_json(&mut plan);
        for (n, (word, bytes)) in CUTOFFS.iter().enumerate() {
            let point = &plan["cutoffs"][n];
            assert_eq!(point["cutoff_bytes"], *bytes);
            let planned = (&plan["connections"], &point["packets"], &point["bytes"]);
            let (connections, packets, stored) = stored(&capture, word, folder.path());
            assert_eq!(
                planned,
                (&connections.into(), &packets.into(), &stored.into()),
                "{} at {word}",
                capture.display()
            );
            compared += 1;
        }
    }
    println!("{compared} comparisons");
}

#[test]
fn wrong_words_are_refused() {
    let code = |args: &[&str]| retrotap().arg("plan").args(args).output().unwrap().status.code();
    assert_eq!(code(&[]), Some(2));
    assert_eq!(code(&["-r", "x", "--store", "y"]), Some(2));
    assert_eq!(code(&["-r", "x", "--rate", "fast"]), Some(2));
    assert_eq!(code(&["-r", "x", "--days", "0"]), Some(2));
    assert_eq!(code(&["-r", "/nonexistent"]), Some(3));
    assert_eq!(code(&["--zeek", "/nonexistent"]), Some(3));
    assert_eq!(code(&["--store", "/nonexistent"]), Some(3));
}
