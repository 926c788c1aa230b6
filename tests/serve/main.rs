//! `retrotap serve`: stores at rest are answered about over the API as their files are read, whoever has left them in whatever state; a recorder
//! that runs is not disturbed, and one that begins takes over.

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code)]
#[path = "../api/rig.rs"]
mod rig;
mod serving;

use common::Retrotap;
use rig::{Daemon, packet};
use rustix::process::Signal;
use serde_json::Value;
use serving::{Serving, files, until};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A store of so many packets, whose recorder has ended.
fn stopped(packets: u32) -> Retrotap {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &[]);
    daemon.feed((0..packets).map(packet));
    daemon.stop();
    r
}

/// One whose recorder was killed, with segments that are not sealed.
fn killed(packets: u32) -> Retrotap {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &[]);
    daemon.feed((0..packets).map(packet));
    daemon.until_count(u64::from(packets));
    daemon.kill();
    let open = std::fs::read_dir(r.store().join("open")).expect("a folder").count();
    assert!(open > 0, "nothing is left open");
    r
}

/// What a question gives by this way: the file, the summary without what is of the moment.
fn answer(r: &Retrotap, filter: &str, how: &[&str]) -> (Vec<u8>, Value) {
    let path = r.dir().join("answer.pcapng");
    let to = path.to_string_lossy().into_owned();
    let ran = r.run(&[&["query", filter, "--json", "--force", "-w", &to], how].concat());
    assert_eq!(ran.code, Some(0), "{filter}: {}", ran.err);
    let mut summary = ran.json();
    for other in ["elapsed_seconds", "pruning"] {
        summary[other] = Value::Null;
    }
    (std::fs::read(path).expect("the answer"), summary)
}

/// That the API (`how`: which) says what the files say.
fn says_the_same(r: &Retrotap, how: &[&str], packets: u64) {
    for filter in ["", "host 10.0.0.7", "net 10.0.0.0/26 and udp", "not host 10.0.0.1", "port 99"] {
        let (over_api, in_files) = (answer(r, filter, how), answer(r, filter, &["--direct"]));
        assert!(over_api.0 == in_files.0, "{filter}: the files differ");
        assert_eq!(over_api.1, in_files.1, "{filter}");
    }
    let count = r.run(&[&["query", "--count"], how].concat());
    assert_eq!(count.text().trim(), packets.to_string(), "{}", count.err);
    let list = |how: &[&str]| r.run(&[&["connections", "--json"], how].concat());
    let (over_api, in_files) = (list(how), list(&["--direct"]));
    assert!(over_api.out == in_files.out && !over_api.out.is_empty(), "{}{}", over_api.err, in_files.err);
}

/// The options that name a socket.
fn at(socket: &Path) -> [String; 2] {
    ["--api".into(), socket.to_string_lossy().into_owned()]
}

#[test]
fn a_store_at_rest_is_answered_about_as_its_files_are_read() {
    let r = stopped(5000);
    let before = files(&r.store());
    let serving = Serving::start(&r, &[&r.store()], &[]);
    says_the_same(&r, &[], 5000);
    for command in ["info", "losses"] {
        let api = at(&serving.socket(&r.store()));
        let over_api = r.run(&[command, "--json", &api[0], &api[1]]);
        let in_files = r.run(&[command, "--json"]);
        assert_eq!((over_api.code, over_api.json()["total"].clone()), (Some(0), in_files.json()["total"].clone()));
    }
    let api = at(&serving.socket(&r.store()));
    assert_eq!(r.run(&["verify", &api[0], &api[1]]).code, Some(0));
    serving.ends_in_order();
    assert_eq!(files(&r.store()), before, "a segment was changed");
    assert!(!r.store().join("api.sock").exists());
    let audit: Vec<_> = std::fs::read_dir(r.store().join("audit")).expect("the audit log").collect();
    assert!(!audit.is_empty());
}

