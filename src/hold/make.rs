//! How a hold is made: its packets and its record in a hidden folder that is then renamed, so that it is there whole or not at all. Called by
//! the CLI, the API and [`follow`](super::follow).

use super::follow::{Answers, Follows};
use super::held::{GONE, Held, NEW, PACKETS, valid};
use super::origin::HoldOrigin;
use super::record::time;
use super::sum::{Bounded, ended, hex};
use super::{Hold, HoldError, HoldTerms, Why, at};
use crate::evidence::{Noted, Noting, Origin, Question};
use crate::query::output::{Format, Writer};
use crate::query::{OutputError, Query, QueryError, Summary, run};
use crate::units;
use sha2::Sha256;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

impl Held {
    /// Holds what `query` finds.
    pub fn hold(&self, query: &Query, name: &str, why: Why<'_>) -> Result<(Hold, Summary), HoldError> {
        self.hold_by(query, name, why, &mut |query, out| run(query, out))
    }

    /// The same; `answers` finds the packets.
    pub fn hold_by(
        &self,
        query: &Query,
        name: &str,
        why: Why<'_>,
        answers: &mut Answers<'_>,
    ) -> Result<(Hold, Summary), HoldError> {
        self.make(query, name, why, None, answers)
    }

    /// Makes a hold of what the query finds; `follow`: and of what comes later.
    pub(super) fn make(
        &self,
        query: &Query,
        name: &str,
        why: Why<'_>,
        follow: Option<Follows>,
        answers: &mut Answers<'_>,
    ) -> Result<(Hold, Summary), HoldError> {
        // Not locked while packets are read, which may take long: others are made and released meanwhile, and those that follow go on.
        let (room, making) = {
            let _lock = self.lock()?;
            (self.room_for(name, why.terms)?, self.begin(name)?)
        };
        if follow.is_some() {
            self.may_follow()?;
        }
        let folder = making.folder();
        let mut noted = Noted::default();
        let read = self.packets_of(folder, query, room.bytes(), follow.is_some(), &mut noted, answers);
        let (sums, summary) = read.map_err(|e| match e {
            HoldError::Query(QueryError::Output(OutputError::Io { source, .. }))
                if source.kind() == io::ErrorKind::QuotaExceeded =>
            {
                room.used_up()
            }
            e => e,
        })?;
        let question = match &follow {
            // What it follows goes on; the query is of its past.
            Some(f) => Query { until: f.until, ..query.clone() },
            None => query.clone(),
        };
        let question = Question::of(&question, follow.is_some());
        let origin = match follow.is_some() {
            true => Origin::new(self.store(), None)?,
            false => Origin::of(self.store(), &mut noted, None, &|| true)?,
        };
        let mut kept = HoldOrigin { question, origin };
        kept.add(&mut noted, true, self.store())?;
        kept.write(folder)?;
        let kind = if follow.is_some() { "follow" } else { "hold" };
        let follows = follow.is_some();
        let hold = entered(query, name, why, follow, &summary, sums);
        self.record(folder, &hold)?;
        let _lock = self.lock()?;
        // Others may have got their places since.
        if hold.bytes > self.room_for(name, why.terms)?.bytes() {
            return Err(self.room_for(name, why.terms)?.used_up());
        }
        if follows {
            self.may_follow()?;
        }
        making.keep(&self.dir().join(name))?;
        self.log(kind, name, why.who, why.reason, hold.bytes, &hold.sha256)?;
        Ok((hold, summary))
    }

    /// That the name is free; what there is room for.
    fn room_for(&self, name: &str, terms: HoldTerms) -> Result<Room, HoldError> {
        if !valid(name) {
            return Err(HoldError::Name(name.to_owned()));
        }
        if self.dir().join(name).exists() {
            return Err(HoldError::Exists(name.to_owned()));
        }
        let shared = match terms.share {
            Some(share) => Some((self.bytes_let_go()?, share)),
            None => None,
        };
        Ok(Room { held: self.bytes()?, limit: self.limit(), most: terms.most, shared })
    }

