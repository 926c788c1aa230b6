//! Who comes to the API's edge and does not speak, comes too often, or has lost what he was allowed: nobody else notices.

use crate::access::{certified, mode, port, text};
use crate::common::Retrotap;
use crate::net::as_user;
use crate::rig::{Daemon, PATIENCE, packet};
use retrotap::limits::{CLIENTS_PER_USER, STRANGERS_MAX, STRANGERS_PER_ADDRESS};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::unix::net::UnixStream;

/// A connection from this address of the machine's own to a port of it.
fn from(address: Ipv4Addr, port: u16) -> TcpStream {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&socket, &SocketAddrV4::new(address, 0)).expect("an address of the loopback");
    connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).expect("the port");
    socket.into()
}

/// How many of them the other side has closed.
fn closed(all: &mut [TcpStream]) -> usize {
    let over = |s: &mut TcpStream| {
        s.set_nonblocking(true).expect("it can");
        !matches!(s.read(&mut [0]), Err(e) if e.kind() == std::io::ErrorKind::WouldBlock)
    };
    all.iter_mut().map(over).filter(|over| *over).count()
}

/// Silent connections, from one address and from hundreds, keep out nobody who has a token: there are never more than a few.
#[test]
fn connections_that_say_nothing_keep_nobody_out() {
    let (r, port) = (Retrotap::default(), port());
    let (config, cert) = certified(&r, port, "");
    let mut daemon = Daemon::start(&r, &["-c", &text(&config)]);
    let token = r.dir().join("token");
    std::fs::write(&token, r.run(&["token", "new", "--role", "packets", "--name", "analyst"]).out).expect("writes");
    daemon.feed((0..500).map(packet));
    daemon.until_count(500);
    let far = ["--api", &format!("https://127.0.0.1:{port}"), "--token-file", &text(&token), "--ca", &text(&cert)];
    let count = || {
        let ran = r.run(&[&["query", "host 10.0.0.7", "--count"][..], &far].concat());
        assert_eq!((ran.text().as_str(), ran.code), ("2\n", Some(0)), "{}", ran.err);
    };
    let mut one: Vec<_> = (0..100).map(|_| from(Ipv4Addr::new(127, 0, 0, 9), port)).collect();
    daemon.until("those of one address", || (closed(&mut one) >= 100 - STRANGERS_PER_ADDRESS).then_some(()));
    count();
    let mut many: Vec<_> = (0..300u16).map(|n| from(Ipv4Addr::new(127, 1, (n >> 8) as u8, n as u8), port)).collect();
    count();
    daemon.until("those of many", || (closed(&mut many) >= 300 - STRANGERS_MAX).then_some(()));
    count();
    // When its token was used last is written at the end.
    assert_eq!(daemon.stop()["stored"]["packets"], 500);
    let listed = r.run(&["token", "list", "--json"]).json();
    assert!(listed["used"].is_string() && listed["expires"].is_null(), "{listed}");
}

/// Who begins TLS and does not go on is shown out, at whatever byte he stopped.
#[test]
fn a_tls_handshake_that_is_not_ended_is_closed() {
    let (r, port) = (Retrotap::default(), port());
    let (config, _) = certified(&r, port, "");
    let daemon = Daemon::start(&r, &["-c", &text(&config)]);
    // Record, length, ClientHello, its length and a version; and less of it.
    let hello = [22, 3, 1, 0, 100, 1, 0, 0, 96, 3, 3];
    let mut all: Vec<_> = [0, 1, 5, hello.len()]
        .map(|n| {
            let mut s = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the port");
            s.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            s.write_all(&hello[..n]).expect("it takes bytes");
            s
        })
        .into();
    for (n, s) in all.iter_mut().enumerate() {
        // An end or a reset; what waits for ever is an error of another kind.
        let end = s.read_to_end(&mut Vec::new());
        let waited = end.as_ref().is_err_and(|e| matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
        assert!(!waited, "connection {n} is open: {end:?}");
    }
    daemon.stop();
}

/// A user of this machine has so many connections; who has the store is not kept out by them.
#[test]
fn a_user_who_takes_all_connections_keeps_the_owner_not_out() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: a_user_who_takes_all_connections_keeps_the_owner_not_out: needs root to be somebody else");
        return;
    }
    let r = Retrotap::default();
    let socket = r.dir().join("here.sock");
    let mut daemon = Daemon::start_at(&r, &["--api", &text(&socket)], socket.clone());
    daemon.feed((0..10).map(packet));
    daemon.until_count(10);
    mode(r.dir(), 0o755);
    mode(&socket, 0o666);
    let most = CLIENTS_PER_USER + 20;
    let path = socket.clone();
    let mut all =
        as_user(65_529, move || (0..most).map(|_| UnixStream::connect(&path).expect("the socket")).collect::<Vec<_>>());
    let mut turned_away = 0;
    for s in &mut all[CLIENTS_PER_USER..] {
        let mut said = String::new();
        s.read_to_string(&mut said).expect("a response");
        assert!(said.starts_with("HTTP/1.1 503") && said.contains("too many connections"), "{said}");
        turned_away += 1;
    }
    assert_eq!(turned_away, 20);
    assert_eq!(daemon.ask("/v1/count", "{}").1["packets"], 10);
    drop(all);
    daemon.stop();
}

