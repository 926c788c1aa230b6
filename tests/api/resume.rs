//! Followers whose connection breaks, at any byte, hundreds of times, or whose recorder is killed: they go on where they stood, and have in the end
//! what one question has later, byte by byte; what is lost meanwhile is said.

use crate::common::{Retrotap, Seen, libpcap, processes};
use crate::packets_of;
use crate::rig::{Daemon, PATIENCE, packet, request, sized};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

/// Between a client and the recorder: breaks each connection after some bytes of the answer.
struct Breaking {
    path: PathBuf,
    /// So many more are broken.
    left: Arc<AtomicU64>,
    /// So many were begun that are not.
    whole: Arc<AtomicU64>,
    /// Nobody gets through.
    down: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

/// The next of some numbers that look like none.
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

impl Breaking {
    /// Breaks so many, each after one of so many bytes at most; the first when the client was told where it stands.
    fn start(r: &Retrotap, to: &Path, times: u64, most: [u64; 3], seed: u64) -> Breaking {
        let path = r.dir().join(format!("breaking-{seed}.sock"));
        let listener = UnixListener::bind(&path).expect("a socket");
        let (left, down, over) = (Arc::new(AtomicU64::new(times)), Arc::new(AtomicBool::new(false)), Arc::default());
        let whole: Arc<AtomicU64> = Arc::default();
        let (left_of, whole_of) = (left.clone(), whole.clone());
        let b = Breaking { path, left: left_of, whole: whole_of, down: down.clone(), over: Arc::clone(&over) };
        let (to, mut seed) = (to.to_owned(), seed);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if over.load(Relaxed) {
                    return;
                }
                let Ok(client) = client else { return };
                let Ok(recorder) = UnixStream::connect(&to) else { continue };
                if down.load(Relaxed) {
                    continue;
                }
                let (breaks, first) = (left.load(Relaxed) > 0, left.load(Relaxed) == times);
                whole.fetch_add(u64::from(!breaks), Relaxed);
                // The head of the answer, too.
                let most = most[(next(&mut seed) % 3) as usize];
                let bytes = if first { 6_000 } else { next(&mut seed) % most };
                let (left, down) = (left.clone(), down.clone());
                std::thread::spawn(move || pass(client, recorder, breaks.then_some(bytes), &left, &down));
            }
        });
        b
    }
}

impl Drop for Breaking {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        let _ = UnixStream::connect(&self.path);
    }
}

