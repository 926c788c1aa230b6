//! Who tells a recording to stop and gives it other settings: in one process its own signals and the reader of its configuration. Owns which
//! reloads wait; asked by the control thread between its rounds.

use super::signals::Signals;
use crate::config::Settings;
use std::collections::VecDeque;

/// Where settings come from when they are asked for again: the file, and the options of the command line over it.
pub type Reader<'a> = dyn Fn() -> Result<Settings, String> + 'a;

/// This process's own.
pub struct Leader<'a> {
    signals: Signals,
    reader: &'a Reader<'a>,
    asked: VecDeque<u32>,
    numbers: u32,
}

impl<'a> Leader<'a> {
    /// By these signals, from there.
    pub fn new(signals: Signals, reader: &'a Reader<'a>) -> Leader<'a> {
        Leader { signals, reader, asked: VecDeque::new(), numbers: 0 }
    }

    /// It is to stop.
    pub fn stop(&self) -> bool {
        self.signals.stop()
    }

    /// Somebody asks for other settings: they come under this number.
    pub fn ask(&mut self) -> u32 {
        self.numbers = self.numbers.wrapping_add(1);
        self.asked.push_back(self.numbers);
        self.numbers
    }

    /// The next settings, or why there are none; without a number where a signal asked.
    pub fn rules(&mut self) -> Option<(Option<u32>, Result<Settings, String>)> {
        let number = if self.signals.reload() { None } else { Some(self.asked.pop_front()?) };
        Some((number, (self.reader)()))
    }
}
