//! The ancestor's configurations, whole and broken.

use super::*;
use crate::config::{From, Recorded, Settings};

const SITE: &str = r#"
/* a site's file */
main {
    device "eth1"; workdir "/var/tm/";   # two strings in one line
    conn_timeout 20;
    log_interval 60;
    filter "not host 10.0.0.1";
    index "ip" disk;
    rmtconsole 1; rmtconsole_listen_addr 127.0.0.1;
    bro_listen_port 47757;
}
class "all" { filter ""; precedence 1; cutoff 15k; mem 750m; disk 2G; filesize 100m; }
class "Alarms" { filter "host 192.0.2.9"; precedence 50; cutoff no; disk unlimited; dyn_timeout 1D; }
class "telnet" { filter "tcp port 23"; precedence 20; }
"#;

#[test]
fn a_sites_configuration_becomes_ours() {
    let imported = import(SITE).unwrap();
    let mut config = Config::parse(&imported.toml, Path::new("x")).unwrap();
    assert_eq!(config.interfaces, ["eth1"]);
    assert_eq!(config.store.as_deref(), Some(Path::new("/var/tm/retrotap")));
    // One class is unlimited, so the whole is.
    assert_eq!(config.disk, None);
    config.workers = None;
    let settings = Settings::new(config).unwrap();
    assert!(matches!(settings.from, From::Interfaces { .. }));
    assert_eq!((settings.segment_bytes, settings.log_interval_ns), (100 << 20, 60_000_000_000));
    assert_eq!(settings.memory, 750 << 20);
    assert_eq!(settings.filter.as_deref(), Some("not host 10.0.0.1"));
    let shown: Vec<_> = settings
        .classes
        .iter()
        .map(|c| {
            (c.name.as_str(), c.precedence, c.policy.cutoff_bytes, c.keep.disk, c.policy.idle.tcp_ns / 1_000_000_000)
        })
        .collect();
    let want = [
        ("all", 0, Some(15 << 10), Some(2 << 30), 20),
        ("alarms", 50, None, None, 20),
        ("telnet", 20, Some(10_000), Some(50_000_000), 20),
    ];
    assert_eq!(shown, want);
    for word in ["index", "rmtconsole", "bro_listen_port", "mem of class all", "dyn_timeout", "alarms"] {
        assert!(imported.notes.iter().any(|n| n.contains(word)), "{word}: {:?}", imported.notes);
    }
}

#[test]
fn without_a_class_for_everything_the_rest_is_not_stored() {
    let imported = import("class \"web\" { filter \"tcp port 80\"; }").unwrap();
    let classes = Config::parse(&imported.toml, Path::new("x")).unwrap().class;
    assert_eq!(classes.get("all").unwrap().record, Some(Recorded(false)));
    let renamed = import("class \"rest\" { } class \"below\" { filter \"icmp\"; precedence -1; }").unwrap();
    assert!(renamed.toml.contains("[class.all]") && !renamed.toml.contains("record = "));
    assert_eq!(renamed.notes.len(), 2, "{:?}", renamed.notes);
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (text, what) in [
        ("main { device \"eth1\" }", "line 1: device: a ; is missing"),
        ("main {\n device 5;\n}", "line 2: device: not a value"),
        ("main {\n", "line 1: a } is missing"),
        ("\nclass {", "line 2: class: its name"),
        ("class \"a\" { filter \"", "line 1: a \" is missing"),
        ("/* no end", "line 1: the comment has no end"),
        ("{", "line 1: main, class or an option"),
        ("class \"a\" { filter \"porrt 5\"; }", "porrt"),
    ] {
        let e = import(text).unwrap_err();
        assert!(e.contains(what), "{text:?}: {e}");
    }
}

proptest::proptest! {
    /// Whatever it is, it is an error or a configuration that we read.
    #[test]
    fn nothing_makes_it_panic(text in "(main|class|\\{|\\}|;|\"[a-z ]{0,5}\"|cutoff|disk|mem|[0-9]{1,22}[kKmMgGdD]?|no|-1|/\\*|\\*/|#|\\n| ){0,40}") {
        if let Ok(imported) = import(&text) {
            proptest::prop_assert!(Config::parse(&imported.toml, Path::new("x")).is_ok());
        }
    }
}