/// Passes an answer on, so many bytes of it.
fn pass(client: UnixStream, recorder: UnixStream, most: Option<u64>, left: &AtomicU64, down: &AtomicBool) {
    let (mut asks, mut to) = (client.try_clone().expect("a socket"), recorder.try_clone().expect("a socket"));
    std::thread::spawn(move || std::io::copy(&mut asks, &mut to));
    let (mut from, mut to, mut passed) = (&recorder, &client, 0);
    from.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
    let mut buffer = [0; 4096];
    while !down.load(Relaxed) {
        let room = most.map_or(buffer.len() as u64, |most| (most - passed).min(buffer.len() as u64)) as usize;
        if room == 0 {
            left.fetch_sub(1, Relaxed);
            break;
        }
        match from.read(&mut buffer[..room]) {
            Ok(0) => break,
            Ok(n) => {
                passed += n as u64;
                if to.write_all(&buffer[..n]).is_err() {
                    break;
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    let _ = (client.shutdown(Shutdown::Both), recorder.shutdown(Shutdown::Both));
}

/// A follower of the command line, and where its words go.
struct Follower {
    child: Child,
    file: PathBuf,
}

impl Follower {
    fn start(r: &Retrotap, name: &str, how: &[&str]) -> Follower {
        let file = r.dir().join(name);
        let mut command = r.command(&["query", "--follow", "--json", "-w", &file.to_string_lossy()]);
        let said = |end: &str| std::fs::File::create(r.dir().join(format!("{name}.{end}"))).expect("a file");
        let child = command.args(how).stdout(said("out")).stderr(said("err")).spawn().expect("the binary runs");
        Follower { child, file }
    }

    fn said(&self, end: &str) -> String {
        let name = self.file.file_name().expect("a name").to_string_lossy().into_owned();
        std::fs::read_to_string(self.file.with_file_name(format!("{name}.{end}"))).expect("what it said")
    }

    /// Its exit code and its summary.
    fn end(&mut self) -> (Option<i32>, Value) {
        let start = Instant::now();
        while self.child.try_wait().expect("its state").is_none() {
            assert!(start.elapsed() < PATIENCE, "the follower does not end: {}", self.said("err"));
            std::thread::sleep(Duration::from_millis(5));
        }
        let code = self.child.wait().expect("its end").code();
        (code, serde_json::from_str(&self.said("out")).unwrap_or_default())
    }

    /// Waits until so much of its answer is written.
    fn until(&self, daemon: &Daemon, bytes: u64) {
        let part = self.file.with_extension("pcapng.part");
        daemon.until("the follower's packets", || (std::fs::metadata(&part).ok()?.len() >= bytes).then_some(()));
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

fn read(file: &Path) -> Vec<Seen> {
    let (packets, error) = libpcap(file);
    assert_eq!(error, None, "{}", file.display());
    packets
}

fn queried(r: &Retrotap, filter: &str, more: &[&str]) -> PathBuf {
    let file = r.dir().join("queried");
    let ran = r.run(&[&["query", filter, "--force", "-w", &file.to_string_lossy()], more].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    file
}

/// Packet `n` as a record of some time to come: up to 300 ms later than others that are recorded before it.
fn to_come(n: u32, len: u16, seed: &mut u64) -> Vec<u8> {
    let mut record = sized(n, len);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock");
    let at = now + Duration::from_millis(2_000 + next(seed) % 300) + Duration::from_nanos(u64::from(n));
    record[..4].copy_from_slice(&(at.as_secs() as u32).to_le_bytes());
    record[4..8].copy_from_slice(&at.subsec_nanos().to_le_bytes());
    record
}

/// Packets of a live stream, so that some are held back whenever a connection breaks; returns how many.
fn live(daemon: &mut Daemon, seed: &mut u64, mut goes_on: impl FnMut(u32) -> bool) -> u32 {
    let mut n = 0;
    while goes_on(n) {
        daemon.feed((n..n + 30).map(|n| to_come(n, 300, seed)));
        n += 30;
        std::thread::sleep(Duration::from_millis(10));
    }
    n
}

/// That two files have the same packets: the same bytes where none was late.
fn same(r: &Retrotap, follower: &Path, summary: &Value, queried: &Path, pcap: bool) {
    let (got, want) = (std::fs::read(follower).expect("a file"), std::fs::read(queried).expect("a file"));
    if summary["late_packets"] == 0 {
        let [got, want] = [&got, &want].map(|file| if pcap { &file[..] } else { packets_of(file) });
        assert_eq!(got.len(), want.len(), "{summary}");
        assert!(got == want, "other bytes: {summary}");
        return;
    }
    let sorted = |file: &Path| {
        let mut all: Vec<_> = read(file).into_iter().map(|p| (p.time, p.data)).collect();
        all.sort_unstable();
        all
    };
    assert!(sorted(follower) == sorted(queried), "others: {summary} {}", r.dir().display());
}

/// Followers of one recorder, of which one breaks so many times.
fn breaks(memory: &str, times: u64, more: &[&str]) {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &[&["--memory", memory][..], more].concat());
    let (large, small) = ([50, 1_000, 40_000], [50, 600, 1_500]);
    let formats =
        [("pcapng", "", times, large), ("pcap", "net 10.0.0.0/25", times / 4, large), ("pcapng", "port 99", 3, small)];
    let mut followers = Vec::new();
    for (n, (format, filter, times, most)) in formats.into_iter().enumerate() {
        let breaking = Breaking::start(&r, &daemon.socket, times, most, 0x9e37_79b9 + n as u64);
        let api = breaking.path.to_string_lossy().into_owned();
        let follower = Follower::start(&r, &format!("f{n}.pcapng"), &[filter, "--format", format, "--api", &api]);
        followers.push((follower, breaking, format, filter));
    }
    let mut seed = 7;
    let breaking = || followers.iter().map(|(_, breaking, ..)| breaking);
    let begun = Instant::now();
    // Until each has a connection that stays.
    let fed = live(&mut daemon, &mut seed, |_| {
        let left = || breaking().map(|b| b.left.load(Relaxed)).collect::<Vec<_>>();
        assert!(begun.elapsed() < 4 * PATIENCE, "{:?} more breaks", left());
        breaking().any(|b| b.whole.load(Relaxed) == 0)
    });
    // All of it, since a recorder that ends waits for nobody for long: a packet with its block's frame.
    for ((follower, ..), bytes) in followers.iter().zip([u64::from(fed) * 332, u64::from(fed / 2) * 316, 0]) {
        follower.until(&daemon, bytes);
    }
    let stored = daemon.stop()["stored"]["packets"].clone();
    assert_eq!(stored, fed);
    for (mut follower, _, format, filter) in followers {
        let (code, summary) = follower.end();
        let err = follower.said("err");
        assert_eq!(summary["expired_segments"], 0, "{summary}");
        assert_eq!(code, Some(0), "{err}");
        assert!(err.contains("goes on where it stood"), "{err}");
        let want = queried(&r, filter, &["--format", format]);
        same(&r, &follower.file, &summary, &want, format == "pcap");
        assert_eq!(summary["packets"], read(&want).len(), "{summary}");
    }
}

#[test]
fn a_broken_connection_costs_nothing_from_files() {
    breaks("0", 100, &[]);
}

#[test]
fn a_broken_connection_costs_nothing_from_a_small_memory() {
    breaks("16MiB", 100, &[]);
}

#[test]
fn a_broken_connection_costs_nothing_from_a_large_memory() {
    breaks("256MiB", 100, &[]);
}

/// Classes have segments of their own, which are made, written and sealed in another order than that of their numbers.
#[test]
fn a_broken_connection_costs_nothing_of_any_class() {
    let r = Retrotap::default();
    let config = r.dir().join("classes.toml");
    let mut text = "[class.all]\ncutoff = \"none\"\n".to_owned();
    for n in 0..5 {
        text += &format!("[class.c{n}]\nfilter = \"net 10.0.0.{}/27\"\ncutoff = \"none\"\n", n * 32);
    }
    std::fs::write(&config, text).expect("writes");
    breaks("16MiB", 60, &["-c", &config.to_string_lossy()]);
}

/// Limit and time are those of the question, however often it is asked.
#[test]
fn limit_and_time_are_counted_from_the_first_question_on() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", "16MiB"]);
    daemon.feed((0..3_000).map(packet));
    daemon.until_count(3_000);
    let breaking = Breaking::start(&r, &daemon.socket, 20, [50, 1_000, 40_000], 77);
    let api = breaking.path.to_string_lossy().into_owned();
    let mut limited = Follower::start(&r, "limited.pcapng", &["--limit", "5000", "--api", &api]);
    let begun = Instant::now();
    let mut n = 3_000;
    while limited.child.try_wait().expect("its state").is_none() {
        assert!(begun.elapsed() < PATIENCE, "{}", limited.said("err"));
        daemon.feed((n..n + 20).map(packet));
        n += 20;
        std::thread::sleep(Duration::from_millis(10));
    }
    let (code, summary) = limited.end();
    assert_eq!((code, &summary["packets"], &summary["limited"]), (Some(0), &5000.into(), &true.into()), "{summary}");
    let breaking = Breaking::start(&r, &daemon.socket, 3, [50, 600, 1_500], 78);
    let api = breaking.path.to_string_lossy().into_owned();
    let mut timed = Follower::start(&r, "timed.pcapng", &["--for", "2s", "--api", &api]);
    let begun = Instant::now();
    let (code, summary) = timed.end();
    assert_eq!((code, &summary["packets"]), (Some(0), &n.into()), "{summary}");
    assert!(begun.elapsed() >= Duration::from_secs(2), "{summary}");
    daemon.stop();
    let all = read(&queried(&r, "", &[]));
    assert!(read(&limited.file) == all[..5_000] && read(&timed.file) == all);
}

/// Killed and started again, it is the same store, and what it had not written nobody has.
#[test]
fn a_recorder_that_is_killed_and_started_again_is_followed_on() {
    let r = Retrotap::default();
    let (mut seed, mut fed) = (5, 0);
    let mut follower = None;
    for kill in 0..4 {
        let mut daemon = Daemon::start(&r, &["--memory", ["0", "16MiB"][kill % 2]]);
        let f = follower.get_or_insert_with(|| Follower::start(&r, "f.pcapng", &[]));
        let until = fed + 30_000;
        while fed < until {
            daemon.feed((fed..fed + 100).map(|n| to_come(n, 300, &mut seed)));
            fed += 100;
            std::thread::sleep(Duration::from_millis(3));
        }
        f.until(&daemon, 4_000 + u64::from(until) / 2 * 300);
        if kill == 3 {
            daemon.stop();
        } else {
            processes::kill(&mut daemon.child);
        }
    }
    let mut follower = follower.expect("a follower");
    let (code, summary) = follower.end();
    assert_eq!((code, &summary["expired_segments"]), (Some(0), &0.into()), "{summary} {}", follower.said("err"));
    assert!(follower.said("err").matches("goes on where it stood").count() >= 3, "{}", follower.said("err"));
    let want = queried(&r, "", &[]);
    same(&r, &follower.file, &summary, &want, false);
    assert!(summary["uncounted_packets"].as_u64() > Some(0), "whose connections those were nobody knows: {summary}");
}

/// What retention takes between a break and the return is counted as expired.
#[test]
fn what_expires_meanwhile_is_said() {
    const PACKETS: u32 = 150_000;
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", "0", "--disk", "32MiB"]);
    let breaking = Breaking::start(&r, &daemon.socket, 0, [1; 3], 3);
    let mut follower = Follower::start(&r, "f.pcapng", &["--api", &breaking.path.to_string_lossy()]);
    daemon.feed((0..1_000).map(|n| sized(n, 700)));
    follower.until(&daemon, 4_000 + 1_000 * 700);
    breaking.down.store(true, Relaxed);
    daemon.until("the break", || follower.said("err").contains("is looked for again").then_some(()));
    for step in 1..150 {
        daemon.feed((step * PACKETS / 150..(step + 1) * PACKETS / 150).map(|n| sized(n, 700)));
    }
    breaking.down.store(false, Relaxed);
    daemon.until("the return", || follower.said("err").contains("goes on where it stood").then_some(()));
    daemon.stop();
    let (code, summary) = follower.end();
    assert_eq!((code, &summary["complete"]), (Some(1), &false.into()), "{summary}");
    let got: Vec<u64> = read(&follower.file).iter().map(|p| p.time).collect();
    assert!(got.is_sorted_by(|a, b| a < b), "each once, in order");
    assert_eq!(summary["packets"], got.len());
    let (missing, expired) = (PACKETS as usize - got.len(), summary["expired_segments"].as_u64().expect("a count"));
    // A segment of 4 MiB has room for fewer than 6,000 of these.
    assert!(missing > 0 && missing as u64 <= expired * 6_000, "{missing} are missing, {expired} segments");
}

/// A follower that may not go on, or finds nobody, leaves a whole file and says so.
#[test]
fn what_was_given_before_the_end_is_a_whole_file() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", "16MiB"]);
    daemon.feed((0..500).map(packet));
    daemon.until_count(500);
    let ways = [("0s", "pcapng"), ("300ms", "pcapng"), ("0s", "pcap")];
    let breaking = Breaking::start(&r, &daemon.socket, 0, [1; 3], 3);
    let api = breaking.path.to_string_lossy().into_owned();
    let mut all: Vec<_> = ways
        .iter()
        .enumerate()
        .map(|(n, (how, format))| {
            let how = ["--reconnect", how, "--format", format, "--api", &api];
            Follower::start(&r, &format!("f{n}.pcapng"), &how)
        })
        .collect();
    all.iter().for_each(|f| f.until(&daemon, 500 * 210));
    breaking.down.store(true, Relaxed);
    for f in &mut all {
        assert_eq!(f.end().0, Some(1), "{}", f.said("err"));
        assert!(f.said("err").contains("is a whole file"), "{}", f.said("err"));
        assert_eq!(read(&f.file).len(), 500);
    }
    let cut = std::fs::read(&all[0].file).expect("a file");
    assert!(String::from_utf8_lossy(&cut).contains("Cut short: "), "its comment tells it");
    daemon.stop();
}

/// The cursors of a follower of the API, by frames.
pub fn cursors(daemon: &Daemon, ask: &Value) -> (Vec<u8>, Vec<Value>) {
    let mut stream = daemon.connect();
    stream.write_all(&request("POST", "/v1/query", &ask.to_string())).expect("a request");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("a response");
    let reply = crate::rig::Reply::of(&all);
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    let (mut rest, mut packets, mut found) = (&reply.body[..], Vec::new(), Vec::new());
    while let Some((kind, more)) = rest.split_first() {
        let len = u32::from_be_bytes(more[..4].try_into().expect("four bytes")) as usize;
        let body = &more[4..4 + len];
        match kind {
            b'P' => packets.extend_from_slice(body),
            b'C' => found.push(serde_json::from_slice(body).expect("JSON")),
            kind => panic!("a frame {kind}"),
        }
        rest = &more[4 + len..];
    }
    (packets, found)
}

/// A cursor is a stranger's word: what is wrong with it is told, and what it says is taken at most.
#[test]
fn a_cursor_is_looked_at_before_it_is_believed() {
    let (r, other) = (Retrotap::default(), Retrotap::default());
    let mut daemon = Daemon::start(&r, &["--memory", "16MiB"]);
    daemon.feed((0..1_000).map(packet));
    daemon.until_count(1_000);
    let follow = |more: Value| {
        let mut ask = json!({ "follow": true, "for": "100ms", "cursors": true });
        ask.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        ask
    };
    let (_, found) = cursors(&daemon, &follow(json!({})));
    let last = found.last().expect("a cursor");
    assert_eq!((&last["so_far"]["packets"], &found[0]["so_far"]["packets"]), (&1000.into(), &0.into()), "{found:?}");
    let text = last["cursor"].as_str().expect("a cursor").to_owned();
    let (_, found) = cursors(&daemon, &follow(json!({ "after": text })));
    assert_eq!(found.last().expect("a cursor")["so_far"]["packets"], 0, "it had all of them");
    let refused = |daemon: &Daemon, ask: Value, why: &str| {
        let (status, said) = daemon.ask("/v1/query", &ask.to_string());
        assert_eq!(status, 400, "{ask}: {said}");
        assert!(said["error"]["message"].as_str().is_some_and(|m| m.contains(why)), "{ask}: {said}");
    };
    let half = &text[..text.len() / 2];
    let changed = text.replacen('7', "8", 1);
    for wrong in ["", "x", half, &changed, &text.to_uppercase(), &format!("{text}00")] {
        refused(&daemon, follow(json!({ "after": wrong })), "no cursor");
    }
    refused(&daemon, follow(json!({ "after": "0".repeat(200_000) })), "characters");
    refused(&daemon, follow(json!({ "after": text, "since": "-1h" })), "with after");
    refused(&daemon, follow(json!({ "after": text, "last": "1h" })), "with after");
    refused(&daemon, json!({ "after": text }), "without follow");
    refused(&daemon, json!({ "cursors": true }), "without follow");
    // Another store, and another start of the recorder, whose store has nothing of then.
    let mut second = Daemon::start(&other, &["--memory", "16MiB"]);
    second.feed((0..1_000).map(packet));
    second.until_count(1_000);
    refused(&second, follow(json!({ "after": text })), "another store");
    second.stop();
    daemon.stop();
    let mut daemon = Daemon::start(&r, &["--memory", "16MiB"]);
    daemon.feed((1_000..1_500).map(packet));
    daemon.until_count(1_500);
    let (_, found) = cursors(&daemon, &follow(json!({ "after": text })));
    assert_eq!(found.last().expect("a cursor")["so_far"]["packets"], 500, "what came since: {found:?}");
    daemon.stop();
    for file in std::fs::read_dir(r.store().join("all")).expect("a class").flatten() {
        std::fs::remove_file(file.path()).expect("a file");
    }
    let daemon = Daemon::start(&r, &["--memory", "16MiB"]);
    refused(&daemon, follow(json!({ "after": text })), "nothing is left");
    daemon.stop();
}
