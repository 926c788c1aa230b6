//! Requests over HTTP/1.1, as little of it as is needed: one a connection, read to its end. Knows no answer's meaning but its status.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// No more of an answer is kept; what is longer is bounded by somebody else.
const MOST: u64 = 64 << 20;

/// In a request: the head with a token, where one is needed.
pub const TOKEN: &str = "X-Token-Here: 1\r\n";

/// With a token in its place.
pub fn with_token(request: &[u8], token: &str) -> Vec<u8> {
    replaced(request, format!("Authorization: Bearer {token}\r\n").as_bytes())
}

/// Without that place.
pub fn without_token(request: &[u8]) -> Vec<u8> {
    replaced(request, b"")
}

fn replaced(mut request: &[u8], by: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(request.len());
    while let Some(at) = request.windows(TOKEN.len()).position(|w| w == TOKEN.as_bytes()) {
        all.extend([&request[..at], by].concat());
        request = &request[at + TOKEN.len()..];
    }
    all.extend(request);
    all
}

/// A request with a body.
pub fn request(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// What is answered; an error where nobody does within this time.
pub fn ask(socket: &Path, request: &[u8], within: Duration) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(within))?;
    stream.write_all(request)?;
    let mut all = Vec::new();
    stream.take(MOST).read_to_end(&mut all)?;
    Ok(all)
}

/// The status; `None`: it is no answer.
pub fn status(answer: &[u8]) -> Option<u16> {
    let rest = answer.strip_prefix(b"HTTP/1.1 ").or_else(|| answer.strip_prefix(b"HTTP/1.0 "))?;
    std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()
}

/// What follows the head, chunks put together.
pub fn body(answer: &[u8]) -> Vec<u8> {
    let Some(at) = answer.windows(4).position(|w| w == b"\r\n\r\n") else { return Vec::new() };
    let (head, mut rest) = (String::from_utf8_lossy(&answer[..at]).to_lowercase(), &answer[at + 4..]);
    if !head.contains("transfer-encoding: chunked") {
        return rest.to_vec();
    }
    let mut all = Vec::new();
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let len = usize::from_str_radix(String::from_utf8_lossy(&rest[..end]).trim(), 16).unwrap_or(0);
        let Some(chunk) = rest.get(end + 2..end + 2 + len).filter(|_| len > 0) else { break };
        all.extend(chunk);
        rest = rest.get(end + 4 + len..).unwrap_or_default();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab";
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\nX: y\r\n\r\n";
        assert_eq!((status(plain), body(plain)), (Some(200), b"ab".to_vec()));
        assert_eq!((status(chunked), body(chunked)), (Some(200), b"ab".to_vec()));
        let with = format!("GET / HTTP/1.1\r\n{TOKEN}X: y\r\n\r\n");
        assert_eq!(with_token(with.as_bytes(), "t"), b"GET / HTTP/1.1\r\nAuthorization: Bearer t\r\nX: y\r\n\r\n");
        assert_eq!(without_token(with.as_bytes()), b"GET / HTTP/1.1\r\nX: y\r\n\r\n");
        assert_eq!((status(b"HTTP/1.1 x"), status(b""), body(b"").len()), (None, None, 0));
    }
}
