//! Rules of a NIDS: any text. What is taken is asked about alerts, and answers; an error names the file.

use retrotap::nids::{Alert, Rules};
use std::path::Path;

/// Input: the text.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Rules::parse(&text, Path::new("rules.toml")) {
        Ok(rules) => {
            for alert in alerts() {
                if let Some((n, rule)) = rules.find(&alert) {
                    assert!(n < rules.rules.len());
                    let _ = (rule.offender_of(&alert), rule.history(), rule.limit());
                }
            }
            let _ = rules.feed_back();
        }
        Err(e) => assert!(e.to_string().contains("rules.toml"), "{e}"),
    }
}

fn alerts() -> [Alert; 2] {
    let signature = Some("ET SCAN Potential SSH Scan".to_owned());
    let one = Alert {
        time: 1_796_000_000_000_000_000,
        source: "10.0.0.1".parse().ok(),
        destination: "192.168.0.1".parse().ok(),
        sid: Some(2_001_219),
        gid: Some(1),
        severity: Some(2),
        category: Some("Attempted Information Leak".into()),
        signature,
        ..Alert::default()
    };
    [one, Alert { notice: Some("Scan::Port_Scan".into()), ..Alert::default() }]
}

/// The sample, as it is and with all that is left out of it.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    let sample = std::fs::read_to_string(crate::made::root().join("tuning/nids.toml.sample")).unwrap_or_default();
    let all: String =
        sample.lines().map(|l| l.strip_prefix("# ").or(l.strip_prefix('#')).unwrap_or(l).to_owned() + "\n").collect();
    add(sample.into_bytes());
    add(all.into_bytes());
    add(b"again = \"10m\"\n[[rule]]\nname = \"a\"\nsid = [1]\nsignature = \"ET *\"\nsource = [\"10.0.0.0/8\"]\nhold = [\"connection\"]\nlimit = \"5/1m\"\n".to_vec());
}
