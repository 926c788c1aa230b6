//! What is shipped for Prometheus and Grafana: rules that promtool accepts and whose tests pass, a dashboard of metrics that
//! exist.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning/prometheus")
}

/// Whether a program is there; says so if not.
pub fn have(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("skipped: {program} is not installed (cargo xtask setup)");
    }
    found
}

/// `promtool check metrics`.
pub fn check_metrics(text: &str) {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().expect("promtool");
    child.stdin.take().expect("its input").write_all(text.as_bytes()).expect("its input");
    let out = child.wait_with_output().expect("promtool");
    let said = [out.stdout, out.stderr].concat();
    assert!(out.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

/// Words that begin with `retrotap_` in an expression.
fn names(text: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    text.split(word).filter(|w| w.starts_with("retrotap_")).map(str::to_owned).collect()
}

/// Every metric that the rules and the dashboard name is among these families.
pub fn names_exist(families: &BTreeSet<&str>) {
    for file in ["retrotap.rules.yml", "grafana.json"] {
        let text = fs::read_to_string(folder().join(file)).expect(file);
        let named = names(&text);
        assert!(named.len() > 5, "{file} names hardly anything");
        for name in named {
            let base = ["_bucket", "_count", "_sum"].iter().find_map(|s| name.strip_suffix(s)).unwrap_or(&name);
            assert!(families.contains(base) || families.contains(name.as_str()), "{file}: there is no metric {name}");
        }
    }
}

#[test]
fn rules_are_right_and_fire_when_they_must() {
    if !have("promtool") {
        return;
    }
    for args in [["check", "rules", "retrotap.rules.yml"], ["test", "rules", "retrotap.test.yml"]] {
        let out = Command::new("promtool").args(args).current_dir(folder()).output().expect("promtool");
        let said = [out.stdout, out.stderr].concat();
        assert!(out.status.success(), "promtool {args:?}: {}", String::from_utf8_lossy(&said));
    }
    // Each rule is in a test.
    let text = |file| fs::read_to_string(folder().join(file)).expect("a file");
    let tests = text("retrotap.test.yml");
    for rule in text("retrotap.rules.yml").lines().filter_map(|l| l.trim().strip_prefix("- alert: ").map(str::to_owned))
    {
        assert!(tests.contains(&format!("alertname: {rule}\n")), "{rule} has no test");
    }
}

#[test]
fn the_dashboard_is_one() {
    let text = fs::read_to_string(folder().join("grafana.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(dashboard["title"].is_string() && dashboard["schemaVersion"].is_u64() && panels.len() >= 8);
    let mut ids = BTreeSet::new();
    for p in panels {
        assert!(ids.insert(p["id"].as_u64().expect("an id")), "two panels with one id");
        assert!(p["title"].as_str().is_some_and(|t| !t.is_empty()), "{p}");
        let g = |k: &str| p["gridPos"][k].as_u64().expect("a place");
        assert!(g("x") + g("w") <= 24 && g("h") > 0 && g("y") < 1000, "{p}");
        if p["type"] != "row" {
            let targets = p["targets"].as_array().expect("targets");
            assert!(
                !targets.is_empty() && targets.iter().all(|t| !names(t["expr"].as_str().unwrap_or("")).is_empty()),
                "{p}"
            );
        }
    }
}
