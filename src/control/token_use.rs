//! When each token was used last: noted in memory with each request, written to a file beside the tokens now and then, and at the end. Owns that file; a
//! token is known in it by the sum of its secret, so that a new one of the same name is another.

use crate::new_file;
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// How exactly it is noted, ns.
const MINUTE: u64 = 60_000_000_000;

/// By the sum of the secret: Unix ns, to the minute.
pub type Used = HashMap<String, u64>;

/// The uses.
#[derive(Debug)]
pub struct TokenUse {
    path: PathBuf,
    /// What is not written yet.
    new: Mutex<Used>,
}

impl TokenUse {
    /// Of the tokens of this file.
    pub fn new(tokens: &Path) -> TokenUse {
        let mut path = tokens.as_os_str().to_owned();
        path.push(".used");
        TokenUse { path: path.into(), new: Mutex::default() }
    }

    /// A token was used.
    pub fn note(&self, sum: &str, now: u64) {
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        match new.get_mut(sum) {
            Some(at) => *at = now - now % MINUTE,
            None => drop(new.insert(sum.to_owned(), now - now % MINUTE)),
        }
    }

    /// What is written.
    pub fn read(&self) -> Used {
        let text = std::fs::read(&self.path).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Writes what is new; `give`: to whom the file belongs.
    pub fn save(&self, give: impl Fn(&File) -> std::io::Result<()>) {
        let new = std::mem::take(&mut *self.new.lock().unwrap_or_else(PoisonError::into_inner));
        let mut all = self.read();
        if new.iter().all(|(sum, at)| all.get(sum) == Some(at)) {
            return;
        }
        all.extend(new);
        let beside = self.path.with_extension("used.new");
        let written = new_file::create(&beside, new_file::PRIVATE).and_then(|mut file| {
            give(&file)?;
            file.write_all(&serde_json::to_vec(&all)?)?;
            std::fs::rename(&beside, &self.path)
        });
        if let Err(e) = written {
            tracing::debug!("API: {}: {e}: when tokens were used last is not noted", self.path.display());
        }
    }
}