#[test]
fn what_a_killed_recorder_left_is_read_and_stays_as_it_is() {
    let r = killed(3000);
    let before = files(&r.store());
    let serving = Serving::start(&r, &[&r.store()], &[]);
    says_the_same(&r, &[], 3000);
    serving.ends_in_order();
    assert_eq!(files(&r.store()), before, "something was sealed or changed");
}

#[test]
fn several_stores_are_answered_about_each_at_its_place() {
    let (a, b) = (stopped(1000), killed(300));
    let serving = Serving::start(&a, &[&a.store(), &b.store()], &[]);
    says_the_same(&a, &[], 1000);
    says_the_same(&b, &[], 300);
    for more in [&["--api", "/tmp/x.sock"][..], &["--listen", "127.0.0.1:1"]] {
        let stores = [a.store(), b.store()].map(|s| s.to_string_lossy().into_owned());
        let ran = a.run(&[&["serve", &stores[0], &stores[1]], more].concat());
        assert_eq!(ran.code, Some(2), "{}", ran.err);
    }
    let store = a.store().to_string_lossy().into_owned();
    let twice = a.run(&["serve", &store, &store]);
    assert!(twice.code == Some(2) && twice.err.contains("named twice"), "{}", twice.err);
    for more in [&[][..], &["--index"]] {
        let second = a.run(&[&["serve", &store], more].concat());
        let told = second.err.contains("another process answers for it already");
        assert!(second.code == Some(3) && told, "{}", second.err);
    }
    says_the_same(&a, &[], 1000);
    serving.ends_in_order();
}

#[test]
fn what_takes_a_recorder_is_refused_and_what_is_kept_works() {
    let r = stopped(100);
    let serving = Serving::start(&r, &[&r.store()], &[]);
    for command in [
        &["status"][..],
        &["classes"],
        &["reload"],
        &["assign", "10.0.0.1", "all", "--for", "1h"],
        &["assignments"],
        &["suspend-cutoff", "10.0.0.1", "--for", "1h"],
        &["suspensions"],
        &["query", "--follow", "-w", "-"],
        &["hold", "udp", "--name", "f", "--reason", "why", "--follow"],
    ] {
        let ran = r.run(command);
        assert!(
            ran.code == Some(3) && ran.err.contains("nobody records into"),
            "{command:?}: {:?} {}",
            ran.code,
            ran.err
        );
    }
    let hold = r.run(&["hold", "host 10.0.0.7", "--name", "case", "--reason", "why"]);
    assert_eq!(hold.code, Some(0), "{}", hold.err);
    let held = r.run(&["holds", "--json"]).json();
    assert_eq!((&held["name"], &held["packets"]), (&"case".into(), &1.into()), "{held}");
    assert_eq!(r.run(&["release", "case", "--reason", "done"]).code, Some(0));
    assert!(r.run(&["holds", "--json"]).out.is_empty());
    serving.ends_in_order();
}

#[test]
fn a_recorder_that_begins_takes_over() {
    let (r, other) = (stopped(100), stopped(50));
    let serving = Serving::start(&r, &[&r.store(), &other.store()], &[]);
    let mut daemon = Daemon::start(&r, &[]);
    until("its word", || serving.log().contains("records into it from now on").then_some(()));
    // What takes a recorder is answered by it.
    until("the recorder", || (r.run(&["status", "--json"]).code == Some(0)).then_some(()));
    daemon.feed((100..200).map(packet));
    daemon.until_count(200);
    // The other store is answered about all the while.
    says_the_same(&other, &[], 50);
    assert_eq!(daemon.stop()["stored"]["packets"], 100);
    serving.ends_in_order();
    assert_eq!(r.run(&["verify"]).code, Some(0));

    let alone = Serving::start(&r, &[&r.store()], &[]);
    let daemon = Daemon::start(&r, &[]);
    assert_eq!(alone.ended(), Some(0), "nothing is left to it");
    daemon.stop();
}

