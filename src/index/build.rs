//! From the packets of a segment to its index. Called by the keeper's indexer for a sealed segment, and by a query that finds
//! none; off the packet path, at idle priority. Takes time in proportion to the bytes of one segment, whatever is in them, and memory in
//! proportion to its connections and the values that are listed of them, which are bounded.

use super::blocks::put_blocks;
use super::bounds::{Bounds, Taking, Terms};
use super::community::{self, IcmpKind};
use super::conns::{Before, Conn, GROUP, put_conn};
use super::distinct::Distinct;
use super::file::{About, NEWEST, VERSION};
use super::hashes::put_table;
use super::keys::Keys;
use super::list::put_list;
use super::posted::Posted;
use super::term::{KINDS, Term};
use super::terms::terms;
use super::varint::put_wide;
use super::view::Walked;
use super::{IndexError, Scope, TERMS_PER_GROUP, value_bytes};
use crate::conn::verdict::Mark;
use crate::limits::PIECE_BYTES;
use crate::packet::Parser;
use crate::packet::key::{Key, Kind};
use crate::store::reader::{BlockTable, FoundPacket, SegmentReader};
use crate::store::scan::BlockRef;

/// A connection as it is gathered.
struct Gathered {
    conn: Conn,
    icmp: Distinct<IcmpKind>,
    terms: Terms,
}

/// What an index is made of.
pub struct Matter {
    /// Its head; connections and blocks are counted when it is written.
    pub about: About,
    /// Connections in the order of their first packets' places.
    pub conns: Vec<Conn>,
    /// Their terms.
    pub posted: Posted,
    /// Hashes of community IDs and connections.
    pub communities: Vec<(u32, u32)>,
    /// Blocks.
    pub table: BlockTable,
    /// What it is of.
    pub scope: Scope,
}

impl Matter {
    /// The index's bytes.
    pub fn bytes(self) -> Result<Vec<u8>, IndexError> {
        let Matter { about, conns, posted, communities, table, scope } = self;
        let version = if posted.is_whole() { VERSION } else { NEWEST };
        let about = About { version, connections: conns.len() as u32, blocks: table.blocks.len() as u32, ..about };
        let (groups, records) = records(&conns, about.first)?;
        let (mut directory, dictionary) = dictionary(&posted.listed, about.connections)?;
        if version > VERSION {
            posted.put_unlisted(&mut directory, about.connections);
        }
        let joint = match scope {
            Scope::Segment => posted.joint_filter(&communities)?,
            Scope::Passing => Vec::new(),
        };
        let (filter, communities) = (posted.address_filter()?, put_table(communities, about.connections, scope));
        let sections = [groups, records, directory, dictionary, filter, put_blocks(&table), communities, joint];
        Ok(super::file::assemble(&about, sections))
    }
}

/// Reads the blocks of a segment that are wanted and makes the bytes of their index. That blocks are damaged it says: a query does without it then. One
/// that is made for a question has what can be had of them, as a scan does.
pub fn bytes_of(
    segment: &SegmentReader,
    scope: Scope,
    wanted: &dyn Fn(&BlockRef) -> bool,
) -> Result<Vec<u8>, IndexError> {
    counted(segment, scope, wanted, Bounds::default()).map(|(bytes, _)| bytes)
}

