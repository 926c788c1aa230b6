//! A real Suricata (7, of Debian's backports): it alerts on traffic crossing a veth, while retrotap records the same traffic at the other end;
//! and it reads held packets again in unix-socket mode.

use crate::common::{Retrotap, check_account, libpcap, segments};
use crate::coupling::{Coupling, eve};
use crate::net::{A, B, Sender, in_namespace, veth};
use crate::rig::{Daemon, PATIENCE, packet};
use crate::{all_sums_are_right, record_of};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Something that runs until it is dropped.
struct Running {
    child: Child,
    out: PathBuf,
    log: PathBuf,
}

impl Running {
    fn start(dir: &Path, name: &str, command: &mut Command) -> Running {
        let (out, log) = (dir.join(format!("{name}.out")), dir.join(format!("{name}.log")));
        let file = |path| File::create(path).expect("a file");
        let child = command.stdin(Stdio::null()).stdout(file(&out)).stderr(file(&log)).spawn().expect("it runs");
        Running { child, out, log }
    }

    fn said(&self) -> String {
        [&self.out, &self.log].map(|p| std::fs::read_to_string(p).unwrap_or_default()).concat()
    }

    fn until(&mut self, what: &str, mut is: impl FnMut(&str) -> bool) {
        let start = Instant::now();
        while !is(&self.said()) {
            let ended = self.child.try_wait().expect("its state");
            assert!(ended.is_none() && start.elapsed() < PATIENCE, "{what} did not come ({ended:?}): {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A signal, and its end.
    fn stop(&mut self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal");
        let start = Instant::now();
        while self.child.try_wait().expect("its state").is_none() {
            assert!(start.elapsed() < PATIENCE, "it does not end: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Whether there is a Suricata; says so if not.
fn there(test: &str) -> bool {
    let found = Command::new("suricata").arg("-V").output().is_ok_and(|o| o.status.success());
    if !found {
        eprintln!("skipped: {test}: there is no suricata (cargo xtask setup)");
    }
    found
}

/// Its configuration and rules: EVE to the coupling's socket, with community IDs.
fn configure(r: &Retrotap, more: &str, rules: &str) -> (String, String) {
    let (yaml, file) = (r.dir().join("suricata.yaml"), r.dir().join("test.rules"));
    let (dir, socket) = (r.dir().display(), r.dir().join("eve.sock"));
    let text = format!(
        "%YAML 1.1\n---\nvars:\n  address-groups: {{ HOME_NET: any, EXTERNAL_NET: any }}\ndefault-log-dir: {dir}\n\
         outputs:\n  - eve-log:\n      enabled: yes\n      filetype: unix_stream\n      filename: {}\n      pcap-file: true\n      \
         community-id: true\n      types: [ alert: {{ payload: yes }}, flow ]\n{more}",
        socket.display()
    );
    std::fs::write(&yaml, text).expect("a configuration");
    std::fs::write(&file, rules).expect("rules");
    (yaml.to_string_lossy().into_owned(), file.to_string_lossy().into_owned())
}

/// A UDP frame of this host to 10.0.0.2:53.
fn frame(host: u8, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = etherparse::PacketBuilder::ethernet2(A, B).ipv4([10, 0, 0, host], [10, 0, 0, 2], 64);
    builder.udp(port, 53).write(&mut frame, payload).expect("a frame");
    frame
}

const EVIL: &str = "alert udp any any -> any 53 (msg:\"retrotap test\"; content:\"EVIL\"; classtype:trojan-activity; sid:9000001; rev:1;)\n";

/// Traffic crosses a veth; Suricata at one end sees something evil in it; retrotap at the other end holds it.
#[test]
fn an_alert_of_a_real_suricata_holds_the_packets() {
    let name = "an_alert_of_a_real_suricata_holds_the_packets";
    if there(name) {
        in_namespace(name, alert_to_held);
    }
}

fn alert_to_held() {
    veth("gen0", "tap0", 1, 1500);
    let r = Retrotap::default();
    let options = ["-i", "tap0", "--source", "xdp", "--cutoff", "2KiB", "--memory", "16MiB", "--log-interval", "100ms"];
    let mut record = r.command(&[&["record", "--json"], &options[..]].concat());
    let mut recorder = Running::start(r.dir(), "record", &mut record);
    recorder.until("the recorder", |said| said.contains("\"interval\""));
    let rules = "[[rule]]\nname = \"evil\"\nseverity = 1\nhold = [\"connection\", \"offender\"]\n";
    let coupling = Coupling::listen(&r, rules, &[]);
    let more =
        "af-packet:\n  - interface: gen0\n    cluster-id: 99\n    cluster-type: cluster_flow\nrunmode: workers\n";
    let (yaml, signatures) = configure(&r, more, EVIL);
    let mut suricata = Command::new("suricata");
    suricata.args(["-c", &yaml, "-S", &signatures, "--af-packet=gen0", "-k", "none"]);
    let mut suricata = Running::start(r.dir(), "suricata", &mut suricata);
    suricata.until("Suricata", |said| said.contains("Engine started"));
    coupling.until("its connection", |lines| lines.iter().any(|l| l["peer"] == "suricata"));

    let sender = Sender::new("gen0");
    let mut sent = Vec::new();
    for n in 0..20u8 {
        sender.send(&frame(100 + n, 1000, b"nothing of interest"));
        sent.push(frame(1, 40000, &[n; 50]));
        sender.send(&sent[usize::from(n)]);
    }
    let evil = frame(1, 40000, b"this is EVIL");
    sent.push(evil.clone());
    sender.send(&evil);
    let other = frame(1, 41000, b"the offender's other connection");
    sender.send(&other);
    // A second alert of the same connection does nothing more.
    sender.send(&evil);
    sent.push(evil);
    let actions = coupling.until_actions(2);
    let (conn, host) = (&actions[0], &actions[1]);
    assert_eq!((&conn["action"], &conn["error"]), (&"hold_connection".into(), &Value::Null), "{conn}");
    assert_eq!((&host["action"], &host["error"]), (&"hold_offender".into(), &Value::Null), "{host}");
    for a in [conn, host] {
        let ms = |key: &str| a[key].as_f64().expect("a time") * 1e3;
        eprintln!(
            "{}: {:.0} ms after the alert, {:.0} ms after its packet",
            a["action"],
            ms("since_alert_seconds"),
            ms("since_packet_seconds")
        );
    }
    let (held, error) = libpcap(Path::new(conn["file"].as_str().expect("a path")));
    assert_eq!(error, None);
    let held: Vec<Vec<u8>> = held.into_iter().map(|p| p.data).collect();
    assert_eq!(held, sent, "all packets of the connection");
    let (held, _) = libpcap(Path::new(host["file"].as_str().expect("a path")));
    assert!(held.len() == sent.len() + 1 && held.iter().any(|p| p.data == other));
    let about = &record_of(&r, conn["hold"].as_str().expect("a name"))["about"];
    assert_eq!((&about["alert"]["signature_id"], &about["src_port"]), (&9_000_001.into(), &40000.into()), "{about}");
    // Suricata and retrotap name the connection alike.
    let ran = r.run(&["connections", "host 10.0.0.1 and port 40000", "--json"]);
    assert_eq!(ran.json()["community_id"], about["community_id"]);
    all_sums_are_right(&r);

    suricata.stop(Signal::INT);
    coupling.until("its end", |lines| lines.iter().any(|l| l["peer"] == "suricata" && l["there"] == false));
    let (code, counts, log) = coupling.stop();
    assert_eq!(
        (code, &counts["acted"], &counts["repeated"], &counts["malformed"]),
        (Some(0), &1.into(), &1.into(), &0.into()),
        "{log}"
    );
    recorder.stop(Signal::INT);
    let said = std::fs::read_to_string(&recorder.out).expect("its account");
    let account: Value = serde_json::from_str(said.lines().last().expect("a last line")).expect("JSON");
    check_account(&account);
    assert_eq!(account["stored"]["packets"], 43, "{account}");
    assert!(!segments(&r.store()).is_empty());
}

/// The evil comes when the kernel cuts the connection already: its cutoff is lifted, and what follows is stored; another offender's new
/// connections get a class without a cutoff.
#[test]
fn an_alert_of_a_real_suricata_lifts_the_cutoff_and_assigns() {
    let name = "an_alert_of_a_real_suricata_lifts_the_cutoff_and_assigns";
    if there(name) {
        in_namespace(name, alert_to_stored);
    }
}

fn alert_to_stored() {
    veth("gen0", "tap0", 1, 1500);
    let r = Retrotap::default();
    let config = r.dir().join("retrotap.toml");
    let classes = "[class.all]\ncutoff = \"2KiB\"\n[class.suspects]\nfilter = \"host 203.0.113.1\"\nprecedence = 5\ncutoff = \"none\"\n";
    std::fs::write(&config, classes).expect("a configuration");
    let options = ["-i", "tap0", "--source", "xdp", "--memory", "16MiB", "--log-interval", "100ms", "-c"];
    let mut record = r.command(&[&["record", "--json"], &options[..], &[&config.to_string_lossy()]].concat());
    let mut recorder = Running::start(r.dir(), "record", &mut record);
    recorder.until("the recorder", |said| said.contains("\"interval\""));
    let rules = "[[rule]]\nname = \"evil\"\nsid = [9000001]\nsuspend_cutoff = \"1h\"\n\
                 [[rule]]\nname = \"bad\"\nsid = [9000003]\nassign = { class = \"suspects\", for = \"1h\" }\n";
    let coupling = Coupling::listen(&r, rules, &[]);
    let bad = "alert udp any any -> any 53 (msg:\"bad\"; content:\"BAD\"; sid:9000003; rev:1;)\n";
    let more =
        "af-packet:\n  - interface: gen0\n    cluster-id: 99\n    cluster-type: cluster_flow\nrunmode: workers\n";
    let (yaml, signatures) = configure(&r, more, &[EVIL, bad].concat());
    let mut suricata = Command::new("suricata");
    suricata.args(["-c", &yaml, "-S", &signatures, "--af-packet=gen0", "-k", "none"]);
    let mut suricata = Running::start(r.dir(), "suricata", &mut suricata);
    suricata.until("Suricata", |said| said.contains("Engine started"));

    let sender = Sender::new("gen0");
    let burst = |host: u8, port: u16| (0..30).for_each(|n| sender.send(&frame(host, port, &[n; 200])));
    let count = |of: &[&str]| {
        let ran = r.run(&[&["query", "--count"], of].concat());
        ran.text().trim().parse::<u64>().unwrap_or_else(|_| panic!("{}", ran.err))
    };
    // 242 bytes each: the first nine begin below 2 KiB and are stored, nothing after them, the evil neither; of the second burst the kernel
    // drops each.
    burst(3, 42000);
    std::thread::sleep(Duration::from_millis(300));
    burst(3, 42000);
    sender.send(&frame(3, 42000, b"this is EVIL"));
    sender.send(&frame(4, 42000, b"this is BAD"));
    let actions = coupling.until_actions(2);
    assert!(actions.iter().all(|a| a["error"].is_null()), "{actions:?}");
    for a in &actions {
        let ms = |key: &str| a[key].as_f64().expect("a time") * 1e3;
        eprintln!(
            "{}: took {:.1} ms, {:.1} ms after its packet",
            a["action"],
            ms("took_seconds"),
            ms("since_packet_seconds")
        );
    }
    // Orders are in force a few milliseconds after they were taken.
    std::thread::sleep(Duration::from_millis(200));
    burst(3, 42000);
    burst(4, 43000);
    burst(5, 44000);
    suricata.stop(Signal::INT);
    let (code, counts, log) = coupling.stop();
    assert_eq!((code, &counts["suspended"], &counts["assigned"]), (Some(0), &1.into(), &1.into()), "{log}");
    recorder.stop(Signal::INT);
    let said = std::fs::read_to_string(&recorder.out).expect("its account");
    let account: Value = serde_json::from_str(said.lines().last().expect("a last line")).expect("JSON");
    check_account(&account);
    assert!(account["shunted"]["packets"].as_u64() > Some(0), "the kernel cut nothing: {account}");
    assert_eq!(count(&["host 10.0.0.3"]), 9 + 30, "the suspended connection: {account}");
    assert_eq!(count(&["port 43000", "--class", "suspects"]), 30, "the assigned offender: {account}");
    assert_eq!(count(&["host 10.0.0.5"]), 9, "nobody else: {account}");
}

/// A hold goes back to a Suricata in unix-socket mode, which finds in it what another rule of its asks for; that its alerts come back to us
/// through the same socket (it connects anew for each capture) starts nothing.
#[test]
fn a_real_suricata_reads_held_packets_again() {
    let name = "a_real_suricata_reads_held_packets_again";
    if !there(name) {
        return;
    }
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", "16MiB"]);
    daemon.feed((0..2000).map(packet));
    daemon.until_count(2000);
    let (command, output) = (r.dir().join("command.sock"), r.dir().join("again"));
    std::fs::create_dir(&output).expect("a folder");
    let rules = "[[rule]]\nname = \"again\"\nhold = [\"connection\"]\nfeed_back = true\n";
    let feed = ["--feed", &command.to_string_lossy(), "--feed-output", &output.to_string_lossy()];
    let coupling = Coupling::listen(&r, rules, &feed);
    let more = "  - eve-log:\n      enabled: yes\n      filetype: regular\n      filename: eve.json\n      types: [ alert ]\n\
                unix-command:\n  enabled: yes\n";
    let any = "alert udp any any -> any 53 (msg:\"seen again\"; content:\"|00 00|\"; sid:9000002; rev:1;)\n";
    let (yaml, signatures) = configure(&r, more, any);
    let mut suricata = Command::new("suricata");
    suricata.args(["-c", &yaml, "-S", &signatures, "-k", "none", &format!("--unix-socket={}", command.display())]);
    let mut suricata = Running::start(r.dir(), "suricata", &mut suricata);
    suricata.until("Suricata", |_| command.exists());
    std::io::Write::write_all(&mut coupling.connect(), format!("{}\n", eve(7, 1, 1)).as_bytes()).expect("it reads");
    let actions = coupling.until_actions(2);
    assert_eq!((&actions[1]["action"], &actions[1]["error"]), (&"feed_back".into(), &Value::Null), "{actions:?}");
    let packets = actions[0]["packets"].as_u64().expect("a count");
    let alerts = || {
        let text = std::fs::read_to_string(output.join("eve.json")).unwrap_or_default();
        text.lines().filter(|l| l.contains("9000002") && l.contains("10.0.0.7")).count() as u64
    };
    suricata.until("every packet of the hold", |_| alerts() == packets);
    // It connected at its start and for the capture, and its alerts about the hold are echoes.
    coupling.until("its connections", |lines| {
        lines.iter().filter(|l| l["peer"] == "suricata" && l["there"] == true).count() >= 3
    });
    suricata.stop(Signal::TERM);
    coupling.until("its end", |lines| {
        let peers = |there: bool| lines.iter().filter(|l| l["peer"] == "suricata" && l["there"] == there).count();
        peers(true) == peers(false)
    });
    let (code, counts, log) = coupling.stop();
    assert_eq!((code, &counts["acted"], &counts["fed_back"]), (Some(0), &1.into(), &1.into()), "{counts}\n{log}");
    // The alert of the last packet lacks the file's name: it is a repeat.
    let n = |what: &str| counts[what].as_u64().expect("a count");
    assert!(n("echoes") + n("repeated") == packets && n("echoes") > 0, "{counts}");
    // Nobody there any more: said, and the hold is made all the same.
    let coupling = Coupling::listen(&r, rules, &feed);
    std::io::Write::write_all(&mut coupling.connect(), format!("{}\n", eve(8, 1, 1)).as_bytes()).expect("it reads");
    let actions = coupling.until_actions(2);
    assert!(
        actions[0]["error"].is_null() && actions[1]["error"].to_string().contains("no Suricata answers"),
        "{actions:?}"
    );
    assert_eq!(coupling.stop().0, Some(1));
    assert_eq!(daemon.stop()["stored"]["packets"], 2000);
}
