//! The lanes: which threads do what. Owns them, and how much of each one user may have, so that no kind of question waits behind another: what
//! reads packets, what looks at the store's books, what lists or releases holds, and what makes them. Status, orders and reloads take no
//! thread at all.

use super::clients::{Clients, Place};
use super::pool::{Pool, Size};
use crate::limits::{
    ANSWERS_STALLED, BOOKS_PER_USER, BOOKS_THREADS, BOOKS_WAITING, DESK_PER_USER, DESK_THREADS, DESK_WAITING,
    JOBS_WAITING, KEEP_PER_USER, KEEP_THREADS, KEEP_WAITING, MEMORY_THREADS, MEMORY_WAITING, QUERY_THREADS,
};
use crate::query::priority;

/// A kind of question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Reads packets, or connections: however many.
    Packets,
    /// Looks at what the store says of itself: `info`, `losses`.
    Books,
    /// Looks at holds, or lets go of one.
    Desk,
    /// Makes holds.
    Keep,
}

/// The threads of all lanes. Their names: `query`, `memory`, `books`, `desk`, `keep`.
pub struct Lanes {
    /// Reads packets.
    pub packets: Pool,
    /// The same from memory alone, where an index finds them.
    pub memory: Pool,
    books: (Pool, Clients),
    desk: (Pool, Clients),
    keep: (Pool, Clients),
}

impl Lanes {
    /// Starts them.
    pub fn start() -> std::io::Result<Lanes> {
        let small = |name, threads, waiting, each| {
            let size = Size { threads, stalled: 0, waiting };
            Pool::start(name, priority::idle, size).map(|pool| (pool, Clients::new(each)))
        };
        let packets = Size { threads: QUERY_THREADS, stalled: ANSWERS_STALLED, waiting: JOBS_WAITING };
        // What finds no place here goes to the others, who get a processor only when nobody else wants one.
        let memory = Size { threads: MEMORY_THREADS, stalled: MEMORY_THREADS, waiting: MEMORY_WAITING };
        Ok(Lanes {
            packets: Pool::start("query", priority::idle, packets)?,
            memory: Pool::start("memory", priority::idle_disk, memory)?,
            books: small("books", BOOKS_THREADS, BOOKS_WAITING, BOOKS_PER_USER)?,
            desk: small("desk", DESK_THREADS, DESK_WAITING, DESK_PER_USER)?,
            keep: small("keep", KEEP_THREADS, KEEP_WAITING, KEEP_PER_USER)?,
        })
    }

    /// The threads of a lane.
    pub fn of(&self, lane: Lane) -> &Pool {
        match lane {
            Lane::Packets => &self.packets,
            Lane::Books => &self.books.0,
            Lane::Desk => &self.desk.0,
            Lane::Keep => &self.keep.0,
        }
    }

    /// A place in a lane for this user; the error says why there is none. `queries`: who reads how many packets.
    pub fn enter(&self, lane: Lane, caller: &str, queries: &Clients) -> Result<Place, String> {
        let (clients, what) = match lane {
            Lane::Packets => return queries.enter(caller).ok_or_else(|| queries.full(caller)),
            Lane::Books => (&self.books.1, "questions about the store"),
            Lane::Desk => (&self.desk.1, "questions about holds"),
            Lane::Keep => (&self.keep.1, "holds being made"),
        };
        let full =
            || format!("{caller} has {} {what} under way, as many as one may: wait for one to end", clients.most());
        clients.enter(caller).ok_or_else(full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn a_user_has_so_much_of_each_lane_and_no_lane_takes_from_another() {
        let (lanes, queries) = (Lanes::start().unwrap(), Clients::new(1));
        let own: Vec<_> = (0..100).map_while(|_| lanes.enter(Lane::Books, "a", &queries).ok()).collect();
        assert_eq!(own.len(), BOOKS_PER_USER);
        let why = lanes.enter(Lane::Books, "a", &queries).unwrap_err();
        assert!(why.contains("a has 4 questions about the store"), "{why}");
        assert!(lanes.enter(Lane::Books, "b", &queries).is_ok());
        for lane in [Lane::Desk, Lane::Keep, Lane::Packets] {
            assert!(lanes.enter(lane, "a", &queries).is_ok(), "{lane:?}");
        }
    }

    /// Whatever all threads of a lane are doing.
    #[test]
    fn a_lane_whose_threads_are_all_busy_holds_up_no_other() {
        let lanes = Lanes::start().unwrap();
        let (begun, has_begun) = channel();
        let go_on: Vec<_> = (0..QUERY_THREADS + 50)
            .map(|_| {
                let (go_on, may_go_on) = channel::<()>();
                let begun = begun.clone();
                let job = move |_: &super::super::pool::Threads| {
                    let _ = begun.send(());
                    let _ = may_go_on.recv_timeout(Duration::from_secs(60));
                };
                assert!(lanes.of(Lane::Packets).run(Box::new(job)).is_ok());
                go_on
            })
            .collect();
        (0..QUERY_THREADS).for_each(|_| has_begun.recv_timeout(Duration::from_secs(60)).unwrap());
        for lane in [Lane::Books, Lane::Desk, Lane::Keep] {
            let (tell, told) = channel();
            assert!(lanes.of(lane).run(Box::new(move |_| tell.send(()).unwrap())).is_ok());
            told.recv_timeout(Duration::from_secs(60)).expect("it is done");
        }
        drop(go_on);
    }
}