/// The same within these bounds, and what it took: steps through packets, and terms looked at.
pub fn counted(
    segment: &SegmentReader,
    scope: Scope,
    wanted: &dyn Fn(&BlockRef) -> bool,
    bounds: Bounds,
) -> Result<(Vec<u8>, u64), IndexError> {
    // The seed does not matter here, since keys are compared whole.
    let h = segment.header();
    let parser = Parser::new(0, h.vlan_in_key);
    let link_type = segment.link_type();
    let (mut conns, mut keys): (Vec<Gathered>, Keys) = (Vec::new(), Keys::new());
    let (mut first, mut last, mut packets) = (u64::MAX, 0, 0u64);
    let (mut table, mut damaged) = (BlockTable::new(PIECE_BYTES), 0);
    let (mut walked, mut taking) = (Walked::default(), Taking::new(bounds));
    let mut take = |p: FoundPacket<'_>| {
        let parsed = parser.parse(link_type, &p.data);
        let key = p.key.unwrap_or(parsed.key);
        let id = keys.number(&key) as usize;
        let fresh = id == conns.len();
        if fresh {
            let (offsets, icmp) = (Vec::new(), Vec::new());
            let conn = Conn { key, first: p.time, last: p.time, bytes: 0, cut: false, offsets, icmp };
            conns.push(Gathered { conn, icmp: Distinct::default(), terms: Terms::default() });
        }
        let Some(Gathered { conn, icmp, terms: known }) = conns.get_mut(id) else { return };
        conn.first = conn.first.min(p.time);
        conn.last = conn.last.max(p.time);
        conn.bytes += u64::from(p.wire_len);
        conn.cut |= p.mark == Mark::CutHere;
        conn.offsets.push(p.offset);
        if let Some(kind) = community::icmp(&parsed, &p.data) {
            icmp.add(kind);
        }
        if fresh {
            taking.begin();
            key_terms(&key, &mut |t| taking.take(t, known));
        }
        taking.begin();
        terms(link_type, &p.data, &mut walked, &mut |t| taking.take(t, known));
        (first, last, packets) = (first.min(p.time), last.max(p.time), packets + 1);
    };
    for at in segment.blocks().iter().filter(|b| wanted(b)) {
        match (segment.block(at), scope) {
            (Ok(block), _) => {
                let mut sums = block.sums().into_iter();
                let _ = table.push(*at, || sums.next());
                block.found().map_while(Result::ok).for_each(&mut take);
            }
            (Err(_), Scope::Segment) => damaged += 1,
            (Err(_), Scope::Passing) => {
                damaged += 1;
                segment.salvage(at).into_iter().for_each(&mut take);
            }
        }
    }
    if packets == 0 {
        first = 0;
    }
    let about = About {
        version: VERSION,
        connections: 0,
        store: h.store,
        number: h.number,
        generation: h.generation,
        end: segment.end(),
        first,
        last,
        packets,
        link_type,
        keys_told: h.version > 1,
        vlan_in_key: h.vlan_in_key,
        blocks: 0,
        bad: segment.bad().len() as u32 + damaged,
    };
    let unlisted = conns.iter().map(|c| c.terms.unlisted).collect();
    let mut postings = Vec::with_capacity(conns.iter().map(|c| c.terms.len()).sum());
    for (id, c) in (0..).zip(&mut conns) {
        postings.extend(c.terms.take().into_iter().map(|t| (t, id)));
        c.conn.icmp = c.icmp.take();
    }
    postings.sort_unstable();
    let conns: Vec<Conn> = conns.into_iter().map(|g| g.conn).collect();
    let (communities, posted) = (communities(&conns), Posted::of(postings, unlisted, &bounds));
    Ok((Matter { about, conns, posted, communities, table, scope }.bytes()?, walked.steps + taking.work))
}

/// What a key asks for that the packet's bytes do not show: ports of a later fragment, or behind an IPv6 extension header, where libpcap does not
/// look.
fn key_terms(key: &Key, emit: &mut impl FnMut(Term)) {
    let tail = key.tail();
    key.addrs().into_iter().flatten().for_each(|a| emit(Term::addr(a)));
    if key.addrs().is_some() {
        emit(Term::Proto(tail.proto));
    }
    if tail.kind() == Kind::Ip && matches!(tail.proto, 6 | 17 | 132) {
        tail.port.iter().for_each(|&p| emit(Term::Port(p)));
    }
}

/// Community IDs by their hashes.
fn communities(conns: &[Conn]) -> Vec<(u32, u32)> {
    let mut entries = Vec::with_capacity(conns.len());
    for (id, c) in conns.iter().enumerate() {
        let mut put = |text: Option<String>| entries.extend(text.map(|t| (community::hash(&t), id as u32)));
        put(community::of_key(&c.key));
        c.icmp.iter().for_each(|&kind| put(community::of_icmp(&c.key, kind)));
    }
    entries
}

/// The records, and where each group of them begins.
fn records(conns: &[Conn], earliest: u64) -> Result<(Vec<u8>, Vec<u8>), IndexError> {
    let (mut groups, mut records, mut before) = (Vec::new(), Vec::new(), Before::group(earliest));
    for (id, c) in conns.iter().enumerate() {
        if id % GROUP == 0 {
            groups.extend(offset32(records.len())?);
            before = Before::group(earliest);
        }
        put_conn(&mut records, c, &mut before);
    }
    Ok((groups, records))
}

/// The terms, each with its list of connections, and the directory: for each kind how many groups there are, then each
/// group's first value and place.
fn dictionary(postings: &[(Term, u32)], of: u32) -> Result<(Vec<u8>, Vec<u8>), IndexError> {
    let (mut directory, mut dictionary) = (Vec::new(), Vec::new());
    for kind in 0..KINDS {
        let mut groups = Vec::new();
        let (mut count, mut value) = (0u32, 0u128);
        let (from, to) =
            (postings.partition_point(|(t, _)| t.kind() < kind), postings.partition_point(|(t, _)| t.kind() <= kind));
        let of_kind = postings.get(from..to).unwrap_or_default();
        for (n, list) in of_kind.chunk_by(|a, b| a.0 == b.0).enumerate() {
            let Some((term, _)) = list.first() else { continue };
            if n % TERMS_PER_GROUP == 0 {
                let bytes = term.value().to_le_bytes();
                groups.extend(bytes.iter().take(value_bytes(kind)));
                groups.extend(offset32(dictionary.len())?);
                count += 1;
                value = term.value();
            }
            put_wide(&mut dictionary, term.value() - value);
            value = term.value();
            let ids: Vec<u32> = list.iter().map(|(_, id)| *id).collect();
            put_list(&mut dictionary, &ids, of);
        }
        directory.extend(count.to_le_bytes());
        directory.extend(groups);
    }
    Ok((directory, dictionary))
}

fn offset32(n: usize) -> Result<[u8; 4], IndexError> {
    u32::try_from(n).map(u32::to_le_bytes).map_err(|_| IndexError::TooLarge)
}
