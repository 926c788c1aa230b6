//! Expressions that keep libpcap's compiler busy for minutes, or overflow its stack: they cost the request, and nothing else.

use crate::common::{Retrotap, processes};
use crate::rig::{Daemon, packet};

/// So many ranges of ports: `portrange 1-3 or 5-7 or ...`. Single ports would be a list, which libpcap never sees.
fn ports(n: usize) -> String {
    let all: Vec<String> = (1..=n).map(|n| format!("{}-{}", n * 4, n * 4 + 2)).collect();
    format!("portrange {}", all.join(" or "))
}

#[test]
fn an_expression_that_libpcap_cannot_bear_costs_one_request() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", "16MiB"]);
    daemon.feed((0..500).map(packet));
    daemon.until_count(500);
    for (path, n) in [("/v1/count", 3999), ("/v1/query", 1200), ("/v1/connections", 1200)] {
        let body = serde_json::json!({ "filter": ports(n) }).to_string();
        let (status, said) = daemon.ask(path, &body);
        let message = said["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(status, 400, "{path}: {said}");
        assert!(message.contains("2 s of processor time") || message.contains("256 MiB of memory"), "{message}");
    }
    // Everybody else is answered as before, and an error still has its place.
    let (status, count) = daemon.ask("/v1/count", r#"{"filter": "udp"}"#);
    assert_eq!((status, &count["packets"]), (200, &500.into()), "{count}");
    let (status, said) = daemon.ask("/v1/count", r#"{"filter": "udp and adn"}"#);
    assert!(status == 400 && said.to_string().contains("column 9"), "{said}");
    // The recorder's own end, and its account.
    daemon.stop();

    let ran = r.run(&["query", &ports(1200), "--count"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("2 s of processor time") || ran.err.contains("256 MiB of memory"), "{}", ran.err);
}

/// No compiler outlives the program that started it.
#[test]
fn compilers_end_with_their_recorder() {
    let r = Retrotap::default();
    let mut daemon = Daemon::start(&r, &["--memory", "16MiB"]);
    daemon.feed((0..10).map(packet));
    daemon.until_count(10);
    assert_eq!(daemon.ask("/v1/count", r#"{"filter": "udp port 53"}"#).0, 200);
    let is_compiler = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|c| c.split(|b| *b == 0).any(|w| w == b"compile-filters"))
    };
    let compilers = || -> Vec<u32> { processes::tree(daemon.child.id()).into_iter().filter(is_compiler).collect() };
    let before = compilers();
    assert!(!before.is_empty(), "a filter is compiled in a process of its own");
    let status = std::fs::read_to_string(format!("/proc/{}/status", before[0])).expect("a compiler");
    for none in ["CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1"] {
        assert!(status.contains(none), "{none}: {status}");
    }
    daemon.child.kill().expect("a signal");
    daemon.child.wait().expect("its end");
    daemon.until("the end of its compilers", || before.iter().all(|pid| processes::is_gone(*pid)).then_some(()));
}

/// Whoever starts a recorder may have files open that it inherits: its compilers have no use for them, and few files of their own.
#[test]
fn what_was_open_before_takes_nothing_from_a_compiler() {
    let r = Retrotap::default();
    let inherited = |_| {
        let file = std::fs::File::open("/dev/null").expect("a file");
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).expect("its flags");
        file
    };
    let open: Vec<_> = (0..40).map(inherited).collect();
    let mut daemon = Daemon::start(&r, &[]);
    drop(open);
    daemon.feed((0..10).map(packet));
    daemon.until_count(10);
    let (status, said) = daemon.ask("/v1/count", r#"{"filter": "udp port 53 and ip[8] > 0"}"#);
    assert_eq!(status, 200, "{said}");
    daemon.stop();
}
