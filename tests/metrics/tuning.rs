//! The doctor and its scripts in a network namespace: a planted misconfiguration is found, set right, and put back exactly.

use crate::world::{RETROTAP, World};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn script(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning").join(name).to_str().expect("a path").to_owned()
}

fn run(world: &World, program: &str, args: &[&str]) -> Output {
    world.command(program).args(args).env("RETROTAP", RETROTAP).output().expect("a program")
}

/// Each check of the interface: knob to state.
fn checks(world: &World) -> Vec<(String, String)> {
    let out = run(world, &script("check"), &["-i", "tap0", "--json"]);
    let value: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let all = value["checks"].as_array().expect("checks").clone();
    let bad = all.iter().filter(|c| c["state"] == "not_ok").count() as u64;
    assert_eq!(value["not_ok"].as_u64(), Some(bad));
    assert_eq!(out.status.code(), Some(i32::from(bad > 0)), "{}", String::from_utf8_lossy(&out.stderr));
    all.iter()
        .filter(|c| c["interface"] == "tap0")
        .map(|c| (c["knob"].as_str().expect("a knob").to_owned(), c["state"].as_str().expect("a state").to_owned()))
        .collect()
}

/// What ethtool and ip say of the interface, without what changes by itself.
fn settings(world: &World) -> String {
    let mut all = String::new();
    for (program, args) in
        [("ethtool", &["-k", "tap0"][..]), ("ip", &["link", "show", "tap0"]), ("ethtool", &["-l", "tap0"])]
    {
        all += &String::from_utf8_lossy(&run(world, program, args).stdout);
    }
    for knob in ["napi_defer_hard_irqs", "gro_flush_timeout"] {
        all += &String::from_utf8_lossy(&run(world, "cat", &[&format!("/sys/class/net/tap0/{knob}")]).stdout);
    }
    all
}

#[test]
fn what_is_planted_is_found_applied_and_put_back() {
    let Some(world) = World::new() else { return };
    world.veth(0, 8);
    // Only what concerns the interface is applied here: the host's knobs are not this test's to change.
    for (program, args) in [
        ("ethtool", &["-K", "tap0", "gro", "on", "rxvlan", "on"][..]),
        ("ip", &["link", "set", "tap0", "mtu", "65000"]),
        (
            "sh",
            &[
                "-c",
                "echo 0 > /sys/class/net/tap0/napi_defer_hard_irqs; echo 7 > /sys/class/net/tap0/gro_flush_timeout",
            ],
        ),
    ] {
        assert!(run(&world, program, args).status.success(), "{program} {args:?}");
    }
    let before = settings(&world);
    let state = |knob: &str| {
        let all = checks(&world);
        all.iter().find(|(k, _)| k == knob).unwrap_or_else(|| panic!("no {knob} in {all:?}")).1.clone()
    };
    let wrong = ["GRO off", "rxvlan off", "queues", "napi_defer_hard_irqs", "gro_flush_timeout"];
    for knob in wrong {
        assert_eq!(state(knob), "not_ok", "{knob}");
    }
    assert_eq!(state("MTU"), "ok", "veth holds it");

    let ours = |text: &str| {
        // Each step is two lines; those of the host are left out.
        let lines: Vec<&str> = text.lines().collect();
        let mut kept = vec!["failed=0"];
        for step in lines.windows(2).filter(|l| l[0].starts_with("echo ") && l[0].contains(": tap0: ")) {
            kept.extend(step);
        }
        kept.push("exit \"$failed\"");
        kept.join("\n")
    };
    let args = |what| ["doctor", "-i", "tap0", what];
    let undo = run(&world, RETROTAP, &args("--undo-script"));
    let dry = run(&world, &script("apply"), &["--dry-run", "-i", "tap0"]);
    assert!(dry.status.success() && undo.status.success());
    assert_eq!(settings(&world), before, "a dry run changes nothing");
    let fix = ours(&String::from_utf8_lossy(&dry.stdout));
    for knob in wrong {
        assert!(fix.contains(knob), "{knob} is not in\n{fix}");
    }
    let out = run(&world, "sh", &["-c", &fix]);
    assert!(out.status.success(), "{fix}\n{}", String::from_utf8_lossy(&out.stderr));
    assert!(String::from_utf8_lossy(&out.stdout).contains("apply: tap0: GRO off (on): ethtool -K tap0 gro off"));
    for knob in wrong {
        assert_eq!(state(knob), "ok", "{knob}");
    }
    assert_ne!(settings(&world), before);
    let back = ours(&String::from_utf8_lossy(&undo.stdout));
    let out = run(&world, "sh", &["-c", &back]);
    assert!(out.status.success(), "{back}\n{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(settings(&world), before, "put back exactly");
}

/// The whole of `tuning/apply`, with a doctor that knows one harmless knob, so that this machine stays as it is.
#[test]
fn apply_writes_the_way_back_before_it_changes_anything() {
    let Some(world) = World::new() else { return };
    let (knob, doctor, undo) = (world.path("knob"), world.path("doctor"), world.path("undo.sh"));
    std::fs::write(&knob, "old").expect("a knob");
    let text = format!(
        "#!/bin/sh\n[ \"$1 $2 $3\" = \"doctor -i tap0\" ] || exit 2\ncase $4 in\n\
         --fix-script) echo 'test -s {undo} && echo new > {knob}' ;;\n--undo-script) echo \"echo $(cat {knob}) > {knob}\" ;;\nesac\n",
        undo = undo.display(),
        knob = knob.display()
    );
    std::fs::write(&doctor, text).expect("a doctor");
    assert!(Command::new("chmod").arg("+x").arg(&doctor).status().expect("chmod").success());
    let apply = |args: &[&str]| {
        Command::new(script("apply")).args(args).args(["-i", "tap0"]).env("RETROTAP", &doctor).output().expect("apply")
    };
    let read = || std::fs::read_to_string(&knob).expect("the knob").trim().to_owned();
    let file = undo.to_str().expect("a path");
    assert!(apply(&["--dry-run"]).status.success());
    assert_eq!((read().as_str(), undo.exists()), ("old", false));
    let out = apply(&["--undo-file", file]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(read(), "new");
    assert!(String::from_utf8_lossy(&out.stdout).contains(&format!("the way back: sh {file}")));
    assert_eq!(apply(&["--undo-file", file]).status.code(), Some(2), "the way back is never overwritten");
    assert!(Command::new("sh").arg(file).status().expect("sh").success());
    assert_eq!(read(), "old");
}

#[test]
fn an_interface_that_is_not_there_is_named() {
    let out = Command::new(RETROTAP).args(["doctor", "-i", "nosuch0"]).output().expect("retrotap");
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(3));
    assert!(said.contains("nosuch0") && said.contains("ip link"), "{said}");
}

#[test]
fn scripts_and_unit_are_clean() {
    if crate::shipped::have("shellcheck") {
        let out = Command::new("shellcheck").args([script("check"), script("apply")]).output().expect("shellcheck");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    }
    if crate::shipped::have("systemd-analyze") {
        let text = std::fs::read_to_string(script("retrotap.service")).expect("the unit");
        let dir = tempfile::tempdir().expect("a directory");
        let unit = dir.path().join("retrotap.service");
        // verify wants a program that is there.
        std::fs::write(&unit, text.replace("/usr/local/bin/retrotap", RETROTAP)).expect("the unit");
        let out =
            Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output().expect("systemd-analyze");
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && !said.contains("retrotap.service:"), "{said}");
    }
}
