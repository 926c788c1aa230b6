//! Connections while they are gathered: what each part of the store has under a name, then the receipts, which tell connections of one name
//! apart; what no receipt tells of is a connection that runs, or one whose receipt is gone. Owns how they are put together; called by the list of
//! connections. Packets are read only for those of a name of which some are told of and some are not.

use super::connections::{Asked, Connection, refused};
use super::extent::Extent;
use super::lives::{ByName, Span};
use super::pace::Stopped;
use super::part::Question;
use super::room::{AnswerRoom, RoomFull, Share};
use super::view::View;
use super::{QueryError, Summary, select};
use crate::conn::receipt::{End, Receipt};
use crate::conn::verdict::Mark;
use crate::index::community::IcmpKind;
use crate::index::conns::Conn;
use crate::packet::key::{Key, Kind};
use crate::store::reader::SegmentReader;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What one part of the store has under a name.
#[derive(Clone, Copy, Debug)]
struct Piece {
    times: Span,
    packets: u64,
    bytes: u64,
    cut: bool,
    icmp: Option<IcmpKind>,
    /// Number of its class.
    class: u16,
    /// Number of the part.
    extent: u32,
    /// Its name is the one that the recorder gave it.
    told: bool,
}

/// A row of the list.
struct Row {
    it: Connection,
    /// Its receipt, or one of its packets, is of a class that is asked for.
    wanted: bool,
}

/// Connections as they are gathered.
pub struct Gathered<'a> {
    asked: &'a Asked<'a>,
    q: &'a Question<'a>,
    pieces: Vec<(Key, Piece)>,
    classes: Vec<Arc<str>>,
    /// From the earliest to the latest packet of all pieces, and the window.
    pub(super) reach: Span,
    receipts: ByName,
    /// Names of classes by their ids in receipts.
    pub(super) receipt_classes: Vec<Arc<str>>,
    rows: Vec<Row>,
    /// What is gathered takes no more memory than this has.
    share: Share,
    full: Option<RoomFull>,
    /// Memory of pieces that are being put together.
    taken_out: u64,
    /// Connections that last.
    lasting: usize,
    untagged: bool,
}

