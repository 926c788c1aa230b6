//! The description of the API held against the API: every request is in it and nothing else, every example is answered as it says, every
//! error that it names occurs.

use crate::access::{certified, mode, port, text};
use crate::common::Retrotap;
use crate::rig::{Daemon, Reply, packet, request, sized};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::process::Command;

/// One operation.
struct Op<'a> {
    method: String,
    path: &'a str,
    is: &'a Value,
}

fn ops(description: &Value) -> Vec<Op<'_>> {
    let paths = description["paths"].as_object().expect("paths");
    let mut found = Vec::new();
    for (path, all) in paths {
        for (method, is) in all.as_object().expect("methods") {
            found.push(Op { method: method.to_uppercase(), path, is });
        }
    }
    found
}

/// A validator of one of the description's schemas.
fn validator(description: &Value, schema: &Value) -> jsonschema::Validator {
    let mut whole = schema.clone();
    whole["components"] = description["components"].clone();
    jsonschema::validator_for(&whole).expect("a schema")
}

fn check(what: &str, validator: &jsonschema::Validator, value: &Value) {
    let wrong: Vec<String> = validator.iter_errors(value).map(|e| format!("{} at {}", e, e.instance_path())).collect();
    assert!(wrong.is_empty(), "{what}: {wrong:?} in {value}");
}

fn send(daemon: &Daemon, op: &Op<'_>, path: &str, body: &str) -> Reply {
    let mut stream = daemon.connect();
    stream.write_all(&request(&op.method, path, body)).expect("a request");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("a response");
    Reply::of(&all)
}

fn body_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Sends the examples of an operation; in the order of their names, since one may need what another made.
fn examples(daemon: &Daemon, description: &Value, op: &Op<'_>) {
    let what = format!("{} {}", op.method, op.path);
    let path = op.is["x-example-path"].as_str().unwrap_or(op.path);
    let given = op.is.pointer("/requestBody/content/application~1json/examples").and_then(Value::as_object);
    let bodies: Vec<String> = match given {
        Some(all) => all.values().map(|e| e["value"].to_string()).collect(),
        None => vec![String::new()],
    };
    let ask = op.is.pointer("/requestBody/content/application~1json/schema").map(|s| validator(description, s));
    assert!(!bodies.is_empty(), "{what} has no example");
    for body in bodies {
        if let (Some(ask), false) = (&ask, body.is_empty()) {
            check(&what, ask, &serde_json::from_str(&body).expect("JSON"));
        }
        let reply = send(daemon, op, path, &body);
        let said = String::from_utf8_lossy(&reply.body).into_owned();
        assert_eq!(reply.status, 200, "{what} {body}: {said}");
        let content = op.is["responses"]["200"]["content"].as_object().expect("content");
        let kind = reply.head.lines().find_map(|l| l.strip_prefix("content-type: ")).expect("a type").trim();
        let documented = content.get(kind).unwrap_or_else(|| panic!("{what}: {kind} is not documented"));
        let Some(schema) = documented.get("schema") else { continue };
        let schema = validator(description, schema);
        let lines: Vec<&str> = if kind == "application/x-ndjson" { said.lines().collect() } else { vec![&said] };
        assert!(!lines.is_empty(), "{what} {body}");
        lines.iter().for_each(|l| check(&what, &schema, &serde_json::from_str(l).expect("JSON")));
    }
}

