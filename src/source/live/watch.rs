//! What is looked at each second while a capture runs: the clock and the interfaces. Each change is an [`Event`], for the
//! ledger and the user.

use super::Live;
use crate::iface::Link;

/// Something that the ledger should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The clock was set: packet time jumps by this many ns.
    ClockStep(i64),
    /// No signal, or set down.
    LinkDown(String),
    /// Signal again.
    LinkUp(String),
    /// The interface is gone.
    Vanished(String),
    /// An interface of that name is there again and is being recorded.
    Returned(String),
    /// An interface of that name is there again and can't be recorded, and why.
    NotReturned(String, String),
}

impl Live {
    /// To be called each second by one thread.
    pub fn tick(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        events.extend(self.clock.tick().map(|s| Event::ClockStep(s.by)));
        for i in 0..self.tapped.len() {
            events.extend(self.look(i));
        }
        events
    }

    fn look(&mut self, i: usize) -> Option<Event> {
        let tapped = self.tapped.get_mut(i)?;
        let name = tapped.link.name.clone();
        // Index 0: gone since an earlier look.
        if tapped.link.index == 0 {
            let link = Link::by_name(&name).ok()?;
            return Some(match self.rejoin(i, link) {
                Ok(()) => Event::Returned(name),
                Err(e) => Event::NotReturned(name, e.to_string()),
            });
        }
        match Link::by_index(tapped.link.index) {
            Ok(Some(now)) => {
                let (was, is) = (tapped.link.up && tapped.link.carrier, now.up && now.carrier);
                (tapped.link.up, tapped.link.carrier) = (now.up, now.carrier);
                match (was, is) {
                    (true, false) => Some(Event::LinkDown(name)),
                    (false, true) => Some(Event::LinkUp(name)),
                    _ => None,
                }
            }
            Ok(None) => {
                tapped.link.index = 0;
                Some(Event::Vanished(name))
            }
            Err(_) => None,
        }
    }
}
