//! The connections of one name, told apart: by their receipts, and what no receipt tells of by silence. Owns the receipts of an answer's names;
//! filled by lists of connections and by summaries, which then ask whose some packets are.

use crate::conn::receipt::{End, Receipt};
use crate::packet::key::Key;

/// Without a receipt packets of one name are of one connection if no silence between them is longer: the longest idle timeout by default.
pub const SILENCE_NS: u64 = 300_000_000_000;

/// Times of some packets of one name, Unix ns: of the first and of the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Of the first.
    pub first: u64,
    /// Of the last.
    pub last: u64,
}

impl Span {
    /// Whether they share a time.
    pub fn overlaps(&self, other: Span) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Whether all of the other is in it.
    pub fn covers(&self, other: Span) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// What of it lies before the other.
    pub fn before(self, other: Span) -> Option<Span> {
        (self.first < other.first).then(|| Span { last: self.last.min(other.first - 1), ..self })
    }

    /// What of it lies before the other and after it.
    pub fn outside(self, other: Span) -> Vec<Span> {
        let after = (self.last > other.last).then(|| Span { first: self.first.max(other.last + 1), ..self });
        self.before(other).into_iter().chain(after).collect()
    }

    /// Both, and what is between them.
    pub fn and(self, other: Span) -> Span {
        Span { first: self.first.min(other.first), last: self.last.max(other.last) }
    }

    /// The other one follows so soon that it can be the same connection's, if nothing else is known.
    pub fn goes_on_with(&self, other: Span) -> bool {
        other.first <= self.last.saturating_add(SILENCE_NS)
    }
}

impl From<&Receipt> for Span {
    fn from(r: &Receipt) -> Span {
        Span { first: r.first, last: r.last }
    }
}

/// A receipt, and whether VLAN ids are in its name.
#[derive(Clone, Copy, Debug)]
struct ReceiptOfName {
    receipt: Receipt,
    tagged: bool,
}

impl ReceiptOfName {
    fn name(&self) -> (Key, bool) {
        (self.receipt.key, self.tagged)
    }
}

/// Receipts by name. Filled first, then sorted, then asked. Those of a name lie together, in the order of their first packets.
#[derive(Debug, Default)]
pub struct ByName {
    all: Vec<ReceiptOfName>,
    /// Of each receipt and all of its name before it the latest last packet.
    reach: Vec<u64>,
}

/// Memory that a receipt takes here.
pub const RECEIPT_BYTES: usize = size_of::<ReceiptOfName>() + size_of::<u64>();

impl ByName {
    /// Takes one. `tagged`: VLAN ids are in its name.
    pub fn take(&mut self, r: &Receipt, tagged: bool) {
        self.all.push(ReceiptOfName { receipt: *r, tagged });
    }

    /// Memory that they take.
    pub fn bytes(&self) -> u64 {
        (self.all.capacity() * RECEIPT_BYTES) as u64
    }

    /// Whether another one makes it grow.
    pub fn is_full(&self) -> bool {
        self.all.len() == self.all.capacity()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Brings them in order, once all are there: of each connection the receipt that tells most stays.
    pub fn sort(&mut self) {
        // Of one beginning the longest first, and of these one that says how it ended.
        let lasts = |r: &Receipt| r.end == End::Lasting;
        self.all.sort_unstable_by_key(|t| {
            (t.name(), t.receipt.first, std::cmp::Reverse(t.receipt.last), lasts(&t.receipt))
        });
        let (mut name, mut ended, mut latest) = (None, 0, None);
        self.all.retain(|t| {
            if name.replace(t.name()) != Some(t.name()) {
                (ended, latest) = (0, None);
            }
            // Those of a connection that lasts repeat what is told at its end; and its first packet may have come late. Two that have ended are two,
            // also where both began within one tick of a clock.
            let r = &t.receipt;
            let again = lasts(r) && (latest == Some(r.first) || r.last <= ended);
            latest = Some(r.first);
            if !lasts(r) {
                ended = ended.max(r.last);
            }
            !again
        });
        self.reach = Vec::with_capacity(self.all.len());
        let (mut name, mut reach) = (None, 0);
        for t in &self.all {
            if name.replace(t.name()) != Some(t.name()) {
                reach = 0;
            }
            reach = t.receipt.last.max(reach);
            self.reach.push(reach);
        }
    }

    /// A receipt by its place.
    pub fn get(&self, place: usize) -> Option<&Receipt> {
        self.all.get(place).map(|t| &t.receipt)
    }

    /// The places of the receipts of this name that tell of these times.
    pub fn places(&self, key: &Key, times: Span) -> impl Iterator<Item = usize> + '_ {
        [(*key, true), (key.untagged(), false)].into_iter().flat_map(move |name| self.of(name, times))
    }