    /// Writes what the query finds; length and sum.
    fn packets_of(
        &self,
        folder: &Path,
        query: &Query,
        room: u64,
        may_be_empty: bool,
        noted: &mut Noted,
        answers: &mut Answers<'_>,
    ) -> Result<((u64, String), Summary), HoldError> {
        let path = folder.join(PACKETS);
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o640).open(&path).map_err(at(&path))?;
        let mut writer = Writer::new(Bounded::new(&file, room), &path.to_string_lossy(), Format::Pcapng);
        let summary = answers(query, &mut Noting::new(&mut writer, noted))?;
        // Nothing is brought to the disk for it: who looks for a connection asks again and again.
        if summary.packets == 0 && !may_be_empty {
            return Err(HoldError::Empty);
        }
        writer.finish(&self.statement(query).text(&summary)).map_err(QueryError::Output)?;
        let (bytes, sum) = ended(&file, 0, Sha256::default()).map_err(at(&path))?;
        Ok(((bytes, hex(&sum)), summary))
    }

    /// Begins a hold of this name, with the lock held.
    fn begin(&self, name: &str) -> Result<Making, HoldError> {
        self.sweep()?;
        let folder = self.dir().join(format!("{NEW}{name}"));
        match DirBuilder::new().mode(0o750).create(&folder) {
            // Somebody makes one of that name.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(HoldError::Exists(name.to_owned())),
            other => other.map_err(at(&folder))?,
        }
        let lock = File::open(&folder).and_then(|f| f.lock().map(|()| f)).map_err(at(&folder))?;
        Ok(Making { folder, lock, kept: false })
    }

    /// Takes away what interrupted ones left, with the lock held: nobody has locked it.
    pub(super) fn sweep(&self) -> Result<(), HoldError> {
        for entry in fs::read_dir(self.dir()).map_err(at(self.dir()))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let left = name.starts_with(".new") || name.starts_with(GONE);
            if left && File::open(entry.path()).is_ok_and(|f| f.try_lock().is_ok()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Ok(())
    }
}

/// A hold on its way: a hidden folder, which goes unless it is kept.
struct Making {
    folder: PathBuf,
    /// As long as this is open the folder is somebody's.
    lock: File,
    kept: bool,
}

impl Making {
    fn folder(&self) -> &Path {
        &self.folder
    }

    /// It is whole, and has its name from now on.
    fn keep(mut self, place: &Path) -> Result<(), HoldError> {
        fs::rename(&self.folder, place).map_err(at(place))?;
        self.kept = true;
        let dir = place.parent().unwrap_or(place);
        File::open(dir).and_then(|d| d.sync_all()).map_err(at(dir))
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_dir_all(&self.folder);
        }
        let _ = self.lock.unlock();
    }
}

/// What there is room for.
struct Room {
    held: u64,
    limit: u64,
    most: Option<u64>,
    /// What others take that are let go by themselves, and what all of them may take.
    shared: Option<(u64, u64)>,
}

impl Room {
    fn left(&self) -> (u64, u64, u64) {
        let shared = self.shared.map_or(u64::MAX, |(held, share)| share.saturating_sub(held));
        (self.limit.saturating_sub(self.held), self.most.unwrap_or(u64::MAX), shared)
    }

    fn bytes(&self) -> u64 {
        let (all, most, shared) = self.left();
        all.min(most).min(shared)
    }

    /// Why there is no more.
    fn used_up(&self) -> HoldError {
        let (all, most, shared) = self.left();
        match self.shared {
            _ if all <= most && all <= shared => HoldError::Full { held: self.held, limit: self.limit },
            Some((held, share)) if shared < most => HoldError::Share { held, share },
            _ => HoldError::TooLarge { most },
        }
    }
}

/// What is to be known of a hold.
fn entered(
    query: &Query,
    name: &str,
    why: Why<'_>,
    follow: Option<Follows>,
    summary: &Summary,
    (bytes, sha256): (u64, String),
) -> Hold {
    let until = follow.as_ref().map_or(summary.until, |f| f.until);
    Hold {
        version: 2,
        name: name.to_owned(),
        reason: why.reason.to_owned(),
        who: why.who.clone(),
        made: time(units::now()),
        filter: query.filter.clone(),
        since: query.since.or(summary.since).map(time),
        until: until.map(time),
        packets: summary.packets,
        wire_bytes: summary.bytes,
        bytes,
        sha256,
        summary: serde_json::to_value(summary).unwrap_or_default(),
        kept_until: why.terms.until.map(time),
        most_bytes: why.terms.most,
        about: why.about.cloned(),
        follow,
    }
}
