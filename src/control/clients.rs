//! Who asks, how much each may ask at a time, and how many connections there may be in all. Owns the counts; a place is given back
//! when its guard is dropped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A client as the kernel vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Process; 0 if the kernel does not tell.
    pub pid: i32,
}

impl Peer {
    /// Whether it may ask: root, the recorder's own user, and members of its group.
    pub fn allowed(&self) -> bool {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        self.uid == 0 || self.uid == uid || self.gid == gid || self.groups().contains(&gid)
    }

    /// Its supplementary groups, as the kernel shows them.
    fn groups(&self) -> Vec<u32> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("Groups:")).unwrap_or_default();
        line.split_whitespace().filter_map(|g| g.parse().ok()).collect()
    }
}

/// Queries under way, by user.
#[derive(Clone, Debug)]
pub struct Clients {
    under_way: Arc<Mutex<HashMap<u32, usize>>>,
    most: usize,
}

/// A place among the queries of a user.
#[derive(Debug)]
pub struct Place {
    of: Clients,
    uid: u32,
}

impl Clients {
    /// So many queries for each.
    pub fn new(most: usize) -> Clients {
        Clients { under_way: Arc::default(), most }
    }

    /// A place, if the user has one left.
    pub fn enter(&self, uid: u32) -> Option<Place> {
        let mut all = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let n = all.entry(uid).or_insert(0);
        if *n >= self.most {
            return None;
        }
        *n += 1;
        Some(Place { of: self.clone(), uid })
    }

    /// Queries under way.
    pub fn busy(&self) -> usize {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.of.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(n) = all.get_mut(&self.uid) {
            *n -= 1;
            if *n == 0 {
                all.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_so_many_places_and_gets_them_back() {
        let clients = Clients::new(2);
        let (a, b) = (clients.enter(7), clients.enter(7));
        assert!(a.is_some() && b.is_some() && clients.enter(7).is_none());
        assert!(clients.enter(8).is_some(), "another user has places of its own");
        drop(a);
        assert!(clients.enter(7).is_some());
        drop(b);
        assert_eq!(clients.busy(), 0);
    }
}
