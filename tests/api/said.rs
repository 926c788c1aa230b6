//! The one shape of JSON, by all ways in: every command with `--json` and every request of the API, held against its schema and the rules
//! of `docs/json.md`; and that page against the types.

use crate::common::said::{check, check_rules, names};
use crate::common::{Ran, Retrotap};
use crate::rig::{Daemon, Reply, packet, request};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{Read, Write};

/// What was said, by object.
#[derive(Default)]
struct Heard {
    objects: BTreeSet<String>,
    commands: BTreeSet<String>,
}

impl Heard {
    /// An object that stands alone.
    fn one(&mut self, name: &str, text: &str) -> Value {
        assert_eq!(text.lines().count(), 1, "{name}: {text}");
        self.lines(name, text).remove(0)
    }

    /// A list.
    fn lines(&mut self, name: &str, text: &str) -> Vec<Value> {
        let all: Vec<Value> =
            text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect();
        all.iter().for_each(|v| check(name, v));
        if !all.is_empty() {
            self.objects.insert(name.to_owned());
        }
        all
    }

    /// What a command says.
    fn command(&mut self, r: &Retrotap, args: &[&str]) -> Ran {
        let words =
            args.iter().take_while(|a| a.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !a.starts_with('-'));
        let words: Vec<&str> = words.copied().collect();
        self.commands.insert(words.first().copied().unwrap_or_default().to_owned());
        r.run(&[args, &["--json"]].concat())
    }
}

fn http(daemon: &Daemon, method: &str, path: &str, body: &str) -> Reply {
    let mut stream = daemon.connect();
    stream.write_all(&request(method, path, body)).expect("a request");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("a response");
    Reply::of(&all)
}

#[test]
fn every_command_and_request_has_the_one_shape() {
    let r = Retrotap::default();
    let mut heard = Heard::default();
    let config = r.dir().join("retrotap.toml");
    std::fs::write(&config, "[class.dns]\nfilter = \"port 99\"\ndisk = \"64MiB\"\n").expect("writes");
    let file = config.to_string_lossy().into_owned();
    let mut daemon = Daemon::start(&r, &["-c", &file, "--memory", "64MiB", "--log-interval", "100ms"]);
    daemon.feed((0..1_000).map(packet));
    daemon.until_count(1_000);
    let answers = r.dir().join("answer.pcapng").to_string_lossy().into_owned();
    // What only a recorder tells, and what files tell too: through it.
    for (args, name, list) in [
        (&["status"][..], "Status", false),
        (&["classes"], "Class", true),
        (&["query", "host", "10.0.0.7"], "Summary", false),
        (&["query", "--count"], "Summary", false),
        (&["query", "udp", "-w", &answers], "Summary", false),
        (&["query", "--follow", "--for", "100ms", "-w", &answers, "--force"], "Summary", false),
        (&["connections", "--top", "3"], "Connection", true),
        (&["losses"], "Losses", false),
        (&["assign", "10.0.0.7", "dns", "--for", "1h"], "Assignment", false),
        (&["assignments"], "Assignment", true),
        (&["unassign", "10.0.0.7"], "Assignment", false),
        (&["suspend-cutoff", "udp 10.0.0.7:1 10.9.9.9:53", "--for", "1h"], "Suspension", false),
        (&["suspend-timeout", "10.0.0.0/8", "--for", "1h"], "Suspension", false),
        (&["suspensions"], "Suspension", true),
        (&["resume", "10.0.0.0/8"], "Suspension", false),
        (&["hold", "host 10.0.0.7", "--name", "case", "--reason", "why"], "Hold", false),
        (&["hold", "host 10.0.0.8", "--name", "on", "--reason", "why", "--follow", "--for", "1h"], "Hold", false),
        (&["holds", "--verify"], "Hold", true),
        (&["release", "on", "--reason", "over"], "Hold", false),
        (&["reload"], "Reloaded", false),
        (&["check-config", &file], "CheckedConfiguration", false),
    ] {
        let ran = heard.command(&r, args);
        assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.err);
        match list {
            true => assert!(!heard.lines(name, &ran.text()).is_empty(), "{args:?}"),
            false => drop(heard.one(name, &ran.text())),
        }
    }
    std::fs::write(&config, "[class.dns]\nfilter = \"port 99\"\ncutoff = 1000\nidle_udp = \"7s\"\n").expect("writes");
    let ran = heard.command(&r, &["reload"]);
    let changed = heard.one("Reloaded", &ran.text())["changed"].clone();
    let of = |key: &str| changed.as_array().into_iter().flatten().find(|c| c["key"] == key).cloned();
    assert_eq!(
        of("class.dns.idle_udp").map(|c| (c["to"].clone(), c["unit"].clone())),
        Some((7.0.into(), "seconds".into())),
        "{changed}"
    );
    requests(&daemon, &mut heard);
    let follow = serde_json::json!({ "follow": true, "for": "100ms", "cursors": true });
    for stands in crate::resume::cursors(&daemon, &follow).1 {
        heard.one("FollowerStands", &stands.to_string());
    }
    // The log of all that.
    for line in daemon.audit(|l| l.len() > 30) {
        check("AuditLine", &line);
        heard.objects.insert("AuditLine".into());
    }
    let store = r.store().to_string_lossy().into_owned();
    let ran = heard.command(&r, &["doctor", "--security", "--store", &store]);
    heard.one("Security", &ran.text());
    let out = r.dir().join("record.json");
    // It is said once a second, and all this may take less.
    daemon.until("an interval", || std::fs::read_to_string(&out).ok().filter(|said| said.contains('\n')).map(drop));
    let report = daemon.stop();
    check("FinalReport", &report);
    heard.objects.insert("FinalReport".into());
    heard.commands.insert("record".into());
    let said = std::fs::read_to_string(&out).expect("its output");
    let lines: Vec<&str> = said.lines().collect();
    heard.lines("RecorderReport", &lines[..lines.len() - 1].join("\n"));
    files(&r, &mut heard);
    errors(&r);
    // Nothing was left out. What a NIDS sets going is held against its schema in tests/nids.
    heard.objects.extend(["NidsEvent".to_owned(), "Error".to_owned()]);
    let all: BTreeSet<String> = names().into_iter().collect();
    assert_eq!(all.difference(&heard.objects).collect::<Vec<_>>(), Vec::<&String>::new(), "not heard");
    heard.commands.insert("nids".into());
    assert_eq!(with_json(&r).difference(&heard.commands).collect::<Vec<_>>(), Vec::<&String>::new(), "not run");
}

