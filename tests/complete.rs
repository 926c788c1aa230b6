//! Completeness is a value: what is missing from an answer is said, by class and time, by every command that answers; and an empty answer says
//! what there would have been to find. Of imported captures; what only a live recorder can lack is in `tests/api`.

mod common;

use common::Retrotap;
use common::said::unix_ns;
use retrotap::shape::rfc3339;
use serde_json::Value;
use std::path::PathBuf;

const NS: u64 = 1_000_000_000;

/// A capture of UDP packets: second, microsecond, server port.
fn capture(r: &Retrotap, name: &str, bytes: usize, packets: impl IntoIterator<Item = (u32, u32, u16)>) -> PathBuf {
    let mut file = Vec::new();
    for v in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(v.to_le_bytes());
    }
    for (second, micro, port) in packets {
        let builder = etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let builder = builder.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(4000, port);
        let mut frame = Vec::new();
        builder.write(&mut frame, &vec![7; bytes - 42]).expect("a frame");
        for v in [second, micro, frame.len() as u32, frame.len() as u32] {
            file.extend(v.to_le_bytes());
        }
        file.extend(frame);
    }
    let path = r.dir().join(name);
    std::fs::write(&path, file).expect("a capture");
    path
}

/// The reasons of a summary of this kind.
fn reasons<'a>(summary: &'a Value, why: &str) -> Vec<&'a Value> {
    let all = summary["incomplete"].as_array().unwrap_or_else(|| panic!("no list in {summary}"));
    all.iter().filter(|r| r["why"] == why).collect()
}

/// DNS has a budget of its own, and its past has expired; all else reaches back to the start.
fn expired_class() -> Retrotap {
    let r = Retrotap::default();
    let config = r.dir().join("classes.toml");
    let text = "[class.dns]\nfilter = \"port 53\"\nprecedence = 1\ncutoff = \"none\"\ndisk = \"12MiB\"\n";
    std::fs::write(&config, text).expect("a file");
    // 20 s, 1,000 DNS packets a second, and 10 others.
    let all = (0..20_000).map(|n| (1_600_000_000 + n / 1000, n % 1000 * 1000, if n % 100 == 0 { 2023 } else { 53 }));
    let file = capture(&r, "c.pcap", 1000, all);
    let more = ["-c", &*config.to_string_lossy(), "--cutoff", "none", "--segment-size", "4MiB", "--memory", "0"];
    r.record(&[&file], &more);
    r
}

#[test]
fn a_class_whose_past_has_expired_says_so_where_another_reaches_further_back() {
    let r = expired_class();
    let ask = |how: &[&str]| r.run(&[&["query", "--json", "--since", "2020-09-13T12:26:41Z"], how].concat()).json();
    let until = ["--until", "2020-09-13T12:26:43Z"];
    let start = 1_600_000_000 * NS;
    let lost = ask(&[&["port 53"], &until[..]].concat());
    let [gone] = reasons(&lost, "expired")[..] else { panic!("{lost}") };
    assert_eq!(
        (&lost["packets"], &lost["complete"], &gone["class"]),
        (&0.into(), &false.into(), &"dns".into()),
        "{lost}"
    );
    // All of the window but its first 100 microseconds and its last millisecond, as packets came.
    assert_eq!((unix_ns(&gone["from"]), unix_ns(&gone["to"])), (start + NS, start + 3 * NS - 1), "{lost}");
    // The classes that are asked for.
    let dns = ask(&[&["--class", "dns"], &until[..]].concat());
    assert_eq!((dns["complete"].as_bool(), reasons(&dns, "expired").len()), (Some(false), 1), "{dns}");
    let all = ask(&[&["--class", "all"], &until[..]].concat());
    assert_eq!((&all["packets"], &all["complete"]), (&20.into(), &true.into()), "{all}");
    // What there is of the class is complete; what has gone ends just before it.
    let kept = ask(&["port 53", "--until", "2020-09-13T12:27:00Z"]);
    let (to, first) = (unix_ns(&reasons(&kept, "expired")[0]["to"]), unix_ns(&kept["first"]));
    assert!(to < first && first - to <= 2_000_000, "{kept}");
    let since = retrotap::units::time(first);
    let rest = r.run(&["query", "port 53", "--since", &since, "--json", "--strict"]);
    assert_eq!((rest.code, &rest.json()["complete"]), (Some(0), &true.into()), "{}", rest.text());
}