#[test]
fn a_store_that_is_recorded_into_is_refused_and_its_recorder_found() {
    let r = Retrotap::default();
    let elsewhere = r.dir().join("elsewhere.sock");
    let mut daemon = Daemon::start_at(&r, &["--api", elsewhere.to_str().expect("text")], elsewhere.clone());
    daemon.feed((0..10).map(packet));
    daemon.until_count(10);
    let ran = r.run(&["serve", r.store().to_str().expect("text")]);
    let told = ["records into it", elsewhere.to_str().expect("text")].iter().all(|w| ran.err.contains(w));
    assert!(ran.code == Some(3) && told, "{:?} {}", ran.code, ran.err);
    // Every command finds it by the store.
    assert_eq!(r.run(&["status", "--json"]).code, Some(0));
    assert_eq!(r.run(&["query", "--count", "--memory-only"]).code, Some(0), "only the recorder can");
    // Nobody answers for a copy of the store.
    let copy = r.dir().join("copy");
    std::fs::create_dir(&copy).expect("a folder");
    std::fs::copy(r.store().join("api.at"), copy.join("api.at")).expect("a copy");
    std::fs::copy(r.store().join("store.toml"), copy.join("store.toml")).expect("a copy");
    let status = r.run(&["status", "--store", copy.to_str().expect("text")]);
    assert!(status.code == Some(3) && status.err.contains("no recorder answers there"), "{}", status.err);
    daemon.kill();
    let status = r.run(&["status"]);
    assert!(status.code == Some(3) && status.err.contains("no recorder answers there"), "{}", status.err);
    let serving = Serving::start(&r, &[&r.store()], &["--api", elsewhere.to_str().expect("text")]);
    assert_eq!(r.run(&["query", "--count"]).text().trim(), "10");
    serving.ends_in_order();
}

#[test]
fn indexes_are_made_where_it_is_said() {
    let r = stopped(2000);
    let indexes = || -> Vec<PathBuf> {
        let all = std::fs::read_dir(r.store().join("all")).expect("a class").map(|e| e.expect("an entry").path());
        all.filter(|p| p.extension().is_some_and(|e| e == "idx")).collect()
    };
    let there = indexes();
    assert!(!there.is_empty());
    there.iter().for_each(|path| std::fs::remove_file(path).expect("it goes"));
    let serving = Serving::start(&r, &[&r.store()], &[]);
    says_the_same(&r, &[], 2000);
    assert!(serving.log().contains("without an index"), "{}", serving.log());
    serving.ends_in_order();
    assert_eq!(indexes(), [] as [PathBuf; 0]);
    let serving = Serving::start(&r, &[&r.store()], &["--index"]);
    assert_eq!(indexes().len(), there.len());
    says_the_same(&r, &[], 2000);
    serving.ends_in_order();
    assert_eq!(r.run(&["verify"]).code, Some(0));
}

/// Of another user, who may only read it: it is answered about all the same, at a place of his own, without an audit log.
#[test]
fn a_store_that_can_only_be_read_is_answered_about() {
    let r = killed(500);
    let before = files(&r.store());
    let socket = r.dir().join("mine/api.sock");
    std::fs::create_dir(r.dir().join("mine")).expect("a folder");
    serving::for_readers(&r.store());
    for (path, mode) in [(r.dir().to_owned(), 0o755), (r.dir().join("mine"), 0o777)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("rights");
    }
    let Some(refused) = Serving::try_as_reader(&r, &r.store(), &[]) else { return };
    assert_eq!(refused.ended(), Some(3), "{}", refused.log());
    assert!(refused.log().contains("name another place with --api PATH"), "{}", refused.log());
    let api = at(&socket);
    let serving = Serving::try_as_reader(&r, &r.store(), &[&api[0], &api[1]]).expect("as before");
    until("its word", || serving.log().contains("answers at").then_some(()));
    assert!(serving.log().contains("not entered in an audit log"), "{}", serving.log());
    says_the_same(&r, &[&api[0], &api[1]], 500);
    let holds = r.run(&["holds", "--json", &api[0], &api[1]]);
    assert_eq!((holds.code, holds.out.is_empty()), (Some(0), true), "{}", holds.err);
    let hold = r.run(&["hold", "udp", "--name", "x", "--reason", "why", &api[0], &api[1]]);
    assert!(hold.code != Some(0) && hold.err.contains("ermission denied"), "{}", hold.err);
    serving.ends_in_order();
    assert_eq!(files(&r.store()), before);
    assert!(!r.store().join("audit").join("x").exists() && !r.store().join("held/x").exists());
}

