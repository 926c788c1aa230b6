//! Who tells a recording to stop and gives it other settings: its own signals and the reader of its configuration, or the parent that started
//! this process. Owns which reloads wait; asked by the control thread between its rounds.

use super::reloading::SIGNAL;
use super::signals::Signals;
use super::{RecordError, Refused};
use crate::config::{Changes, Settings};
use crate::parent::{FromParent, ToParent};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Where settings come from when they are asked for again: the file, and the options of the command line over it.
pub type Reader<'a> = dyn Fn() -> Result<Settings, String> + 'a;

/// Who it will be, before anything runs.
pub enum Lead<'a> {
    /// This process itself.
    Own(&'a Reader<'a>),
    /// The one that started it, and serve beside it.
    Parent(ToParent),
}

/// Settings for whoever asked under a number, which a signal has too; or why there are none.
type New = (u32, Result<Settings, String>);

/// Who it is.
pub struct Leader<'a>(Who<'a>);

enum Who<'a> {
    Own { signals: Signals, reader: &'a Reader<'a>, asked: VecDeque<u32> },
    Parent { to: ToParent, end: bool, again: bool, new: VecDeque<New> },
}

impl<'a> Leader<'a> {
    /// From now on signals are taken over, where they are this process's own.
    pub fn new(lead: Lead<'a>) -> Result<Leader<'a>, RecordError> {
        let who = match lead {
            Lead::Own(reader) => {
                let signals = Signals::new().map_err(RecordError::system("signals"))?;
                Who::Own { signals, reader, asked: VecDeque::new() }
            }
            Lead::Parent(to) => Who::Parent { to, end: false, again: false, new: VecDeque::new() },
        };
        Ok(Leader(who))
    }

    /// It records. `handed`: what serve is to have, where it is another process.
    pub fn works(&self, handed: &[OwnedFd]) -> io::Result<()> {
        match &self.0 {
            Who::Own { .. } => Ok(()),
            Who::Parent { to, .. } => to.ready(&handed.iter().map(AsFd::as_fd).collect::<Vec<_>>()),
        }
    }

    /// Another serve is to be handed over to, once each time that it is asked for.
    pub fn serve_again(&mut self) -> bool {
        match &mut self.0 {
            Who::Own { .. } => false,
            Who::Parent { again, .. } => std::mem::take(again),
        }
    }

    /// Somebody starts it again where it ends for a reason of its own.
    pub fn starts_again(&self) -> bool {
        matches!(self.0, Who::Parent { .. })
    }

    /// It is to stop.
    pub fn stop(&mut self) -> bool {
        match &mut self.0 {
            Who::Own { signals, .. } => signals.stop(),
            Who::Parent { to, end, again, new } => {
                while let (false, Some(said)) = (*end, to.hear()) {
                    match said {
                        FromParent::End => *end = true,
                        FromParent::ServeAgain => *again = true,
                        FromParent::Rules { number, document, .. } => {
                            let settings = serde_json::from_slice(&document).unwrap_or_else(|e| Err(e.to_string()));
                            new.push_back((number, settings));
                        }
                    }
                }
                *end
            }
        }
    }

    /// Somebody asks for other settings: they come under this number.
    pub fn ask(&mut self, number: u32) {
        match &mut self.0 {
            Who::Own { asked, .. } => asked.push_back(number),
            Who::Parent { to, .. } => to.ask(number),
        }
    }

    /// The next settings, or why there are none.
    pub fn rules(&mut self) -> Option<New> {
        match &mut self.0 {
            Who::Own { signals, reader, asked } => {
                let number = if signals.reload() { SIGNAL } else { asked.pop_front()? };
                Some((number, reader()))
            }
            Who::Parent { new, .. } => new.pop_front(),
        }
    }

    /// What became of them.
    pub fn answer(&self, number: u32, done: &Result<Changes, Refused>) {
        let Who::Parent { to, .. } = &self.0 else { return };
        let words = serde_json::to_vec(done).unwrap_or_default();
        if let Err(e) = to.answer(number, done.is_ok(), &words) {
            tracing::error!("the parent does not learn which settings are in force: {e}");
        }
    }
}
