//! A recorder whose processes die: what is under a parent comes again by itself, and what has lost its parent ends in order.

use crate::common::processes::{self, strike};
use crate::world::World;
use rustix::process::{Pid, Signal, kill_process};

const OPTIONS: [&str; 5] = ["-i", "tap0", "--source", "xdp", "--cutoff=none"];

fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
    kill_process(pid, signal).expect("a signal");
}

/// Packets of connections that begin with this one.
fn dns(world: &World, first: u32) {
    let first = (first * 10_000_000).to_string();
    let words = ["--iface", "gen0", "--mix", "dns", "--gbps", "0.05", "--seconds", "30", "--packets", "10000"];
    world.load(&[&words[..], &["--first-connection", &first]].concat());
}

/// Killed in the midst of its work, once and again: it records again, over the same store, and what it had made durable is there.
#[test]
fn a_capture_that_dies_comes_again_by_itself() {
    let Some(world) = World::new() else { return };
    world.veth(0, 1);
    let mut recorder = world.record(None, &OPTIONS);
    for (n, signal) in [(1, Signal::KILL), (2, Signal::SEGV)] {
        dns(&world, n);
        recorder.until("all of it on disk", |lines| lines.last().is_some_and(|l| l["durable"] == 10_000));
        let before = processes::with_thread(recorder.id(), "worker-0").expect("a capture");
        assert_ne!(before, recorder.id(), "the parent takes no packets");
        strike(before, signal);
        // A line of a recorder that has seen nothing yet.
        recorder.until("another capture", |lines| lines.last().is_some_and(|l| l["seen"]["packets"] == 0));
        assert_ne!(processes::with_thread(recorder.id(), "worker-0"), Some(before));
        assert_eq!(world.count("udp port 53"), u64::from(n) * 10_000);
    }
    assert_eq!(recorder.log().matches("nothing is recorded").count(), 2, "{}", recorder.log());
    dns(&world, 3);
    // Of the last of its lives.
    let account = recorder.stop();
    assert_eq!(account.from.seen.packets, 10_000);
    assert_eq!(world.count("udp port 53"), 30_000);
}

/// The parent alone is killed: capture ends in order, with its account, and the next recorder finds the store free.
#[test]
fn without_its_parent_it_ends_in_order() {
    let Some(world) = World::new() else { return };
    world.veth(0, 1);
    let mut recorder = world.record(None, &OPTIONS);
    dns(&world, 1);
    recorder.until("all of it", |lines| lines.last().is_some_and(|l| l["seen"]["packets"] == 10_000));
    let capture = processes::with_thread(recorder.id(), "worker-0").expect("a capture");
    kill(recorder.id(), Signal::KILL);
    let last = recorder.until_last("the final account", |l| l["kind"] == "final");
    assert_eq!((&last["durable"], &last["pending"]), (&10_000.into(), &0.into()), "{last}");
    recorder.until_last("its end", |_| processes::is_gone(capture));
    let recorder = world.record(None, &OPTIONS);
    dns(&world, 2);
    recorder.stop();
    assert_eq!(world.count("udp port 53"), 20_000);
}
