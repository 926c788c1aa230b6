//! Interfaces: chosen, prepared, put back, refused; gone and returned.

use crate::net::{Sender, in_namespace, ip, udp, veth};
use crate::{bytes, plan, split, start_on, stop, take};
use retrotap::iface::{Feature, Link, Request, feature, prepare, set_feature};
use retrotap::source::Source;
use retrotap::source::live::{Event, Live, LivePlan, Survey};
use std::time::{Duration, Instant};

#[test]
fn the_interface_is_put_back() {
    in_namespace("live-restore", || {
        veth("s0", "t0", 1, 1500);
        ip("link set t0 down");
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("interfaces");
        let features = || Feature::ALL.map(|f| feature("t0", f).unwrap_or(false));
        // veth has both; on from the start or turned on here.
        for f in [Feature::Gro, Feature::RxVlan] {
            let _ = set_feature("t0", f, true);
        }
        let before = features();
        assert!(before.contains(&true), "veth has an offload to turn off");
        let plan = LivePlan { state: Some(state.clone()), ..plan() };
        let live = start_on(&["t0"], Request::Xdp, &plan);
        assert_eq!(features(), [false; 3]);
        let link = Link::by_name("t0").unwrap();
        assert!(link.up && link.xdp && state.exists());
        drop(live);
        let link = Link::by_name("t0").unwrap();
        assert_eq!((features(), link.up, link.xdp, state.exists()), (before, false, false, false));

        // Killed: nothing was dropped, the file is there, and the next start puts back first.
        let wish = prepare::Wish { promiscuous: true, offloads_off: true };
        std::mem::forget(prepare::Prepared::new(&[link], wish, Some(&state)).unwrap());
        assert!(state.exists() && features() == [false; 3]);
        assert_eq!(prepare::restore(&state).unwrap(), ["t0"]);
        assert_eq!((features(), Link::by_name("t0").unwrap().up, state.exists()), (before, false, false));
        assert!(prepare::restore(&state).unwrap().is_empty());
    });
}

#[test]
fn what_the_host_lives_on_is_not_taken() {
    in_namespace("live-refused", || {
        veth("s0", "t0", 1, 1500);
        ip("addr add 10.9.0.1/24 dev t0");
        let names = ["t0".to_owned()];
        let refused = Survey::new(&names, Request::Xdp).unwrap_err().to_string();
        assert!(refused.contains("t0 carries the address 10.9.0.1"), "{refused}");
        let survey = Survey::new(&names, Request::Auto).unwrap();
        assert!(!survey.xdp);
        ip("addr del 10.9.0.1/24 dev t0");
        assert!(Survey::new(&names, Request::Auto).unwrap().xdp);
        ip("link add br0 type bridge");
        ip("link set t0 master br0");
        for name in ["t0", "br0"] {
            assert!(!Survey::new(&[name.to_owned()], Request::Auto).unwrap().xdp, "{name}");
        }
        let unknown = Survey::new(&["nosuch0".to_owned()], Request::Auto).unwrap_err().to_string();
        assert!(unknown.contains("nosuch0"), "{unknown}");
    });
}

#[test]
fn an_interface_is_not_shared() {
    in_namespace("live-taken", || {
        veth("s0", "t0", 1, 1500);
        let first = start_on(&["t0"], Request::Xdp, &plan());
        let survey = Survey::new(&["t0".to_owned()], Request::Xdp).unwrap();
        let error = Live::start(&survey, &plan()).err().unwrap().to_string();
        assert!(error.contains("t0 already has an XDP program"), "{error}");
        drop(first);
        drop(Live::start(&survey, &plan()).unwrap());
    });
}

/// What it takes is said, not root demanded.
#[test]
fn a_missing_capability_is_named() {
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
    in_namespace("live-caps", || {
        veth("s0", "t0", 1, 1500);
        let names = ["t0".to_owned()];
        let enough = CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW | CapabilitySet::BPF | CapabilitySet::PERFMON;
        let only = |set| CapabilitySets { effective: set, permitted: set, inheritable: CapabilitySet::empty() };
        set_capabilities(None, only(enough | CapabilitySet::IPC_LOCK)).unwrap();
        drop(start_on(&["t0"], Request::Xdp, &plan()));
        set_capabilities(None, only(enough - CapabilitySet::BPF)).unwrap();
        let survey = Survey::new(&names, Request::Xdp).unwrap();
        let error = Live::start(&survey, &plan()).err().unwrap().to_string();
        assert!(error.contains("CAP_BPF"), "{error}");
    });
}

/// An interface that vanishes and returns is recorded again, and everything counts on.
fn vanished_and_returned(request: Request) {
    veth("s0", "t0", 1, 1500);
    let mut live = start_on(&["t0"], request, &LivePlan { workers: Some(1), ..plan() });
    let (mut sources, mut got) = (split(&mut live), vec![Vec::new()]);
    (0..10).for_each(|n| Sender::new("s0").send(&udp(1, 2, n, 100)));
    ip("link set s0 down");
    assert_eq!(live.tick(), [Event::LinkDown("t0".into())]);
    ip("link set s0 up");
    assert_eq!(live.tick(), [Event::LinkUp("t0".into())]);
    ip("link del s0");
    assert_eq!(live.tick(), [Event::Vanished("t0".into())]);
    assert_eq!(live.tick(), []);
    take(&mut sources[0], &mut got[0]);
    // An idle source on a dead interface sleeps instead of spinning.
    let slept = Instant::now();
    (0..4).for_each(|_| sources[0].wait(10_000_000).unwrap());
    assert!(slept.elapsed() >= Duration::from_millis(25));
    veth("s0", "t0", 1, 1500);
    assert_eq!(live.tick(), [Event::Returned("t0".into())]);
    (10..30).for_each(|n| Sender::new("s0").send(&udp(1, 2, n, 100)));
    take(&mut sources[0], &mut got[0]);
    let from = stop(&mut live, &mut sources, &mut got);
    assert_eq!(bytes(&got[0]), (0..30).map(|n| udp(1, 2, n, 100)).collect::<Vec<_>>());
    assert_eq!(from.seen.packets, 30);
}

#[test]
fn xdp_goes_on_when_an_interface_returns() {
    in_namespace("live-return-xdp", || vanished_and_returned(Request::Xdp));
}

#[test]
fn packet_goes_on_when_an_interface_returns() {
    in_namespace("live-return-packet", || vanished_and_returned(Request::Packet));
}
