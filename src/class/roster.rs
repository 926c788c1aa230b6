//! Ids of classes in the life of a store: a name has the same id from its first appearance on, whatever is reloaded or started anew, so that
//! what is counted and stored under an id stays true. Asked at the start and by a reload; the store keeps the names.

use super::{Class, ClassError, ClassId, ClassSet};
use crate::limits::CLASSES_MAX;

/// All names that there were, by id, and which of them are there no more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    names: Vec<String>,
    gone: u64,
}

const _: () = assert!(CLASSES_MAX <= 64, "a bit for each class");

impl Roster {
    /// Of names that were kept; none of them is in force yet. `None`: they can't be.
    pub fn kept(names: Vec<String>) -> Option<Roster> {
        let twice = |(n, name): (usize, &String)| names.iter().skip(n + 1).any(|other| other == name);
        if names.len() > CLASSES_MAX || names.iter().enumerate().any(twice) {
            return None;
        }
        Roster { names, gone: 0 }.with([]).ok()
    }

    /// With these classes in force: those that are new get the next ids. Fails where there were too many.
    pub fn with<'a>(&self, in_force: impl IntoIterator<Item = &'a str>) -> Result<Roster, ClassError> {
        let mut next = Roster { names: self.names.clone(), gone: u64::MAX };
        for name in in_force {
            let id = next.names.iter().position(|n| n == name).unwrap_or_else(|| {
                next.names.push(name.to_owned());
                next.names.len() - 1
            });
            if id >= CLASSES_MAX {
                return Err(ClassError::Names(next.names.len()));
            }
            next.gone &= !(1 << id);
        }
        // Of those that never were nothing is gone.
        next.gone &= u64::MAX.checked_shr(64 - next.names.len() as u32).unwrap_or(0);
        Ok(next)
    }

    /// Names by id, those that are gone too.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The same, `None` in the place of those that are gone.
    pub fn in_force(&self) -> Vec<Option<String>> {
        let names = self.names.iter().enumerate();
        names.map(|(id, name)| (self.gone >> id & 1 == 0).then(|| name.clone())).collect()
    }

    /// Id of a name.
    pub fn id(&self, name: &str) -> Option<ClassId> {
        self.names.iter().position(|n| n == name).map(|id| id as ClassId)
    }

    /// A bit for each class that is there no more.
    pub fn gone(&self) -> u64 {
        self.gone
    }

    /// Those in force, by id, as workers use them. In the place of a class that is gone there is one that matches nothing and keeps
    /// what `all` keeps.
    pub fn set(&self, in_force: &[Class]) -> Result<ClassSet, ClassError> {
        let all = in_force.first().map(|c| c.policy.clone()).unwrap_or_default();
        let one = |name: &String| {
            let found = in_force.iter().find(|c| c.name == *name).cloned();
            found.unwrap_or_else(|| Class {
                name: name.clone(),
                filter: String::new(),
                precedence: 0,
                policy: all.clone(),
            })
        };
        ClassSet::with(self.names.iter().map(one).collect(), self.gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Policy;

    #[test]
    fn a_name_keeps_its_id() {
        let first = Roster::default().with(["all", "dns", "web"]).unwrap();
        assert_eq!((first.names(), first.gone()), (&["all", "dns", "web"].map(String::from)[..], 0));
        let second = first.with(["all", "mail", "web"]).unwrap();
        assert_eq!((second.id("web"), second.id("mail"), second.gone()), (Some(2), Some(3), 0b10));
        let third = second.with(["all", "dns"]).unwrap();
        assert_eq!((third.id("dns"), third.gone()), (Some(1), 0b1100));
        let names: Vec<String> = (0..CLASSES_MAX).map(|n| format!("c{n}")).collect();
        let kept = Roster::kept(third.names().to_vec()).unwrap();
        assert_eq!((kept.gone(), kept.with(["all", "web"]).unwrap().id("web")), (0b1111, Some(2)));
        assert_eq!(Roster::kept(vec!["all".into(), "dns".into(), "all".into()]), None);
        let full = Roster::default().with(names.iter().map(String::as_str)).unwrap();
        assert_eq!(full.gone(), 0);
        assert_eq!(full.with(["c0"]).unwrap().gone(), u64::MAX - 1);
        assert!(matches!(full.with(["c0", "more"]), Err(ClassError::Names(65))));
    }

    #[test]
    fn a_class_that_is_gone_matches_nothing() {
        let class = |name: &str, filter: &str| {
            let policy = Policy { cutoff_bytes: Some(7), ..Policy::default() };
            Class { name: name.into(), filter: filter.into(), precedence: 1, policy }
        };
        let roster = Roster::default().with(["all", "ip", "arp"]).unwrap().with(["all", "arp"]).unwrap();
        let mut set = roster.set(&[class("all", ""), class("arp", "arp")]).unwrap();
        let mut frame = vec![0; 60];
        frame[12] = 8;
        let packet = crate::source::Packet {
            time: 0,
            wire_len: 60,
            iface: 0,
            hash: None,
            data: &frame,
            options: crate::source::InputOptions::NONE,
        };
        assert_eq!(set.classify(1, &packet), 0);
        assert_eq!(set.policy(1).cutoff_bytes, Some(7));
        frame[13] = 6;
        let packet = crate::source::Packet {
            time: 0,
            wire_len: 60,
            iface: 0,
            hash: None,
            data: &frame,
            options: crate::source::InputOptions::NONE,
        };
        assert_eq!(set.classify(1, &packet), 2);
    }
}
