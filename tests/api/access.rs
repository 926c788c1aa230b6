//! Who may ask what: users and groups at the socket, tokens over TLS; what is lacking is said, and entered in the audit log.

use crate::common::Retrotap;
use crate::rig::{Daemon, packet, request};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("rights");
}

/// A port that nobody has just now.
pub fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port()
}

/// A certificate for 127.0.0.1 and its key; a configuration with them.
pub fn certified(r: &Retrotap, port: u16, more: &str) -> (PathBuf, PathBuf) {
    certified_as(r, port, more, rcgen::IsCa::ExplicitNoCa)
}

fn certified_as(r: &Retrotap, port: u16, more: &str, is_ca: rcgen::IsCa) -> (PathBuf, PathBuf) {
    let (cert, key) = (r.dir().join("api.crt"), r.dir().join("api.key"));
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let mut params = rcgen::CertificateParams::new(names).expect("names");
    params.is_ca = is_ca;
    let secret = rcgen::KeyPair::generate().expect("a key");
    let made = params.self_signed(&secret).expect("a certificate");
    std::fs::write(&cert, made.pem()).expect("writes");
    std::fs::write(&key, secret.serialize_pem()).expect("writes");
    mode(&key, 0o600);
    let config = r.dir().join("retrotap.toml");
    let text = format!("[api]\nlisten = \"127.0.0.1:{port}\"\ncertificate = {cert:?}\nkey = {key:?}\n{more}");
    std::fs::write(&config, text).expect("writes");
    (config, cert)
}

pub fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A new token of this role; its file.
fn token(r: &Retrotap, name: &str, role: &str) -> String {
    let ran = r.run(&["token", "new", "--role", role, "--name", name]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let file = r.dir().join(name);
    std::fs::write(&file, ran.out).expect("writes");
    text(&file)
}

#[test]
fn a_token_opens_over_tls_what_its_role_may() {
    let r = Retrotap::default();
    let port = port();
    let (config, cert) = certified(&r, port, "");
    let mut daemon = Daemon::start(&r, &["-c", &text(&config)]);
    let token = |name: &str, role: &str| token(&r, name, role);
    let (analyst, monitor) = (token("analyst", "packets"), token("monitor", "statistics"));
    daemon.feed((0..500).map(packet));
    daemon.until_count(500);
    let url = format!("https://127.0.0.1:{port}");
    let ask = |token: &str, args: &[&str]| {
        r.run(&[args, &["--api", &url, "--token-file", token, "--ca", &text(&cert)]].concat())
    };
    let count = ask(&analyst, &["query", "host 10.0.0.7", "--count"]);
    assert_eq!((count.text().as_str(), count.code), ("2\n", Some(0)), "{}", count.err);
    let file = |name: &str| text(&r.dir().join(name));
    assert_eq!(ask(&analyst, &["query", "udp", "-w", &file("tls.pcap"), "--format", "pcap"]).code, Some(0));
    assert_eq!(r.run(&["query", "udp", "-w", &file("socket.pcap"), "--format", "pcap"]).code, Some(0));
    let read = |name| std::fs::read(file(name)).expect("an answer");
    assert!(read("tls.pcap") == read("socket.pcap"));
    // A role that is too small, a secret that is none, a token that was revoked: said, with what is lacking.
    let small = ask(&monitor, &["query", "udp", "--count"]);
    let word = "POST /v1/count takes the role connections, and token monitor has statistics";
    assert!(small.code == Some(3) && small.err.contains(word), "{}", small.err);
    std::fs::write(file("wrong"), "retrotap_0123\n").expect("writes");
    let wrong = ask(&file("wrong"), &["query", "--count"]);
    assert!(wrong.code == Some(3) && wrong.err.contains("not known here"), "{}", wrong.err);
    assert_eq!(r.run(&["token", "revoke", "analyst"]).code, Some(0));
    let revoked = ask(&analyst, &["query", "--count"]);
    assert!(revoked.code == Some(3) && revoked.err.contains("revoked"), "{}", revoked.err);
    assert!(r.run(&["token", "list"]).text().contains("monitor"));
    // Without a token, with another kind, without TLS, and with a certificate that nobody vouches for.
    let curl = |more: &[&str]| {
        let ran = std::process::Command::new("curl")
            .args(["-s", "-m", "20", "--cacert", &text(&cert), "-w", "%{http_code}", &format!("{url}/v1/status")])
            .args(more)
            .output()
            .expect("curl");
        String::from_utf8_lossy(&ran.stdout).into_owned()
    };
    assert!(curl(&[]).ends_with("401") && curl(&[]).contains("takes a token"), "{}", curl(&[]));
    assert!(curl(&["-u", "a:b"]).ends_with("401"));
    let secret = std::fs::read_to_string(&monitor).expect("the token");
    let bearer = format!("Authorization: Bearer {}", secret.trim());
    assert!(curl(&["-H", &bearer]).ends_with("200"), "{}", curl(&["-H", &bearer]));
    let mut plain = TcpStream::connect(("127.0.0.1", port)).expect("the port");
    plain.write_all(&request("GET", "/v1/status", "")).expect("a request");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "no HTTP without TLS");
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    std::fs::write(file("other.crt"), other.cert.pem()).expect("writes");
    let stranger = r.run(&["query", "--count", "--api", &url, "--token-file", &monitor, "--ca", &file("other.crt")]);
    assert!(stranger.code == Some(3) && stranger.err.contains("not what this file vouches for"), "{}", stranger.err);
    // What was asked, and by whom, is in the log; no secret is.
    let lines = daemon.audit(|l| l.iter().filter(|l| l["status"] == 401).count() >= 4);
    let by = |name: &str, status: u16| lines.iter().any(|l| l["name"] == name && l["status"] == status);
    assert!(by("token analyst", 200) && by("token monitor", 403) && by("token monitor", 200) && by("somebody", 401));
    assert!(lines.iter().all(|l| !l.to_string().contains(secret.trim())));
    daemon.stop();
}

