//! Followers: the past and what comes, each packet once, in order, whoever is slow.

use crate::common::{Retrotap, Seen, libpcap};
use crate::rig::{Daemon, Reply, packet, request, sized};
use retrotap::limits::{FOLLOW_HELD, FOLLOWERS_PER_USER};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;

/// A follower that reads to the end of its answer.
fn follow(daemon: &Daemon, body: &str) -> JoinHandle<Reply> {
    let stream = begin(daemon, body);
    std::thread::spawn(move || rest(stream))
}

fn begin(daemon: &Daemon, body: &str) -> UnixStream {
    let mut stream = daemon.connect();
    stream.write_all(&request("POST", "/v1/query", body)).expect("a request");
    stream
}

fn rest(mut stream: UnixStream) -> Reply {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("a response");
    Reply::of(&all)
}

fn packets(r: &Retrotap, reply: &Reply) -> Vec<Seen> {
    let file = r.dir().join(format!("follower-{:p}", reply));
    std::fs::write(&file, &reply.body).expect("a file");
    read(&file)
}

fn read(file: &Path) -> Vec<Seen> {
    let (packets, error) = libpcap(file);
    assert_eq!(error, None);
    packets
}

fn queried(r: &Retrotap, filter: &str) -> Vec<Seen> {
    let file = r.dir().join("queried.pcapng");
    let ran = r.run(&["query", filter, "--force", "-w", &file.to_string_lossy()]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    read(&file)
}

/// Twenty followers of different filters that come before, while and after packets do, and one that reads nothing until the end, get
/// what a query of the whole gives afterwards: no gap, nothing twice, the same order.
fn equal_to_a_later_query(memory: &str) {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", memory]);
    let slow = begin(&daemon, r#"{"follow": true}"#);
    let filters = ["", "host 10.0.0.7", "net 10.0.0.0/26 or net 10.0.0.128/26", "port 99"];
    let mut followers = Vec::new();
    for step in 0..10u32 {
        for filter in filters.iter().skip(step as usize % 2).step_by(2) {
            let body = format!(r#"{{"follow": true, "filter": "{filter}"}}"#);
            followers.push((*filter, follow(&daemon, &body)));
        }
        daemon.feed((step * 3_000..(step + 1) * 3_000).map(|n| sized(n, 700)));
        // Blocks close, segments are sealed, memory is full, at different times.
        std::thread::sleep(std::time::Duration::from_millis(u64::from(step) * 17));
    }
    daemon.until_count(30_000);
    let slow = std::thread::spawn(move || rest(slow));
    assert_eq!(daemon.stop()["stored"]["packets"], 30_000);
    let wanted: Vec<_> = filters.iter().map(|f| queried(&r, f)).collect();
    for (filter, follower) in followers {
        let reply = follower.join().expect("a follower");
        let at = filters.iter().position(|f| *f == filter).expect("one of them");
        let (got, want) = (packets(&r, &reply), &wanted[at]);
        assert_eq!(got.len(), want.len(), "{filter}: {}", reply.trailers);
        assert!(got == *want, "{filter}: the order");
        assert_eq!(reply.summary()["packets"], want.len(), "{filter}");
    }
    let got = packets(&r, &slow.join().expect("the slow one"));
    assert!(got == wanted[0], "the slow one: {} of {}", got.len(), wanted[0].len());
}

#[test]
fn followers_without_memory_get_what_a_query_gives_later() {
    equal_to_a_later_query("0");
}

#[test]
fn followers_of_a_small_memory_get_what_a_query_gives_later() {
    equal_to_a_later_query("16MiB");
}

#[test]
fn followers_of_a_large_memory_get_what_a_query_gives_later() {
    equal_to_a_later_query("256MiB");
}

/// Whoever reads too slowly for the disk's budget is told so: what is missing lies in segments that are counted as expired.
#[test]
fn a_follower_that_retention_overtakes_is_told() {
    const PACKETS: u32 = 150_000;
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", "0", "--disk", "32MiB"]);
    let slow = begin(&daemon, r#"{"follow": true}"#);
    for step in 0..15 {
        daemon.feed((step * PACKETS / 15..(step + 1) * PACKETS / 15).map(|n| sized(n, 700)));
    }
    let slow = std::thread::spawn(move || rest(slow));
    let account = daemon.stop();
    assert_eq!(account["stored"]["packets"], PACKETS);
    let reply = slow.join().expect("the slow one");
    let got: Vec<u64> = packets(&r, &reply).iter().map(|p| p.time).collect();
    let summary = reply.summary();
    assert_eq!(summary["packets"], got.len());
    assert!(got.is_sorted_by(|a, b| a < b), "each once, in order");
    let missing = PACKETS as usize - got.len();
    let expired = summary["expired_segments"].as_u64().expect("a count") as usize;
    // A segment of 4 MiB has room for fewer than 6,000 of these.
    assert!(missing > 0 && expired > 0 && missing <= expired * 6_000, "{missing} are missing, {expired} segments");
}

#[test]
fn a_follower_ends_at_its_limit_its_time_or_its_client() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", "16MiB"]);
    daemon.feed((0..100).map(packet));
    daemon.until_count(100);
    let limited = follow(&daemon, r#"{"follow": true, "limit": 150}"#);
    let timed = follow(&daemon, r#"{"follow": true, "for": "300ms"}"#);
    let windowed = follow(&daemon, r#"{"follow": true, "until": "1700000000.050"}"#);
    let gone = begin(&daemon, r#"{"follow": true, "filter": "port 99"}"#);
    assert_eq!(windowed.join().expect("a follower").summary()["packets"], 50);
    assert_eq!(timed.join().expect("a follower").summary()["packets"], 100);
    daemon.feed((100..200).map(packet));
    let reply = limited.join().expect("a follower");
    assert_eq!((&reply.summary()["packets"], &reply.summary()["limited"]), (&150.into(), &true.into()));
    assert!(packets(&r, &reply) == queried(&r, "")[..150]);
    drop(gone);
    daemon.until("the end of all of them", || {
        let mut stream = daemon.connect();
        stream.write_all(&request("GET", "/v1/status", "")).expect("a request");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("a response");
        text.contains(r#""queries":0"#).then_some(())
    });
    for body in [r#"{"follow": true}"#, r#"{"for": "1s"}"#] {
        assert_eq!(daemon.ask("/v1/count", body).0, 400, "{body}");
    }
    daemon.stop();
    let alone = r.run(&["query", "--follow", "-w", &r.dir().join("x").to_string_lossy()]);
    assert_eq!(alone.code, Some(2), "{}", alone.err);
    assert!(alone.err.contains("no recorder"), "{}", alone.err);
}

/// What is of a time to come waits for it, all of it: older packets may come.
#[test]
fn a_follower_gives_nothing_before_its_time() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", "16MiB"]);
    let tomorrow = (retrotap::units::now() / 1_000_000_000 + 86_400) as u32;
    daemon.feed((0..100).map(|n| {
        let mut record = packet(n);
        record[..4].copy_from_slice(&(tomorrow + n).to_le_bytes());
        record
    }));
    daemon.until_count(100);
    let early = follow(&daemon, r#"{"follow": true, "for": "300ms"}"#);
    assert_eq!(early.join().expect("a follower").summary()["packets"], 0);
    let all = follow(&daemon, r#"{"follow": true}"#);
    // An older one that comes later is in its place.
    daemon.feed([packet(100)]);
    daemon.until_count(101);
    daemon.stop();
    let reply = all.join().expect("a follower");
    assert!(packets(&r, &reply) == queried(&r, ""), "in the order of time");
}

/// What is of a time to come is held back, but only so much of it.
#[test]
fn a_follower_holds_back_so_much_and_no_more() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", "16MiB"]);
    let follower = follow(&daemon, r#"{"follow": true, "limit": 5000}"#);
    let tomorrow = (retrotap::units::now() / 1_000_000_000 + 86_400) as u32;
    let later = |n: u32| {
        let mut record = sized(n, 1500);
        record[..4].copy_from_slice(&tomorrow.to_le_bytes());
        record[4..8].copy_from_slice(&(n * 1000).to_le_bytes());
        record
    };
    let many = (FOLLOW_HELD / 1500) as u32 + 10_000;
    for from in (0..many).step_by(5_000) {
        daemon.feed((from..many.min(from + 5_000)).map(later));
    }
    // While the recorder runs, and their time has not come.
    let reply = follower.join().expect("a follower");
    assert_eq!(reply.summary()["packets"], 5000);
    assert_eq!(daemon.stop()["stored"]["packets"], many);
    assert!(packets(&r, &reply) == queried(&r, "")[..5000]);
}

/// What expires after it was given is not missing; nor is what has left memory.
#[test]
fn what_expires_once_it_was_given_is_not_missing() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", "16MiB", "--disk", "32MiB"]);
    let followers =
        [r#"{"follow": true}"#, r#"{"follow": true, "memory_only": true}"#].map(|body| begin(&daemon, body));
    let mut readers = followers.map(|stream| {
        let seen = Arc::new(AtomicUsize::new(0));
        let to = seen.clone();
        (seen, std::thread::spawn(move || counted(stream, &to)))
    });
    for step in 0..30u32 {
        daemon.feed((step * 4_000..(step + 1) * 4_000).map(|n| sized(n, 700)));
        let want = (step as usize + 1) * 4_000 * 700;
        for (seen, _) in &mut readers {
            daemon.until("what came", || (seen.load(Relaxed) >= want).then_some(()));
        }
    }
    assert_eq!(daemon.stop()["stored"]["packets"], 120_000);
    for (_, reader) in readers {
        let summary = reader.join().expect("a reader").summary();
        assert_eq!((&summary["packets"], &summary["expired_segments"]), (&120_000.into(), &0.into()), "{summary}");
        let why: Vec<_> = summary["incomplete"].as_array().expect("a list").iter().map(|i| &i["why"]).collect();
        assert!(!why.iter().any(|w| **w == "expired"), "{summary}");
    }
}

/// Reads to the end, and says how far it is.
fn counted(mut stream: UnixStream, seen: &AtomicUsize) -> Reply {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        match stream.read(&mut buffer).expect("a response") {
            0 => return Reply::of(&all),
            n => all.extend_from_slice(&buffer[..n]),
        }
        seen.store(all.len(), Relaxed);
    }
}

/// A segment that the recorder before could not seal is of the past like all others.
#[test]
fn a_follower_has_what_could_not_be_sealed() {
    let r = Retrotap::default();
    let config = r.dir().join("retrotap.toml");
    std::fs::write(
        &config,
        "[class.all]\ncutoff = \"none\"\n[class.c]\nfilter = \"net 10.0.0.0/27\"\ncutoff = \"none\"\n",
    )
    .expect("writes");
    let more = ["--memory", "16MiB", "-c", &config.to_string_lossy()];
    let mut daemon = Daemon::start(&r, &more);
    // In the place of the directory of its class.
    std::fs::write(r.store().join("c"), "").expect("writes");
    daemon.feed((0..100).map(packet));
    daemon.until_count(100);
    daemon.stop();
    let daemon = Daemon::start(&r, &more);
    let follower = follow(&daemon, r#"{"follow": true, "for": "300ms"}"#);
    assert_eq!(follower.join().expect("a follower").summary()["packets"], 100);
    let of_class = follow(&daemon, r#"{"follow": true, "for": "300ms", "classes": ["c"]}"#);
    assert_eq!(of_class.join().expect("a follower").summary()["packets"], 32);
    daemon.stop();
}

/// One user has so many followers and no more, and gets a place back when one ends; other questions have their own.
#[test]
fn a_user_has_so_many_followers() {
    let r = Retrotap::default();
    let config = r.dir().join("retrotap.toml");
    std::fs::write(&config, "[api]\nqueries = 100\n").expect("writes");
    let mut daemon = Daemon::start(&r, &["--memory", "16MiB", "-c", &config.to_string_lossy()]);
    daemon.feed((0..10).map(packet));
    daemon.until_count(10);
    let body = r#"{"follow": true}"#;
    let mut all: Vec<UnixStream> = (0..FOLLOWERS_PER_USER).map(|_| begin(&daemon, body)).collect();
    // Each has its place when the first bytes come.
    all.iter_mut().for_each(|s| s.read_exact(&mut [0; 12]).expect("a head"));
    let (status, said) = daemon.ask("/v1/query", body);
    assert!(status == 429 && said.to_string().contains(&format!("{FOLLOWERS_PER_USER} followers")), "{said}");
    daemon.until_count(10);
    drop(all.pop());
    daemon.until("a place", || {
        let mut next = begin(&daemon, body);
        let mut head = [0; 12];
        next.read_exact(&mut head).expect("a head");
        (&head == b"HTTP/1.1 200").then_some(())
    });
    drop(all);
    daemon.stop();
}

/// The command line's follower: interrupted, its file is whole.
#[test]
fn an_interrupted_follower_leaves_a_whole_file() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", "16MiB"]);
    let file = r.dir().join("followed.pcapng");
    let part = r.dir().join("followed.pcapng.part");
    let mut child = r.command(&["query", "--follow", "-w", &file.to_string_lossy()]).spawn().expect("the binary runs");
    daemon.feed((0..500).map(packet));
    // Beside the place for the header's comment.
    daemon.until("the packets", || (std::fs::metadata(&part).ok()?.len() > 4000 + 500 * 232).then_some(()));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
    assert_eq!(child.wait().expect("its end").code(), Some(0));
    assert_eq!(read(&file).len(), 500);
    daemon.stop();
}

/// A follower that gets less than the time it asked for says why.
#[test]
fn a_follower_that_outlives_the_recorder_is_told() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", "16MiB"]);
    let file = |name: &str| r.dir().join(name);
    let begin = |name: &str, how: &[&str]| {
        let mut command = r.command(&["query", "--follow", "--json", "-w", &file(name).to_string_lossy()]);
        let said = |end: &str| std::fs::File::create(file(&format!("{name}.{end}"))).expect("a file");
        command.args(how).stdout(said("out")).stderr(said("err")).spawn().expect("the binary runs")
    };
    let followers = [("long", &["--for", "1h"][..], 1), ("for-ever", &[], 0)];
    let followers = followers.map(|(name, how, code)| (name, begin(name, how), code));
    daemon.feed((0..500).map(packet));
    for (name, ..) in &followers {
        let part = file(&format!("{name}.part"));
        // Beside the place for the header's comment.
        daemon.until("the packets", || (std::fs::metadata(&part).ok()?.len() > 4000 + 500 * 232).then_some(()));
    }
    daemon.stop();
    for (name, mut child, code) in followers {
        assert_eq!(child.wait().expect("its end").code(), Some(code), "{name}");
        let text = |end: &str| std::fs::read_to_string(file(&format!("{name}.{end}"))).expect("what it said");
        assert!(text("err").contains("the recorder has ended"), "{name}: {}", text("err"));
        let summary: serde_json::Value = serde_json::from_str(&text("out")).expect("a summary");
        assert_eq!((&summary["recorder_ended"], &summary["packets"]), (&true.into(), &500.into()), "{name}");
        assert_eq!(read(&file(name)).len(), 500);
    }
}
