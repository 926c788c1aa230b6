//! Holds that follow: what comes is kept too, slice by slice, until their time is over, their limit reached, or they are released. Owns who
//! is given a slice and when; a hold goes on where it stood, whoever stopped. Called by the recorder's thread of holds.

use super::held::{Held, changed_at};
use super::origin::HoldOrigin;
use super::record::moment;
use super::slice::{add, known_until, slice};
use super::sum::{hex, sum_upto};
use super::{Hold, HoldError, Why, at};
use crate::evidence::Noted;
use crate::limits::{HOLDS_FOLLOWING_MAX, STAMP_GRAIN};
use crate::query::{ConnSpec, IncompleteReason, OutputError, PacketSink, Query, QueryError, Summary};
use crate::units;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// What a hold follows, besides its filter, and how far it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Follows {
    /// Also inside tags and tunnels.
    pub any_layer: bool,
    /// One connection.
    pub conn: Option<String>,
    /// The connection with this community ID.
    pub community_id: Option<String>,
    /// Only these classes.
    pub classes: Vec<String>,
    /// Only what came in by these interfaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,
    /// Packets before this time, Unix ns; none: until it is released.
    pub until: Option<u64>,
    /// All packets before this time are in it, Unix ns.
    pub done: u64,
    /// Why it follows no more; none: it does.
    pub ended: Option<String>,
}

/// Answers a query.
pub type Answers<'a> = dyn FnMut(&Query, &mut dyn PacketSink) -> Result<Summary, QueryError> + 'a;

/// What a round has to do with.
pub struct Means<'a> {
    /// All packets before this time, Unix ns, are found.
    pub before: u64,
    /// Finds them.
    pub answers: &'a mut Answers<'a>,
    /// False: the recorder ends, and what takes long is left.
    pub go_on: &'a dyn Fn() -> bool,
}

/// The holds of a store that follow, and what is known of each between its slices.
#[derive(Debug)]
pub struct Following {
    held: Held,
    known: HashMap<String, Known>,
    names: Vec<String>,
    /// Those that are let go by themselves, and when, Unix ns.
    kept: Vec<(u64, String)>,
    /// When the folder had changed last, as of the names.
    stamp: Option<SystemTime>,
}

/// What is known of a hold's file.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Of the first so many bytes of the file.
    pub sum: Sha256,
    pub bytes: u64,
    /// Further than the record says: nothing came meanwhile.
    pub done: u64,
    /// Numbers of segments that its origin has, as far as this process knows.
    pub listed: HashSet<u64>,
}

/// A record is written anew after this time also where nothing came, so that a restart need not look at all of it again.
const WRITTEN_NS: u64 = 30_000_000_000;

impl Held {
    /// Makes a hold that follows: its past at once, up to `before`, and what comes later in rounds, until this time.
    pub fn follow(
        &self,
        query: &Query,
        name: &str,
        why: Why<'_>,
        (before, until): (u64, Option<u64>),
        answers: &mut Answers<'_>,
    ) -> Result<Hold, HoldError> {
        let since = query.last.map(|l| units::now().saturating_sub(l)).or(query.since);
        let done = until.map_or(before, |u| u.min(before)).max(since.unwrap_or(0));
        let past = Query { last: None, since, until: Some(done), ..query.clone() };
        let follows = Follows {
            any_layer: query.any_layer,
            conn: query.conn.as_ref().map(ToString::to_string),
            community_id: query.community.as_ref().map(ToString::to_string),
            classes: query.classes.clone(),
            interfaces: query.interfaces.clone(),
            until,
            done,
            ended: None,
        };
        let (hold, _) = self.make(&past, name, why, Some(follows), &mut |query, out| {
            // A hold of what is to come has no past.
            if query.since >= query.until { Ok(Summary::default()) } else { answers(query, out) }
        })?;
        Ok(hold)
    }

    /// That one more may follow.
    pub(super) fn may_follow(&self) -> Result<(), HoldError> {
        match self.following()?.len() {
            HOLDS_FOLLOWING_MAX.. => Err(HoldError::Following),
            _ => Ok(()),
        }
    }