#[test]
fn the_metrics_page_says_what_there_is() {
    let r = stopped(10);
    let page = r.dir().join("metrics.sock");
    let serving = Serving::start(&r, &[&r.store()], &["--metrics", page.to_str().expect("text")]);
    let text = serving::scrape(&page);
    let store = r.store().display().to_string();
    let told = |name: &str, n: u32| {
        text.lines().any(|l| l.starts_with(&format!("{name}{{store=\"{store}\"")) && l.ends_with(&format!(" {n}")))
    };
    assert!(told("retrotap_at_rest_answered", 1) && told("retrotap_at_rest_audit_failing", 0), "{text}");
    assert!(text.contains("retrotap_build_info{"), "{text}");
    serving.signal(Signal::HUP);
    until("its word", || serving.log().contains("reload: refused").then_some(()));
    says_the_same(&r, &[], 10);
    serving.ends_in_order();
}

#[test]
fn a_token_opens_a_store_at_rest_over_tls() {
    let r = stopped(200);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it").port();
    drop(listener);
    let file = |name: &str| r.dir().join(name).to_string_lossy().into_owned();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    std::fs::write(file("api.crt"), made.cert.pem()).expect("a file");
    std::fs::write(file("api.key"), made.signing_key.serialize_pem()).expect("a file");
    std::fs::set_permissions(file("api.key"), std::fs::Permissions::from_mode(0o600)).expect("rights");
    let config = |store: &str| {
        let (crt, key) = (file("api.crt"), file("api.key"));
        format!("{store}[api]\nlisten = \"127.0.0.1:1\"\ncertificate = {crt:?}\nkey = {key:?}\n")
    };
    std::fs::write(file("config.toml"), config("interfaces = [\"eth9\"]\n")).expect("a file");
    let token = r.run(&["token", "new", "--role", "packets", "--name", "analyst"]);
    std::fs::write(file("token"), token.text().trim()).expect("a file");
    let address = format!("127.0.0.1:{port}");
    let serving = Serving::start(&r, &[&r.store()], &["-c", &file("config.toml"), "--listen", &address]);
    let far = ["--api", &format!("https://{address}"), "--token-file", &file("token"), "--ca", &file("api.crt")]
        .map(str::to_owned);
    let far = far.each_ref().map(String::as_str);
    says_the_same(&r, &far, 200);
    let refused = r.run(&[&["status"], &far[..]].concat());
    assert!(refused.code == Some(3) && refused.err.contains("nobody records into"), "{}", refused.err);
    serving.signal(Signal::HUP);
    until("its word", || serving.log().contains("reload: who may ask").then_some(()));
    says_the_same(&r, &far, 200);
    std::fs::write(file("config.toml"), "no toml").expect("a file");
    serving.signal(Signal::HUP);
    until("its word", || serving.log().contains("reload: refused").then_some(()));
    says_the_same(&r, &[], 200);
    // A recorder that begins has the port at once.
    std::fs::write(file("recorder.toml"), config("").replace("127.0.0.1:1", &address)).expect("a file");
    let daemon = Daemon::start(&r, &["-c", &file("recorder.toml")]);
    until("the recorder", || (r.run(&[&["status"], &far[..]].concat()).code == Some(0)).then_some(()));
    assert_eq!(serving.ended(), Some(0), "{}", serving.log());
    daemon.stop();
}