/// Every request of the API.
fn requests(daemon: &Daemon, heard: &mut Heard) {
    let mut asked = BTreeSet::new();
    for (method, path, body, name) in [
        ("GET", "/v1", "", "Index"),
        ("POST", "/v1/query", r#"{"filter": "host 10.0.0.7", "last": 1e9}"#, "Summary"),
        ("POST", "/v1/count", "{}", "Summary"),
        ("POST", "/v1/connections", r#"{"top": 2}"#, "Connection"),
        (
            "POST",
            "/v1/holds",
            r#"{"name": "api", "reason": "why", "filter": "host 10.0.0.9", "about": {"flow_id": 18446744073709551615}}"#,
            "Hold",
        ),
        ("GET", "/v1/holds", "", "Hold"),
        ("PUT", "/v1/holds", r#"{"limit_bytes": "1099511627776"}"#, "HoldsLimit"),
        ("GET", "/v1/holds/limit", "", "HoldsLimit"),
        ("GET", "/v1/holds/api/packets", "", "Summary"),
        ("GET", "/v1/holds/api/manifest", "", "Manifest"),
        ("POST", "/v1/holds/api/check", "{}", "Hold"),
        ("DELETE", "/v1/holds/api", r#"{"reason": "over"}"#, "Hold"),
        ("POST", "/v1/losses", "{}", "Losses"),
        ("GET", "/v1/info", "", "StoreInfo"),
        ("POST", "/v1/verify", "", "Verified"),
        ("POST", "/v1/notes", r#"{"text": "a word"}"#, "Noted"),
        ("POST", "/v1/reload", "", "Reloaded"),
        ("GET", "/v1/status", "", "Status"),
        ("GET", "/v1/classes", "", "Class"),
        ("POST", "/v1/assignments", r#"{"address": "10.0.0.7", "class": "all", "for": 3600}"#, "Assignment"),
        ("POST", "/v1/assignments", r#"[{"address": "10.0.0.8", "class": "all", "for": "1h"}]"#, "AssignedCount"),
        ("GET", "/v1/assignments", "", "Assignment"),
        ("DELETE", "/v1/assignments", r#"{"address": "10.0.0.7"}"#, "Assignment"),
        ("POST", "/v1/suspensions", r#"{"address": "10.0.0.7", "for": 3600}"#, "Suspension"),
        ("GET", "/v1/suspensions", "", "Suspension"),
        ("DELETE", "/v1/suspensions", r#"{"address": "10.0.0.7"}"#, "Suspension"),
    ] {
        let reply = http(daemon, method, path, body);
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert_eq!(reply.status, 200, "{method} {path}: {text}");
        let template =
            if path.starts_with("/v1/holds/api") { path.replace("/api", "/{name}") } else { path.to_owned() };
        asked.insert(format!("{method} {template}"));
        let packets = text.starts_with('\n') || template.ends_with("query") || template.ends_with("packets");
        if packets || name == "Connection" {
            check("Summary", &reply.summary());
        }
        match name {
            _ if packets => {}
            _ if reply.head.contains("x-ndjson") => assert!(!heard.lines(name, &text).is_empty(), "{method} {path}"),
            _ => drop(heard.one(name, &text)),
        }
    }
    let index = http(daemon, "GET", "/v1", "");
    let index: Value = serde_json::from_slice(&index.body).expect("JSON");
    for row in index["requests"].as_array().expect("requests") {
        let row = format!("{} {}", row["method"].as_str().expect("a word"), row["path"].as_str().expect("a word"));
        assert!(asked.contains(&row) || row.ends_with("openapi.json"), "{row} was not asked");
    }
}

/// What is told of files, with no recorder.
fn files(r: &Retrotap, heard: &mut Heard) {
    let store = r.store().to_string_lossy().into_owned();
    let trace = r.dir().join("answer.pcapng").to_string_lossy().into_owned();
    for more in [&["a", "--for", "1h"][..], &["b"]] {
        assert_eq!(r.run(&[&["token", "new", "--role", "packets", "--name"], more].concat()).code, Some(0));
    }
    for (args, name, list) in [
        (&["query", "--direct"][..], "Summary", false),
        (&["connections", "--direct"], "Connection", true),
        (&["losses"], "Losses", false),
        (&["info"], "StoreInfo", false),
        (&["info", &store], "StoreInfo", false),
        (&["verify"], "Verified", false),
        (&["hold", "host 10.0.0.9", "--name", "files", "--reason", "why"], "Hold", false),
        (&["holds", "--verify"], "Hold", true),
        (&["release", "files", "--reason", "over"], "Hold", false),
        (&["plan", "-r", &trace], "Plan", false),
        (&["plan", "--store", &store], "Plan", false),
        (&["token", "list"], "Token", true),
        (&["record", "--plan", "-r", &trace], "MemoryPlan", false),
    ] {
        let ran = heard.command(r, args);
        assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.err);
        match list {
            true => assert!(!heard.lines(name, &ran.text()).is_empty(), "{args:?}"),
            false => drop(heard.one(name, &ran.text())),
        }
    }
    // Packets and their manifest.
    let (copy, manifest) = (r.dir().join("copy.pcapng"), r.dir().join("copy.pcapng.json"));
    assert_eq!(r.run(&["export", "case", "-w", &copy.to_string_lossy()]).code, Some(0));
    check("Manifest", &serde_json::from_slice(&std::fs::read(&manifest).expect("it is there")).expect("JSON"));
    let ran = heard.command(r, &["verify", &manifest.to_string_lossy(), "--store", &store]);
    heard.one("CheckedManifest", &ran.text());
    // Not all that it looks at is as it should be on every machine.
    let ran = heard.command(r, &["doctor", "--store", &store]);
    heard.one("Examined", &ran.text());
    let broken = r.dir().join("broken.toml");
    std::fs::write(&broken, "nonsense = 1\n").expect("writes");
    let ran = heard.command(r, &["check-config", &broken.to_string_lossy()]);
    assert_eq!((ran.code, &heard.one("CheckedConfiguration", &ran.text())["good"]), (Some(2), &false.into()));
    // A hold whose record can't be read is one of the list, and a list of nothing is no output.
    std::fs::write(r.store().join("held/case/hold.json"), "{").expect("writes");
    let ran = heard.command(r, &["holds"]);
    let holds = heard.lines("Hold", &ran.text());
    let case = holds.iter().find(|h| h["name"] == "case").expect("it is there");
    assert!(ran.code == Some(1) && case["damaged"].is_string() && case["packets"].is_null(), "{case}");
    std::fs::remove_dir_all(r.store().join("held/case")).expect("removes");
    let (limit, none) = (r.run(&["info", "--json"]).json(), heard.command(r, &["holds"]));
    assert_eq!((none.code, none.text().as_str()), (Some(0), ""));
    assert_eq!(limit["holds"]["limit_bytes"], 1u64 << 40, "{limit}");
}

/// A command that fails says so as JSON, on standard error, whatever is wrong.
fn errors(r: &Retrotap) {
    for (args, exit, kind, word) in [
        (&["query", "prot udp"][..], 2, "usage", "filter"),
        (&["query", "--since", "soon"], 2, "usage", "soon"),
        (&["query", "--nonsense"], 2, "usage", "--nonsense"),
        (&["status"], 3, "cannot", "no recorder answers"),
        (&["info", "/nonexistent"], 3, "cannot", "/nonexistent"),
        (&["release", "nobody", "--reason", "x"], 2, "usage", "nobody"),
        (&["hold", "host 10.3.3.3", "--name", "x", "--reason", "x"], 1, "incomplete", "no packet"),
    ] {
        let ran = r.run(&[args, &["--json"]].concat());
        let error: Value = serde_json::from_str(ran.err.lines().last().unwrap_or_default())
            .unwrap_or_else(|e| panic!("{args:?}: {e}: {}", ran.err));
        check("Error", &error);
        let of = &error["error"];
        assert_eq!(
            (ran.code, &of["exit_code"], &of["kind"]),
            (Some(exit), &exit.into(), &kind.into()),
            "{args:?}: {error}"
        );
        assert!(of["message"].as_str().is_some_and(|m| m.contains(word)) && ran.out.is_empty(), "{args:?}: {error}");
    }
}

/// Commands that take `--json`, from their help.
fn with_json(r: &Retrotap) -> BTreeSet<String> {
    let help = r.run(&["--help"]).text();
    let commands = help.lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| !l.is_empty());
    let names = commands.filter_map(|l| l.strip_prefix("  ").filter(|l| !l.starts_with(' '))?.split(' ').next());
    let all: Vec<String> = names.filter(|n| *n != "help").map(str::to_owned).collect();
    assert!(all.len() > 25, "{help}");
    let takes = |name: &&String| {
        let of = |args: &[&str]| r.run(args).text();
        match name.as_str() {
            "token" => of(&["token", "list", "--help"]).contains("--json"),
            "nids" => of(&["nids", "suricata", "--help"]).contains("--json"),
            name => of(&[name, "--help"]).contains("      --json"),
        }
    };
    all.iter().filter(takes).cloned().collect()
}

#[test]
fn the_page_is_what_the_types_say() {
    let r = Retrotap::default();
    let (page, made) = (std::fs::read_to_string("docs/json.md").expect("the page"), r.run(&["schema", "--page"]));
    assert!(page == made.text(), "docs/json.md is not what the types say: cargo xtask docs");
    for name in names() {
        assert!(page.contains(&format!("\n## {name}\n")), "{name}");
    }
    let unknown = r.run(&["schema", "nothing"]);
    assert!(unknown.code == Some(2) && unknown.err.contains("Connection"), "{}", unknown.err);
}

#[test]
fn the_rules_find_what_breaks_them() {
    for wrong in [
        r#"{"a": 1}"#,
        r#"{"format": 1, "a_ns": 1}"#,
        r#"{"format": 1, "a": 9007199254740993}"#,
        r#"{"format": 1, "a": ["2026-11-30T10:00:00Z"]}"#,
        r#"{"format": 1, "a": {"b": "10.0.0.1:80"}}"#,
        r#"{"format": 1, "a": "tcp [::1]:80"}"#,
    ] {
        let value: Value = serde_json::from_str(wrong).expect("JSON");
        assert!(std::panic::catch_unwind(|| check_rules("wrong", &value)).is_err(), "{wrong}");
    }
    let right = r#"{"format": 1, "t": "2026-11-30T10:00:00.000000000Z", "address": "::1", "sid": "1:2024897"}"#;
    check_rules("right", &serde_json::from_str(right).expect("JSON"));
}
