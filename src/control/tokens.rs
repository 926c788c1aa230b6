//! Bearer tokens: who may ask over TCP. Owns their file, a line of JSON each, with the SHA-256 of the secret and never the secret; it is
//! read anew when it has changed, so that a token that is revoked is void at once. Called by the server, and by `retrotap token`.

use super::role::Role;
use super::tls::{FileError, private};
use super::token_use::TokenUse;
use crate::new_file;
use crate::shape::{Maybe, Time};
use crate::units;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use subtle::ConstantTimeEq;

/// A token as its file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What it is called in the audit log.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// SHA-256 of the secret, 64 hexadecimal digits.
    pub sha256: String,
    /// When it was made, RFC 3339.
    pub made: String,
    /// When it ends, Unix ns; none: never.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires: Option<u64>,
}

/// A token as it is said: a line of `token list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Token")]
pub struct TokenLine {
    /// What it is called in the audit log.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// SHA-256 of the secret, 64 hexadecimal digits.
    pub sha256: String,
    /// When it was made; null: the file does not tell.
    #[serde(with = "Maybe::<Time>")]
    pub made: Option<u64>,
    /// When it ends; null: never.
    #[serde(with = "Maybe::<Time>")]
    pub expires: Option<u64>,
    /// When it was used last, to the minute; null: never, or not since a recorder has noted it.
    #[serde(with = "Maybe::<Time>")]
    pub used: Option<u64>,
}

impl TokenLine {
    fn new(t: Token, used: Option<u64>) -> TokenLine {
        let made = units::parse_time(&t.made, 0).ok();
        TokenLine { name: t.name, role: t.role, sha256: t.sha256, made, expires: t.expires, used }
    }
}

/// The tokens of a file.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    read: Mutex<Option<(Stamp, Vec<Token>)>>,
    used: TokenUse,
}

/// Inode, length, time of change: another means another content.
type Stamp = (u64, u64, i64, i64);

/// Bytes of a secret.
const SECRET: usize = 32;
/// What each secret begins with: scanners for leaked secrets find it.
const PREFIX: &str = "retrotap_";

impl Tokens {
    /// Of this file, which need not be there: then there are none.
    pub fn new(path: &Path) -> Tokens {
        Tokens { path: path.to_owned(), read: Mutex::new(None), used: TokenUse::new(path) }
    }

    /// The token of a secret; the error is why there is none, for whoever asked.
    pub fn of(&self, secret: &str, now: u64) -> Result<Token, String> {
        let all = self.current().map_err(|e| {
            tracing::warn!("API tokens: {e}");
            "the recorder can't read its tokens: see its log".to_owned()
        })?;
        let sum = sum_of(secret);
        // All of them, and each in constant time: how long it takes tells nothing.
        let mut found = None;
        for token in &all {
            if bool::from(token.sha256.as_bytes().ct_eq(sum.as_bytes())) {
                found = Some(token);
            }
        }
        match found {
            None => Err("the token is not known here, or was revoked".into()),
            Some(t) if t.expires.is_some_and(|e| e <= now) => {
                Err(format!("token {} ended at {}", t.name, units::time(t.expires.unwrap_or(0))))
            }
            Some(t) => {
                self.used.note(&t.sha256, now);
                Ok(t.clone())
            }
        }
    }

    /// Writes down when each was used last, if that is not written yet.
    pub fn save_use(&self) {
        self.used.save(|file| self.give(file));
    }

    /// All tokens of the file as they are said.
    pub fn lines(&self) -> Result<Vec<TokenLine>, FileError> {
        let used = self.used.read();
        let line = |t: Token| {
            let last = used.get(&t.sha256).copied();
            TokenLine::new(t, last)
        };
        Ok(self.list()?.into_iter().map(line).collect())
    }

