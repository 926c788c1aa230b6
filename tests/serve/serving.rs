//! `retrotap serve` under way, and what a test looks at beside it.

use crate::common::{Retrotap, processes};
use crate::rig::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Instant;

/// Killed when dropped.
pub struct Serving {
    child: RefCell<Child>,
    log: PathBuf,
}

/// Waits for something.
pub fn until<T>(what: &str, mut there: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(t) = there() {
            return t;
        }
        assert!(start.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

impl Serving {
    /// Answers about these stores, each at its usual place unless the options say otherwise.
    pub fn start(r: &Retrotap, stores: &[&Path], options: &[&str]) -> Serving {
        let serving = Serving::spawn(r, stores, options, None);
        until("its word for each store", || {
            assert_eq!(serving.state(), None, "it has ended: {}", serving.log());
            (serving.log().matches("nobody records; answers at").count() == stores.len()).then_some(())
        });
        serving
    }

    /// The same as a user who may read the store and no more; `None`: there is no such user to be had here.
    pub fn try_as_reader(r: &Retrotap, store: &Path, options: &[&str]) -> Option<Serving> {
        let root = rustix::process::geteuid().is_root();
        let nobody = root.then_some(65_534);
        if let Some(uid) = nobody {
            let runs = r.command(&["--version"]).stdout(Stdio::null()).uid(uid).gid(uid).status();
            if !runs.is_ok_and(|s| s.success()) {
                eprintln!("skipped: another user can't run {}", env!("CARGO_BIN_EXE_retrotap"));
                return None;
            }
        }
        Some(Serving::spawn(r, &[store], options, nobody))
    }

    fn spawn(r: &Retrotap, stores: &[&Path], options: &[&str], uid: Option<u32>) -> Serving {
        let log = r.dir().join(format!("serve-{}.log", number()));
        let to = std::fs::File::create(&log).expect("a file");
        let mut command = r.command(&["serve"]);
        command.args(stores).args(options).stdout(Stdio::null()).stderr(to);
        if let Some(uid) = uid {
            command.uid(uid).gid(uid);
        }
        Serving { child: command.spawn().expect("it starts").into(), log }
    }

    /// Its usual socket of a store.
    pub fn socket(&self, store: &Path) -> PathBuf {
        store.join("api.sock")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child.borrow()), signal).expect("a signal");
    }

    fn state(&self) -> Option<std::process::ExitStatus> {
        self.child.borrow_mut().try_wait().expect("its state")
    }

    /// Its exit code, once it has ended by itself.
    pub fn ended(&self) -> Option<i32> {
        until("its end", || self.state()).code()
    }

    /// It is asked to end, and does.
    pub fn ends_in_order(self) {
        self.signal(Signal::INT);
        assert_eq!(self.ended(), Some(0), "{}", self.log());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let child = self.child.get_mut();
        if let Ok(None) = child.try_wait() {
            processes::kill(child);
        }
    }
}

/// Another number each time.
fn number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Relaxed)
}

/// Segments and indexes of a store with their bytes: what nobody may change.
pub fn files(store: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for dir in ["all", "open", "ledger", "receipts"] {
        for entry in std::fs::read_dir(store.join(dir)).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                all.insert(path.clone(), std::fs::read(path).expect("a file"));
            }
        }
    }
    assert!(!all.is_empty());
    all
}

/// Everybody may read it, nobody but root write to it.
pub fn for_readers(store: &Path) {
    let mut folders = vec![store.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let kind = path.symlink_metadata().expect("it").file_type();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o444)).expect("rights");
            } else {
                // The socket of the recorder that was killed.
                std::fs::remove_file(path).expect("it goes");
            }
        }
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o555)).expect("rights");
    }
}

/// What the metrics page says.
pub fn scrape(socket: &Path) -> String {
    let mut stream = until("the page", || UnixStream::connect(socket).ok());
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("a page");
    text
}
