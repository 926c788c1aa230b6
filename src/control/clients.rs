//! Who asks, how much each may ask at a time, and how many connections there may be in all. Owns the counts; a place is given back
//! when its guard is dropped.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Queries under way, by user.
#[derive(Clone, Debug)]
pub struct Clients {
    under_way: Arc<Mutex<HashMap<String, usize>>>,
    most: Arc<AtomicUsize>,
}

/// A place among the queries of a user.
#[derive(Debug)]
pub struct Place {
    of: Clients,
    caller: String,
}

impl Clients {
    /// So many queries for each.
    pub fn new(most: usize) -> Clients {
        Clients { under_way: Arc::default(), most: Arc::new(most.into()) }
    }

    /// So many from now on.
    pub fn set_most(&self, most: usize) {
        self.most.store(most, Relaxed);
    }

    /// How many.
    pub fn most(&self) -> usize {
        self.most.load(Relaxed)
    }

    /// A place, if the user has one left.
    pub fn enter(&self, caller: &str) -> Option<Place> {
        let mut all = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let n = all.entry(caller.to_owned()).or_insert(0);
        if *n >= self.most.load(Relaxed) {
            return None;
        }
        *n += 1;
        Some(Place { of: self.clone(), caller: caller.to_owned() })
    }

    /// What is said to a caller who has none left.
    pub fn full(&self, caller: &str) -> String {
        format!(
            "{caller} has {} queries under way, as many as are allowed (api.queries): wait for one to end",
            self.most.load(Relaxed)
        )
    }

    /// Queries under way.
    pub fn busy(&self) -> usize {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.of.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(n) = all.get_mut(&self.caller) {
            *n -= 1;
            if *n == 0 {
                all.remove(&self.caller);
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
        let (a, b) = (clients.enter("a"), clients.enter("a"));
        assert!(a.is_some() && b.is_some() && clients.enter("a").is_none());
        assert!(clients.enter("b").is_some(), "another user has places of its own");
        drop(a);
        assert!(clients.enter("a").is_some());
        drop(b);
        assert_eq!(clients.busy(), 0);
    }
}