    fn current(&self) -> Result<Vec<Token>, FileError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(m) = std::fs::metadata(&self.path) else { return Ok(Vec::new()) };
        let stamp = (m.ino(), m.len(), m.ctime(), m.ctime_nsec());
        if let Some((_, all)) = read.as_ref().filter(|(of, _)| *of == stamp) {
            return Ok(all.clone());
        }
        let all = self.list()?;
        *read = Some((stamp, all.clone()));
        Ok(all)
    }

    /// All tokens of the file.
    pub fn list(&self) -> Result<Vec<Token>, FileError> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        private(&self.path)?;
        let text = std::fs::read_to_string(&self.path).map_err(|e| self.wrong(e))?;
        let line = |(n, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|e| self.wrong(format!("line {}: no token: {e}", n + 1)))
        };
        text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()).map(line).collect()
    }

    /// Makes one; the secret, which is nowhere else.
    pub fn issue(&self, name: &str, role: Role, expires: Option<u64>) -> Result<String, FileError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            return Err(self.wrong(format!("{name:?} is no name: 1 to 64 letters, digits, '-', '_' and '.'")));
        }
        let _lock = self.lock()?;
        let mut all = self.list()?;
        if all.iter().any(|t| t.name == name) {
            return Err(self.wrong(format!("there is a token {name}: choose another name, or revoke it")));
        }
        let mut secret = [0; SECRET];
        File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut secret)).map_err(|e| self.wrong(e))?;
        let secret = format!("{PREFIX}{}", hex(&secret));
        let made = units::time(units::now());
        all.push(Token { name: name.to_owned(), role, sha256: sum_of(&secret), made, expires });
        self.write(&all)?;
        Ok(secret)
    }

    /// Takes one away.
    pub fn revoke(&self, name: &str) -> Result<(), FileError> {
        let _lock = self.lock()?;
        let mut all = self.list()?;
        let before = all.len();
        all.retain(|t| t.name != name);
        if all.len() == before {
            let have: Vec<&str> = all.iter().map(|t| t.name.as_str()).collect();
            let have = if have.is_empty() { "none".to_owned() } else { have.join(", ") };
            return Err(self.wrong(format!("there is no token {name}; there is {have}")));
        }
        self.write(&all)
    }

    /// One change at a time: of two at once neither is lost.
    fn lock(&self) -> Result<File, FileError> {
        let path = self.beside(".lock");
        let wrong = |e: std::io::Error| FileError { path: path.clone(), why: e.to_string() };
        let lock = new_file::keep(&path, new_file::PRIVATE).map_err(wrong)?;
        self.give(&lock).and_then(|()| lock.lock()).map_err(wrong)?;
        Ok(lock)
    }

    /// Writes all of it or nothing of it.
    fn write(&self, all: &[Token]) -> Result<(), FileError> {
        let new = self.beside(".new");
        let text: String = all.iter().filter_map(|t| Some(serde_json::to_string(t).ok()? + "\n")).collect();
        let written = new_file::create(&new, new_file::PRIVATE).and_then(|mut f| {
            self.give(&f)?;
            f.write_all(text.as_bytes()).and_then(|()| f.sync_all())
        });
        written.and_then(|()| std::fs::rename(&new, &self.path)).map_err(|e| self.wrong(e))
    }

    /// A file of the tokens is their owner's, also where root makes it: the user of the file before it, or of the folder.
    fn give(&self, file: &File) -> std::io::Result<()> {
        let folder = self.path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let owner = std::fs::symlink_metadata(&self.path).or_else(|_| std::fs::metadata(folder))?;
        let mine = file.metadata()?;
        if (mine.uid(), mine.gid()) == (owner.uid(), owner.gid()) || !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()))
    }

    fn beside(&self, end: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(end);
        name.into()
    }

    fn wrong(&self, why: impl ToString) -> FileError {
        FileError { path: self.path.clone(), why: why.to_string() }
    }
}

fn sum_of(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_token_is_known_until_it_ends_or_is_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        let tokens = Tokens::new(&path);
        assert!(tokens.of("retrotap_00", 0).unwrap_err().contains("not known"));
        let a = tokens.issue("a", Role::Packets, None).unwrap();
        let b = tokens.issue("b", Role::Statistics, Some(1000)).unwrap();
        assert_eq!(tokens.of(&a, 5).unwrap().role, Role::Packets);
        assert_eq!(tokens.of(&b, 999).unwrap().name, "b");
        assert!(tokens.of(&b, 1000).unwrap_err().contains("ended"));
        assert!(tokens.of(a.get(..40).unwrap(), 5).is_err() && tokens.of("", 5).is_err());
        // The secret is nowhere in the file, and the file is nobody else's.
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(a.trim_start_matches(PREFIX)));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        for (name, word) in [("a", "there is a token a"), ("", "no name"), ("a b", "no name")] {
            assert!(tokens.issue(name, Role::Control, None).unwrap_err().to_string().contains(word), "{name}");
        }
        let used = |tokens: &Tokens| tokens.lines().unwrap().into_iter().map(|t| t.used).collect::<Vec<_>>();
        assert_eq!(used(&tokens), [None, None]);
        tokens.save_use();
        assert_eq!(used(&tokens), [Some(0), Some(0)], "to the minute");
        tokens.revoke("a").unwrap();
        assert!(tokens.of(&a, 5).unwrap_err().contains("revoked"));
        assert!(tokens.revoke("a").unwrap_err().to_string().contains("there is b"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(tokens.list().unwrap_err().to_string().contains("chmod 600"));
        assert!(tokens.of(&b, 5).unwrap_err().contains("can't read"));
    }
    /// Of changes at the same time none is lost.
    #[test]
    fn tokens_are_made_and_revoked_at_the_same_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        Tokens::new(&path).issue("first", Role::Packets, None).unwrap();
        std::thread::scope(|scope| {
            for n in 0..8 {
                let path = &path;
                scope.spawn(move || Tokens::new(path).issue(&format!("t{n}"), Role::Statistics, None).unwrap());
            }
            scope.spawn(|| Tokens::new(&path).revoke("first").unwrap());
        });
        let mut names: Vec<String> = Tokens::new(&path).list().unwrap().into_iter().map(|t| t.name).collect();
        names.sort();
        assert_eq!(names, (0..8).map(|n| format!("t{n}")).collect::<Vec<_>>());
    }

    /// Root makes a token for a recorder that is not root: its file is the recorder's.
    #[test]
    fn the_stores_owner_keeps_the_file() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: the_stores_owner_keeps_the_file: it takes root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(dir.path(), Some(4001), Some(4002)).unwrap();
        let path = dir.path().join("tokens");
        let tokens = Tokens::new(&path);
        let owner = || path.metadata().map(|m| (m.uid(), m.gid())).unwrap();
        tokens.issue("a", Role::Packets, None).unwrap();
        assert_eq!(owner(), (4001, 4002));
        std::os::unix::fs::chown(&path, Some(4003), Some(4004)).unwrap();
        tokens.issue("b", Role::Packets, None).unwrap();
        assert_eq!(owner(), (4003, 4004));
    }
}
