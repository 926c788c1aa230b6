//! The folder where packets wait for a Suricata: `retrotap-packets` in its output folder, which is another user's, who parses what attackers send.
//! Owns the folder by its descriptor: no link that somebody puts in its place is followed, and nothing is made, replaced or removed but files of
//! the names that [`Keeper`](super::keeper) gives. Called by the keeper.

use super::suricata::Feed;
use rustix::fs::{
    AtFlags, CWD, Dir, Gid, Mode, OFlags, ResolveFlags, fchmod, fchown, fstat, mkdirat, openat, openat2, unlinkat,
};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Its name.
pub const SPOOL: &str = "retrotap-packets";
/// What the names of its files begin with, and end with.
const NAMES: (&str, &str) = ("nids-", ".pcapng");
/// Its owner and Suricata, which takes files away, by the group of the output folder.
const SHARED: Mode = Mode::from_raw_mode(0o2770);

/// The folder.
#[derive(Debug)]
pub struct Spool {
    dir: OwnedFd,
    path: PathBuf,
}

impl Spool {
    /// Makes it where it is not there, and empties it of what a Suricata that has gone did not read.
    pub fn open(feed: &Feed) -> io::Result<Spool> {
        let folder = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let output = openat(CWD, &feed.output, folder | OFlags::RDONLY, Mode::empty())?;
        let made = match mkdirat(&output, SPOOL, SHARED) {
            Err(Errno::EXIST) => false,
            other => other.map(|()| true)?,
        };
        let dir = beneath(&output, SPOOL, folder | OFlags::RDONLY, Mode::empty())?;
        if made {
            // Where that may not be, both are the same user or nobody minds.
            let group = Gid::from_raw(fstat(&output)?.st_gid);
            let _ = fchown(&dir, None, Some(group)).and_then(|()| fchmod(&dir, SHARED));
        }
        let spool = Spool { dir, path: feed.spool() };
        for entry in Dir::read_from(&spool.dir)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if own(&name) {
                spool.remove(&name)?;
            }
        }
        Ok(spool)
    }

    /// A new file, which nobody else has a name for yet.
    pub fn create(&self, hold: &str) -> io::Result<(String, File)> {
        let name = format!("{hold}{}", NAMES.1);
        if !own(&name) {
            return Err(io::Error::other(format!("{name} is no name of ours")));
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.dir, &name, flags, Mode::from_raw_mode(0o640))?;
        Ok((name, file.into()))
    }

    /// Where a file of it is, for Suricata.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Takes a file away; a link is taken away itself.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.dir, name, AtFlags::empty())?)
    }
}

fn own(name: &str) -> bool {
    name.starts_with(NAMES.0) && name.ends_with(NAMES.1) && !name.contains('/')
}

/// Opens what is in a folder, and nothing that a link leads to.
fn beneath(dir: &OwnedFd, name: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let no_links = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(dir, name, flags, mode, no_links) {
        // A filter of system calls that does not know it: one name, which may be no link, is the same.
        Err(Errno::NOSYS | Errno::PERM) => Ok(openat(dir, name, flags | OFlags::NOFOLLOW, mode)?),
        other => Ok(other?),
    }
}

/// Where the spool of an output folder is, for people and for the NIDS.
pub fn path_in(output: &Path) -> PathBuf {
    output.canonicalize().unwrap_or_else(|_| output.to_owned()).join(SPOOL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn feed(output: &Path) -> Feed {
        Feed { socket: "/nowhere.sock".into(), output: output.to_owned() }
    }

    #[test]
    fn only_what_is_its_own_goes() {
        let dir = tempfile::tempdir().unwrap();
        let spool = dir.path().join(SPOOL);
        std::fs::create_dir(&spool).unwrap();
        let victim = dir.path().join("segment.pcapng");
        std::fs::write(&victim, "packets").unwrap();
        for name in ["nids-1.pcapng", "other.pcapng", "nids-1.txt"] {
            std::fs::write(spool.join(name), "x").unwrap();
        }
        symlink(&victim, spool.join("nids-2.pcapng")).unwrap();
        let open = Spool::open(&feed(dir.path())).unwrap();
        let mut left: Vec<_> = std::fs::read_dir(&spool).unwrap().map(|f| f.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["nids-1.txt", "other.pcapng"]);
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "packets");
        // What somebody puts where a file will be is not written to.
        symlink(&victim, spool.join("nids-3.pcapng")).unwrap();
        assert!(open.create("nids-3").is_err() && open.create("../nids-3").is_err() && open.create("a").is_err());
        let (name, file) = open.create("nids-4").unwrap();
        drop(file);
        assert!(open.path(&name).exists());
        open.remove(&name).unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "packets");
    }

    /// The folder itself may be a link to where segments are.
    #[test]
    fn a_link_in_its_place_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("all");
        std::fs::create_dir(&store).unwrap();
        std::fs::write(store.join("nids-1.pcapng"), "packets").unwrap();
        let output = dir.path().join("suricata");
        std::fs::create_dir(&output).unwrap();
        symlink(&store, output.join(SPOOL)).unwrap();
        assert!(Spool::open(&feed(&output)).is_err());
        assert!(store.join("nids-1.pcapng").exists());
        // Nor is a folder followed that was one when it was opened.
        std::fs::remove_file(output.join(SPOOL)).unwrap();
        let open = Spool::open(&feed(&output)).unwrap();
        std::fs::remove_dir(output.join(SPOOL)).unwrap();
        symlink(&store, output.join(SPOOL)).unwrap();
        assert!(open.create("nids-5").is_err(), "its folder is gone");
        assert!(!store.join("nids-5.pcapng").exists());
    }
}
