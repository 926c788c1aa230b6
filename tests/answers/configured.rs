//! The configuration of a run, as a user would write it: classes, cutoffs, timeouts, budgets.

use crate::history::Run;
use crate::life::Life;
use retrotap::config::{Config, Settings};
use retrotap::control::Place;
use std::path::Path;

impl Life<'_> {
    /// Settings of a run that reads this file.
    pub fn settings(&self, run: &Run, input: &Path) -> Result<Settings, String> {
        let mut text = format!(
            "segment_size = \"4MiB\"\nbuffers = \"4MiB\"\nconnections_ipv4 = 4096\nconnections_ipv6 = 4096\nvlan_in_key = {}\n",
            self.history.vlans
        );
        for (_, c) in self.history.classes.iter().enumerate().filter(|(n, _)| self.model.has(*n)) {
            text += &format!("[class.{}]\n", c.name);
            if !c.filter.is_empty() {
                text += &format!("filter = \"{}\"\nprecedence = {}\n", c.filter, c.precedence);
            }
            text += &match c.rules.cutoff_bytes {
                None => "cutoff = \"none\"\n".to_owned(),
                Some(n) => format!("cutoff = \"{n}\"\n"),
            };
            c.rules.cutoff_packets.iter().for_each(|n| text += &format!("cutoff_packets = {n}\n"));
            c.snaplen.iter().for_each(|n| text += &format!("snaplen = {n}\n"));
            let seconds = |ns: u64| format!("\"{}s\"", ns / 1_000_000_000);
            let never = |ns: Option<u64>| ns.map_or("\"never\"".to_owned(), seconds);
            text += &format!(
                "idle_tcp = {}\nidle_other = {}\nrenew_tcp = {}\nrenew_other = {}\n",
                seconds(c.rules.idle_tcp),
                seconds(c.rules.idle_other),
                never(c.rules.renew_tcp),
                never(c.rules.renew_other)
            );
            if !c.rules.record {
                text += "record = \"none\"\n";
            }
            c.disk_mib.iter().for_each(|n| text += &format!("disk = \"{n}MiB\"\n"));
            c.max_age_hours.iter().for_each(|n| text += &format!("max_age = \"{n}h\"\n"));
        }
        let mut config = Config::parse(&text, Path::new("retrotap.toml")).map_err(|e| e.to_string())?;
        (config.read, config.store) = (vec![input.to_owned()], Some(self.store.clone()));
        let mut settings = Settings::new(config).map_err(|e| format!("{e} in {text}"))?;
        // Less than a configuration may say, so that little is much.
        settings.memory = run.memory;
        settings.api = if run.live { Place::At(self.socket()) } else { Place::Off };
        Ok(settings)
    }
}
