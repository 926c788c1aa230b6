//! Tests of the configuration: the sample, the places of errors, the combinations that make no sense.

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("retrotap.toml"))
}

fn settings(text: &str) -> Result<Settings, ConfigError> {
    Settings::new(parse(text)?)
}

const LEAST: &str = "interfaces = [\"eth1\"]\nstore = \"/s\"\n";

#[test]
fn the_sample_says_the_defaults() {
    let sample = include_str!("../../tuning/retrotap.toml.sample");
    // Every commented key, uncommented, is a key, and its value is the default.
    let live: String = sample
        .lines()
        .map(|l| match l.strip_prefix('#') {
            Some(key) if key.contains(" = ") && !key.starts_with(' ') => format!("{key}\n"),
            _ => format!("{l}\n"),
        })
        .collect();
    let (all, least) = (settings(&live).unwrap(), settings(sample).unwrap());
    assert_eq!(all.classes, least.classes);
    assert_eq!(
        (all.segment_bytes, all.buffer_bytes, all.snaplen),
        (least.segment_bytes, least.buffer_bytes, least.snaplen)
    );
    assert_eq!((all.connections, all.log_interval_ns), (least.connections, least.log_interval_ns));
    assert_eq!(all.dedup_ns, least.dedup_ns);
    let names: Vec<_> = all.classes.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["all", "dns"]);
    assert_eq!(all.classes[0].policy, crate::class::Policy::default());
}

#[test]
fn errors_have_a_place() {
    for (text, words) in [
        ("interfaces = [\"eth1\"]\ncuttof = 1\n", &["line 2, column 1", "cuttof"][..]),
        ("[class.all]\ncutoff = \"15 apples\"\n", &["line 2, column 10", "15 apples", "15KiB", "none"]),
        ("[class.all]\nidle_tcp = \"soon\"\n", &["line 2", "a duration"]),
        ("[class.all]\nrecord = \"some\"\n", &["line 2, column 10", "some", "none"]),
        (
            "[class.a]\nfilter = \"tcp\"\n[class.b]\nfilter = \"udp\"\n\n[class.a]\ndisk = 1\n",
            &["line 6, column 8", "duplicate", "a"],
        ),
        ("log_interval = \n", &["line 1"]),
        ("filter = \"host\"\n", &["line 1, column 10", "filter"]),
        ("\n[class.x]\n  filter = \"prot tcp\"\n", &["class x", "line 3, column 12"]),
        ("source = \"magic\"\n", &["line 1", "xdp", "packet"]),
    ] {
        let message = parse(text).expect_err(text).to_string();
        for word in words {
            assert!(message.contains(word), "{text:?}: {message:?} lacks {word:?}");
        }
    }
}

#[test]
fn nonsense_is_refused_with_a_way_out() {
    for (text, word) in [
        ("store = \"/s\"", "-i eth1"),
        ("interfaces = [\"eth1\"]", "--store"),
        ("interfaces = [\"a\", \"a\"]\nstore = \"/s\"", "twice"),
        ("interfaces = [\"a\"]\nstore = \"/s\"\nsource = \"file\"", "-r"),
        ("interfaces = [\"a\"]\nstore = \"/s\"\nworkers = 0", "workers"),
        ("interfaces = [\"a\"]\nstore = \"/s\"\nsegment_size = \"1MiB\"", "segment size"),
        ("interfaces = [\"a\"]\nstore = \"/s\"\n[class.all]\nfilter = \"tcp\"", "class all"),
        ("interfaces = [\"a\"]\nstore = \"/s\"\n[class.all]\ncutoff = 0", "record = \"none\""),
        (
            "interfaces = [\"a\"]\nstore = \"/s\"\n[class.all]\ncutoff = \"none\"\ncutoff_jitter = \"1KiB\"",
            "cutoff_jitter",
        ),
        ("interfaces = [\"a\"]\nstore = \"/s\"\n[class.all]\nmax_age = \"1m\"", "max_age"),
        ("interfaces = [\"a\"]\nstore = \"/s\"\n[class.all]\nmax_age = \"1h\"\nmin_age = \"2h\"", "min_age = 2h"),
        ("interfaces = [\"a\"]\nstore = \"/s\"\n[class.all]\nsnaplen = 20", "snaplen"),
        ("interfaces = [\"a\"]\nstore = \"/s\"\n[class.all]\nsegment_size = 20", "segment size"),
        ("interfaces = [\"a\"]\nstore = \"/s\"\n[class.all]\nidle_icmp = \"1ms\"", "idle_icmp"),
        ("interfaces = [\"a\"]\nstore = \"/s\"\ndisk = \"1GiB\"\n[class.all]\ndisk = \"2GiB\"", "2.00 GiB together"),
        ("interfaces = [\"a\"]\nstore = \"/s\"\n[class.all]\nmemory = \"1MiB\"", "memory below 16.0 MiB"),
        ("interfaces = [\"a\"]\nstore = \"/s\"\nmemory = \"64MiB\"\n[class.all]\nmemory = \"60MiB\"", "must be left"),
        ("interfaces = [\"a\"]\nstore = \"/s\"\nflood_limit = 5", "flood_limit: 100 at least"),
        ("interfaces = [\"a\"]\nstore = \"/s\"\ndedup = \"2s\"", "dedup"),
        ("interfaces = [\"a\"]\nstore = \"/s\"\n[class.\"../x\"]\nfilter = \"tcp\"", "class name"),
        ("interfaces = [\"a\"]\nstore = \"/s\"\n[class.ledger]\nfilter = \"tcp\"", "taken"),
        ("interfaces = [\"a\"]\nstore = \"/s\"\n[class.x]\ncutoff = 1", "no filter"),
    ] {
        let message = settings(text).expect_err(text).to_string();
        assert!(message.contains(word), "{text:?}: {message:?} lacks {word:?}");
    }
}

