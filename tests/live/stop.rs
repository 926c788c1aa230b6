//! The end of a capture: asked for in the midst of traffic, or by a kill.

use crate::net::{Sender, in_namespace, pin, udp, veth};
use crate::{DEADLINE, Got, plan, split, start_on, stop};
use retrotap::iface::{Link, Request};
use retrotap::source::Source;
use retrotap::source::live::LivePlan;
use std::time::{Duration, Instant};

/// Stops while packets keep coming: whatever was seen is in the account, to the packet.
fn stopped_in_traffic(request: Request) {
    use std::sync::atomic::{AtomicBool, Ordering};
    veth("s0", "t0", 2, 1500);
    // Few frames, so that some are lost on the way as well.
    let mut live = start_on(&["t0"], request, &LivePlan { workers: Some(2), frames: 256, ..plan() });
    let mut sources = split(&mut live);
    let mut got = vec![Vec::new(); sources.len()];
    let done = AtomicBool::new(false);
    /// Ends the senders also when an assertion fails: the scope waits for them.
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    std::thread::scope(|s| {
        let _done = Done(&done);
        for cpu in 0..2 {
            let done = &done;
            s.spawn(move || {
                pin(cpu);
                let sender = Sender::new("s0");
                let mut n = 0;
                while !done.load(Ordering::Relaxed) {
                    sender.send(&udp(n as u16, cpu as u16, n, 60));
                    n += 1;
                }
            });
        }
        let (start, mut came) = (Instant::now(), 0);
        // A busy machine may let the senders wait: some hundred milliseconds, and packets.
        while start.elapsed() < Duration::from_millis(300) || (came < 1000 && start.elapsed() < DEADLINE) {
            for (source, got) in sources.iter_mut().zip(&mut got) {
                let _ = source.poll(|packets, _| got.extend(packets.iter().map(received)));
            }
            came = got.iter().map(Vec::len).sum();
        }
        let from = stop(&mut live, &mut sources, &mut got);
        assert!(from.seen.packets >= 1000, "{from:?}");
    });
}

fn received(p: &retrotap::source::Packet<'_>) -> Got {
    Got { time: p.time, iface: String::new(), hash: p.hash, wire_len: p.wire_len, data: Vec::new() }
}

#[test]
fn xdp_stopped_in_traffic_closes_its_account() {
    in_namespace("live-stop-xdp", || stopped_in_traffic(Request::Xdp));
}

#[test]
fn packet_stopped_in_traffic_closes_its_account() {
    in_namespace("live-stop-packet", || stopped_in_traffic(Request::Packet));
}

/// A recorder that is killed leaves no program behind, and the interface free for the next.
#[test]
fn a_killed_recorder_lets_go_of_the_interface() {
    const CHILD: &str = "RETROTAP_TEST_KILLED";
    if std::env::var_os(CHILD).is_some() {
        let _live = start_on(&["t0"], Request::Xdp, &plan());
        println!("started");
        std::thread::sleep(Duration::from_secs(30));
        return;
    }
    in_namespace("live-killed", || {
        use std::io::{BufRead, BufReader};
        veth("s0", "t0", 1, 1500);
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "stop::a_killed_recorder_lets_go_of_the_interface", "--nocapture"])
            .env(CHILD, "1")
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|l| l.unwrap().contains("started")));
        assert!(Link::by_name("t0").unwrap().xdp);
        child.kill().unwrap();
        child.wait().unwrap();
        // Started again at once, as a service manager does: what the kernel has not let go of yet is waited for.
        drop(start_on(&["t0"], Request::Xdp, &plan()));
    });
}
