//! What is kept of where a hold's packets come from: the question as it was asked, store and segments, in origin.json beside hold.json; and the manifest
//! that is made of both. Written when a hold is made, and when one that follows gets packets of another segment. Holds of
//! before have none, and their manifest says so.

use super::held::{Held, PACKETS};
use super::record::moment;
use super::{Hold, HoldError, at};
use crate::evidence::{FileSum, HoldNote, Manifest, Noted, Origin, PacketFormat, Question, Who, stamp};
use crate::new_file;
use crate::query::Summary;
use crate::units;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

const ORIGIN: &str = "origin.json";

/// What was asked, and what it came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct HoldOrigin {
    pub question: Question,
    pub origin: Origin,
}

impl HoldOrigin {
    /// Of the hold in this folder; `None`: it was made before there was one.
    pub fn read(folder: &Path) -> Result<Option<HoldOrigin>, HoldError> {
        let path = folder.join(ORIGIN);
        let text = match fs::read(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.map_err(at(&path))?,
        };
        let broken = |e: serde_json::Error| HoldError::Damaged {
            name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            why: format!("{ORIGIN}: {e}"),
        };
        serde_json::from_slice(&text).map(Some).map_err(broken)
    }

    /// Writes it.
    pub fn write(&self, folder: &Path) -> Result<(), HoldError> {
        let (path, new) = (folder.join(ORIGIN), folder.join("origin.json.new"));
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        new_file::write(&new, new_file::SHARED, text).and_then(|()| File::open(&new)?.sync_all()).map_err(at(&new))?;
        fs::rename(&new, &path).map_err(at(&path))
    }

    /// Adds what a slice came from, and takes sums of segments that are sealed by now, where `sums` says so. False: nothing is new.
    pub fn add(&mut self, noted: &mut Noted, sums: bool, store: &Path) -> Result<bool, HoldError> {
        let before = (self.origin.segments.list.len(), self.origin.segments.left_out);
        self.origin.segments.add(noted, false);
        let mut changed = before != (self.origin.segments.list.len(), self.origin.segments.left_out);
        if sums && self.origin.segments.lacks_sums() {
            self.origin.segments.sum(store, true, &|| true)?;
            changed = true;
        }
        Ok(changed)
    }
}

impl Held {
    /// The manifest of a hold, made now for somebody: of its packets as they are now.
    pub fn manifest(&self, name: &str, asked_by: Who) -> Result<Manifest, HoldError> {
        let (hold, path) = self.packets(name)?;
        let kept = HoldOrigin::read(path.parent().unwrap_or(&path))?;
        let HoldOrigin { question, origin } = match kept {
            Some(kept) => kept,
            None => HoldOrigin { question: question_of(&hold), origin: Origin::new(self.store(), None)? },
        };
        let file = FileSum {
            name: Some(PACKETS.to_owned()),
            format: PacketFormat::Pcapng,
            bytes: hold.bytes,
            sha256: hold.sha256.clone(),
        };
        let summary: Summary = serde_json::from_value(hold.summary.clone()).unwrap_or_default();
        let time = |text: &Option<String>| text.as_deref().and_then(moment).map(stamp);
        let note = HoldNote {
            name: hold.name.clone(),
            reason: hold.reason.clone(),
            made_by: hold.who.clone(),
            made: moment(&hold.made).map_or_else(|| hold.made.clone(), stamp),
            about: hold.about.clone(),
        };
        let (since, until) = (time(&hold.since), time(&hold.until));
        let manifest = Manifest::new(question, origin, &summary, file, units::now());
        Ok(Manifest { asked_by, since, until, hold: Some(note), summary: hold.summary, ..manifest })
    }
}

/// As far as a hold without an origin tells it.
fn question_of(hold: &Hold) -> Question {
    Question {
        filter: hold.filter.clone(),
        since: hold.since.clone(),
        until: hold.until.clone(),
        follow: hold.follow.is_some(),
        ..Question::default()
    }
}