#[test]
fn keys_of_a_class_say_what_they_say() {
    let text = format!(
        "{LEAST}dedup = true\nsnaplen = 4096\n[class.all]\nrecord = \"none\"\n[class.x]\nfilter = \"udp\"\nsnaplen = 128\n\
         idle_udp = \"5s\"\nidle_other = \"7s\"\ndisk = \"1GiB\"\nmax_age = \"7d\"\nmin_age = \"1d\"\nsegment_size = \"8MiB\"\n\
         memory = \"32MiB\"\nsample = 64\n"
    );
    let s = settings(&text).unwrap();
    assert_eq!(s.dedup_ns, Some(10_000_000));
    assert_eq!((s.classes[0].policy.record, s.classes[0].policy.snaplen), (false, 4096));
    let x = &s.classes[1];
    const S: u64 = 1_000_000_000;
    let idle = x.policy.idle;
    assert_eq!((idle.tcp_ns, idle.udp_ns, idle.icmp_ns, idle.other_ns), (300 * S, 5 * S, 7 * S, 7 * S));
    assert_eq!((x.policy.snaplen, x.policy.record), (128, true));
    let k = x.keep;
    assert_eq!((k.disk, k.segment_bytes), (Some(1 << 30), Some(8 << 20)));
    assert_eq!((x.memory, x.policy.sample), (Some(32 << 20), 64));
    assert_eq!((s.flood_limit, s.classes[0].memory, s.classes[0].policy.sample), (Some(100_000), None, 0));
    assert_eq!((k.max_age_ns, k.min_age_ns), (Some(7 * 86400 * S), Some(86400 * S)));
    for (word, ns) in [("false", None), ("\"off\"", None), ("\"3ms\"", Some(3_000_000))] {
        assert_eq!(settings(&format!("{LEAST}dedup = {word}\n")).unwrap().dedup_ns, ns);
    }
}

#[test]
fn the_command_line_wins() {
    let file = parse(&format!("{LEAST}workers = 4\n[class.all]\ncutoff = \"1MiB\"\ncutoff_packets = 7\n")).unwrap();
    let mut over = Config { workers: Some(2), interfaces: vec!["eth2".into()], ..Config::default() };
    over.class.insert("all".into(), ClassConfig { cutoff: Some(Cutoff(None)), ..ClassConfig::default() });
    let s = Settings::new(file.overlay(over)).unwrap();
    assert_eq!(s.workers, Some(2));
    assert_eq!(s.from, From::Interfaces { names: vec!["eth2".into()], choice: SourceChoice::Auto });
    assert_eq!((s.classes[0].policy.cutoff_bytes, s.classes[0].policy.cutoff_packets), (None, Some(7)));
    assert_eq!(s.store, Path::new("/s"));
}

#[test]
fn files_take_the_place_of_interfaces() {
    let file = parse(LEAST).unwrap();
    let s = Settings::new(file.overlay(Config { read: vec!["a.pcap".into()], ..Config::default() })).unwrap();
    assert_eq!(s.from, From::Files { paths: vec!["a.pcap".into()], pace: None });
}

/// The processes of a recorder are given settings as data: what comes out is what went in.
#[test]
fn settings_go_through_data_unchanged() {
    use std::os::unix::ffi::OsStringExt;
    let all = format!(
        "{LEAST}source = \"xdp\"\nworkers = 3\nworker_cpus = [1, 3]\ndisk = \"1TiB\"\nfilter = \"tcp or udp\"\ndedup = true\nduration = \"1h\"\n\
         metrics = \"[::1]:9\"\nmemory = \"1GiB\"\n[api]\nqueries = 3\n[api.roles]\npackets = [\"alice\", \"@analysts\"]\n\
         [class.x]\nfilter = \"port 53\"\nprecedence = -3\ncutoff = \"1MiB\"\nsample = 64\nmax_age = \"7d\"\nmemory = \"32MiB\"\nrenew_tcp = \"1h\"\n"
    );
    for text in [LEAST, &all] {
        let mut settings = settings(text).unwrap();
        settings.store = std::ffi::OsString::from_vec(b"/no \xff text".to_vec()).into();
        let data = serde_json::to_vec(&settings).unwrap();
        assert_eq!(serde_json::from_slice::<Settings>(&data).unwrap(), settings);
    }
}
