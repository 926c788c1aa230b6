//! A slice of a hold that follows: a section of packets.pcapng that is on the disk before hold.json says so. What is behind that is cut off
//! when the hold goes on. Called by [`follow`](super::follow).

use super::follow::{Answers, Follows, Known};
use super::record::moment;
use super::sum::{Bounded, ended, hex};
use super::{Hold, HoldError, at};
use crate::evidence::{Noted, Noting};
use crate::query::output::{Format, Nothing, Writer};
use crate::query::{IncompleteReason as Reason, Query, QueryError, Statement, Summary};
use sha2::Sha256;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;

/// A section with what the query finds, behind what is known; nothing where it finds nothing. Bytes, and the sum of all.
pub fn slice(
    path: &Path,
    known: &Known,
    room: u64,
    (query, statement): (&Query, &Statement),
    noted: &mut Noted,
    answers: &mut Answers<'_>,
) -> Result<(Summary, u64, Sha256), HoldError> {
    let mut file = File::options().read(true).write(true).open(path).map_err(at(path))?;
    // What an interrupted one left behind.
    file.set_len(known.bytes).map_err(at(path))?;
    file.seek(SeekFrom::Start(known.bytes)).map_err(at(path))?;
    let done = (|| {
        let mut writer = Writer::new(Bounded::new(&file, room), &path.to_string_lossy(), Format::Pcapng);
        let summary = answers(query, &mut Noting::new(&mut writer, noted))?;
        if summary.packets == 0 {
            return Ok((summary, 0, known.sum.clone()));
        }
        writer.finish(&statement.text(&summary)).map_err(QueryError::Output)?;
        let (bytes, sum) = ended(&file, known.bytes, known.sum.clone()).map_err(at(path))?;
        Ok((summary, bytes, sum))
    })();
    if !matches!(&done, Ok((_, 1.., _))) {
        file.set_len(known.bytes).map_err(at(path))?;
    }
    done
}

/// Takes a slice into the record. Connections and what was cut of them are not summed: the same one is in many slices.
pub fn add(hold: &mut Hold, s: &Summary, bytes: u64, sum: &Sha256) {
    let mut all: Summary = serde_json::from_value(hold.summary.clone()).unwrap_or_default();
    all.packets += s.packets;
    all.bytes += s.bytes;
    all.first = [all.first, s.first].into_iter().flatten().min();
    all.last = all.last.max(s.last);
    s.incomplete.iter().filter(|r| matches!(r, Reason::Expired { .. })).for_each(|r| expired(&mut all, r));
    all.expired_segments += s.expired_segments;
    all.damaged_segments += s.damaged_segments;
    all.damaged_blocks += s.damaged_blocks;
    all.damaged_packets += s.damaged_packets;
    hold.packets += s.packets;
    hold.wire_bytes += s.bytes;
    hold.bytes += bytes;
    hold.sha256 = hex(sum);
    hold.summary = serde_json::to_value(all.concluded()).unwrap_or_default();
}

/// Takes in what of a slice's time has expired: of each class one reason, from its first time to its last.
fn expired(all: &mut Summary, more: &Reason) {
    let Reason::Expired { class, from, to } = more else { return };
    for known in &mut all.incomplete {
        if let Reason::Expired { class: c, from: f, to: t } = known
            && c == class
        {
            (*f, *t) = ((*f).min(*from), (*t).max(*to));
            return;
        }
    }
    all.incomplete.push(more.clone());
}

/// What the ledger has of the whole time of the hold by now: entries come later than packets, and one may be of two slices.
pub fn known_until(
    hold: &mut Hold,
    follows: &Follows,
    goes_on: bool,
    answers: &mut Answers<'_>,
) -> Result<(), HoldError> {
    let done = follows.done;
    let mut all: Summary = serde_json::from_value(hold.summary.clone()).unwrap_or_default();
    let since = hold.since.as_deref().and_then(moment).or(all.first).unwrap_or(done);
    if since >= done {
        return Ok(());
    }
    let window = Query {
        memory_only: true,
        limit: Some(0),
        classes: follows.classes.clone(),
        since: Some(since),
        until: Some(done),
        ..Query::default()
    };
    let now = answers(&window, &mut Nothing)?;
    // What ends now may be recorded, without a sign of it in the ledger yet.
    let goes_on = |r: &Reason| goes_on && matches!(r, Reason::NotRecorded { to, .. } if *to >= done);
    all.incomplete.retain(|r| !r.of_ledger());
    all.incomplete.extend(now.incomplete.into_iter().filter(|r| r.of_ledger() && !goes_on(r)));
    all.incomplete_more = now.incomplete_more;
    hold.summary = serde_json::to_value(all.concluded()).unwrap_or_default();
    Ok(())
}
