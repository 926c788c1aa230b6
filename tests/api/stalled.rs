//! Clients that do not read what they asked for: they cost nobody else anything, and are told.

use crate::common::Retrotap;
use crate::rig::{Daemon, Reply, request, sized};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// What the recorder says of itself.
fn status(daemon: &Daemon) -> serde_json::Value {
    let mut stream = daemon.connect();
    stream.write_all(&request("GET", "/v1/status", "")).expect("a request");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("a response");
    serde_json::from_slice(&Reply::of(&all).body).expect("JSON")
}

/// A client that asks for all packets, reads the beginning of the answer, and stops.
fn stalled(daemon: &Daemon) -> (UnixStream, Vec<u8>) {
    let mut stream = daemon.connect();
    stream.write_all(&request("POST", "/v1/query", "{}")).expect("a request");
    let mut some = vec![0; 1000];
    stream.read_exact(&mut some).expect("the beginning of an answer");
    (stream, some)
}

/// 64 of them: memory takes in every block, and who asks otherwise is answered, by every kind of thread.
#[test]
fn readers_that_stall_keep_neither_memory_nor_others_waiting() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", "32MiB"]);
    // Little at a time: what comes faster than it is copied is on the disk only, whoever reads.
    let feed = |daemon: &mut Daemon, thousands: std::ops::Range<u32>| {
        for n in thousands {
            daemon.feed((n * 1000..(n + 1) * 1000).map(|n| sized(n, 1500)));
            daemon.until_count(u64::from(n + 1) * 1000);
        }
    };
    feed(&mut daemon, 0..10);
    let slow: Vec<_> = (0..64).map(|_| stalled(&daemon)).collect();
    daemon.until("all of them", || (status(&daemon)["queries"].as_u64()? >= 64).then_some(()));
    // More than memory holds.
    feed(&mut daemon, 10..37);
    let now = status(&daemon);
    assert_eq!(now["recent"]["missed_blocks"], 0, "{now}");
    assert_eq!(daemon.ask("/v1/count", r#"{"filter": "host 10.0.0.7"}"#).1["packets"], 145);
    let whole = daemon.post("/v1/query", r#"{"filter": "host 10.0.0.7"}"#);
    assert_eq!((whole.status, &whole.summary()["packets"]), (200, &145.into()));
    assert_eq!(daemon.ask("/v1/losses", "{}").0, 200);
    let hold = daemon.ask("/v1/holds", r#"{"name": "h", "reason": "a test", "filter": "host 10.0.0.7"}"#);
    assert_eq!((hold.0, &hold.1["packets"]), (200, &145.into()), "{}", hold.1);
    drop(slow);
    daemon.until("the end of their queries", || (status(&daemon)["queries"] == 0).then_some(()));
    assert_eq!(daemon.stop()["stored"]["packets"], 37_000);
}

/// More than may be: an answer that is not read is ended for one that waits. Its client learns it where it reads on, and it is in the audit log.
#[test]
fn an_answer_that_is_not_read_is_ended_for_others() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &[]);
    daemon.feed((0..20_000).map(|n| sized(n, 1500)));
    daemon.until_count(20_000);
    let most = retrotap::limits::ANSWERS_STALLED + retrotap::limits::QUERY_THREADS;
    let slow: Vec<_> = (0..most).map(|_| stalled(&daemon)).collect();
    assert_eq!(daemon.ask("/v1/count", r#"{"filter": "host 10.0.0.7"}"#).1["packets"], 79, "it has its turn");
    let mut ended = 0;
    for (mut stream, mut all) in slow {
        stream.read_to_end(&mut all).expect("the rest");
        let reply = Reply::of(&all);
        if reply.trailers.contains("retrotap-error") {
            assert!(reply.trailers.contains("408") && reply.trailers.contains("not read"), "{}", reply.trailers);
            ended += 1;
        } else {
            assert_eq!(reply.summary()["packets"], 20_000);
        }
    }
    assert!(ended > 0, "one at least made room");
    let line = |l: &serde_json::Value| l["request"] == "POST /v1/query" && l["status"] == 408;
    daemon.audit(|lines| lines.iter().filter(|l| line(l)).count() == ended);
    assert_eq!(daemon.stop()["stored"]["packets"], 20_000);
}