    fn of(&self, name: (Key, bool), times: Span) -> impl Iterator<Item = usize> + '_ {
        let from = self.all.partition_point(|t| t.name() < name);
        let rest = self.all.get(from..).unwrap_or_default();
        let end = from + rest.partition_point(|t| t.name() == name && t.receipt.first <= times.last);
        let before = self.reach.get(from..end).unwrap_or_default().partition_point(|&reach| reach < times.first);
        (from + before..end).filter(move |&at| self.get(at).is_some_and(|r| times.overlaps(Span::from(r))))
    }

    /// The receipts of this name that tell of these times, with whether VLAN ids are in theirs.
    pub fn at(&self, key: &Key, times: Span) -> impl Iterator<Item = (&Receipt, bool)> {
        self.places(key, times).filter_map(|at| self.all.get(at)).map(|t| (&t.receipt, t.tagged))
    }

    /// All of them, in the order of their places.
    pub fn all(&self) -> impl Iterator<Item = &Receipt> {
        self.all.iter().map(|t| &t.receipt)
    }
}

/// Spans that no receipt tells of, as connections: those that silence does not part are one.
pub fn by_silence(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable_by_key(|s| s.first);
    let mut all: Vec<Span> = Vec::new();
    for s in spans {
        match all.last_mut() {
            Some(open) if open.goes_on_with(s) => *open = open.and(s),
            _ => all.push(s),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(first: u64, last: u64, end: End) -> Receipt {
        Receipt { end, ..Receipt::of_one(Key::tcp(1), first, last) }
    }

    fn told(receipts: &[(u64, u64, End)], first: u64, last: u64) -> Vec<(u64, u64)> {
        let mut all = ByName::default();
        receipts.iter().for_each(|&(first, last, end)| all.take(&receipt(first, last, end), true));
        all.sort();
        all.at(&Key::tcp(1), Span { first, last }).map(|(r, _)| (r.first, r.last)).collect()
    }

    #[test]
    fn receipts_tell_whose_packets_are() {
        use End::{Closed, Lasting, Reset};
        let three = [(100, 200, Closed), (10, 50, Reset), (300, 400, Closed)];
        assert_eq!(told(&three, 20, 30), [(10, 50)]);
        assert_eq!(told(&three, 50, 100), [(10, 50), (100, 200)]);
        assert_eq!(told(&three, 0, 900), [(10, 50), (100, 200), (300, 400)]);
        for (first, last) in [(0, 9), (51, 99), (201, 299), (401, 900)] {
            assert_eq!(told(&three, first, last), [], "{first} {last}");
        }
        // Hourly ones of a connection that has ended, also if its first packet came late; and of one that has not.
        let hourly =
            [(100, 200, Lasting), (100, 300, Lasting), (90, 400, Closed), (500, 600, Lasting), (500, 700, Lasting)];
        assert_eq!(told(&hourly, 0, 900), [(90, 400), (500, 700)]);
        // A reset and a SYN after it at one time, and an hour later.
        let at_once = [(100, 100, Reset), (100, 900, Closed), (100, 500, Lasting)];
        assert_eq!(told(&at_once, 0, 900), [(100, 900), (100, 100)]);
        // One that encloses the next.
        let within = [(10, 900, Closed), (100, 200, Closed), (300, 400, Closed)];
        assert_eq!(told(&within, 250, 260), [(10, 900)]);
        assert_eq!(told(&within, 390, 390), [(10, 900), (300, 400)]);
    }

    #[test]
    fn silence_parts_what_nobody_tells_of() {
        let span = |first, last| Span { first, last };
        let all =
            by_silence(vec![span(SILENCE_NS + 9, SILENCE_NS + 10), span(0, 9), span(2 * SILENCE_NS + 11, u64::MAX)]);
        assert_eq!(all, [span(0, SILENCE_NS + 10), span(2 * SILENCE_NS + 11, u64::MAX)]);
    }
}
