//! All classes of a recorder and which of them a connection gets at its first packet: the highest precedence whose filter
//! matches, else `all`. Owns the compiled filters, one program for each class and link type. Called by the tracker, once a
//! connection; must never be asked again for the same connection.

use super::{ALL, ClassId, Policy};
use crate::filter::{Filter, FilterError, link_type_name};
use crate::limits::CLASSES_MAX;
use crate::source::Packet;
use std::cmp::Reverse;

/// A class as the configuration describes it.
#[derive(Clone, Debug)]
pub struct Class {
    /// Its name: of its folder, in metrics, in queries.
    pub name: String,
    /// pcap-filter expression over the first packet of a connection. Not looked at for [`ALL`].
    pub filter: String,
    /// The highest that matches wins; of equals the first by name.
    pub precedence: i32,
    /// What is kept of it.
    pub policy: Policy,
}

/// Why classes can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ClassError {
    /// A filter compiles for no link type.
    #[error("class {name:?}: {error}")]
    Filter {
        /// The class.
        name: String,
        /// libpcap's reason, for Ethernet.
        error: FilterError,
    },
    /// None, or too many.
    #[error("{0} classes; there must be `all` and at most {CLASSES_MAX}")]
    Count(usize),
    /// Too many in the life of one store.
    #[error(
        "{0} names of classes since the store was made; {CLASSES_MAX} at most: use names that there were (they are in its classes.json; \
         without that file names begin anew, and older receipts may be told under wrong ones)"
    )]
    Names(usize),
}

/// The classes, by [`ClassId`]; the first is `all`.
#[derive(Debug)]
pub struct ClassSet {
    classes: Vec<Class>,
    /// All but `all`, highest precedence first, equals by name.
    order: Vec<ClassId>,
    /// For each link type that was met: the filters in `order`; `None` where the expression does not compile for it.
    programs: Vec<(u16, Vec<Option<Filter>>)>,
    /// There are no others: libpcap is asked nothing any more.
    all_known: bool,
}

impl ClassSet {
    /// `classes` by id: the first is `all`, whatever its filter says. Compiles every filter for Ethernet.
    pub fn new(classes: Vec<Class>) -> Result<ClassSet, ClassError> {
        ClassSet::with(classes, 0)
    }

    /// The same where some are there no more, a bit each: these match nothing.
    pub(super) fn with(classes: Vec<Class>, gone: u64) -> Result<ClassSet, ClassError> {
        if classes.is_empty() || classes.len() > CLASSES_MAX {
            return Err(ClassError::Count(classes.len()));
        }
        let there = |id: usize| gone >> (id & 63) & 1 == 0;
        for (_, class) in classes.iter().enumerate().skip(1).filter(|(id, _)| there(*id)) {
            Filter::check(&class.filter).map_err(|error| ClassError::Filter { name: class.name.clone(), error })?;
        }
        let mut order: Vec<ClassId> = (1..classes.len()).filter(|id| there(*id)).map(|id| id as ClassId).collect();
        order.sort_by_key(|id| classes.get(usize::from(*id)).map(|c| (Reverse(c.precedence), c.name.clone())));
        Ok(ClassSet { classes, order, programs: Vec::new(), all_known: false })
    }

    /// Only `all`, with this policy.
    pub fn only(policy: Policy) -> ClassSet {
        let all = Class { name: "all".into(), filter: String::new(), precedence: 0, policy };
        ClassSet { classes: vec![all], order: Vec::new(), programs: Vec::new(), all_known: false }
    }

    /// The classes, by id.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// What is kept of a class; of `all` if there is no such class.
    #[inline]
    pub fn policy(&self, id: ClassId) -> &Policy {
        self.classes.get(usize::from(id)).or(self.classes.first()).map_or(&Policy::STANDARD, |c| &c.policy)
    }

    /// Says which classes get no packet of these link types because libpcap refuses their filter there. That is no error: what no class takes
    /// is in `all`. Nor is it told that no packet of a link type can match (`ip6` where there is only IPv4): that is an answer.
    pub fn tell(&self, link_types: &[u16]) {
        for class in self.order.iter().filter_map(|id| self.classes.get(usize::from(*id))) {
            for &link_type in link_types {
                if let Some(error) = refused(class, link_type) {
                    let (name, reason) = (&class.name, error.reason());
                    tracing::warn!(
                        "class {name:?} gets no packet of link type {}: {reason}",
                        link_type_name(link_type)
                    );
                }
            }
        }
    }

    /// From now on no other link type is prepared: packets of one are in `all`. For a wire, whose interfaces are all there before the first
    /// packet, so that no worker's thread ever waits for libpcap.
    pub fn all_known(&mut self) {
        self.all_known = true;
    }

    /// Takes the place of `before`, and knows as much as that of link types to come.
    pub fn replace(&mut self, before: &mut ClassSet) {
        self.all_known = before.all_known;
        std::mem::swap(self, before);
    }

    /// [`prepare`](ClassSet::prepare) for a link type that has come up while recording: [tells](ClassSet::tell) of it.
    pub fn meet(&mut self, link_type: u16) {
        if !self.all_known && !self.programs.iter().any(|(known, _)| *known == link_type) {
            self.tell(&[link_type]);
            self.prepare(link_type);
        }
    }

