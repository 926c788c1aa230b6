//! A folder for what a target has to have in files. Made once a thread, in TMPDIR; each input writes its files over those of the one before.

use std::path::PathBuf;
use tempfile::TempDir;

thread_local! {
    static FOLDER: TempDir = tempfile::Builder::new().prefix("retrotap-fuzz").tempdir().expect("a folder");
}

/// The folder.
pub fn folder() -> PathBuf {
    FOLDER.with(|f| f.path().to_owned())
}

/// A file of this name, with these bytes and no others.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    // Anew: an older one may be mapped still.
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, bytes).expect("a file");
    path
}

/// An empty folder of this name.
pub fn empty(name: &str) -> PathBuf {
    let path = folder().join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a folder");
    path
}
