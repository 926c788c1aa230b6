//! The metrics endpoint, through its socket: any bytes. Who says something is answered, with a length that is true, and the connection ends.

use crate::scratch;
use retrotap::metrics::http::{Address, Endpoint, Server};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

static SERVER: OnceLock<(PathBuf, Server)> = OnceLock::new();

/// Input: what a client sends.
pub fn run(data: &[u8]) {
    let (path, _) = SERVER.get_or_init(|| {
        let path = scratch::folder().join("metrics.sock");
        let endpoint = Endpoint::bind(&Address::Unix(path.clone())).expect("a socket");
        (path, endpoint.serve(|| "retrotap_up 1\n".into()).expect("a server"))
    });
    let mut stream = UnixStream::connect(path).expect("the endpoint");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    // It may have its answer before all is said.
    let _ = stream.write_all(data).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return,
        Err(e) => panic!("no answer: {e}"),
    }
    let text = String::from_utf8(all).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 "), "{head}");
    let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: ")).and_then(|n| n.parse::<usize>().ok());
    let only_head = body.is_empty() && data.starts_with(b"HEAD ");
    assert!(only_head || length == Some(body.len()), "{head}, and {} bytes", body.len());
}

/// Requests.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    for request in [
        "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        "HEAD / HTTP/1.0\r\n\r\n",
        "POST /metrics HTTP/1.1\r\n\r\n",
        "GET /x?y HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\n",
    ] {
        add(request.as_bytes().to_vec());
    }
}
