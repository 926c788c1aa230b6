//! Serve as a process of its own: whatever ends it, capture goes on, and the next one answers all the same.

use crate::common::Retrotap;
use crate::common::processes::{self, strike};
use crate::rig::{Daemon, packet};
use rustix::process::Signal;

/// Killed again and again while packets come: all are recorded, memory is readable by each, orders stay in force.
#[test]
fn a_serve_that_dies_costs_no_packet_and_no_order() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start_apart(&r, &["--memory", "16MiB"]);
    let recorder = daemon.child.id();
    let capture = processes::with_thread(recorder, "worker-0").expect("a capture");
    let ordered = r.run(&["suspend-cutoff", "10.0.0.9", "--for", "1h"]);
    assert_eq!(ordered.code, Some(0), "{}", ordered.err);
    let mut sent = 0;
    for signal in [Signal::KILL, Signal::SEGV, Signal::ABORT] {
        let serve = processes::with_thread(recorder, "api").expect("a serve");
        assert_ne!(serve, capture);
        daemon.feed((sent..sent + 1000).map(packet));
        strike(serve, signal);
        daemon.feed((sent + 1000..sent + 2000).map(packet));
        sent += 2000;
        daemon.until("another serve", || processes::with_thread(recorder, "api").filter(|pid| *pid != serve));
        daemon.until("all packets in memory", || {
            let (status, summary) = daemon.try_ask("/v1/count", r#"{"memory_only": true}"#)?;
            (status == 200 && summary["packets"].as_u64()? == u64::from(sent)).then_some(())
        });
    }
    assert_eq!(processes::with_thread(recorder, "worker-0"), Some(capture));
    let list = r.run(&["suspensions"]).text();
    assert!(list.contains("10.0.0.9"), "{list}");
    let account = daemon.stop();
    assert_eq!(account["stored"]["packets"], sent);
    assert_eq!(r.run(&["query", "--count"]).text().trim(), sent.to_string());
    assert_eq!(r.run(&["verify"]).code, Some(0));
}

/// Capture alone dies: with files there is nothing to go on with, and the parent says so.
#[test]
fn a_capture_of_files_that_dies_ends_the_recording() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start_apart(&r, &["--memory", "16MiB"]);
    daemon.feed((0..100).map(packet));
    daemon.until_count(100);
    strike(processes::with_thread(daemon.child.id(), "worker-0").expect("a capture"), Signal::KILL);
    let end = daemon.child.wait().expect("its end");
    assert_eq!(end.code(), Some(3), "{}", daemon.log());
    assert!(daemon.log().contains("died: signal 9"), "{}", daemon.log());
    // What was durable is there for the next.
    assert_eq!(r.run(&["query", "--count"]).text().trim(), "100");
}
