//! A file that a command makes: packets of an answer, of a hold, what is known of them. Owns how it comes to be: beside its place, readable for nobody but
//! its owner from the start, and moved there when it is whole. It replaces nothing unless told to, and follows no link.

use super::Failure;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file on its way. What is not kept is gone when this is dropped.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    part: PathBuf,
    file: File,
    replace: bool,
    kept: bool,
}

/// Whether packets can only be written to it as it is: a pipe, a device.
pub fn is_no_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| !m.is_file())
}

fn exists(path: &Path) -> Failure {
    Failure::cannot(format_args!("{} is there already: name another file, or replace it (--force)", path.display()))
}

fn cannot(path: &Path, e: impl std::fmt::Display) -> Failure {
    Failure::cannot(format_args!("cannot write {}: {e}", path.display()))
}

impl NewFile {
    /// Begins one that will have this name; `replace`: also where there is a file of that name.
    pub fn create(path: &Path, replace: bool) -> Result<NewFile, Failure> {
        if !replace && path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
        let beside = |end: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        // Where another command writes the same file, or one was killed on the way, the second name is free.
        let names = [beside(".part"), beside(&format!(".{}.part", std::process::id()))];
        let mut last = None;
        for part in names {
            let new = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&part);
            match new {
                Ok(file) => return Ok(NewFile { path: path.to_owned(), part, file, replace, kept: false }),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => last = Some(e),
                Err(e) => return Err(cannot(path, e)),
            }
        }
        Err(cannot(path, last.map_or_else(String::new, |e| e.to_string())))
    }

    /// Where it is until it is whole.
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// What is written to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// It is whole: brings it to the disk and gives it its name.
    pub fn keep(mut self) -> Result<(), Failure> {
        self.file.sync_all().map_err(|e| cannot(&self.path, e))?;
        self.name().map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists if !self.replace => exists(&self.path),
            _ => cannot(&self.path, e),
        })?;
        self.kept = true;
        Ok(())
    }

    fn name(&self) -> std::io::Result<()> {
        if self.replace {
            return std::fs::rename(&self.part, &self.path);
        }
        match renameat_with(CWD, &self.part, CWD, &self.path, RenameFlags::NOREPLACE) {
            // A file system that can't: a second name, which is never that of another file, then without the first.
            Err(Errno::INVAL | Errno::NOSYS) => {
                std::fs::hard_link(&self.part, &self.path)?;
                std::fs::remove_file(&self.part)
            }
            done => Ok(done?),
        }
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_its_owners_replaces_nothing_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let (path, victim) = (dir.path().join("a"), dir.path().join("victim"));
        std::fs::write(&victim, "kept").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join("a.part")).unwrap();
        let new = NewFile::create(&path, false).unwrap();
        assert_eq!(new.file().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        new.file().write_all(b"one").unwrap();
        new.keep().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
        // One that comes while another is on its way.
        assert!(NewFile::create(&path, false).unwrap_err().to_string().contains("--force"));
        std::fs::remove_file(&path).unwrap();
        let late = NewFile::create(&path, false).unwrap();
        std::fs::write(&path, "theirs").unwrap();
        assert!(late.keep().unwrap_err().to_string().contains("--force"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "theirs");
        NewFile::create(&path, true).unwrap().keep().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3, "what was not kept is gone");
    }
}
