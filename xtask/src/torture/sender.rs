//! Sends the table of hostile requests, over a Unix socket or over TLS, again and again; prints a JSON line of what came of each. A process of its own, so that
//! it can be somebody else, or in another namespace. TLS is `openssl s_client`'s: there are no crates here.

use super::http;
use super::requests::{Hostile, How, all};
use crate::json::{Value, object};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Of the command line: `send unix SOCKET SECONDS` or `send tls PORT SECONDS TOKEN`.
pub const WORD: &str = "send";
/// Requests at a time.
const THREADS: usize = 12;
/// In so long there is an answer, or an end: a connection of which nothing is taken is closed after 120 s.
const LATE: Duration = Duration::from_secs(180);
/// So long an answer is not read.
const UNREAD: Duration = Duration::from_secs(15);
/// Connections of a flood are held for so long.
const HELD: Duration = Duration::from_secs(8);
/// Who is answered with more leaves.
const ENOUGH: usize = 64 << 20;

/// Where to.
enum To {
    Unix(String),
    Tls { port: u16, token: String },
}

/// Sends all of it once, and again until the time is over.
pub fn run(words: &[String]) -> Result<(), String> {
    let (to, seconds) = match words {
        [over, path, seconds] if over == "unix" => (To::Unix(path.clone()), seconds),
        [over, port, seconds, token] if over == "tls" => {
            (To::Tls { port: port.parse().map_err(|_| "no port")?, token: token.clone() }, seconds)
        }
        _ => return Err(format!("{WORD} is called by torture hostile")),
    };
    let until = Instant::now() + Duration::from_secs(seconds.parse().map_err(|_| "no time")?);
    let (all, next) = (all(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Relaxed);
                    if n >= all.len() && Instant::now() >= until {
                        return;
                    }
                    println!("{}", line(&to, &all[n % all.len()]));
                }
            });
        }
    });
    Ok(())
}

fn line(to: &To, hostile: &Hostile) -> Value {
    let start = Instant::now();
    let came = match &hostile.how {
        How::Whole(bytes) | How::Stalls(bytes) => one(to, bytes, Duration::ZERO),
        How::Unread(bytes) => one(to, bytes, UNREAD),
        How::Flood(count, bytes) => flood(to, *count, bytes),
    };
    object([
        ("name", hostile.name.as_str().into()),
        ("over", if matches!(to, To::Unix(_)) { "unix" } else { "tls" }.into()),
        ("came", came.what.into()),
        ("status", came.status.map(u64::from).into()),
        ("ms", (start.elapsed().as_secs_f64() * 1e3).into()),
        ("bytes", (came.bytes as u64).into()),
    ])
}

/// What came of a request.
struct Came {
    /// `answered`, `closed` without an answer, `refused` a connection, `left`: the client had enough; `late`: none of these.
    what: &'static str,
    status: Option<u16>,
    bytes: usize,
}

const REFUSED: Came = Came { what: "refused", status: None, bytes: 0 };

/// One request; `unread`: so long nothing of the answer is read, and then no more than a little.
fn one(to: &To, bytes: &[u8], unread: Duration) -> Came {
    match to {
        To::Unix(path) => {
            let Ok(stream) = UnixStream::connect(path) else { return REFUSED };
            let (Ok(reader), Ok(writer)) = (stream.try_clone(), stream.try_clone()) else { return REFUSED };
            let came = timed(reader, writer, http::without_token(bytes), unread);
            // Whoever still reads or writes ends.
            let _ = stream.shutdown(Shutdown::Both);
            came
        }
        To::Tls { port, token } => {
            let mut client = Command::new("openssl");
            client.args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{port}")]);
            client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
            let Ok(mut client) = client.spawn() else { return REFUSED };
            let came = match (client.stdout.take(), client.stdin.take()) {
                (Some(reader), Some(writer)) => timed(reader, writer, http::with_token(bytes, token), unread),
                _ => REFUSED,
            };
            let _ = client.kill();
            let _ = client.wait();
            came
        }
    }
}

/// Says it, and reads what comes; its threads end with the connection, which is the caller's to end.
fn timed(
    mut reader: impl Read + Send + 'static,
    mut writer: impl Write + Send + 'static,
    bytes: Vec<u8>,
    unread: Duration,
) -> Came {
    std::thread::spawn(move || {
        // It may be refused before all is said.
        let _ = writer.write_all(&bytes).and_then(|()| writer.flush());
    });
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        std::thread::sleep(unread);
        let enough = if unread.is_zero() { ENOUGH } else { 1 };
        let (mut first, mut bytes, mut buffer) = (Vec::new(), 0, vec![0; 1 << 16]);
        let whole = loop {
            match reader.read(&mut buffer) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break true,
                Ok(n) => {
                    first.extend_from_slice(&buffer[..n.min(16usize.saturating_sub(first.len()))]);
                    bytes += n;
                    if bytes >= enough {
                        break false;
                    }
                }
            }
        };
        let status = http::status(&first);
        let what = match (whole, status) {
            (false, _) => "left",
            (true, Some(_)) => "answered",
            (true, None) => "closed",
        };
        let _ = tell.send(Came { what, status, bytes });
    });
    told.recv_timeout(LATE).unwrap_or(Came { what: "late", status: None, bytes: 0 })
}

/// Many connections at once, held for longer than a handshake may take. How many the answer says are those that were had.
fn flood(to: &To, count: usize, bytes: &[u8]) -> Came {
    enum Open {
        Unix(UnixStream),
        Tcp(TcpStream),
    }
    let mut open = Vec::new();
    for _ in 0..count {
        let one = match to {
            To::Unix(path) => UnixStream::connect(path).and_then(|mut s| {
                s.set_write_timeout(Some(HELD))?;
                s.write_all(bytes).map(|()| Open::Unix(s))
            }),
            To::Tls { port, .. } => TcpStream::connect(("127.0.0.1", *port)).and_then(|mut s| {
                s.set_write_timeout(Some(HELD))?;
                s.write_all(bytes).map(|()| Open::Tcp(s))
            }),
        };
        open.extend(one.ok());
    }
    std::thread::sleep(HELD);
    let had = open.len();
    for one in open {
        // Said, so that it is no reset.
        let _ = match one {
            Open::Unix(s) => s.shutdown(Shutdown::Both),
            Open::Tcp(s) => s.shutdown(Shutdown::Both),
        };
    }
    Came { what: if had > 0 { "left" } else { "refused" }, status: None, bytes: had }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn what_comes_of_a_request() {
        let path = std::env::temp_dir().join(format!("retrotap-xtask-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            for said in [&b"HTTP/1.1 400 no\r\n\r\n"[..], b""] {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.write_all(said);
            }
        });
        let to = To::Unix(path.to_string_lossy().into_owned());
        let came = [(); 2].map(|()| one(&to, b"x", Duration::ZERO)).map(|c| (c.what, c.status));
        server.join().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(came, [("answered", Some(400)), ("closed", None)]);
        assert_eq!(one(&to, b"x", Duration::ZERO).what, "refused");
    }
}
