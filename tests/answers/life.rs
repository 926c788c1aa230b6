//! A history as it happens: the recorder runs in this process, as `retrotap record` does, and questions are asked at every stage of its
//! store's life. Owns the directory, the order of things, and the list of what was found wrong.

use crate::compare::Kind;
use crate::dice::Dice;
use crate::history::{self, End, History, Run};
use crate::model::Model;
use crate::questions::{self, Question};
use crate::queue::{QueueSource, Queues};
use crate::segments::Sealed;
use crate::ways::{self, FilesAlone, Way};
use crate::{PATIENCE, pcapng};
use retrotap::conn::receipt::End as Ended;
use retrotap::ledger;
use retrotap::record::statistics::Sample;
use retrotap::record::{Observer, Outcome, RecordError, run as run_files, run_sources};
use retrotap::source::file::Progress;
use retrotap::store::layout::Layout;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What came of a history.
#[derive(Debug, Default)]
pub struct Report {
    pub findings: Vec<(Kind, String)>,
    pub questions: u64,
    pub packets: u64,
    pub stages: u64,
    /// What tcpdump itself selects was not compared: it is not there.
    pub without_tcpdump: bool,
}

/// A history, and what is known of it so far.
pub struct Life<'a> {
    pub history: &'a History,
    pub dir: PathBuf,
    pub store: PathBuf,
    pub model: Model<'a>,
    pub segments: Vec<Sealed>,
    /// Stored packets that no sealed segment that was read has.
    pub unplaced: Vec<usize>,
    /// Packets that have come to the model and are not in `unplaced` yet.
    pub seen: usize,
    pub dice: Dice,
    pub report: Report,
}

/// Nobody looks.
pub struct Quiet;

impl Observer for Quiet {
    fn interval_ns(&self) -> u64 {
        u64::MAX
    }
    fn interval(&mut self, _: &Sample, _: &Sample, _: Option<(u64, u64)>) {}
}

/// Runs a history below `dir`.
pub fn live(history: &History, dir: &Path) -> Report {
    let mut life = Life {
        history,
        dir: dir.to_owned(),
        store: dir.join("store"),
        model: Model::new(history, dir),
        segments: Vec::new(),
        unplaced: Vec::new(),
        seen: 0,
        dice: Dice::new(!history.seed),
        report: Report::default(),
    };
    for (n, run) in history.runs.iter().enumerate() {
        life.model.start();
        if let Err(wrong) = life.run(n, run) {
            life.found(&format!("run {n}"), &wrong);
            break;
        }
        life.look(&format!("run {n}, at its end"));
        let mut ways = vec![Way::Direct, Way::Scan];
        if life.programs() {
            ways.push(Way::Program(None, life.dir.join("answer.pcapng")));
        }
        life.ask(&format!("run {n}, at its end"), &ways);
        for mishap in &run.after {
            if life.befall(mishap) {
                life.ask(&format!("after run {n} and {mishap:?}"), &ways);
            }
        }
    }
    life.report.packets = life.model.kept.len() as u64;
    life.report
}