/// A reload reads certificate and key anew; what is wrong with them leaves the old ones in force.
#[test]
fn a_reload_takes_a_new_certificate() {
    let (r, port) = (Retrotap::default(), port());
    let (config, cert) = certified(&r, port, "");
    let daemon = Daemon::start(&r, &["-c", &text(&config)]);
    let token = r.dir().join("token");
    std::fs::write(&token, r.run(&["token", "new", "--role", "packets", "--name", "analyst"]).out).expect("writes");
    let url = format!("https://127.0.0.1:{port}");
    let ask = |ca: &str| r.run(&["query", "--count", "--api", &url, "--token-file", &text(&token), "--ca", ca]).code;
    let old = text(&r.dir().join("old.crt"));
    std::fs::copy(&cert, &old).expect("a copy");
    assert_eq!(ask(&old), Some(0));
    assert_eq!(daemon.ask("/v1/reload", "{}").1["certificate"], false);
    certified(&r, port, "");
    let (status, done) = daemon.ask("/v1/reload", "{}");
    assert_eq!((status, &done["certificate"]), (200, &true.into()), "{done}");
    assert_eq!((ask(&old), ask(&text(&cert))), (Some(3), Some(0)));
    let good = std::fs::read(&cert).expect("the certificate");
    std::fs::write(&cert, "no certificate").expect("writes");
    let (status, why) = daemon.ask("/v1/reload", "{}");
    assert!(status == 422 && why.to_string().contains("PEM"), "{status} {why}");
    std::fs::write(&cert, good).expect("writes");
    assert_eq!(ask(&text(&cert)), Some(0), "it is as it was");
    daemon.stop();
}

/// A user whose role is taken away has lost it with the next request, on a connection that stands already.
#[test]
fn a_reload_takes_a_role_away() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: a_reload_takes_a_role_away: needs root to be somebody else");
        return;
    }
    let r = Retrotap::default();
    let config = r.dir().join("retrotap.toml");
    let roles = |text_of: &str| std::fs::write(&config, format!("[api.roles]\n{text_of}\n")).expect("writes");
    roles("statistics = [\"65531\"]");
    let socket = r.dir().join("here.sock");
    let daemon = Daemon::start_at(&r, &["-c", &text(&config), "--api", &text(&socket)], socket.clone());
    mode(r.dir(), 0o755);
    mode(&socket, 0o666);
    let path = socket.clone();
    let mut stream = as_user(65_531, move || UnixStream::connect(&path).expect("the socket"));
    stream.set_read_timeout(Some(crate::rig::PATIENCE)).expect("a timeout");
    let mut status = || {
        use std::io::{BufRead, BufReader, Write};
        stream.write_all(b"GET /v1 HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
        let mut reader = BufReader::new(&stream);
        let (mut first, mut length) = (String::new(), 0);
        reader.read_line(&mut first).expect("a response");
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a head");
            if line == "\r\n" {
                break;
            }
            if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().expect("a number");
            }
        }
        reader.read_exact(&mut vec![0; length]).expect("a body");
        first.split(' ').nth(1).and_then(|s| s.parse::<u16>().ok()).expect("a status")
    };
    assert_eq!(status(), 200);
    roles("");
    let (code, done) = daemon.ask("/v1/reload", "{}");
    assert!(code == 200 && done["changed"].to_string().contains("api.roles"), "{code} {done}");
    assert_eq!(status(), 403);
    roles("statistics = [\"no-such-user\"]");
    assert_eq!(daemon.ask("/v1/reload", "{}").0, 422);
    daemon.stop();
}

#[test]
fn a_token_ends_when_it_is_told_to() {
    let r = Retrotap::default();
    let daemon = Daemon::start(&r, &[]);
    let new =
        |name: &str, more: &[&str]| r.run(&[&["token", "new", "--role", "packets", "--name", name], more].concat());
    assert_eq!(new("a", &["--expires", "2100-01-31T00:00:00Z"]).code, Some(0));
    let listed = r.run(&["token", "list", "--json"]).json();
    assert_eq!(listed["expires"], "2100-01-31T00:00:00.000000000Z", "{listed}");
    let past = new("b", &["--expires", "2001-01-31"]);
    assert!(past.code == Some(2) && past.err.contains("past"), "{:?} {}", past.code, past.err);
    daemon.stop();
}