impl<'a> Gathered<'a> {
    /// None yet.
    pub fn new(asked: &'a Asked<'a>, q: &'a Question<'a>, room: &Arc<AnswerRoom>) -> Gathered<'a> {
        let reach = Span { first: q.from, last: q.to };
        let (pieces, receipts, share) = (Vec::new(), ByName::default(), room.share());
        let (classes, receipt_classes, rows) = (Vec::new(), Vec::new(), Vec::new());
        Gathered {
            asked,
            q,
            pieces,
            classes,
            reach,
            receipts,
            receipt_classes,
            rows,
            share,
            full: None,
            taken_out: 0,
            lasting: 0,
            untagged: false,
        }
    }

    /// Which connections are asked for.
    pub(super) fn asked(&self) -> &'a Asked<'a> {
        self.asked
    }

    /// The question.
    pub(super) fn question(&self) -> &'a Question<'a> {
        self.q
    }

    /// Names without VLAN ids were met.
    pub fn untagged(&self) -> bool {
        self.untagged
    }

    /// Memory of all that is gathered.
    fn bytes(&self) -> u64 {
        let rows = self.rows.capacity() * size_of::<Row>() + self.lasting * LASTING_BYTES;
        pieces_bytes(&self.pieces) + self.taken_out + rows as u64 + self.receipts.bytes()
    }

    fn fits(&mut self) -> Result<(), QueryError> {
        let fits = self.full.map_or_else(|| self.share.up_to(self.bytes()), Err);
        fits.map_err(|full| self.refused(full))
    }

    fn refused(&self, full: RoomFull) -> QueryError {
        refused(full, self.pieces.len().max(self.receipts.len()), self.share.room())
    }

    /// Asked now and then by what takes long.
    fn go_on(&self) -> Result<(), QueryError> {
        if self.q.pace.go_on() {
            Ok(())
        } else {
            Err(QueryError::Stopped(self.q.pace.stopped().unwrap_or(Stopped::Gone)))
        }
    }

    /// What a part of the store has.
    pub fn extent(
        &mut self,
        number: usize,
        extent: &Extent<'_>,
        view: &View<'_>,
        summary: &mut Summary,
    ) -> Result<(), QueryError> {
        let rest = self.bytes() - pieces_bytes(&self.pieces);
        let Gathered { asked, q, pieces, classes, reach, share, full, untagged, .. } = self;
        extent.each_index(view, summary, &mut |indexed, _| {
            let about = indexed.index().about();
            let (begin, class, told) = (pieces.len(), number_of(classes, &indexed.class), about.keys_told);
            let read = select::connections(q.plans.of(about), indexed.index(), &mut |c| {
                if full.is_none() && q.overlaps(c.first, c.last) && asked.wants(&c.key, true) {
                    let icmp = c.icmp.first().copied();
                    let times = Span { first: c.first, last: c.last };
                    let (packets, extent) = (c.offsets.len() as u64, number as u32);
                    pieces
                        .push((c.key, Piece { times, packets, bytes: c.bytes, cut: c.cut, icmp, class, extent, told }));
                    *full = share.up_to(rest + pieces_bytes(pieces)).err();
                }
            });
            if let Err(damaged) = read {
                // It is made anew, and adds all of it once more.
                pieces.truncate(begin);
                return Err(damaged);
            }
            *untagged |= !about.vlan_in_key;
            *reach = pieces.iter().skip(begin).fold(*reach, |reach, (_, p)| reach.and(p.times));
            Ok(())
        })?;
        self.fits()
    }

    fn class_name(&self, class: u16) -> Arc<str> {
        self.classes.get(usize::from(class)).cloned().unwrap_or_else(|| "?".into())
    }

    /// A receipt. `tagged`: VLAN ids are in its name.
    pub fn receipt(&mut self, r: &Receipt, tagged: bool) {
        self.untagged |= !tagged;
        if self.full.is_none() && self.asked.wants(&r.key, tagged) {
            self.receipts.take(r, tagged);
            self.full = self.share.up_to(self.bytes()).err();
        }
    }

    /// Puts all of it together.
    pub fn settle(&mut self, extents: &[Extent<'_>], view: &View<'_>, summary: &mut Summary) -> Result<(), QueryError> {
        self.fits()?;
        self.receipts.sort();
        self.go_on()?;
        // The row of a receipt has its place.
        let rows = self.receipts.len() * size_of::<Row>();
        self.lasting = self.receipts.all().filter(|r| r.end == End::Lasting).count();
        self.full = self.share.up_to(self.bytes() + rows as u64).err();
        self.fits()?;
        self.rows.reserve_exact(self.receipts.len());
        for r in self.receipts.all() {
            let class = self.receipt_classes.get(usize::from(r.class)).cloned().unwrap_or_else(|| "?".into());
            self.rows.push(Row { wanted: self.q.wants_class(&class), it: of_receipt(r, class) });
        }
        let mut open = std::mem::take(&mut self.pieces);
        self.taken_out = pieces_bytes(&open);
        let mut torn: HashMap<u32, HashSet<Key>> = HashMap::new();
        let (mut n, mut stopped) = (0usize, Ok(()));
        open.retain(|(key, piece)| {
            n += 1;
            if n.is_multiple_of(ASKED_EACH) && stopped.is_ok() {
                stopped = self.go_on();
            }
            if stopped.is_err() {
                return false;
            }
            match self.claim(key, piece) {
                Claim::None => true,
                Claim::Whole => false,
                Claim::Part => {
                    torn.entry(piece.extent).or_default().insert(*key);
                    false
                }
            }
        });
        stopped?;
        open.extend(self.untold(&torn, extents, view, summary)?);
        self.open(open)
    }

    /// Whose the packets of a piece are.
    fn claim(&mut self, key: &Key, piece: &Piece) -> Claim {
        let mut all: Option<Span> = None;
        let class = self.class_name(piece.class);
        let mut ids: Vec<usize> = Vec::new();
        for at in self.receipts.places(key, piece.times) {
            let Some(r) = self.receipts.get(at) else { continue };
            // One that lasts goes on after its hourly receipt.
            let last = if r.end == End::Lasting { u64::MAX } else { r.last };
            let times = Span { first: r.first, last };
            all = Some(all.map_or(times, |a| a.and(times)));
            ids.push(at);
        }
        // Its times may enclose others of the name, of other classes: it is of those of its own class, and only where there are none of some whose
        // class has changed.
        let own = ids.iter().any(|&row| self.rows.get(row).is_some_and(|r| r.it.class == class));
        let wanted = !own && self.q.wants_class(&class);
        for row in ids {
            if let Some(row) = self.rows.get_mut(row) {
                row.wanted |= wanted;
                row.it.icmp = row.it.icmp.or(piece.icmp);
                if row.it.end == Some(End::Lasting) {
                    row.it.last = row.it.last.max(piece.times.last);
                }
            }
        }
        match all {
            None => Claim::None,
            Some(all) if all.covers(piece.times) => Claim::Whole,
            Some(_) => Claim::Part,
        }
    }

    /// Of pieces that receipts tell of in part, the rest: by the times of their packets.
    fn untold(
        &self,
        torn: &HashMap<u32, HashSet<Key>>,
        extents: &[Extent<'_>],
        view: &View<'_>,
        summary: &mut Summary,
    ) -> Result<Vec<(Key, Piece)>, QueryError> {
        let (mut found, mut again) = (Vec::new(), Summary::default());
        for (&number, keys) in torn {
            let Some(extent) = extents.get(number as usize).filter(|_| view.pace.go_on()) else { continue };
            let all = extent.each_index(view, &mut again, &mut |indexed, summary| {
                let (mut conns, mut found, about) = (Vec::new(), Vec::new(), indexed.index().about());
                select::connections(self.q.plans.of(about), indexed.index(), &mut |c| {
                    if keys.contains(&c.key) {
                        conns.push(c);
                    }
                })?;
                let class = self.classes.iter().position(|c| **c == *indexed.class).unwrap_or(0) as u16;
                let read = indexed.with_reader(summary, |reader, summary| {
                    for c in conns {
                        let rest = self.rest(&c, reader, (number, class, about.keys_told), view, summary);
                        found.extend(rest.into_iter().map(|p| (c.key, p)));
                    }
                });
                Ok(read.map(|()| found))
            })?;
            for of_one in all {
                found.extend(of_one?);
            }
        }
        summary.again(again);
        Ok(found)
    }

    fn rest(
        &self,
        c: &Conn,
        reader: &SegmentReader,
        (extent, class, told): (u32, u16, bool),
        view: &View<'_>,
        summary: &mut Summary,
    ) -> Vec<Piece> {
        let mut rest: Vec<Piece> = Vec::new();
        let (mut block, mut whole, mut told_all) = (None, None, false);
        for &offset in &c.offsets {
            let here = reader.block_of(offset);
            if here.map(|b| b.offset) != block {
                block = here.map(|b| b.offset);
                whole = None;
                if !view.pace.go_on() {
                    break;
                }
                // What all of a block's time is told of needs no look. Once for each block: it may have thousands of connections of the name.
                let times = here.map(|b| Span { first: b.totals.first, last: b.totals.last });
                told_all = times.is_some_and(|t| self.receipts.at(&c.key, t).any(|(r, _)| Span::from(r).covers(t)));
            }
            if told_all {
                continue;
            }
            // Of memory once for each block: it may have to be read from its file.
            if whole.is_none() {
                whole = here.and_then(|b| reader.memory_block(b)?.ok());
            }
            let packet = match &whole {
                Some(block) => block.packet(offset),
                None => reader.packet_at(offset),
            };
            let Ok(p) = packet else {
                if here.is_some_and(|b| reader.is_gone(b)) {
                    summary.expired_segments = summary.expired_segments.max(1);
                    continue;
                }
                summary.damaged_packets += 1;
                summary.damaged_at(reader.path(), offset);
                continue;
            };
            let now = Span { first: p.time, last: p.time };
            if self.receipts.at(&c.key, now).next().is_some() {
                continue;
            }
            let (bytes, cut, icmp) = (u64::from(p.wire_len), p.mark == Mark::CutHere, c.icmp.first().copied());
            match rest.last_mut().filter(|r| r.times.goes_on_with(now)) {
                Some(r) => {
                    r.times = r.times.and(now);
                    r.packets += 1;
                    r.bytes += bytes;
                    r.cut |= cut;
                }
                None => rest.push(Piece { times: now, packets: 1, bytes, cut, icmp, class, extent, told }),
            }
        }
        rest
    }

    /// Rows of what no receipt tells of.
    fn open(&mut self, mut all: Vec<(Key, Piece)>) -> Result<(), QueryError> {
        all.sort_unstable_by_key(|(key, p)| (*key, p.times.first));
        let mut lasting: HashMap<Key, usize> = HashMap::new();
        for (i, row) in self.rows.iter().enumerate().filter(|(_, r)| r.it.end == Some(End::Lasting)) {
            lasting.insert(row.it.key, i);
        }
        for (n, same) in all.chunk_by(|a, b| a.0 == b.0).enumerate() {
            let Some((key, _)) = same.first() else { continue };
            if n.is_multiple_of(ASKED_EACH) {
                self.go_on()?;
                self.fits()?;
            }
            let mut row = lasting.get(key).or_else(|| lasting.get(&key.untagged())).copied();
            for (_, p) in same {
                let wanted = self.q.wants_class(&self.class_name(p.class));
                let known = row.and_then(|at| self.rows.get_mut(at)).filter(|r| {
                    Span { first: r.it.first, last: r.it.last }.goes_on_with(p.times) && p.times.last >= r.it.first
                });
                match known {
                    Some(row) => row.add(p, wanted),
                    // In segments of version 1 later fragments are of connections that their receipts name otherwise.
                    None if !p.told && key.tail().kind() == Kind::Fragment => {}
                    None => {
                        row = Some(self.rows.len());
                        let class = self.class_name(p.class);
                        self.rows.push(Row { it: of_piece(*key, p, class), wanted });
                    }
                }
            }
        }
        self.fits()
    }

    /// The connections, those of the window and the classes asked for, and the room that they have.
    pub fn finish(self) -> (Vec<Connection>, Share) {
        let (q, asked) = (self.q, self.asked);
        let wanted = self.rows.into_iter().filter(|row| {
            let times = Span { first: row.it.first, last: row.it.last };
            row.wanted && q.overlaps(times.first, times.last) && asked.wants_at(&row.it.key, times)
        });
        (wanted.map(|row| row.it).collect(), self.share)
    }
}

/// So many names are gone through between two looks at the pace.
const ASKED_EACH: usize = 1024;
/// Memory that a connection that lasts takes beside its row.
const LASTING_BYTES: usize = 2 * size_of::<(Key, usize)>();

fn pieces_bytes(pieces: &Vec<(Key, Piece)>) -> u64 {
    (pieces.capacity() * size_of::<(Key, Piece)>()) as u64
}

/// The number of a class among those that were met.
fn number_of(classes: &mut Vec<Arc<str>>, name: &str) -> u16 {
    let known = classes.iter().position(|c| **c == *name);
    let at = known.unwrap_or_else(|| {
        classes.push(name.into());
        classes.len() - 1
    });
    at as u16
}

/// How much of a piece the receipts tell of.
enum Claim {
    None,
    Part,
    Whole,
}

impl Row {
    fn add(&mut self, p: &Piece, wanted: bool) {
        let c = &mut self.it;
        (c.first, c.last) = (c.first.min(p.times.first), c.last.max(p.times.last));
        c.icmp = c.icmp.or(p.icmp);
        self.wanted |= wanted;
        if c.end.is_none() {
            c.seen_packets += p.packets;
            c.seen_bytes += p.bytes;
            c.stored_packets += p.packets;
            c.stored_bytes += p.bytes;
            c.cut |= p.cut;
        }
    }
}

fn of_receipt(r: &Receipt, class: Arc<str>) -> Connection {
    Connection {
        key: r.key,
        first: r.first,
        last: r.last,
        seen_packets: r.seen_packets,
        seen_bytes: r.seen_bytes,
        stored_packets: r.stored_packets,
        stored_bytes: r.stored_bytes,
        cut: r.cut,
        end: Some(r.end),
        class,
        originator: Some(r.originator),
        icmp: None,
        running: false,
    }
}

fn of_piece(key: Key, p: &Piece, class: Arc<str>) -> Connection {
    Connection {
        key,
        first: p.times.first,
        last: p.times.last,
        seen_packets: p.packets,
        seen_bytes: p.bytes,
        stored_packets: p.packets,
        stored_bytes: p.bytes,
        cut: p.cut,
        end: None,
        class,
        originator: None,
        icmp: p.icmp,
        running: false,
    }
}