impl Life<'_> {
    pub fn found(&mut self, stage: &str, what: &str) {
        self.wrong(stage, Kind::Recording, what);
    }

    pub fn wrong(&mut self, stage: &str, kind: Kind, what: &str) {
        let text = format!("seed {}, {stage}: {kind:?}: {what}", self.history.seed);
        self.report.findings.push((kind, text));
    }

    /// Programs are asked, too: they take longer than all the rest.
    pub fn programs(&self) -> bool {
        self.history.seed.is_multiple_of(20)
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join("api")
    }

    /// One life of the recorder.
    fn run(&mut self, n: usize, run: &Run) -> Result<(), String> {
        let outcome = if !run.live && run.queues == 1 && self.history.seed.is_multiple_of(2) {
            self.run_file(run)
        } else {
            self.run_queues(n, run)
        };
        let outcome = outcome?.map_err(|e| format!("the recorder: {e}"))?;
        if !outcome.is_whole() {
            return Err(format!("the recording is not whole: {:?} {:?}", outcome.broken, outcome.failures));
        }
        let a = &outcome.last.account.worker;
        let m = &self.model;
        let said = [a.received, a.stored, a.cut, a.class_discard].map(|t| t.packets);
        let told = (said, outcome.last.connections.begun);
        let meant = ([m.given, m.stored, m.cut, m.discarded], m.begun());
        if told != meant {
            self.found(
                &format!("run {n}, account"),
                &format!("received, stored, cut, discarded and connections are {told:?}, not {meant:?}"),
            );
        }
        if run.end == End::Kill {
            self.model.killed();
            let copy = self.dir.join(format!("killed-{n}"));
            for s in &mut self.segments {
                let within = s.path.strip_prefix(&self.store).expect("a segment of the store");
                s.path = copy.join(within);
            }
            self.store = copy;
        }
        Ok(())
    }

    fn run_file(&mut self, run: &Run) -> Result<Result<Outcome, RecordError>, String> {
        let path = self.dir.join("input.pcapng");
        let packets = run.chunks.iter().flatten().map(|(_, p)| (p.time, p.wire, p.link, &p.data[..]));
        std::fs::write(&path, pcapng::write(&self.history.network.links, packets)).map_err(|e| e.to_string())?;
        (0..run.chunks.len()).for_each(|i| self.model.feed(run, i));
        let settings = self.settings(run, &path)?;
        Ok(run_files(&settings, &|| Err("there is no other".into()), &mut Quiet))
    }

    fn run_queues(&mut self, n: usize, run: &Run) -> Result<Result<Outcome, RecordError>, String> {
        let settings = self.settings(run, Path::new("/dev/null"))?;
        let reloads = self.history.reload.filter(|(of, _)| *of == n && run.live).map(|(_, chunk)| chunk);
        let follows = run.live && self.dice.chance(40);
        let followed = Question { filter: questions::expression(&mut self.dice, 2), ..Question::default() };
        let other = Mutex::new(Err("there is no other".to_owned()));
        let (queues, progress) = (Queues::new(run.queues), Arc::new(Progress::default()));
        let sources: Vec<QueueSource> = (queues.0.iter())
            .map(|q| QueueSource::new(q.clone(), &self.history.network.links, progress.clone()))
            .collect();
        std::thread::scope(|scope| {
            let recorder = scope.spawn(|| {
                let read = || other.lock().expect("settings").clone();
                run_sources(&settings, sources, progress, &read, &mut Quiet)
            });
            let (mut wrong, mut follower) = (None, None);
            for i in 0..run.chunks.len() {
                if reloads == Some(i) {
                    self.model.reloaded = true;
                    *other.lock().expect("settings") = self.settings(run, Path::new("/dev/null"));
                    if let Err(e) = ways::reload(&self.socket()) {
                        wrong = Some(format!("the reload: {e}"));
                        break;
                    }
                }
                if follows && i == 1 {
                    let (socket, followed) = (self.socket(), &followed);
                    follower = Some(scope.spawn(move || ways::follow(&socket, followed)));
                }
                queues.give(&run.chunks[i]);
                self.model.feed(run, i);
                if !queues.settle(|| recorder.is_finished()) {
                    wrong = Some("the workers do not take in what they are given".to_owned());
                    break;
                }
                if run.live {
                    let stage = format!("run {n}, running, after chunk {i}");
                    if let Err(e) = self.while_it_runs(&stage) {
                        wrong = Some(format!("after chunk {i}: {e}"));
                        break;
                    }
                }
            }
            if run.end == End::Kill && wrong.is_none() {
                // What it leaves is what is there now: nothing is under way.
                if let Err(e) = copy(&self.store, &self.dir.join(format!("killed-{n}"))) {
                    wrong = Some(format!("the copy: {e}"));
                }
            }
            queues.close();
            if let Some(follower) = follower {
                let reply = follower.join().map_err(|_| "the follower panicked".to_owned())?;
                self.followed(&format!("run {n}"), &followed, &reply);
            }
            let outcome = recorder.join().map_err(|_| "the recorder panicked".to_owned())?;
            match (wrong, outcome) {
                (_, Err(e)) => Ok(Err(e)),
                (Some(wrong), _) => Err(wrong),
                (None, outcome) => Ok(outcome),
            }
        })
    }

    /// Waits until all that was fed can be had from the files and from the recorder, and asks.
    fn while_it_runs(&mut self, stage: &str) -> Result<(), String> {
        let start = Instant::now();
        while self.segments.iter().any(|s| s.aged && !s.gone && s.path.exists()) {
            if start.elapsed() > PATIENCE {
                return Err("segments that are too old do not expire".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.place();
        self.look(stage);
        let since = self.model.kept.iter().rev().take(self.model.stored as usize).map(|p| p.time).min();
        let q = Question { since, ..Question::default() };
        for way in [Way::Count(self.socket()), Way::Direct] {
            loop {
                let packets = match ways::ask(&way, &FilesAlone::new(&self.store), &q) {
                    Ok(reply) => reply.summary.map_or(0, |s| s.packets),
                    Err(_) if start.elapsed() < Duration::from_secs(2) => 0,
                    Err(e) => return Err(format!("{way}: {e}")),
                };
                if packets == self.model.stored {
                    break;
                }
                if start.elapsed() > PATIENCE {
                    return Err(format!("{way}: {packets} packets of {} can be had", self.model.stored));
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.receipts()?;
        let socket = self.socket();
        let mut ways = vec![Way::Direct, Way::Api(socket.clone()), Way::Count(socket.clone())];
        match self.dice.below(4) {
            0 => ways.push(Way::Hold(socket)),
            1 => ways.push(Way::Memory(socket)),
            _ => {}
        }
        let wanted = questions::connection(&mut self.dice, &self.model.connections);
        let time = self.model.kept.last().map_or(history::START, |p| p.time);
        for taken in ways::nonsense(&self.socket(), time, wanted.filter(|w| !w.is_icmp()))? {
            self.wrong(stage, Kind::Refusal, &format!("makes no sense and is answered: {taken}"));
        }
        if self.programs() {
            ways.push(Way::Program(Some(self.socket()), self.dir.join("answer.pcapng")));
        }
        self.ask(stage, &ways);
        Ok(())
    }

    /// Waits for the receipts of those that others of their names have followed, which the workers send once a second: until then nobody
    /// tells of them. Not for ever: what is asked then shows what is lacking.
    fn receipts(&self) -> Result<(), String> {
        let (run, first) = self.model.followed();
        let start = Instant::now();
        loop {
            let mut there = 0;
            let receipts = Layout::new(&self.store).receipts();
            ledger::each_connection(&receipts, (first, u64::MAX), || true, &mut |r| {
                there += u64::from(r.end != Ended::Lasting)
            })
            .map_err(|e| e.to_string())?;
            if there >= run || start.elapsed() > PATIENCE / 4 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&entry.path(), &to)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), &to)?;
            let time = entry.metadata()?.modified()?;
            std::fs::File::options().write(true).open(&to)?.set_modified(time)?;
        }
    }
    Ok(())
}