#[test]
fn strict_makes_an_incomplete_answer_exit_1_and_a_complete_one_not() {
    let r = expired_class();
    let code = |how: &[&str]| r.run(how).code;
    for (how, class) in [
        (&["query", "--since", "2020-09-13T12:26:41Z", "--until", "2020-09-13T12:26:43Z"][..], true),
        (&["query", "--count", "--since", "2020-09-13T12:26:41Z", "--until", "2020-09-13T12:26:43Z"], true),
        (&["connections", "--since", "2020-09-13T12:26:41Z", "--until", "2020-09-13T12:26:43Z"], true),
        (&["connections", "--json", "--since", "2020-09-13T12:26:41Z", "--until", "2020-09-13T12:26:43Z"], true),
    ] {
        assert!(class);
        assert_eq!(code(how), Some(0), "{how:?}");
        assert_eq!(code(&[how, &["--strict"]].concat()), Some(1), "{how:?}");
        assert_eq!(code(&[how, &["--strict", "--class", "all"]].concat()), Some(0), "{how:?}");
    }
    assert_eq!(code(&["query", "--class", "all", "--limit", "1", "--strict"]), Some(1), "there is more");
    assert_eq!(code(&["losses", "--since", "2020-09-13T12:26:41Z", "--strict"]), Some(0));
    // The number stands alone on standard output.
    let count = r.run(&["query", "--count", "--until", "2020-09-13T12:26:43Z"]);
    assert_eq!(count.text(), "30\n");
    assert!(count.err.contains("expired:") && count.err.contains("class dns"), "{}", count.err);
    let table = r.run(&["connections", "--until", "2020-09-13T12:26:43Z"]);
    assert!(table.text().contains("expired:"), "{}", table.text());
    let hold = ["hold", "--name", "h", "--reason", "r", "--until", "2020-09-13T12:26:43Z", "--json", "--strict"];
    let held = r.run(&hold);
    assert_eq!((held.code, reasons(&held.json()["summary"], "expired").len()), (Some(1), 1), "{}", held.text());
    let out = r.dir().join("h.pcapng");
    assert_eq!(code(&["export", "h", "-w", &out.to_string_lossy(), "--strict"]), Some(1));
}

/// Traces of other years: what goes first is what was imported first, whatever the times of its packets.
#[test]
fn what_expired_is_told_by_the_times_of_packets_not_of_the_import() {
    let r = Retrotap::default();
    // 8 MB of 2099, then 20 MB of 2023, then 8 MB of 1990, into 24 MiB.
    for (name, begin, packets) in
        [("2099.pcap", 4_080_000_000u32, 8000), ("2023.pcap", 1_700_000_000, 20_000), ("1990.pcap", 640_000_000, 8000)]
    {
        let file = capture(&r, name, 1000, (0..packets).map(|n| (begin + n / 1000, n % 1000 * 1000, 80)));
        r.record(&[&file], &["--disk", "24MiB", "--segment-size", "4MiB", "--cutoff", "none", "--memory", "0"]);
    }
    let ask = |since: u64, until: u64| {
        let (since, until) = (retrotap::units::time(since * NS), retrotap::units::time(until * NS));
        r.run(&["query", "--json", "--since", &since, "--until", &until]).json()
    };
    let future = ask(4_080_000_002, 4_080_000_003);
    assert_eq!((&future["packets"], reasons(&future, "expired").len()), (&0.into(), 1), "{future}");
    assert_eq!(future["incomplete"].as_array().map(Vec::len), Some(1), "{future}");
    let middle = ask(1_700_000_000, 1_700_000_001);
    assert_eq!((&middle["packets"], reasons(&middle, "expired").len()), (&0.into(), 1), "{middle}");
    let past = ask(640_000_000, 640_000_008);
    assert_eq!((&past["packets"], &past["complete"]), (&8000.into(), &true.into()), "{past}");
    let between = ask(700_000_000, 700_000_100);
    assert_eq!((&between["complete"], &between["nothing"]["window"]), (&true.into(), &"inside".into()), "{between}");
}

