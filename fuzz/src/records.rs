//! Records of a store and of a recorder, all JSON: orders, tokens and their use, holds, manifests. What is read and put in force is what it says; what is
//! written of it is read the same.

use crate::scratch;
use retrotap::control::Tokens;
use retrotap::evidence::{FileSum, Manifest, Origin, PacketFormat, Question};
use retrotap::hold::Held;
use retrotap::packet::Parser;
use retrotap::query::Summary;
use retrotap::steer::{Orders, Steering};
use std::os::unix::fs::PermissionsExt;

/// Input: which record, its bytes.
pub fn run(data: &[u8]) {
    let (what, bytes) = crate::options(data);
    match what % 5 {
        0 => orders(bytes),
        1 => tokens(bytes, b""),
        2 => tokens(br#"{"name":"a","role":"packets","sha256":"00","made":"2026-11-30T00:00:00Z"}"#, bytes),
        3 => hold(bytes),
        _ => manifest(bytes),
    }
}

fn orders(bytes: &[u8]) {
    const NOW: u64 = 1_796_000_000_000_000_000;
    let Ok(read) = serde_json::from_slice::<Orders>(bytes) else { return };
    let steering = || Steering::new(Vec::new(), Parser::new(1, true), vec![Some("all".into()), Some("alarm".into())]);
    let first = steering();
    let (taken, lost) = first.restore(&read, NOW);
    assert!(
        taken + lost.len() <= read.assignments.len() + read.suspensions.len(),
        "{taken} taken, {} lost",
        lost.len()
    );
    let kept = first.orders();
    let text = serde_json::to_string(&kept).expect("text");
    // In no order.
    let sorted = |orders: &Orders| {
        let (a, b) = (orders.assignments.iter(), orders.suspensions.iter());
        let mut all: Vec<String> = a.map(|a| format!("{a:?}")).chain(b.map(|s| format!("{s:?}"))).collect();
        all.sort();
        all
    };
    let second = steering();
    let (again, lost) = second.restore(&serde_json::from_str(&text).expect("what was written"), NOW);
    assert_eq!((again, lost.len()), (kept.assignments.len() + kept.suspensions.len(), 0), "{lost:?}");
    assert_eq!(sorted(&second.orders()), sorted(&kept));
}

fn tokens(file: &[u8], used: &[u8]) {
    let path = scratch::file("tokens", file);
    scratch::file("tokens.used", used);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    let all = Tokens::new(&path);
    let listed = all.list();
    assert_eq!(listed.is_ok(), all.lines().is_ok());
    if let Ok(listed) = listed {
        for t in listed {
            let text = serde_json::to_string(&t).expect("text");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON")["name"], t.name.as_str());
        }
    }
    assert!(all.of("retrotap_nobody", 5).is_err(), "nobody's secret opens nothing");
}

fn hold(bytes: &[u8]) {
    let store = scratch::empty("held-store");
    std::fs::copy(crate::made::root().join("tests/golden/v6/store.toml"), store.join("store.toml")).expect("a store");
    std::fs::create_dir_all(store.join("held/case")).expect("a hold");
    std::fs::write(store.join("held/case/hold.json"), bytes).expect("its record");
    std::fs::write(store.join("held/case/packets.pcapng"), crate::made::segment(1, &[])).expect("its packets");
    let held = Held::open(&store).expect("holds");
    let mut lines = 0;
    held.each_line(&mut |line| {
        lines += 1;
        let text = serde_json::to_string(&line).expect("text");
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
        true
    })
    .expect("a list");
    assert_eq!(lines, 1, "it is listed, readable or not");
    if let Ok((hold, _)) = held.packets("case") {
        let _ = held.checked(hold, &|| true);
    }
    let _ = (held.sizes(), held.following());
}

fn manifest(bytes: &[u8]) {
    let path = scratch::file("a.pcapng.manifest.json", bytes);
    scratch::file("a.pcapng", &crate::made::segment(1, &[]));
    let Ok(read) = Manifest::read(&path) else { return };
    let again = Manifest::read(&scratch::file("b.json", read.to_json().as_bytes())).expect("what was written");
    assert_eq!(again.to_json(), read.to_json());
    let _ = retrotap::evidence::check(&path, Some(&scratch::folder().join("a.pcapng")), None);
}

/// One of each kind.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    for (what, text) in [
        (
            0,
            r#"{"assignments":[{"address":"10.1.2.3","class":"alarm","role":"either","until_ns":1896000000000000000,"until":"2030-01-30T00:00:00Z","by":"uid 0"},{"address":"10.0.0.0/8","class":"gone","role":"originator","until_ns":1896000000000000000,"until":"","by":""}],"suspensions":[{"conn":"tcp 1.2.3.4:5 6.7.8.9:80","cutoff_until_ns":1896000000000000000,"timeout_until_ns":0,"by":"x"},{"address":"2001:db8::/32","cutoff_until_ns":0,"timeout_until_ns":1896000000000000000,"by":"x"}]}"#,
        ),
        (
            1,
            "{\"name\":\"a\",\"role\":\"packets\",\"sha256\":\"00\",\"made\":\"2026-11-30T00:00:00Z\",\"expires\":5}\n\n{\"name\":\"b\",\"role\":\"control\",\"sha256\":\"ff\",\"made\":\"\"}\n",
        ),
        (2, r#"{"00":1796000000000000000}"#),
        (
            3,
            r#"{"version":2,"name":"case","reason":"why","who":{"user":"root","uid":0,"host":"tap1"},"made":"2026-11-30T00:00:00Z","filter":"host 10.0.0.1","since":null,"until":"2026-11-30T01:00:00Z","packets":1,"wire_bytes":60,"bytes":4096,"sha256":"00","summary":{},"kept_until":"2030-01-01T00:00:00Z","most_bytes":7,"about":{"a":1},"follow":null}"#,
        ),
    ] {
        add([&[what], text.as_bytes()].concat());
    }
    let file = FileSum { name: Some("a.pcapng".into()), format: PacketFormat::Pcapng, bytes: 5, sha256: "00".into() };
    let origin = Origin::new(&crate::made::root().join("tests/golden/v6"), None).expect("the store that is kept");
    let manifest = Manifest::new(Question::default(), origin, &Summary::default(), file, 5);
    add([&[4], manifest.to_json().as_bytes()].concat());
}