    /// Compiles the filters for a link type, so that no packet has to wait for it. Called when an interface appears.
    pub fn prepare(&mut self, link_type: u16) {
        if self.all_known || self.order.is_empty() || self.programs.iter().any(|(known, _)| *known == link_type) {
            return;
        }
        let filter =
            |id: &ClassId| Filter::compile_unplaced(&self.classes.get(usize::from(*id))?.filter, link_type).ok();
        let programs = self.order.iter().map(filter).collect();
        self.programs.push((link_type, programs));
    }

    /// The class of a connection whose first packet this is. Compiles on the spot, which allocates, for a link type
    /// that was not [prepared](ClassSet::prepare).
    #[inline]
    pub fn classify(&mut self, link_type: u16, packet: &Packet<'_>) -> ClassId {
        if self.order.is_empty() {
            return ALL;
        }
        self.prepare(link_type);
        let Some((_, programs)) = self.programs.iter().find(|(known, _)| *known == link_type) else { return ALL };
        let matches = |f: &Option<Filter>| f.as_ref().is_some_and(|f| f.matches(packet.data, packet.wire_len));
        self.order.iter().zip(programs).find(|(_, filter)| matches(filter)).map_or(ALL, |(id, _)| *id)
    }
}

/// Why libpcap refuses a class's filter for a link type, if it does.
fn refused(class: &Class, link_type: u16) -> Option<FilterError> {
    Filter::compile_unplaced(&class.filter, link_type).err().filter(|error| !error.rejects_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, filter: &str, precedence: i32) -> Class {
        Class { name: name.into(), filter: filter.into(), precedence, policy: Policy::default() }
    }

    fn packet(data: &[u8]) -> Packet<'_> {
        Packet {
            time: 0,
            wire_len: data.len() as u32,
            iface: 0,
            hash: None,
            data,
            options: crate::source::InputOptions::NONE,
        }
    }

    /// Raw IPv4, ICMP, to 10.0.0.2.
    const PING: [u8; 28] = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 8, 0, 0, 0, 0, 1, 0, 1];

    #[test]
    fn what_libpcap_refuses_for_a_link_type_is_told_and_no_error() {
        let why = |filter: &str, link_type| refused(&class("x", filter, 1), link_type).map(|e| e.reason());
        assert!(why("vlan 5", 101).is_some_and(|e| e.contains("VLAN")));
        assert!(why("port 80", 239).is_some_and(|e| e.contains("not implemented")));
        for (filter, link_type) in [("vlan 5", 1), ("port 80", 101), ("ip6", 228)] {
            assert_eq!(why(filter, link_type), None, "{filter} {link_type}: that nothing of IPv4 is IPv6 is an answer");
        }
        let mut set = ClassSet::new(vec![class("all", "", 0), class("ping", "icmp", 1)]).unwrap();
        set.meet(239);
        assert_eq!((set.classify(239, &packet(&PING)), set.classify(101, &packet(&PING))), (ALL, 1));
        let never = ClassSet::new(vec![class("all", "", 0), class("never", "tcp and udp", 1)]).unwrap_err().to_string();
        assert!(never.contains("rejects all packets"), "{never}");
    }

    #[test]
    fn the_highest_precedence_that_matches_wins() {
        let classes = vec![
            class("all", "", 0),
            class("low", "icmp", 1),
            class("high", "host 10.0.0.2", 5),
            class("other", "host 10.0.0.9", 9),
            class("later-by-name", "ip", 5),
            class("ether", "ether src 0:0:0:0:0:0", 10),
        ];
        let mut set = ClassSet::new(classes).unwrap();
        assert_eq!(
            set.classify(101, &packet(&PING)),
            2,
            "`ether` does not compile for raw IP and matches nothing there"
        );
        let mut framed = vec![0; 12];
        framed.extend([8, 0]);
        framed.extend(PING);
        assert_eq!(set.classify(1, &packet(&framed)), 5);
        assert_eq!(set.classify(1, &packet(&[7; 60])), ALL);
        assert_eq!(set.classify(9999, &packet(&PING)), ALL);
    }

    /// On a wire: what was prepared is asked, of what was not nothing is, and a set that takes its place is as it was.
    #[test]
    fn where_all_link_types_are_known_libpcap_is_asked_nothing() {
        let new = || ClassSet::new(vec![class("all", "", 0), class("ping", "icmp", 1)]).unwrap();
        let (mut set, mut later) = (new(), new());
        let classes = |set: &mut ClassSet| [101, 228].map(|l| set.classify(l, &packet(&PING)));
        set.prepare(101);
        set.all_known();
        set.meet(228);
        assert_eq!((classes(&mut set), set.programs.len()), ([1, ALL], 1));
        later.prepare(228);
        later.replace(&mut set);
        assert_eq!((classes(&mut set), set.programs.len()), ([ALL, 1], 1));
        assert_eq!((classes(&mut later), classes(&mut new())), ([1, ALL], [1, 1]));
    }

    #[test]
    fn a_filter_that_is_wrong_everywhere_is_named() {
        let e = ClassSet::new(vec![class("all", "", 0), class("web", "tcp prt 80", 1)]).unwrap_err();
        assert!(e.to_string().contains("\"web\"") && e.to_string().contains("\"prt\""), "{e}");
        assert!(ClassSet::new(vec![class("all", "", 0), class("wifi", "wlan type mgt", 1)]).is_ok());
        assert!(matches!(ClassSet::new(Vec::new()), Err(ClassError::Count(0))));
    }
}