#[test]
fn an_empty_answer_says_what_there_would_have_been() {
    let r = Retrotap::default();
    let config = r.dir().join("classes.toml");
    let text =
        "[class.dns]\nfilter = \"port 53\"\nprecedence = 1\n[class.never]\nfilter = \"port 9\"\nprecedence = 2\n";
    std::fs::write(&config, text).expect("a file");
    let file = capture(&r, "c.pcap", 100, (0..10).map(|n| (1_600_000_000 + n, 0, if n < 5 { 53 } else { 80 })));
    r.record(&[&file], &["-c", &config.to_string_lossy()]);
    let ask = |how: &[&str]| r.run(&[&["query", "--json"], how].concat()).json();
    let (first, middle, last) = (1_600_000_000 * NS, 1_600_000_004 * NS, 1_600_000_009 * NS);
    let (all, dns) = (
        serde_json::json!({"class": "all", "first": rfc3339(middle + NS), "last": rfc3339(last)}),
        serde_json::json!({"class": "dns", "first": rfc3339(first), "last": rfc3339(middle)}),
    );
    for (how, window, stored, no_match) in [
        (&["--until", "2020-09-13T12:00:00Z"][..], "before", vec![&all, &dns], vec![]),
        (&["--since", "2020-09-13T12:27:00Z", "--until", "2020-09-13T12:28:00Z"], "after", vec![&all, &dns], vec![]),
        (&["--since", "2199-01-01T00:00:00Z"], "future", vec![&all, &dns], vec![]),
        (&["--class", "dns", "--since", "2020-09-13T12:26:48Z"], "after", vec![&dns], vec![]),
        (&["--class", "never"], "no_packets", vec![], vec![]),
        (&["udp and host 10.9.9.9 and port 53"], "inside", vec![&all, &dns], vec!["host 10.9.9.9"]),
        (
            &["--conn", "udp 10.0.0.1:4000 10.9.9.9:53"],
            "inside",
            vec![&all, &dns],
            vec!["udp 10.0.0.1:4000 10.9.9.9:53"],
        ),
        (&["tcp"], "inside", vec![&all, &dns], vec![]),
    ] {
        let summary = ask(how);
        let nothing = &summary["nothing"];
        assert_eq!((&summary["packets"], &nothing["window"]), (&0.into(), &window.into()), "{how:?}: {summary}");
        assert_eq!(nothing["no_match"], serde_json::json!(no_match), "{how:?}");
        match stored.is_empty() {
            true => assert_eq!(nothing["stored"], serde_json::json!([{"class": "never", "first": null, "last": null}])),
            false => assert_eq!(nothing["stored"], serde_json::json!(stored), "{how:?}"),
        }
    }
    assert!(ask(&[]).get("nothing").is_none(), "an answer with packets needs no such word");
    let text = r.run(&["query", "host 10.9.9.9", "--until", "2020-09-13T12:00:00Z"]).text();
    for words in [
        "window:       ends before the oldest packet that there is",
        "there is:     class dns: 2020-09-13T12:26:40Z to 2020-09-13T12:26:44Z",
        "no match:     no packet has host 10.9.9.9",
    ] {
        assert!(text.contains(words), "{text} lacks {words}");
    }
    // No question: refused.
    let upside_down = ["query", "--since", "2020-09-13T12:28:00Z", "--until", "2020-09-13T12:27:00Z"];
    for (how, word) in
        [(&upside_down[..], "--since must be before"), (&["query", "--class", "dsn"], "no class \"dsn\"")]
    {
        let ran = r.run(how);
        assert!(ran.code == Some(2) && ran.err.contains(word), "{how:?}: {}", ran.err);
    }
}

#[test]
fn a_capture_that_broke_off_makes_every_answer_of_its_store_incomplete() {
    let r = Retrotap::default();
    let file = capture(&r, "c.pcap", 100, (0..10).map(|n| (1_600_000_000 + n, 0, 53)));
    let bytes = std::fs::read(&file).expect("it");
    std::fs::write(&file, &bytes[..bytes.len() - 10]).expect("a file");
    let (ran, _) = r.record(&[&file], &[]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let summary = r.run(&["query", "--json", "--until", "2020-09-13T12:26:45Z"]).json();
    assert_eq!(summary["complete"], false, "{summary}");
    let told = reasons(&summary, "lost").len() + reasons(&summary, "import_cut_short").len();
    assert!(told > 0, "{summary}");
}
