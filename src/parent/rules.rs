//! Other settings while a recording runs: who has asked for them, and how far the one that is under way is. Owns the queue and the order, one at
//! a time: read on a thread of its own, said to capture, and what capture says to that is said to serve.

use super::{Documents, Wanted, document};
use crate::limits::RELOADS_WAITING;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

/// The number of a signal: those of clients begin at 1.
pub const SIGNAL: u32 = 0;

/// Those who wait, and the one under way.
#[derive(Debug, Default)]
pub struct Rules {
    waiting: VecDeque<u32>,
    under_way: Option<(u32, Stage)>,
}

#[derive(Debug)]
enum Stage {
    Reading(Receiver<Vec<u8>>),
    Told(OwnedFd),
}

impl Rules {
    /// Somebody asks. Too many wait: it is as if he had not, and his time runs out.
    pub fn ask(&mut self, number: u32) {
        // Two signals before the first is read are one.
        let twice = number == SIGNAL && self.waiting.contains(&SIGNAL);
        if !twice && self.waiting.len() < RELOADS_WAITING + 1 {
            self.waiting.push_back(number);
        }
    }

    /// What is to be said to capture now, and under which number. `wake`: to be called once there may be more.
    pub fn next(&mut self, documents: &Documents, wake: impl FnOnce() + Send + 'static) -> Option<(u32, &OwnedFd)> {
        if self.under_way.is_none() {
            let number = self.waiting.pop_front()?;
            let (tell, told) = channel();
            let documents = documents.clone();
            let reading = move || {
                // Whoever waits for it may have gone.
                let _ = tell.send(documents(Wanted::Rules));
                wake();
            };
            match std::thread::Builder::new().name("rules".into()).spawn(reading) {
                Ok(_) => self.under_way = Some((number, Stage::Reading(told))),
                Err(e) => tracing::error!("reload: no thread reads the configuration: {e}"),
            }
            return None;
        }
        let (number, Stage::Reading(told)) = self.under_way.as_ref()? else { return None };
        let number = *number;
        let sealed = match told.try_recv() {
            Ok(document) => document::sealed(&document),
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(std::io::Error::other("whoever read it is gone")),
        };
        match sealed {
            Ok(document) => self.under_way = Some((number, Stage::Told(document))),
            Err(e) => {
                tracing::error!("reload: {e}");
                self.under_way = None;
            }
        }
        match &self.under_way {
            Some((number, Stage::Told(document))) => Some((*number, document)),
            _ => None,
        }
    }

    /// Capture has said what became of it: what it had been told.
    pub fn answered(&mut self, number: u32) -> Option<OwnedFd> {
        match self.under_way.take() {
            Some((of, Stage::Told(document))) if of == number => Some(document),
            other => {
                self.under_way = other;
                None
            }
        }
    }

    /// Capture is gone, and with it those who asked; a signal's wish stays.
    pub fn forget(&mut self) {
        let signal = self.waiting.contains(&SIGNAL) || self.under_way.as_ref().is_some_and(|(n, _)| *n == SIGNAL);
        *self = Rules::default();
        if signal {
            self.waiting.push_back(SIGNAL);
        }
    }
}
