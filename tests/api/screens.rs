//! What people see of a recorder: `status`, `classes`, and on a terminal (a pty of util-linux's `script`) `top` and `console`.

use crate::common::Retrotap;
use crate::rig::{Daemon, PATIENCE, packet};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

/// A command on a terminal.
struct Terminal {
    child: Child,
    shown: String,
    more: Receiver<Vec<u8>>,
}

impl Terminal {
    fn run(r: &Retrotap, command: &str) -> Terminal {
        let line = format!("stty rows 40 cols 160; exec {} {command}", env!("CARGO_BIN_EXE_retrotap"));
        let mut child = Command::new("script")
            .args(["-qefc", &line, "/dev/null"])
            .env("RETROTAP_STORE", r.store())
            .env("TERM", "xterm-256color")
            .env("XDG_STATE_HOME", r.dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script of util-linux");
        let mut out = child.stdout.take().expect("a pipe");
        let (tell, more) = channel();
        // Ends when the terminal does.
        std::thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(n @ 1..) = out.read(&mut some) {
                if tell.send(some[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal { child, shown: String::new(), more }
    }

    fn press(&mut self, keys: &str) {
        let input = self.child.stdin.as_mut().expect("a pipe");
        input.write_all(keys.as_bytes()).and_then(|()| input.flush()).expect("the terminal takes keys");
    }

    /// Waits until this has been shown since the last time. Who asks a terminal where its cursor is gets an answer.
    fn until(&mut self, text: &str) {
        let start = Instant::now();
        let mut answered = 0;
        loop {
            if let Some(at) = self.shown.find(text) {
                self.shown.drain(..at + text.len());
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{text:?} did not come: {:?}", self.shown);
            if let Ok(bytes) = self.more.recv_timeout(std::time::Duration::from_millis(50)) {
                self.shown.push_str(&String::from_utf8_lossy(&bytes));
            }
            let asked = self.shown.matches("\x1b[6n").count();
            (answered..asked).for_each(|_| self.press("\x1b[1;1R"));
            answered = answered.max(asked);
        }
    }

    fn end(mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                return status.code();
            }
            assert!(start.elapsed() < PATIENCE, "it does not end: {:?}", self.shown);
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn status_and_classes_say_how_it_goes() {
    let r = Retrotap::default();
    let none = r.run(&["status"]);
    assert!(none.code == Some(3) && none.err.contains("no recorder answers"), "{}", none.err);
    let mut daemon = Daemon::start(&r, &["--disk", "1GiB"]);
    daemon.feed((0..2_000).map(packet));
    daemon.until_count(2_000);
    let status = daemon.until("the numbers of a second", || {
        let status = r.run(&["status", "--json"]).json();
        (status["stored"]["packets"] == 2_000).then_some(status)
    });
    assert_eq!((&status["source"], &status["kept"]["packets_share"]), (&"file".into(), &1.0.into()));
    let screen = r.run(&["status"]);
    assert_eq!(screen.code, Some(0), "{}", screen.err);
    for word in [
        "recording since",
        "seen",
        "2 000",
        "kept         100.00 %",
        "lost         nothing",
        "brake off",
        "days left",
        "all ",
    ] {
        assert!(screen.text().contains(word), "{word}: {}", screen.text());
    }
    let classes = r.run(&["classes", "--json"]).json();
    assert_eq!((&classes["class"], &classes["room_bytes"]), (&"all".into(), &(1u64 << 30).into()), "{classes}");
    assert!(r.run(&["classes"]).text().contains("shares 1.00 GiB"));
    let piped = r.run(&["top"]);
    assert!(piped.code == Some(2) && piped.err.contains("retrotap status"), "{}", piped.err);
    assert_eq!(r.run(&["console"]).code, Some(2));
    daemon.stop();
}

#[test]
fn top_draws_until_q_and_gives_the_terminal_back() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &[]);
    daemon.feed((0..1_000).map(packet));
    daemon.until_count(1_000);
    for end in ["q", "\x03"] {
        let mut terminal = Terminal::run(&r, "top --every 200ms --last 10000d");
        terminal.until("\x1b[?1049h");
        terminal.until("recording since");
        terminal.until("10.9.9.9:53");
        // Again: it is live.
        terminal.until("recording since");
        terminal.press(end);
        terminal.until("\x1b[?1049l");
        assert_eq!(terminal.end(), Some(0));
    }
    daemon.stop();
}

#[test]
fn the_console_does_what_the_commands_do() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &[]);
    daemon.feed((0..1_000).map(packet));
    daemon.until_count(1_000);
    let mut terminal = Terminal::run(&r, &format!("console --store {}", r.store().display()));
    terminal.until("retrotap");
    terminal.press("query 'host 10.0.0.7' --count\r");
    terminal.until("4\r\n");
    terminal.press("nonsense\r");
    terminal.until("unrecognized subcommand");
    terminal.press("query 'host\r");
    terminal.until("quote");
    terminal.press("stat\t");
    terminal.until("status");
    terminal.press("\r");
    terminal.until("recording since");
    // The next line's prompt asks where the cursor is.
    terminal.until("retrotap");
    terminal.press("exit\r");
    assert_eq!(terminal.end(), Some(0));
    let history = std::fs::read_to_string(r.dir().join("retrotap/history")).expect("the history");
    assert!(history.contains("query 'host 10.0.0.7' --count"), "{history}");
    daemon.stop();
}
