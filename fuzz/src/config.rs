//! The configuration: any text. What is taken is in force as it is said: settings differ from themselves in nothing, and go into the ledger; an error
//! names the file.

use retrotap::config::{Config, Settings};
use std::path::Path;

/// Input: the text.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let parse = || Config::parse(&text, Path::new("retrotap.toml"));
    let config = match parse() {
        Ok(config) => config,
        Err(e) => return assert!(e.to_string().contains("retrotap.toml"), "{e}"),
    };
    let mut again = parse().expect("the same text").overlay(config);
    if again.interfaces.is_empty() && again.read.is_empty() {
        again.interfaces = vec!["eth0".into()];
    }
    let Ok(settings) = Settings::new(again) else { return };
    let _ = (settings.memory_fits(), settings.shadowed());
    serde_json::to_string(&settings.to_json()).expect("what goes into the ledger");
    let (_, changes) = settings.adopt(settings.clone());
    assert!(changes.changed.is_empty() && changes.needs_restart.is_empty(), "{changes:?}");
}

/// Samples, and pieces of them.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    for sample in crate::made::files(&crate::made::root().join("tuning"), "toml") {
        add(std::fs::read(sample).expect("a sample"));
    }
    for text in [
        "interfaces = [\"eth0\"]\nworkers = 2\nworker_cpus = [1, 2]\nsnaplen = \"256\"\ndedup = \"1ms\"\nfilter = \"not port 22\"\nflood_limit = 5000\n",
        "read = [\"a.pcap\"]\npace = 1.0\nduration = \"10s\"\nlog_interval = \"1m\"\nmetrics = \":9464\"\nmemory = \"512MiB\"\nvlan_in_key = false\n",
        "disk = \"100GiB\"\nsegment_size = \"128MiB\"\nbuffers = \"64MiB\"\n[class.all]\ncutoff = \"15KiB\"\nidle_tcp = \"5m\"\nrenew_tcp = \"never\"\n[class.dns]\nfilter = \"port 53\"\nprecedence = 5\ncutoff = \"none\"\ndisk = \"1GiB\"\nmemory = \"32MiB\"\nmax_age = \"7d\"\nsample = 100\nrecord = \"headers\"\n",
        "[api]\nsocket = \"/run/retrotap.sock\"\ngroup = \"root\"\nlisten = \"127.0.0.1:7443\"\ncertificate = \"a.pem\"\nkey = \"b.pem\"\nqueries = 3\nquery_time = \"5m\"\nquery_bytes = \"1GiB\"\n[api.roles]\npackets = [\"root\"]\n",
    ] {
        add(text.as_bytes().to_vec());
    }
}
