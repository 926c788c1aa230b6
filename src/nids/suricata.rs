//! Packets back to Suricata: the protocol of its unix-socket mode (`suricata --unix-socket`), where a client names a capture file and Suricata
//! reads it with its rules. Owns that protocol. Called by the keeper.

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Longest answer.
const ANSWER_BYTES: usize = 1 << 20;

/// A Suricata that takes captures.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Its command socket.
    pub socket: PathBuf,
    /// Where it writes what it finds.
    pub output: PathBuf,
}

impl Feed {
    /// For people.
    pub fn place(&self) -> String {
        self.socket.display().to_string()
    }

    /// Where packets wait for it; it takes them away when it has read them.
    pub fn spool(&self) -> PathBuf {
        super::spool::path_in(&self.output)
    }

    /// Has it read this file, and take it away then. The error says what went wrong.
    pub fn give(&self, file: &Path) -> Result<(), String> {
        let wrong = |what: &str, e: &dyn std::fmt::Display| format!("{}: {what}: {e}", self.socket.display());
        let mut stream = UnixStream::connect(&self.socket).map_err(|e| wrong("no Suricata answers", &e))?;
        stream
            .set_read_timeout(Some(ANSWER))
            .and_then(|()| stream.set_write_timeout(Some(ANSWER)))
            .map_err(|e| wrong("its socket", &e))?;
        let mut ask = |message: Value| {
            let text = format!("{message}\n");
            stream.write_all(text.as_bytes()).map_err(|e| wrong("it takes no command", &e))?;
            let answer = read(&mut stream).map_err(|e| wrong("it does not answer", &e))?;
            match answer.get("return").and_then(Value::as_str) {
                Some("OK") => Ok(()),
                _ => Err(wrong("it refuses", answer.get("message").unwrap_or(&answer))),
            }
        };
        ask(json!({ "version": "0.2" }))?;
        ask(
            json!({ "command": "pcap-file", "arguments": { "filename": file, "output-dir": self.output, "delete-when-done": true } }),
        )
    }
}

/// One JSON value; nothing tells its end but itself.
fn read(stream: &mut UnixStream) -> std::io::Result<Value> {
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let n = stream.read(&mut piece)?;
        text.extend_from_slice(piece.get(..n).unwrap_or_default());
        match serde_json::from_slice(&text) {
            Ok(value) => return Ok(value),
            Err(e) if n == 0 || text.len() > ANSWER_BYTES || !e.is_eof() => return Err(e.into()),
            Err(_) => {}
        }
    }
}
