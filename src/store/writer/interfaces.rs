//! From a source's interfaces to those that segments describe: one table for each link type, because a segment has one link
//! type, and for what is told beside them: a segment has the names and secrets of its packets. Tables only grow, so that a block can move to a younger segment and its interface numbers still hold.

use crate::limits::SEGMENT_OPTIONS_MAX;
use crate::source::Interface;
use crate::store::format::{IfaceDrops, SEGMENT_IFACES_MAX, description_bytes};

/// Where a source's interface stands: its table and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which table.
    pub table: u16,
    /// Which interface of it: the number in packet blocks.
    pub id: u32,
}

/// Interfaces of one link type, with the same names and secrets beside them.
#[derive(Debug, Default)]
pub struct Tables {
    places: Vec<Place>,
    tables: Vec<Vec<Interface>>,
    drops: Vec<Vec<IfaceDrops>>,
}

impl Tables {
    /// The place of the source's interface `iface`; takes in what the source has newly discovered.
    #[inline]
    pub fn place(&mut self, iface: u16, interfaces: &[Interface]) -> Option<Place> {
        if usize::from(iface) >= self.places.len() {
            self.grow(interfaces);
        }
        self.places.get(usize::from(iface)).copied()
    }

    /// Interfaces of a table, all of one link type.
    pub fn get(&self, table: u16) -> &[Interface] {
        &self.tables[usize::from(table)]
    }

    /// Number of tables.
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Takes note of what a source's interface has received and lost so far.
    pub fn note_drops(&mut self, iface: u16, drops: IfaceDrops) {
        if let Some(place) = self.places.get(usize::from(iface)) {
            self.drops[usize::from(place.table)][place.id as usize] = drops;
        }
    }

    /// What was noted last of interface `id` of a table.
    pub fn drops(&self, table: u16, id: u32) -> IfaceDrops {
        self.drops[usize::from(table)][id as usize]
    }

    #[cold]
    fn grow(&mut self, interfaces: &[Interface]) {
        for new in interfaces.iter().skip(self.places.len()) {
            // The youngest table of its kind; the same interface of another file has the same place.
            let like = |i: &Interface| i.link_type == new.link_type && i.beside == new.beside;
            let kind = self.tables.iter().rposition(|t| t.first().is_some_and(like));
            let table = kind.filter(|t| has_room(&self.tables[*t], new) || self.tables[*t].contains(new));
            let table = table.unwrap_or_else(|| {
                self.tables.push(Vec::new());
                self.drops.push(Vec::new());
                self.tables.len() - 1
            });
            let list = &mut self.tables[table];
            let id = list.iter().position(|i| i == new).unwrap_or_else(|| {
                list.push(new.clone());
                self.drops[table].push(IfaceDrops::default());
                list.len() - 1
            });
            self.places.push(Place { table: table as u16, id: id as u32 });
        }
    }
}

/// Whether the header of a segment has room for one more interface.
fn has_room(table: &[Interface], new: &Interface) -> bool {
    let described: usize = table.iter().chain([new]).map(description_bytes).sum();
    table.len() < SEGMENT_IFACES_MAX && described <= SEGMENT_OPTIONS_MAX
}
