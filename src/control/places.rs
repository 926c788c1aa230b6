//! Places for connections: how many there may be, of whom. Owns the counts, of the Unix socket and of TCP. Who is at the machine as root or as
//! the recorder's own user has places that nobody else can take; others have so many each. Who is far away and has not said who he is has one
//! of few places, for a moment: when they are taken the one that has waited longest goes, so that a flood of silent connections keeps out nobody
//! who speaks. A place is given back when it is dropped.

use crate::limits::{
    CLIENTS_MAX, CLIENTS_PER_USER, CLIENTS_REMOTE_MAX, CLIENTS_REMOTE_PER_USER, STRANGERS_MAX, STRANGERS_PER_ADDRESS,
};
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The places.
#[derive(Clone, Debug, Default)]
pub struct Places(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    taken: Mutex<Taken>,
    /// The last at the Unix socket has gone.
    empty: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    owners: usize,
    users: Counts<u32>,
    named: Counts<String>,
    /// Those who have not said who they are, the longest first.
    strangers: VecDeque<Arc<Stranger>>,
    addresses: Counts<IpAddr>,
}

#[derive(Debug)]
struct Counts<K> {
    all: usize,
    each: HashMap<K, usize>,
}

impl<K> Default for Counts<K> {
    fn default() -> Counts<K> {
        Counts { all: 0, each: HashMap::new() }
    }
}

impl<K: Hash + Eq> Counts<K> {
    fn take(&mut self, key: K, (all, each): (usize, usize)) -> bool {
        if self.all >= all || self.each.get(&key).is_some_and(|n| *n >= each) {
            return false;
        }
        self.all += 1;
        *self.each.entry(key).or_default() += 1;
        true
    }

    fn give_back(&mut self, key: &K) {
        if let Some(n) = self.each.get_mut(key) {
            *n -= 1;
            self.all -= 1;
            if *n == 0 {
                self.each.remove(key);
            }
        }
    }
}

/// A connection over TCP before it has said who it is.
#[derive(Debug)]
struct Stranger {
    address: IpAddr,
    out: Notify,
}

/// A place at the Unix socket.
#[derive(Debug)]
pub struct LocalPlace {
    of: Places,
    /// None: root's, or the recorder's own.
    uid: Option<u32>,
}

/// A place over TCP.
#[derive(Debug)]
pub struct RemotePlace {
    of: Places,
    stranger: Arc<Stranger>,
    /// Whose it is; none: a stranger's.
    name: Mutex<Option<String>>,
}

impl Places {
    /// For a user of this machine; `owner`: root, or the recorder's own. `None`: the user has as many as one may, or there are no more.
    pub fn local(&self, uid: u32, owner: bool) -> Option<LocalPlace> {
        let mut taken = self.taken();
        let got = match owner {
            true => taken.owners < CLIENTS_MAX,
            false => taken.users.take(uid, (CLIENTS_MAX, CLIENTS_PER_USER)),
        };
        taken.owners += usize::from(owner && got);
        got.then(|| LocalPlace { of: self.clone(), uid: (!owner).then_some(uid) })
    }

    /// For somebody at this address. `None`: it has as many strangers as one may have.
    pub fn remote(&self, address: IpAddr) -> Option<RemotePlace> {
        let mut taken = self.taken();
        let address = network(address);
        if !taken.addresses.take(address, (usize::MAX, STRANGERS_PER_ADDRESS)) {
            return None;
        }
        let stranger = Arc::new(Stranger { address, out: Notify::new() });
        taken.strangers.push_back(stranger.clone());
        if taken.strangers.len() > STRANGERS_MAX
            && let Some(longest) = taken.strangers.pop_front()
        {
            taken.addresses.give_back(&longest.address);
            longest.out.notify_one();
        }
        Some(RemotePlace { of: self.clone(), stranger, name: Mutex::new(None) })
    }

    /// Waits until nobody has one at the Unix socket.
    pub async fn empty(&self) {
        loop {
            let empty = self.0.empty.notified();
            if self.taken().locals() == 0 {
                return;
            }
            empty.await;
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn locals(&self) -> usize {
        self.owners + self.users.all
    }

    /// Whether it was one still.
    fn no_stranger(&mut self, stranger: &Arc<Stranger>) -> bool {
        let Some(at) = self.strangers.iter().position(|s| Arc::ptr_eq(s, stranger)) else { return false };
        self.strangers.remove(at);
        self.addresses.give_back(&stranger.address);
        true
    }
}

/// Whom an address stands for: who has one of IPv6 has a whole network of them.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(a) if a.to_ipv4_mapped().is_none() => IpAddr::V6((u128::from(a) & !u128::from(u64::MAX)).into()),
        other => other.to_canonical(),
    }
}

