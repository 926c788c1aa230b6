//! `retrotap nids` under way, and what it says.

use crate::common::Retrotap;
use crate::rig::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

/// A coupling; killed when dropped.
pub struct Coupling {
    child: Child,
    socket: PathBuf,
    out: PathBuf,
    log: PathBuf,
}

impl Coupling {
    /// With a socket that Suricata connects to.
    pub fn listen(r: &Retrotap, rules: &str, more: &[&str]) -> Coupling {
        let socket = r.dir().join("eve.sock");
        let coupling =
            Coupling::start(r, rules, &[&["suricata", "--listen", &socket.to_string_lossy()], more].concat());
        let start = Instant::now();
        // Its rights are set when it listens.
        let listens = || socket.metadata().is_ok_and(|m| m.permissions().mode() & 0o777 == 0o660);
        while !listens() {
            assert!(start.elapsed() < PATIENCE, "no socket: {}", coupling.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        coupling
    }

    /// With a file that Suricata writes.
    pub fn follow(r: &Retrotap, rules: &str, file: &Path, more: &[&str]) -> Coupling {
        let coupling = Coupling::start(r, rules, &[&["suricata", "--follow", &file.to_string_lossy()], more].concat());
        // It stands at the file's end when it has opened it.
        let fds = format!("/proc/{}/fd", coupling.child.id());
        let open = || {
            std::fs::read_dir(&fds).is_ok_and(|d| d.flatten().any(|f| f.path().read_link().is_ok_and(|l| l == file)))
        };
        let start = Instant::now();
        while !open() {
            assert!(start.elapsed() < PATIENCE, "the file is not read: {}", coupling.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        coupling
    }

    /// Any other.
    pub fn start(r: &Retrotap, rules: &str, args: &[&str]) -> Coupling {
        let (out, log, file) = (r.dir().join("nids.json"), r.dir().join("nids.log"), r.dir().join("nids.toml"));
        std::fs::write(&file, rules).expect("rules");
        let child = r
            .command(&[&["nids"], args, &["--json", "--rules", &file.to_string_lossy()]].concat())
            .stdout(File::create(&out).expect("a file"))
            .stderr(File::create(&log).expect("a file"))
            .spawn()
            .expect("the binary runs");
        Coupling { child, socket: r.dir().join("eve.sock"), out, log }
    }

    /// As Suricata does.
    pub fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).expect("the socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    /// All it has said.
    pub fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.out).unwrap_or_default();
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        complete.lines().map(|l| serde_json::from_str(l).expect("a JSON object a line")).collect()
    }

    /// Waits until what it has said is so.
    pub fn until(&self, what: &str, is: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let start = Instant::now();
        loop {
            let lines = self.lines();
            if is(&lines) {
                return lines;
            }
            assert!(start.elapsed() < PATIENCE, "{what} did not come: {lines:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for so many actions.
    pub fn until_actions(&self, n: usize) -> Vec<Value> {
        let action = |l: &&Value| l["kind"] == "action";
        let lines = self.until("the actions", |lines| lines.iter().filter(action).count() >= n);
        lines.into_iter().filter(|l| action(&l)).collect()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGTERM: exit code, the final counts, which add up, and what it said on standard error.
    pub fn stop(mut self) -> (Option<i32>, Value, String) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("a signal");
        let start = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("its state") {
                Some(status) => break status,
                None => assert!(start.elapsed() < PATIENCE, "it does not end: {}", self.log()),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let all = self.lines();
        all.iter().for_each(|l| crate::common::said::check("NidsEvent", l));
        let last = self.lines().pop().expect("a last line");
        assert_eq!(last["kind"], "final", "{last}\n{}", self.log());
        let n = |what: &str| last[what].as_u64().expect("a count");
        let fates = ["unmatched", "repeated", "limited", "waiting", "echoes", "acted"];
        assert_eq!(n("alerts"), fates.iter().map(|f| n(f)).sum::<u64>(), "every alert has one fate: {last}");
        (status.code(), last, self.log())
    }
}

impl Drop for Coupling {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// An alert about a connection of `rig::packet`'s, as Suricata 7 writes it.
pub fn eve(host: u8, severity: u8, sid: u32) -> String {
    format!(
        r#"{{"timestamp":"2023-11-14T22:13:22.000000+0000","flow_id":1217342{host},"in_iface":"tap0","event_type":"alert","src_ip":"10.0.0.{host}","src_port":12345,"dest_ip":"10.9.9.9","dest_port":53,"proto":"UDP","pkt_src":"wire/pcap","alert":{{"action":"allowed","gid":1,"signature_id":{sid},"rev":1,"signature":"a test","category":"Misc activity","severity":{severity}}},"app_proto":"failed","direction":"to_server","flow":{{"pkts_toserver":3,"pkts_toclient":0,"bytes_toserver":600,"bytes_toclient":0,"start":"2023-11-14T22:13:20.000000+0000","src_ip":"10.0.0.{host}","dest_ip":"10.9.9.9","src_port":12345,"dest_port":53}}}}"#
    )
}
