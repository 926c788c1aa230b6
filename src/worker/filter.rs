//! The global filter: a pcap-filter expression, compiled for each link type that the source brings. Owns the compiled
//! programs; read by the step for each packet. What it does not match is counted as `filtered`.

use crate::filter::{Filter, FilterError};
use crate::source::{Interface, Packet};

/// The expression, by link type. No expression accepts everything; one that does not compile for a link type matches
/// nothing there, as in a query.
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
            filters.learn(i.link_type);
        }
        Ok(filters)
    }

    /// Compiles for a link type if that is new; called when the source has found an interface, never per packet.
    pub fn learn(&mut self, link_type: u16) {
        let Some(expression) = &self.expression else { return };
        if !self.programs.iter().any(|(l, _)| *l == link_type) {
            self.programs.push((link_type, Filter::compile(expression, link_type).ok()));
        }
    }

    /// Whether the packet is to be looked at.
    #[inline]
    pub fn accept(&self, link_type: u16, p: &Packet<'_>) -> bool {
        if self.expression.is_none() {
            return true;
        }
        let program = self.programs.iter().find(|(l, _)| *l == link_type);
        matches!(program, Some((_, Some(f))) if f.matches(p.data, p.wire_len))
    }
}
