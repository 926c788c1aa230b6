//! What can be judged without root.

use super::drivers::{DRIVERS, known, release};
use super::interface::numbers;
use super::script::{fix, quote, undo};
use super::*;
use std::process::Command;

#[test]
fn releases_and_drivers_are_read() {
    assert_eq!(release("6.18.44-fc-v595"), Some((6, 18)));
    assert_eq!(release("6.1"), Some((6, 1)));
    assert_eq!(release("nonsense"), None);
    assert_eq!(known("ice").unwrap().zero_copy, Some((5, 5)));
    assert!(known("e1000e").is_none());
    // The table of tuning/README.md says the same.
    let page =
        std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning/README.md")).unwrap();
    for d in DRIVERS.iter().filter(|d| d.name != "veth") {
        let since = d.zero_copy.map_or("no".to_owned(), |(a, b)| format!("{a}.{b}"));
        assert!(page.contains(&format!("| {} | {since} |", d.name)), "{} {since} is not in the table", d.name);
    }
}

#[test]
fn interrupts_are_found_by_whole_words() {
    let table = "           CPU0 CPU1\n 24:  1  2  PCI-MSIX  i40e-eth1-TxRx-0\n 25: 1 2 PCI eth10-TxRx-0\n 26: 0 0 PCI eth1\nNMI: 0 eth1\n";
    assert_eq!(numbers(table, "eth1"), [24, 26]);
}

#[test]
fn words_survive_a_shell() {
    for word in ["eth0", "", "a b", "it's", "$HOME;`x`", "\"q\"", "new\nline"] {
        let out = Command::new("sh").args(["-c", &format!("printf %s {}", quote(word))]).output().unwrap();
        assert_eq!(String::from_utf8(out.stdout).unwrap(), word);
    }
}

#[test]
fn scripts_do_what_they_say_in_order_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let check = |knob, n: u32| {
        let path = dir.path().join(knob);
        std::fs::write(&path, "old").unwrap();
        let set =
            |v: &str| format!("echo {v} > {} && echo {n} >> {}", path.display(), dir.path().join("order").display());
        Check::ok_if(knob, "", false, "o'ld").fixed_by(set("new"), set("old"))
    };
    let mut checks = vec![
        check("a", 1),
        Check::ok_if("ok", "", true, "x").fixed_by("exit 9".into(), "exit 9".into()),
        check("b", 2),
    ];
    let run = |script: String| Command::new("sh").args(["-c", &script]).output().unwrap();
    let read = |knob: &str| std::fs::read_to_string(dir.path().join(knob)).unwrap().trim().to_owned();
    assert!(run(fix(&checks)).status.success());
    assert_eq!((read("a"), read("b"), read("order").replace('\n', "")), ("new".into(), "new".into(), "12".into()));
    assert!(run(undo(&checks)).status.success());
    assert_eq!((read("a"), read("b"), read("order").replace('\n', "")), ("old".into(), "old".into(), "1221".into()));
    // One that fails stops none of the others and shows in the end.
    checks.insert(0, Check::ok_if("c", "", false, "").fixed_by("false".into(), "true".into()));
    let out = run(fix(&checks));
    assert_eq!((out.status.code(), read("b")), (Some(1), "new".into()));
    assert!(String::from_utf8(out.stderr).unwrap().contains("apply: c: failed"));
}

#[test]
fn every_check_says_why() {
    for c in host::checks() {
        assert!(!c.knob.is_empty() && !c.why.is_empty() && !c.found.is_empty(), "{c:?}");
        assert!(c.fix.is_none() || c.state == State::NotOk, "{c:?}");
    }
}