impl RemotePlace {
    /// It is this user's from now on; the error is for whoever asked.
    pub fn is_of(&self, user: &str) -> Result<(), String> {
        let mut name = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        if name.as_deref() == Some(user) {
            return Ok(());
        }
        let mut taken = self.of.taken();
        if !taken.named.take(user.to_owned(), (CLIENTS_REMOTE_MAX, CLIENTS_REMOTE_PER_USER)) {
            let most = format!("{CLIENTS_REMOTE_PER_USER}, all together {CLIENTS_REMOTE_MAX}");
            return Err(format!("{user} has as many connections as one may ({most}): close one"));
        }
        match name.replace(user.to_owned()) {
            Some(before) => taken.named.give_back(&before),
            None => {
                taken.no_stranger(&self.stranger);
            }
        }
        Ok(())
    }

    /// Somebody else needs it.
    pub async fn is_lost(&self) {
        self.stranger.out.notified().await;
    }
}

impl Drop for LocalPlace {
    fn drop(&mut self) {
        let mut taken = self.of.taken();
        match &self.uid {
            Some(uid) => taken.users.give_back(uid),
            None => taken.owners -= 1,
        }
        if taken.locals() == 0 {
            self.of.0.empty.notify_one();
        }
    }
}

impl Drop for RemotePlace {
    fn drop(&mut self) {
        let name = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self.of.taken();
        match &*name {
            Some(name) => taken.named.give_back(name),
            None => {
                taken.no_stranger(&self.stranger);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    fn lost(place: &RemotePlace) -> bool {
        // One that nobody has been told of waits.
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        std::pin::pin!(place.is_lost()).poll(&mut cx).is_ready()
    }

    #[test]
    fn a_user_of_the_machine_has_so_many_and_the_owner_has_his_own() {
        let places = Places::default();
        let all: Vec<_> = (0..CLIENTS_PER_USER).map_while(|_| places.local(7, false)).collect();
        assert_eq!(all.len(), CLIENTS_PER_USER);
        assert!(places.local(7, false).is_none() && places.local(8, false).is_some());
        let others: Vec<_> = (8u32..).map_while(|uid| places.local(uid, false)).collect();
        assert_eq!(all.len() + others.len(), CLIENTS_MAX);
        assert!(places.local(9, false).is_none() && places.local(0, true).is_some());
        drop((all, others));
        assert!(places.local(7, false).is_some());
        assert_eq!(places.taken().locals(), 0);
    }

    #[test]
    fn silent_connections_keep_out_nobody_else() {
        let places = Places::default();
        let one: Vec<_> = (0..200).map_while(|_| places.remote(address(1))).collect();
        assert_eq!(one.len(), STRANGERS_PER_ADDRESS);
        let many: Vec<_> = (2..1000).map(|n| places.remote(address(n)).unwrap()).collect();
        assert!(one.iter().all(lost), "they waited longest");
        assert_eq!(many.iter().filter(|p| lost(p)).count(), many.len() - STRANGERS_MAX);
        let speaks = places.remote(address(5000)).unwrap();
        speaks.is_of("token a").unwrap();
        let _more: Vec<_> = (6000..7000).map(|n| places.remote(address(n)).unwrap()).collect();
        assert!(!lost(&speaks));
        let taken = places.taken();
        assert_eq!((taken.strangers.len(), taken.addresses.all), (STRANGERS_MAX, STRANGERS_MAX));
    }

    #[test]
    fn a_token_has_so_many_connections() {
        let places = Places::default();
        let spoken = |name: &str| {
            let place = places.remote(address(1)).unwrap();
            place.is_of(name).map(|()| place)
        };
        let all: Vec<_> = (0..1000).map_while(|_| spoken("token a").ok()).collect();
        assert_eq!(all.len(), CLIENTS_REMOTE_PER_USER);
        assert!(spoken("token a").unwrap_err().contains("token a has as many"));
        let other = spoken("token b").unwrap();
        other.is_of("token b").unwrap();
        assert!(other.is_of("token a").is_err(), "another token on the same connection counts as well");
        drop(all);
        other.is_of("token a").unwrap();
        assert_eq!(places.taken().named.each.len(), 1);
        drop(other);
        let taken = places.taken();
        assert!(taken.named.each.is_empty() && taken.strangers.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_stranger() {
        let places = Places::default();
        let at = |n: u16| IpAddr::from([0x2001, 0xdb8, 1, 1, n, 0, 0, 1]);
        let all: Vec<_> = (0..1000).map_while(|n| places.remote(at(n))).collect();
        assert_eq!(all.len(), STRANGERS_PER_ADDRESS);
        assert!(places.remote([0x2001, 0xdb8, 1, 2, 0, 0, 0, 1].into()).is_some());
        assert_eq!(network([0, 0, 0, 0, 0, 0xffff, 0x0a00, 1].into()), IpAddr::from([10, 0, 0, 1]));
    }
}
