//! How a hold is made: its packets and its record in a hidden folder that is then renamed, so that it is there whole or not at all. Called by
//! the CLI, the API and [`follow`](super::follow).

use super::follow::{Answers, Follows};
use super::held::{Held, PACKETS, valid};
use super::origin::HoldOrigin;
use super::record::time;
use super::sum::{Bounded, ended, hex};
use super::{Hold, HoldError, Why, at};
use crate::evidence::{Noted, Noting, Origin, Question};
use crate::query::output::{Format, Writer};
use crate::query::{OutputError, Query, QueryError, Summary, run};
use crate::units;
use sha2::Sha256;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

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
        let _lock = self.lock()?;
        let (limit, held) = self.room_for(name)?;
        let kind = if follow.is_some() { "follow" } else { "hold" };
        let done = self.place(name, |folder| {
            if follow.is_some() {
                self.may_follow()?;
            }
            let mut noted = Noted::default();
            let (sums, summary) = self.packets_of(folder, query, limit.saturating_sub(held), &mut noted, answers)?;
            if summary.packets == 0 && follow.is_none() {
                return Err(HoldError::Empty);
            }
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
            let hold = entered(query, name, why, follow, &summary, sums);
            self.record(folder, &hold)?;
            Ok((hold, summary))
        });
        let done = done.and_then(|(hold, summary)| {
            self.log(kind, name, why.who, why.reason, hold.bytes, &hold.sha256)?;
            Ok((hold, summary))
        });
        done.map_err(|e| match e {
            HoldError::Query(QueryError::Output(OutputError::Io { source, .. }))
                if source.kind() == io::ErrorKind::QuotaExceeded =>
            {
                HoldError::Full { held, limit }
            }
            e => e,
        })
    }

    /// That the name is free; the limit, and what is held of it.
    fn room_for(&self, name: &str) -> Result<(u64, u64), HoldError> {
        if !valid(name) {
            return Err(HoldError::Name(name.to_owned()));
        }
        if self.dir().join(name).exists() {
            return Err(HoldError::Exists(name.to_owned()));
        }
        Ok((self.limit(), self.bytes()?))
    }

    /// Writes what the query finds; length and sum.
    fn packets_of(
        &self,
        folder: &Path,
        query: &Query,
        room: u64,
        noted: &mut Noted,
        answers: &mut Answers<'_>,
    ) -> Result<((u64, String), Summary), HoldError> {
        let path = folder.join(PACKETS);
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o640).open(&path).map_err(at(&path))?;
        let mut writer = Writer::new(Bounded::new(&file, room), &path.to_string_lossy(), Format::Pcapng);
        let summary = answers(query, &mut Noting::new(&mut writer, noted))?;
        writer.finish(&self.statement(query).text(&summary)).map_err(QueryError::Output)?;
        let (bytes, sum) = ended(&file, 0, Sha256::default()).map_err(at(&path))?;
        Ok(((bytes, hex(&sum)), summary))
    }

    /// Makes the folder of a hold: whole, or not at all.
    fn place<T>(&self, name: &str, fill: impl FnOnce(&Path) -> Result<T, HoldError>) -> Result<T, HoldError> {
        let new = self.dir().join(".new");
        // What an interrupted one left.
        if new.exists() {
            fs::remove_dir_all(&new).map_err(at(&new))?;
        }
        fs::create_dir(&new).map_err(at(&new))?;
        let done = fill(&new).and_then(|made| {
            let place = self.dir().join(name);
            fs::rename(&new, &place).map_err(at(&place))?;
            File::open(self.dir()).and_then(|d| d.sync_all()).map_err(at(self.dir()))?;
            Ok(made)
        });
        if done.is_err() {
            let _ = fs::remove_dir_all(&new);
        }
        done
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
        about: why.about.cloned(),
        follow,
    }
}
