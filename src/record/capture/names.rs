//! The names that classes had in this store, by id: receipts and counters have ids, and keep their names over restarts and reloads. Owns
//! `classes.json`, `{"version": 1, "names": ["all", "dns"]}`: written when a name comes, by the one recorder; nothing is ever taken out of it.

use crate::class::Roster;
use crate::new_file;
use crate::store::layout::Layout;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

#[derive(Debug, Serialize, Deserialize)]
struct Names {
    version: u32,
    names: Vec<String>,
}

/// What the store knows; none of it is in force yet. A file that can't be read is said, and no reason not to record.
pub fn load(store: &Path) -> Roster {
    let path = Layout::new(store).class_names();
    let read = std::fs::read(&path).map_err(|e| (e.kind() == ErrorKind::NotFound, e.to_string()));
    let names = read.and_then(|text| serde_json::from_slice::<Names>(&text).map_err(|e| (false, e.to_string())));
    let roster = names.and_then(|n| match (n.version, Roster::kept(n.names)) {
        (1, Some(roster)) => Ok(roster),
        (1, None) => Err((false, "these can't be the names of classes".into())),
        (v, _) => Err((false, format!("it is of version {v}, this program reads 1"))),
    });
    roster.unwrap_or_else(|(missing, why)| {
        if !missing {
            tracing::warn!("{}: {why}: older receipts may be told under the names of other classes", path.display());
        }
        Roster::default()
    })
}

/// Keeps the names, if there are new ones.
pub fn save(store: &Path, before: &Roster, now: &Roster) {
    if before.names() == now.names() {
        return;
    }
    let path = Layout::new(store).class_names();
    let written = || {
        let new = path.with_extension("json.new");
        let text = serde_json::to_vec(&Names { version: 1, names: now.names().to_vec() })?;
        let mut file = new_file::create(&new, new_file::SHARED)?;
        file.write_all(&text).and_then(|()| file.write_all(b"\n")).and_then(|()| file.sync_all())?;
        std::fs::rename(&new, &path)?;
        File::open(store).and_then(|dir| dir.sync_all())
    };
    if let Err(e) = written() {
        tracing::warn!(
            "{}: {e}: after a restart receipts may be told under the names of other classes",
            path.display()
        );
    }
}
