//! Writing the ledger. Called by the recorder's control thread, each second and when something happens; never from a worker.

use super::coverage;
use super::timeline::RunState;
use super::{Entry, LedgerError, LedgerSummary, Pulse, What, at, days, keep_budget};
use crate::new_file;
use crate::store::layout::make_private;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The ledger of a store that is being recorded into.
#[derive(Debug)]
pub struct Ledger {
    dir: PathBuf,
    budget: u64,
    /// The day's file.
    file: Option<(u64, File)>,
    alive: File,
    /// Since when recording goes on, and from which source.
    running: Option<(u64, String)>,
    /// Interfaces without link, since.
    down: Vec<(String, u64)>,
    /// What has expired so far, and which imports were cut short.
    summary: LedgerSummary,
    pulse: Arc<Pulse>,
}

impl Ledger {
    /// Opens the ledger in `dir` (made if missing) to write at time `now` (Unix ns). If the recorder before was killed, says so
    /// in an entry, which ends its coverage at its last sign of life.
    pub fn open(dir: &Path, budget: u64, now: u64) -> Result<Ledger, LedgerError> {
        make_private(dir).map_err(at(dir))?;
        let last = coverage::last_state(dir)?;
        let path = days::alive(dir);
        let alive_before = coverage::last_alive(dir);
        let alive = new_file::keep(&path, new_file::SHARED).map_err(at(&path))?;
        let summary = LedgerSummary::resume(dir)?;
        // So that readers need not look through the entries; where the disk refuses it they do.
        let _ = summary.write(dir);
        let mut ledger = Ledger {
            dir: dir.to_owned(),
            budget,
            file: None,
            alive,
            running: None,
            down: Vec::new(),
            summary,
            pulse: Arc::default(),
        };
        if let RunState::Running { seen, .. } = last.state {
            let alive = alive_before.map_or(seen, |a| a.max(seen)).min(now.max(seen));
            if let Some(since) = last.importing() {
                ledger.sum_up(|s| s.broken_import(since))?;
            }
            ledger.append(now, What::Killed { alive })?;
        }
        Ok(ledger)
    }

    /// Adds an entry.
    pub fn append(&mut self, t: u64, what: What) -> Result<(), LedgerError> {
        self.turn_to(days::day_of(t))?;
        match &what {
            What::Started { source, .. } => {
                self.running = Some((t, source.clone()));
                self.down.clear();
            }
            What::Stopped => {
                self.running = None;
                self.down.clear();
            }
            // What came before has the times of before: this recording begins anew.
            What::ClockStep { .. } => {
                let begun =
                    self.running.iter_mut().map(|(since, _)| since).chain(self.down.iter_mut().map(|(_, since)| since));
                begun.for_each(|since| *since = t);
            }
            What::LinkDown { interface } if !self.down.iter().any(|(i, _)| i == interface) => {
                self.down.push((interface.clone(), t));
            }
            What::LinkUp { interface } => self.down.retain(|(i, _)| i != interface),
            What::Expired { class, first, last } => {
                self.sum_up(|s| s.take(class.as_deref(), *first, *last))?;
            }
            What::Unread { .. } => {
                if let Some((since, _)) = self.running.clone().filter(|(_, source)| source == "file") {
                    self.sum_up(|s| s.broken_import(since))?;
                }
            }
            _ => {}
        }
        self.write(&Entry { t, what })
    }

    /// Before the entry that says so: whoever reads that finds it there. An entry that can't be written is written again, and changes nothing
    /// then.
    fn sum_up(&mut self, more: impl FnOnce(&mut LedgerSummary)) -> Result<(), LedgerError> {
        let mut summary = self.summary.clone();
        more(&mut summary);
        if summary != self.summary {
            summary.write(&self.dir)?;
            self.summary = summary;
        }
        Ok(())
    }

    /// The same, which beats this pulse.
    pub fn with_pulse(self, pulse: Arc<Pulse>) -> Ledger {
        Ledger { pulse, ..self }
    }

    /// A sign of life: recording is in force at `t`. Once a second.
    pub fn beat(&mut self, t: u64) -> Result<(), LedgerError> {
        let path = days::alive(&self.dir);
        self.alive.write_all_at(format!("{t:020}\n").as_bytes(), 0).map_err(at(&path))?;
        // A day without events has a file too.
        let turned = self.turn_to(days::day_of(t));
        self.pulse.beat(t);
        self.pulse.wrote();
        turned
    }

    /// Beats after each write.
    pub fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// Makes what was written survive a power loss.
    pub fn sync(&self) -> Result<(), LedgerError> {
        let mut files = self.file.iter().map(|(_, f)| f).chain([&self.alive]);
        files.try_for_each(File::sync_data).map_err(at(&self.dir))
    }

    /// Opens the file of a day, if it is not the one that is open. A clock that went back writes on in the later day's file.
    fn turn_to(&mut self, day: u64) -> Result<(), LedgerError> {
        if self.file.as_ref().is_some_and(|(open, _)| *open >= day) {
            return Ok(());
        }
        let path = days::file_of(&self.dir, day);
        let fresh = !path.exists();
        let file = new_file::append(&path, new_file::SHARED).map_err(at(&path))?;
        let len = file.metadata().map_err(at(&path))?.len();
        let mut last = [b'\n'];
        if len > 0 {
            file.read_exact_at(&mut last, len - 1).map_err(at(&path))?;
        }
        self.file = Some((day, file));
        if last != *b"\n" {
            // A line that a kill cut off: it stays alone on its line, and readers skip it.
            self.put("\n")?;
        }
        if let Some((since, source)) = self.running.clone().filter(|_| fresh) {
            let t = days::end_of(day.saturating_sub(1));
            self.write(&Entry { t, what: What::Continues { since, source } })?;
            for (interface, since) in self.down.clone() {
                self.write(&Entry { t: since, what: What::LinkDown { interface } })?;
            }
        }
        let files: Vec<PathBuf> = days::list(&self.dir)?.into_iter().map(|(_, p)| p).collect();
        keep_budget(&files, self.budget);
        Ok(())
    }

    fn write(&mut self, entry: &Entry) -> Result<(), LedgerError> {
        let line = serde_json::to_string(entry).map_err(|e| at(&self.dir)(e.into()))?;
        self.put(&(line + "\n"))
    }

    pub(super) fn put(&mut self, text: &str) -> Result<(), LedgerError> {
        match &mut self.file {
            Some((_, file)) => {
                let written = file.write_all(text.as_bytes()).map_err(at(&self.dir));
                self.pulse.wrote();
                written
            }
            None => Ok(()),
        }
    }
}