/// The role connections hears what a connection's key can tell, and not what was said in it: neither by counting, nor by lists, nor by alerts.
#[test]
fn connections_are_not_what_was_said_in_them() {
    let r = Retrotap::default();
    let port = port();
    let (config, cert) = certified(&r, port, "");
    let mut daemon = Daemon::start(&r, &["-c", &text(&config)]);
    let token = |name: &str, role: &str| token(&r, name, role);
    let (watcher, analyst) = (token("watcher", "connections"), token("analyst", "packets"));
    daemon.feed((0..500).map(packet));
    daemon.until_count(500);
    let url = format!("https://127.0.0.1:{port}");
    let ask = |token: &str, args: &[&str]| {
        r.run(&[args, &["--api", &url, "--token-file", token, "--ca", &text(&cert)]].concat())
    };
    for filter in ["", "host 10.0.0.7", "not port 53 or net 10.0.0.0/8", "udp"] {
        let by_key = ask(&watcher, &["query", filter, "--count"]);
        assert_eq!(by_key.code, Some(0), "{filter}: {}", by_key.err);
        assert_eq!(by_key.text(), ask(&analyst, &["query", filter, "--count"]).text(), "{filter}");
        assert_eq!(ask(&watcher, &["connections", filter]).code, Some(0), "{filter}");
    }
    for filter in ["udp[8] <= 7", "host 10.0.0.7 and udp[8:4] = 7", "less 100", "tcp[tcpflags] & tcp-syn != 0"] {
        for command in [&["query", filter, "--count"][..], &["connections", filter]] {
            let ran = ask(&watcher, command);
            assert!(ran.code == Some(3) && ran.err.contains("takes the role packets"), "{command:?}: {}", ran.err);
            assert_eq!(ask(&analyst, command).code, Some(0), "{command:?}");
        }
    }
    let hold = r#"{"name": "case", "reason": "why", "filter": "udp", "about": {"payload": "secret"}}"#;
    assert_eq!(daemon.ask("/v1/holds", hold).0, 200);
    let (few, all) = (ask(&watcher, &["holds", "--json"]), ask(&analyst, &["holds", "--json"]));
    assert!(few.text().contains("case") && !few.text().contains("secret"), "{}", few.text());
    assert!(all.text().contains("secret"), "{}", all.text());
    daemon.stop();
}

