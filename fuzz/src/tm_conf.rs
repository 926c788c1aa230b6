//! The configuration of the original Time Machine: any text. What it is turned into is a configuration of ours.

use retrotap::config::import::import;
use retrotap::config::{Config, Settings};
use std::path::Path;

/// Input: the text.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(imported) = import(&text) else { return };
    let mut config = Config::parse(&imported.toml, Path::new("retrotap.toml")).expect("what it was turned into");
    if config.interfaces.is_empty() {
        config.interfaces = vec!["eth0".into()];
    }
    // Sizes and classes may fit together there and not here: that is said by then.
    let _ = Settings::new(config).map(|s| s.to_json());
}

/// One with everything.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    for text in [
        "main {\n  device \"eth0\";\n  workdir \"/var/tm\";\n  logfile \"tm.log\";\n  filter \"not port 22\";\n  conn_timeout 1800;\n  log_interval 30;\n  max_index_entries 1000;\n  rmtconsole_listen_addr 127.0.0.1;\n}\n\nclass \"all\" {\n  filter \"\";\n  precedence 50;\n  cutoff 15k;\n  disk 50g;\n  filesize 500m;\n  mem 200m;\n}\nclass \"dns\" {\n  filter \"port 53\";\n  cutoff off;\n  dyn_timeout 100;\n}\n",
        "# nothing\nmain { }\nclass all { cutoff no; }\n",
    ] {
        add(text.as_bytes().to_vec());
    }
    for sample in crate::made::files(&crate::made::root().join("tests"), "conf") {
        add(std::fs::read(sample).unwrap_or_default());
    }
}
