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
    programs: Vec<(u16, Option<Filter>)>,
}

impl Filters {
    /// Checks the expression, and compiles it for the link types that are known already.
    pub fn new(expression: Option<&str>, interfaces: &[Interface]) -> Result<Filters, FilterError> {
        let expression = expression.map(str::trim).filter(|e| !e.is_empty()).map(str::to_owned);
        let mut filters = Filters { expression, programs: Vec::new() };
        if let Some(e) = &filters.expression {
            Filter::check(e)?;
        }
        for i in interfaces {
            if let Some(e) = &filters.expression {
                Filter::compile_unplaced(e, i.link_type).map_err(|error| error.of_link_type(i.link_type))?;
            }
            filters.learn(i.link_type);
        }
        Ok(filters)
    }

    /// Compiles for a link type if that is new; called when the source has found an interface, never per packet.
    pub fn learn(&mut self, link_type: u16) {
        let Some(expression) = &self.expression else { return };
        if !self.programs.iter().any(|(l, _)| *l == link_type) {
            let program = Filter::compile_unplaced(expression, link_type).map_err(|e| e.of_link_type(link_type));
            if let Err(error) = &program {
                tracing::warn!("packets of this link type are recorded without the filter: {error}");
            }
            self.programs.push((link_type, program.ok()));
        }
    }

    /// Whether the packet is to be looked at.
    #[inline]
    pub fn accept(&self, link_type: u16, p: &Packet<'_>) -> bool {
        if self.expression.is_none() {
            return true;
        }
        let program = self.programs.iter().find(|(l, _)| *l == link_type);
        !matches!(program, Some((_, Some(f))) if !f.matches(p.data, p.wire_len))
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
    }

    #[test]
    fn what_comes_up_later_is_recorded() {
        let mut filters = Filters::new(Some("not port 22"), &[interface(1)]).unwrap();
        filters.learn(239);
        let mut ssh = vec![0; 14];
        ssh[12] = 8;
        ssh.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 9, 9, 0, 22]);
        assert!(!accepts(&filters, 1, &ssh));
        assert!(accepts(&filters, 239, &ssh), "nobody knows what the filter leaves out there");
        assert!(accepts(&filters, 1, &[0; 60]));
    }
}