    /// Names of those that follow.
    pub fn following(&self) -> Result<Vec<String>, HoldError> {
        let mut names = self.names()?;
        // One after another: a record may be long.
        names.retain(|name| self.read(name).is_ok_and(|hold| follows(&hold)));
        Ok(names)
    }
}

fn follows(hold: &Hold) -> bool {
    hold.follow.as_ref().is_some_and(|f| f.ended.is_none())
}

impl Following {
    /// Of this store.
    pub fn new(store: &Path) -> Result<Following, HoldError> {
        Ok(Following {
            held: Held::open(store)?,
            known: HashMap::new(),
            names: Vec::new(),
            kept: Vec::new(),
            stamp: None,
        })
    }

    /// Adds to each hold that follows what has come. What is wrong with one does not hold up the others.
    pub fn round(&mut self, means: &mut Means<'_>) -> Vec<HoldError> {
        match self.following() {
            Ok(names) => self.names = names,
            Err(e) => return vec![e],
        }
        let mut wrong = self.let_go();
        if self.names.is_empty() {
            return wrong;
        }
        self.known.retain(|name, _| self.names.contains(name));
        let limit = self.held.limit();
        let mut room = match self.held.bytes() {
            Ok(held) => limit.saturating_sub(held),
            Err(e) => return vec![e],
        };
        for name in self.names.clone().iter().take_while(|_| (means.go_on)()) {
            match self.step(name, (limit, &mut room), means) {
                Ok(true) => {}
                Ok(false) => self.names.retain(|n| n != name),
                Err(HoldError::Query(QueryError::Stopped(_)) | HoldError::Interrupted) => {}
                // Released while it was given its slice.
                Err(_) if !self.held.dir().join(name).exists() => self.names.retain(|n| n != name),
                Err(e) => wrong.push(e),
            }
        }
        wrong
    }

    /// Keeps where a hold's packets come from; `sums`: and takes those that are missing.
    fn came_from(&self, path: &Path, known: &mut Known, mut noted: Noted, sums: bool) -> Result<(), HoldError> {
        noted.settle();
        let new = noted.segments.keys().any(|n| !known.listed.contains(n));
        let folder = path.parent().unwrap_or(path);
        if !new && !sums {
            return Ok(());
        }
        // One of before there were origins goes on without.
        let Some(mut origin) = HoldOrigin::read(folder)? else { return Ok(()) };
        if origin.add(&mut noted, sums, self.held.store())? {
            origin.write(folder)?;
        }
        known.listed.extend(noted.segments.keys());
        Ok(())
    }

