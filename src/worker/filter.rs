//! The global filter: a pcap-filter expression, compiled for each link type that the source brings. Owns the compiled
//! programs; read by the step for each packet. What it does not match is counted as `filtered`.
//!
//! An expression that libpcap refuses for a link type, or that matches no packet of it, is an error where the link type is known before
//! recording. Of one that comes up later nobody can say what the filter would leave out: its packets pass, and a warning says so.

use crate::filter::{Filter, FilterError};
use crate::source::{Interface, Packet};

/// The expression, by link type. No expression accepts everything.
#[derive(Debug, Default)]
pub struct Filters {
    expression: Option<String>,
    programs: Vec<(u16, OfLinkType)>,
    /// There are no other link types: libpcap is asked nothing any more.
    all_known: bool,
}

/// What it is for one link type.
#[derive(Debug)]
enum OfLinkType {
    Filter(Filter),
    /// No packet can match.
    Nothing,
    /// libpcap refuses it.
    Refused,
}

impl Filters {
    /// Checks the expression, and compiles it for the link types that are known already.
    pub fn new(expression: Option<&str>, interfaces: &[Interface]) -> Result<Filters, FilterError> {
        let expression = expression.map(str::trim).filter(|e| !e.is_empty()).map(str::to_owned);
        let mut filters = Filters { expression, programs: Vec::new(), all_known: false };
        if let Some(e) = &filters.expression {
            Filter::check(e)?;
        }
        for i in interfaces {
            filters.learn(i.link_type);
        }
        let possible = |(_, p): &(u16, OfLinkType)| matches!(p, OfLinkType::Filter(_));
        let refused = filters.programs.iter().find(|(_, p)| matches!(p, OfLinkType::Refused));
        let nothing = filters.programs.first().filter(|_| !filters.programs.iter().any(possible));
        if let (Some(e), Some((link_type, _))) = (&filters.expression, refused.or(nothing)) {
            Filter::compile(e, *link_type).map_err(|error| error.of_link_type(*link_type))?;
        }
        Ok(filters)
    }

    /// From now on no other link type is learnt: packets of one pass. For a wire, whose interfaces are all there before the first packet, so that
    /// no worker's thread ever waits for libpcap.
    pub fn all_known(&mut self) {
        self.all_known = true;
    }

    /// Takes the place of `before`, and knows as much as that of link types to come.
    pub fn replace(&mut self, before: &mut Filters) {
        self.all_known = before.all_known;
        std::mem::swap(self, before);
    }

    /// Compiles for a link type if that is new; called when the source has found an interface, never per packet.
    pub fn learn(&mut self, link_type: u16) {
        let Some(expression) = &self.expression else { return };
        if !self.all_known && !self.programs.iter().any(|(l, _)| *l == link_type) {
            let program = match Filter::compile_unplaced(expression, link_type) {
                Ok(filter) => OfLinkType::Filter(filter),
                Err(error) if error.rejects_all() => OfLinkType::Nothing,
                Err(_) => OfLinkType::Refused,
            };
            self.programs.push((link_type, program));
        }
    }

    /// The same for one that has come up while recording; says so where the filter can't be asked.
    pub fn meet(&mut self, link_type: u16) {
        let before = self.programs.len();
        self.learn(link_type);
        if let (Some(expression), Some((_, OfLinkType::Refused))) = (&self.expression, self.programs.get(before))
            && let Err(error) = Filter::compile(expression, link_type)
        {
            let error = error.of_link_type(link_type);
            tracing::warn!("packets of this link type are recorded without the filter: {error}");
        }
    }

    /// Whether the packet is to be looked at.
    #[inline]
    pub fn accept(&self, link_type: u16, p: &Packet<'_>) -> bool {
        if self.expression.is_none() {
            return true;
        }
        let program = self.programs.iter().find(|(l, _)| *l == link_type);
        match program {
            Some((_, OfLinkType::Filter(f))) => f.matches(p.data, p.wire_len),
            Some((_, OfLinkType::Nothing)) => false,
            // Nobody knows what it would leave out.
            Some((_, OfLinkType::Refused)) | None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::InputOptions;

    fn interface(link_type: u16) -> Interface {
        Interface::new("a", link_type)
    }

    fn accepts(filters: &Filters, link_type: u16, data: &[u8]) -> bool {
        filters.accept(
            link_type,
            &Packet {
                time: 0,
                wire_len: data.len() as u32,
                iface: 0,
                hash: None,
                data,
                options: InputOptions::default(),
            },
        )
    }

    #[test]
    fn what_is_known_to_be_refused_is_an_error() {
        let new = |expression, link_type| Filters::new(Some(expression), &[interface(1), interface(link_type)]);
        let error = new("not port 22", 239).unwrap_err().to_string();
        assert!(error.contains("NFLOG (239)") && error.contains("filter"), "{error}");
        for (expression, link_type) in [("vlan", 101), ("tcp and udp", 127), ("tcp and udp", 1)] {
            assert!(new(expression, link_type).is_err(), "{expression}, {link_type}");
        }
        assert!(new("not port 22", 127).is_ok() && Filters::new(Some("tcp and udp"), &[]).is_err());
        // IPv6 alone: no packet matches, and none is missed; an error only where that is all there is.
        assert!(new("host 10.0.0.1", 229).is_ok());
        let error = Filters::new(Some("host 10.0.0.1"), &[interface(229)]).unwrap_err().to_string();
        assert!(error.contains("rejects all packets"), "{error}");
    }

    #[test]
    fn what_comes_up_later_is_recorded() {
        let mut filters = Filters::new(Some("not port 22"), &[interface(1)]).unwrap();
        filters.meet(239);
        filters.meet(229);
        let mut ssh = vec![0; 14];
        ssh[12] = 8;
        ssh.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 9, 9, 0, 22]);
        assert!(!accepts(&filters, 1, &ssh));
        assert!(accepts(&filters, 239, &ssh), "nobody knows what the filter leaves out there");
        assert!(accepts(&filters, 1, &[0; 60]));
        let mut filters = Filters::new(Some("host 10.0.0.1"), &[interface(1)]).unwrap();
        filters.meet(229);
        assert!(!accepts(&filters, 229, &[0x60; 60]), "no packet of IPv6 is of that host");
    }
    #[test]
    fn where_all_link_types_are_known_nothing_is_learnt() {
        let new = || Filters::new(Some("icmp"), &[interface(1)]).unwrap();
        let (mut filters, mut later) = (new(), Filters::new(Some("udp"), &[interface(1)]).unwrap());
        filters.all_known();
        filters.meet(101);
        assert!(
            !accepts(&filters, 1, &[0; 60]) && accepts(&filters, 101, &[0; 60]),
            "nobody knows what it would leave out"
        );
        later.replace(&mut filters);
        filters.meet(101);
        assert!(!accepts(&filters, 1, &[0; 60]) && accepts(&filters, 101, &[0; 60]));
        assert_eq!((filters.expression.as_deref(), filters.programs.len()), (Some("udp"), 1));
        let mut files = new();
        files.meet(101);
        assert!(!accepts(&files, 101, &[0; 60]));
    }
}
