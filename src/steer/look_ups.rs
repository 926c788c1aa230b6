//! Look-ups of connections for serve: asked of the workers in boxes, those that wait together in one go. Owns which workers are silent: they are
//! not asked again for a while. Only these look-ups wait for a silent worker, no order.

use super::handle::Steering;
use crate::limits::{LOOK_UPS_OF_MESSAGE, TOTALS_OF_BOX, TOTALS_SILENT_NS};
use crate::messages::{Report, Socket, ToServe};
use crate::packet::key::Key;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// One message of it.
#[derive(Debug)]
pub(super) struct LookUp {
    /// By which it was asked, and is answered.
    pub(super) socket: Arc<Socket>,
    pub(super) id: u64,
    pub(super) keys: Vec<Key>,
}

/// Workers that have not answered: until then they are not asked.
#[derive(Debug, Default)]
struct Silent(HashMap<usize, Instant>);

impl Silent {
    fn now(&mut self) -> Vec<usize> {
        let now = Instant::now();
        self.0.retain(|_, until| now < *until);
        self.0.keys().copied().collect()
    }

    fn add(&mut self, workers: Vec<usize>) {
        let until = Instant::now() + Duration::from_nanos(TOTALS_SILENT_NS);
        self.0.extend(workers.into_iter().map(|worker| (worker, until)));
    }
}

/// Until nobody asks any more.
pub(super) fn run(steering: &Steering, to_serve: &ToServe, asked: &Receiver<LookUp>) {
    let mut silent = Silent::default();
    while let Ok(first) = asked.recv() {
        let mut all = vec![first];
        // As many as fill a worker's box, if that owns all of them.
        while all.len() * LOOK_UPS_OF_MESSAGE < TOTALS_OF_BOX
            && let Ok(next) = asked.try_recv()
        {
            all.push(next);
        }
        // Nobody waits for those of a serve that has ended.
        all.retain(|one| to_serve.is_there(&one.socket));
        let keys: Vec<Key> = all.iter().flat_map(|one| one.keys.iter().copied()).collect();
        let (found, unheard) = steering.totals(&keys, &silent.now());
        silent.add(unheard);
        let mut found = found.into_iter();
        for LookUp { socket, id, keys } in all {
            let found = found.by_ref().take(keys.len()).collect();
            to_serve.answer(&socket, &Report::LookedUp(id, found), &keys);
        }
    }
}