    /// Lets go of those that were to be kept until now.
    fn let_go(&mut self) -> Vec<HoldError> {
        let now = units::now();
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.kept).into_iter().partition(|(at, _)| *at <= now);
        self.kept = later;
        let due: Vec<String> = due.into_iter().map(|(_, name)| name).collect();
        self.names.retain(|n| !due.contains(n));
        let wrong = self.held.let_go_of(&due);
        if !wrong.is_empty() {
            // Looked for again.
            self.stamp = None;
        }
        wrong
    }

    /// The names of those that follow; looked for only when the folder has changed.
    fn following(&mut self) -> Result<Vec<String>, HoldError> {
        let stamp = changed_at(self.held.dir());
        if stamp.is_some() && stamp == self.stamp {
            return Ok(std::mem::take(&mut self.names));
        }
        // What changed just now may change again without its time showing it.
        self.stamp = stamp.filter(|&t| t + STAMP_GRAIN < SystemTime::now());
        let (mut kept, mut names) = (Vec::new(), Vec::new());
        self.held.each(&mut |h| {
            kept.extend(h.kept_until.as_deref().and_then(moment).map(|until| (until, h.name.clone())));
            names.extend(follows(&h).then_some(h.name));
        })?;
        self.kept = kept;
        Ok(names)
    }

    /// One hold's slice; false: it follows no more.
    fn step(&mut self, name: &str, (limit, room): (u64, &mut u64), means: &mut Means<'_>) -> Result<bool, HoldError> {
        // Released meanwhile.
        let Ok((mut hold, path)) = self.held.packets(name) else { return Ok(false) };
        let Some(mut follows) = hold.follow.take().filter(|f| f.ended.is_none()) else { return Ok(false) };
        let right = |known: &&Known| known.bytes == hold.bytes && hex(&known.sum) == hold.sha256;
        let mut known = match self.known.get(name).filter(right) {
            Some(known) => known.clone(),
            None => {
                let summed = sum_upto(&path, hold.bytes, &mut |_| (means.go_on)()).map_err(at(&path))?;
                let (bytes, sum) = summed.ok_or(HoldError::Interrupted)?;
                if bytes != hold.bytes || hex(&sum) != hold.sha256 {
                    let why = "its packets are not those that were held: nothing is added to them".to_owned();
                    return Err(HoldError::Damaged { name: name.to_owned(), why });
                }
                Known { sum, bytes: hold.bytes, done: follows.done, listed: HashSet::new() }
            }
        };
        // Also where the slice is not made: a file is not summed twice.
        self.known.insert(name.to_owned(), known.clone());
        let (written, from) = (follows.done, known.done.max(follows.done));
        let to = follows.until.map_or(means.before, |u| u.min(means.before));
        known.done = from;
        let mut changed = false;
        if to > from {
            let query = query_of(&hold, &follows, from, to)?;
            let (asked, mut noted) = ((&query, &self.held.statement(&query)), Noted::default());
            let own = hold.most_bytes.map_or(u64::MAX, |most| most.saturating_sub(hold.bytes));
            match slice(&path, &known, own.min(*room), asked, &mut noted, means.answers) {
                Ok((summary, bytes, sum)) => {
                    (known.sum, known.done) = (sum, to);
                    changed = bytes > 0 || summary.expired_segments > 0 || summary.incomplete.iter().any(expired);
                    add(&mut hold, &summary, bytes, &known.sum);
                    self.came_from(&path, &mut known, noted, false)?;
                    known.bytes = hold.bytes;
                    *room = room.saturating_sub(bytes);
                }
                Err(HoldError::Query(QueryError::Output(OutputError::Io { source, .. })))
                    if source.kind() == io::ErrorKind::QuotaExceeded =>
                {
                    changed = true;
                    let reached = match hold.most_bytes {
                        Some(most) if own <= *room => {
                            format!("it has reached the {} that it may take", units::size(most))
                        }
                        _ => format!("all holds together have reached their limit of {}", units::size(limit)),
                    };
                    follows.ended = Some(format!("{reached}: what came after {} is not in it", units::time(from)));
                }
                Err(e) => return Err(e),
            }
        }
        if follows.ended.is_none() && follows.until.is_some_and(|u| known.done >= u) {
            changed = true;
            follows.ended = Some("its time is over".into());
        }
        follows.done = known.done;
        let goes_on = follows.ended.is_none();
        if changed || follows.done.saturating_sub(written) >= WRITTEN_NS {
            known_until(&mut hold, &follows, goes_on, means.answers)?;
            if !goes_on || follows.done.saturating_sub(written) >= WRITTEN_NS {
                self.came_from(&path, &mut known, Noted::default(), true)?;
            }
            let ended = follows.ended.clone();
            hold.follow = Some(follows);
            let folder = path.parent().unwrap_or(&path);
            self.held.record(folder, &hold)?;
            if let Some(why) = ended {
                self.held.log("ended", name, &hold.who, &why, hold.bytes, &hold.sha256)?;
            }
        }
        self.known.insert(name.to_owned(), known);
        Ok(goes_on)
    }
}

fn expired(r: &IncompleteReason) -> bool {
    matches!(r, IncompleteReason::Expired { .. })
}

fn query_of(hold: &Hold, f: &Follows, from: u64, to: u64) -> Result<Query, HoldError> {
    let damaged = |why: String| HoldError::Damaged { name: hold.name.clone(), why };
    let conn = f.conn.as_deref().map(str::parse::<ConnSpec>).transpose().map_err(|e| damaged(e.to_string()))?;
    let community = f.community_id.as_deref().map(str::parse).transpose();
    Ok(Query {
        filter: hold.filter.clone(),
        any_layer: f.any_layer,
        conn,
        community: community.map_err(|e: crate::query::CommunityIdError| damaged(e.to_string()))?,
        classes: f.classes.clone(),
        interfaces: f.interfaces.clone(),
        since: Some(from),
        until: Some(to),
        ..Query::default()
    })
}
