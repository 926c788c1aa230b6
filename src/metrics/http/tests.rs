//! The endpoint against good and bad clients.

use super::*;
use crate::limits::METRICS_CONNECTIONS;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

fn serve() -> (Server, u16) {
    let endpoint = Endpoint { listener: Listener::Tcp(TcpListener::bind(("127.0.0.1", 0)).unwrap()) };
    let Listener::Tcp(l) = &endpoint.listener else { unreachable!() };
    l.set_nonblocking(true).unwrap();
    let port = l.local_addr().unwrap().port();
    (endpoint.serve(|| "# the page\n".to_owned()).unwrap(), port)
}

fn ask(port: u16, request: &[u8]) -> String {
    let mut s = TcpStream::connect(("127.0.0.1", port)).unwrap();
    s.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    // The answer may come, and the connection end, before all is sent.
    let _ = s.write_all(request);
    let _ = s.shutdown(Shutdown::Write);
    let mut bytes = Vec::new();
    let _ = s.read_to_end(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

#[test]
fn addresses_are_read_and_nonsense_is_refused() {
    for (text, address) in [
        (":9464", Address::Tcp(String::new(), 9464)),
        ("127.0.0.1:80", Address::Tcp("127.0.0.1".into(), 80)),
        ("localhost:9464", Address::Tcp("localhost".into(), 9464)),
        ("[::1]:9464", Address::Tcp("::1".into(), 9464)),
        ("/run/r.sock", Address::Unix("/run/r.sock".into())),
    ] {
        assert_eq!(text.parse::<Address>().as_ref(), Ok(&address));
        assert_eq!(address.to_string(), text);
    }
    for text in
        ["", "9464", "host", "host:", "host:0", "host:65536", "::1:9464", "[::1:9464", "[x]:1", "http://h:1", "a b:1"]
    {
        let why = text.parse::<Address>().unwrap_err();
        assert!(why.contains("HOST:PORT"), "{text}: {why}");
    }
}

#[test]
fn a_scrape_gets_the_page_and_others_an_answer() {
    let (_server, port) = serve();
    let page = ask(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("version=0.0.4"), "{page}");
    assert!(page.ends_with("\r\n\r\n# the page\n"), "{page}");
    for (request, status) in [
        (&b"GET /metrics?x=1 HTTP/1.0\r\n\r\n"[..], "200"),
        (b"GET / HTTP/1.1\r\n\r\n", "200"),
        (b"GET /other HTTP/1.1\r\n\r\n", "404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "405"),
        (b"\x16\x03\x01\x00\r\n\r\n", "400"),
        (b"GET /metrics\r\n\r\n", "400"),
        (b"GET", "400"),
        (b"", "400"),
    ] {
        let text = ask(port, request);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {text}");
    }
    let head = ask(port, b"HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.contains("Content-Length: 11\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    let long = [b"GET /metrics HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 2 * METRICS_REQUEST_BYTES]].concat();
    let text = ask(port, &long);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 431"), "{text}");
}

#[test]
fn clients_that_say_nothing_do_not_shut_others_out() {
    let (_server, port) = serve();
    let connect = |_| TcpStream::connect(("127.0.0.1", port)).unwrap();
    for _ in 0..3 {
        let silent: Vec<_> = (0..METRICS_CONNECTIONS).map(connect).collect();
        let text = ask(port, b"GET /metrics HTTP/1.1\r\n\r\n");
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        drop(silent);
    }
}

/// A page that fills every buffer on its way, and clients that read nothing of it.
#[test]
fn clients_that_do_not_read_do_not_shut_others_out() {
    let endpoint = Endpoint { listener: Listener::Tcp(TcpListener::bind(("127.0.0.1", 0)).unwrap()) };
    let Listener::Tcp(l) = &endpoint.listener else { unreachable!() };
    l.set_nonblocking(true).unwrap();
    let port = l.local_addr().unwrap().port();
    let _server = endpoint.serve(|| "x".repeat(8 << 20)).unwrap();
    let deaf: Vec<_> = (0..METRICS_CONNECTIONS + 5)
        .map(|_| {
            let mut s = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let _ = s.write_all(b"GET /metrics HTTP/1.1\r\n\r\n");
            s
        })
        .collect();
    let text = ask(port, b"GET / HTTP/1.1\r\n\r\n");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    drop(deaf);
}

#[test]
fn what_a_dead_process_left_is_replaced_and_the_living_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let address = Address::Unix(path.clone());
    let one = Endpoint::bind(&address).unwrap();
    let why = Endpoint::bind(&address).unwrap_err().to_string();
    assert!(why.contains("something listens there already"), "{why}");
    drop(one);
    assert!(!path.exists());
    std::fs::write(&path, "precious").unwrap();
    Endpoint::bind(&address).unwrap_err();
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}