#[test]
fn the_description_is_the_api() {
    let r = Retrotap::default();
    let tls = port();
    let (config, cert) = certified(&r, tls, "queries = 3\n");
    let mut daemon = Daemon::start(&r, &["-c", &text(&config)]);
    daemon.feed((0..500).map(packet));
    daemon.feed((500..6_000).map(|n| sized(n, 1500)));
    daemon.until_count(6_000);
    let get = |path: &str| {
        let op = Op { method: "GET".into(), path: "", is: &Value::Null };
        let reply = send(&daemon, &op, path, "");
        assert_eq!(reply.status, 200, "{path}");
        serde_json::from_slice::<Value>(&reply.body).expect("JSON")
    };
    let description = get("/v1/openapi.json");
    let ours: Value = serde_json::from_str(include_str!("../../src/control/openapi.json")).expect("JSON");
    assert_eq!((&description["paths"], &description["info"]), (&ours["paths"], &ours["info"]));
    let ops = ops(&description);
    // The same requests with the same words and roles.
    let index = get("/v1");
    let rows = index["requests"].as_array().expect("requests");
    for row in rows {
        let method = row["method"].as_str().expect("a method").to_lowercase();
        let op = &description["paths"][row["path"].as_str().expect("a path")][&method];
        assert!(op.is_object(), "{row} is not described: src/control/openapi.json");
        assert_eq!((&op["x-role"], &op["summary"]), (&row["role"], &row["summary"]), "{row}");
    }
    assert_eq!(rows.len(), ops.len(), "what is described and not there");
    // In the order of the table: what makes something comes before what lists it and takes it away.
    for row in rows {
        let same = |o: &&Op<'_>| row["method"] == *o.method && row["path"] == o.path;
        examples(&daemon, &description, ops.iter().find(same).expect("it is there"));
    }
    let error = validator(&description, &json!({ "$ref": "#/components/schemas/Error" }));
    let error_of = |what: &str, status: u16, reply: &[u8], got: u16| {
        let said = serde_json::from_slice(reply).unwrap_or_default();
        assert_eq!(got, status, "{what}: {said}");
        check(what, &error, &said);
    };
    // Clients that do not read have all places that one user may have.
    let busy: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = daemon.connect();
            stream.write_all(&request("POST", "/v1/query", r#"{"follow": true}"#)).expect("a request");
            stream
        })
        .collect();
    daemon.until("three followers", || (get("/v1/status")["queries"] == 3).then_some(()));
    // Other questions have places of their own.
    let queries = |o: &&Op<'_>| o.is["responses"]["429"]["description"].to_string().contains("queries");
    assert!(ops.iter().filter(queries).count() >= 5);
    for op in ops.iter().filter(queries) {
        let path = op.is["x-example-path"].as_str().unwrap_or(op.path);
        let reply = send(&daemon, op, path, "{}");
        error_of(&format!("{} {}", op.method, op.path), 429, &reply.body, reply.status);
    }
    drop(busy);
    daemon.until("no follower", || (get("/v1/status")["queries"] == 0).then_some(()));
    let curl = |who: &[&str], how: &[&str], op: &Op<'_>| {
        let path = op.is["x-example-path"].as_str().unwrap_or(op.path);
        let ran = Command::new(who[0])
            .args(&who[1..])
            .args(how)
            .args(["-s", "-m", "20", "-w", "\n%{http_code}", "-X", &op.method])
            .arg(if how[0] == "--cacert" {
                format!("https://127.0.0.1:{tls}{path}")
            } else {
                format!("http://x{path}")
            })
            .output()
            .expect("curl");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let (body, status) = said.rsplit_once('\n').expect("a status");
        (body.to_owned(), status.parse::<u16>().expect("a number"))
    };
    let root = rustix::process::geteuid().is_root();
    if root {
        mode(r.dir(), 0o755);
        mode(&r.store(), 0o755);
        mode(&daemon.socket, 0o666);
    } else {
        eprintln!("skipped: the_description_is_the_api, 403: needs root to be somebody else");
    }
    for op in &ops {
        let responses = op.is["responses"].as_object().expect("responses");
        let what = format!("{} {}", op.method, op.path);
        for (status, response) in responses.iter().filter(|(s, _)| *s != "200" && *s != "429" && *s != "503") {
            let code: u16 = status.parse().expect("a status");
            match code {
                401 => {
                    let (body, got) = curl(&["curl"], &["--cacert", &text(&cert)], op);
                    error_of(&what, 401, body.as_bytes(), got);
                }
                403 if root => {
                    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "curl"];
                    let (body, got) = curl(&nobody, &["--unix-socket", &text(&daemon.socket)], op);
                    error_of(&what, 403, body.as_bytes(), got);
                }
                403 => {}
                // A configuration that is wrong.
                422 => {
                    let right = std::fs::read_to_string(&config).expect("the configuration");
                    std::fs::write(&config, format!("{right}nonsense = 1\n")).expect("writes");
                    let reply = send(&daemon, op, op.path, "{}");
                    error_of(&what, 422, &reply.body, reply.status);
                    std::fs::write(&config, right).expect("writes");
                }
                413 => {
                    let mut stream = daemon.connect();
                    let path = op.is["x-example-path"].as_str().unwrap_or(op.path);
                    let head = format!("{} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n", op.method);
                    stream.write_all(head.as_bytes()).expect("a request");
                    let mut all = Vec::new();
                    stream.read_to_end(&mut all).expect("a response");
                    let reply = Reply::of(&all);
                    error_of(&what, 413, &reply.body, reply.status);
                }
                _ => {
                    let provoke = response["x-provoke"].as_array();
                    for p in provoke.unwrap_or_else(|| panic!("{what}: nothing says how {status} comes about")) {
                        let body = p.get("body").map_or(String::new(), body_of);
                        let reply = send(&daemon, op, p["path"].as_str().unwrap_or(op.path), &body);
                        error_of(&format!("{what} {p}"), code, &reply.body, reply.status);
                    }
                }
            }
        }
    }
    assert_eq!(daemon.stop()["stored"]["packets"], 6_000);
}