/// As openssl makes one where nothing else is said.
#[test]
fn an_authoritys_certificate_is_refused_with_a_way_out() {
    let (r, port) = (Retrotap::default(), port());
    let authority = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let (config, cert) = certified_as(&r, port, "", authority);
    let daemon = Daemon::start(&r, &["-c", &text(&config)]);
    let token = r.dir().join("token");
    std::fs::write(&token, "nobody's").expect("writes");
    let far = ["--api", &format!("https://127.0.0.1:{port}"), "--token-file", &text(&token), "--ca", &text(&cert)];
    let ran = r.run(&[&["query", "--count"][..], &far].concat());
    assert!(ran.code == Some(3) && ran.err.contains("CA:FALSE"), "{}", ran.err);
    daemon.stop();
}

#[test]
fn every_command_that_asks_takes_the_way_over_tls() {
    let r = Retrotap::default();
    let port = port();
    let (config, cert) = certified(&r, port, "");
    let mut daemon = Daemon::start(&r, &["-c", &text(&config)]);
    let token = |name: &str, more: &[&str]| {
        let ran = r.run(&[&["token", "new", "--name", name], more].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let file = r.dir().join(name);
        std::fs::write(&file, ran.out).expect("writes");
        text(&file)
    };
    let (operator, analyst) = (token("operator", &["--role", "control"]), token("analyst", &["--role", "packets"]));
    daemon.feed((0..500).map(packet));
    daemon.until_count(500);
    let url = format!("https://127.0.0.1:{port}");
    let ask = |token: &str, args: &[&str]| {
        // Without the store: nothing is read from its files.
        let far = ["--api", &url, "--token-file", token, "--ca", &text(&cert)];
        let mut command = r.command(&[args, &far].concat());
        let ran = command.env_remove("RETROTAP_STORE").output().expect("the binary runs");
        let said = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (ran.status.code(), said(ran.stdout), said(ran.stderr))
    };
    let good = |token: &str, args: &[&str]| {
        let (code, out, err) = ask(token, args);
        assert_eq!(code, Some(0), "{args:?}: {err}");
        out
    };
    let json = |text: String| serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
    // What is published of segments that are being written lags behind memory.
    daemon.until("all of the store", || {
        (json(good(&analyst, &["info", "--json"]))["total"]["packets"] == 500).then_some(())
    });
    assert_eq!(json(good(&analyst, &["losses", "--json"]))["packets"], 0);
    assert_eq!(json(good(&analyst, &["verify", "--json"]))["problems"], serde_json::json!([]));
    // Who made a hold is whose token it was; without the role there is none.
    let hold = ["hold", "host 10.0.0.7", "--name", "far", "--reason", "why", "--json"];
    let (code, _, err) = ask(&analyst, &hold);
    assert!(code == Some(3) && err.contains("takes the role control"), "{code:?} {err}");
    let made = json(good(&operator, &hold));
    assert_eq!(made["by"], serde_json::json!({ "user": "token operator", "host": "127.0.0.1" }));
    assert!(good(&analyst, &["holds", "--verify"]).contains("every sum is right"));
    let copy = r.dir().join("far.pcapng");
    good(&analyst, &["export", "far", "-w", &text(&copy)]);
    assert_eq!(std::fs::read(&copy).ok(), std::fs::read(r.store().join("held/far/packets.pcapng")).ok());
    let (code, _, err) = ask(&analyst, &["release", "far", "--reason", "over"]);
    assert!(code == Some(3) && err.contains("takes the role control"), "{code:?} {err}");
    good(&operator, &["release", "far", "--reason", "over"]);
    // A token that ends: good until then, and said to have ended afterwards.
    let short = token("short", &["--role", "statistics", "--for", "10s"]);
    good(&short, &["status", "--json"]);
    let over = daemon.until("its end", || {
        let (code, _, err) = ask(&short, &["status", "--json"]);
        (code != Some(0)).then_some((code, err))
    });
    assert!(over.0 == Some(3) && over.1.contains("short") && over.1.contains("end"), "{over:?}");
    daemon.audit(|l| l.iter().any(|l| l["status"] == 401 && l["error"].to_string().contains("short")));
    daemon.stop();
}

#[test]
fn an_api_over_tcp_that_would_not_be_safe_does_not_start() {
    let r = Retrotap::default();
    let (config, _) = certified(&r, port(), "");
    let record = |config: &Path| r.run(&["record", "-r", "-", "-c", &text(config)]);
    mode(&r.dir().join("api.key"), 0o644);
    let ran = record(&config);
    assert!(ran.code == Some(3) && ran.err.contains("chmod 600"), "{:?} {}", ran.code, ran.err);
    mode(&r.dir().join("api.key"), 0o600);
    std::fs::write(r.dir().join("api.crt"), "no certificate").expect("writes");
    let ran = record(&config);
    assert!(ran.code == Some(3) && ran.err.contains("PEM"), "{:?} {}", ran.code, ran.err);
    for (text_of, word) in [
        ("[api]\nlisten = \"127.0.0.1:0\"\n", "without TLS"),
        ("[api]\ntokens = \"/x\"\n", "listen"),
        ("[api.roles]\nadmin = [\"root\"]\n", "statistics"),
        ("[api]\nlisten = \"here\"\n", "listen"),
    ] {
        let other = r.dir().join("other.toml");
        std::fs::write(&other, text_of).expect("writes");
        let ran = record(&other);
        assert!(ran.code == Some(2) && ran.err.contains(word), "{text_of}: {:?} {}", ran.code, ran.err);
    }
    let unknown = r.dir().join("unknown.toml");
    std::fs::write(&unknown, "[api.roles]\npackets = [\"@no-such-group\"]\n").expect("writes");
    let ran = record(&unknown);
    assert!(ran.code == Some(3) && ran.err.contains("no-such-group"), "{:?} {}", ran.code, ran.err);
}

#[test]
fn users_and_groups_have_the_roles_that_are_configured() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: users_and_groups_have_the_roles_that_are_configured: needs root to be somebody else");
        return;
    }
    let r = Retrotap::default();
    let config = r.dir().join("retrotap.toml");
    let text_of = "[api]\ngroup = \"65530\"\n[api.roles]\nstatistics = [\"65531\"]\nconnections = [\"@65532\"]\n";
    std::fs::write(&config, text_of).expect("writes");
    let socket = r.dir().join("here.sock");
    let path = text(&socket);
    let daemon = Daemon::start_at(&r, &["-c", &text(&config), "--api", &path], socket.clone());
    mode(r.dir(), 0o755);
    let group = std::os::unix::fs::MetadataExt::gid(&socket.metadata().expect("the socket"));
    assert_eq!(group, 65530, "the file system lets the group in");
    let ask = |user: &str, groups: &[&str], what: &str| {
        let ran = std::process::Command::new("setpriv")
            .args(["--reuid", user, "--regid", groups[0], "--groups", &groups.join(",")])
            .args(["curl", "-s", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", &path])
            .args(if what == "status" { &[][..] } else { &["-X", "POST"] })
            .arg(format!("http://x/v1/{what}"))
            .output()
            .expect("setpriv and curl");
        String::from_utf8_lossy(&ran.stdout).into_owned()
    };
    // Of the group alone; then for everybody whom the file system lets in.
    assert_eq!(
        (ask("65529", &["65530"], "query").as_str(), ask("65529", &["65528", "65530"], "count").as_str()),
        ("200", "200")
    );
    assert_eq!(ask("65529", &["65528"], "status"), "000", "no way to the socket");
    mode(&socket, 0o666);
    assert_eq!(ask("65529", &["65528"], "status"), "403");
    assert_eq!(
        (ask("65531", &["65528"], "status").as_str(), ask("65531", &["65528"], "count").as_str()),
        ("200", "403")
    );
    assert_eq!(
        (ask("65529", &["65532"], "count").as_str(), ask("65529", &["65532"], "query").as_str()),
        ("200", "403")
    );
    daemon.stop();
}
