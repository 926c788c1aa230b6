//! A history as it happens: the recorder runs in this process, as `retrotap record` does, and questions are asked at every stage of its
//! store's life. Owns the directory, what is known of each segment, and the list of what was found wrong.

use crate::compare::{self, Kind, Truth};
use crate::dice::Dice;
use crate::history::{self, End, History, Mishap, Run};
use crate::judge::Judge;
use crate::model::{Model, Presence};
use crate::oracle::captures;
use crate::questions::{self, Question};
use crate::queue::{QueueSource, Queues};
use crate::totals::{self, ByName};
use crate::ways::{self, FilesAlone, Way};
use crate::{PATIENCE, pcapng};
use retrotap::config::{Config, Settings};
use retrotap::conn::receipt::End as Ended;
use retrotap::control::Place;
use retrotap::ledger;
use retrotap::record::statistics::Sample;
use retrotap::record::{Observer, Outcome, RecordError, run as run_files, run_sources};
use retrotap::source::file::Progress;
use retrotap::store::layout::Layout;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

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

/// A segment that was sealed, and the numbers of the packets in it.
struct Sealed {
    path: PathBuf,
    packets: Vec<usize>,
    aged: bool,
    gone: bool,
}

/// Numbers of stored packets by time, length on the wire and bytes.
type Numbers = HashMap<(u64, u32, Vec<u8>), Vec<usize>>;

struct Life<'a> {
    history: &'a History,
    dir: PathBuf,
    store: PathBuf,
    model: Model<'a>,
    segments: Vec<Sealed>,
    /// Stored packets that no sealed segment that was read has.
    unplaced: Vec<usize>,
    /// Packets that have come to the model and are not in `unplaced` yet.
    seen: usize,
    dice: Dice,
    report: Report,
}

struct Quiet;

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
    fn found(&mut self, stage: &str, what: &str) {
        self.wrong(stage, Kind::Recording, what);
    }

    fn wrong(&mut self, stage: &str, kind: Kind, what: &str) {
        let text = format!("seed {}, {stage}: {kind:?}: {what}", self.history.seed);
        self.report.findings.push((kind, text));
    }

    fn settings(&self, run: &Run, input: &Path) -> Result<Settings, String> {
        let mut text = format!(
            "segment_size = \"4MiB\"\nbuffers = \"4MiB\"\nconnections_ipv4 = 4096\nconnections_ipv6 = 4096\nvlan_in_key = {}\n",
            self.history.vlans
        );
        for (_, c) in self.history.classes.iter().enumerate().filter(|(n, _)| self.model.has(*n)) {
            text += &format!("[class.{}]\n", c.name);
            if !c.filter.is_empty() {
                text += &format!("filter = \"{}\"\nprecedence = {}\n", c.filter, c.precedence);
            }
            text += &match c.rules.cutoff_bytes {
                None => "cutoff = \"none\"\n".to_owned(),
                Some(n) => format!("cutoff = \"{n}\"\n"),
            };
            c.rules.cutoff_packets.iter().for_each(|n| text += &format!("cutoff_packets = {n}\n"));
            c.snaplen.iter().for_each(|n| text += &format!("snaplen = {n}\n"));
            let seconds = |ns: u64| format!("\"{}s\"", ns / 1_000_000_000);
            let never = |ns: Option<u64>| ns.map_or("\"never\"".to_owned(), seconds);
            text += &format!(
                "idle_tcp = {}\nidle_other = {}\nrenew_tcp = {}\nrenew_other = {}\n",
                seconds(c.rules.idle_tcp),
                seconds(c.rules.idle_other),
                never(c.rules.renew_tcp),
                never(c.rules.renew_other)
            );
            if !c.rules.record {
                text += "record = \"none\"\n";
            }
            c.disk_mib.iter().for_each(|n| text += &format!("disk = \"{n}MiB\"\n"));
            c.max_age_hours.iter().for_each(|n| text += &format!("max_age = \"{n}h\"\n"));
        }
        let mut config = Config::parse(&text, Path::new("retrotap.toml")).map_err(|e| e.to_string())?;
        (config.read, config.store) = (vec![input.to_owned()], Some(self.store.clone()));
        let mut settings = Settings::new(config).map_err(|e| format!("{e} in {text}"))?;
        // Less than a configuration may say, so that little is much.
        settings.memory = run.memory;
        settings.api = if run.live { Place::At(self.socket()) } else { Place::Off };
        Ok(settings)
    }

    /// Programs are asked, too: they take longer than all the rest.
    fn programs(&self) -> bool {
        self.history.seed.is_multiple_of(20)
    }

    fn socket(&self) -> PathBuf {
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

    /// Reads the sealed segments that are new, with libpcap: each has packets that were stored, once.
    fn place(&mut self) {
        self.unplaced.extend(self.seen..self.model.kept.len());
        self.seen = self.model.kept.len();
        let mut wrong = Vec::new();
        for (class, c) in self.history.classes.iter().enumerate() {
            let mut by: Option<Numbers> = None;
            for path in segments(&self.store.join(c.name)) {
                if self.segments.iter().any(|s| s.path == path) {
                    continue;
                }
                let kept = &self.model.kept;
                let by = by.get_or_insert_with(|| {
                    let mut by = Numbers::new();
                    for &i in self.unplaced.iter().rev().filter(|i| kept[**i].class == class) {
                        let p = &kept[i];
                        by.entry((p.time, p.wire, p.data.clone())).or_default().push(i);
                    }
                    by
                });
                let read = match captures::read(&path, String::new()) {
                    Ok(read) if read.broken.is_none() => read,
                    Ok(read) => {
                        wrong.push(format!("libpcap stops in {}: {:?}", path.display(), read.broken));
                        continue;
                    }
                    // It has gone meanwhile.
                    Err(_) if !path.exists() => continue,
                    Err(e) => {
                        wrong.push(format!("libpcap does not read {}: {e}", path.display()));
                        continue;
                    }
                };
                let mut packets = Vec::new();
                for p in &read.packets {
                    match by.get_mut(&(p.time, p.wire, p.data.clone())).and_then(Vec::pop) {
                        Some(i) => packets.push(i),
                        None => {
                            wrong.push(format!("{} has a packet that is not of it, time {}", path.display(), p.time))
                        }
                    }
                }
                self.segments.push(Sealed { path, packets, aged: false, gone: false });
            }
        }
        let placed: std::collections::HashSet<usize> =
            self.segments.iter().flat_map(|s| s.packets.iter().copied()).collect();
        self.unplaced.retain(|i| !placed.contains(i));
        wrong.iter().for_each(|w| self.found("the segments", w));
    }

    /// Looks which segments have gone, and whether they may have.
    fn look(&mut self, stage: &str) {
        let at_rest = stage.ends_with("at its end");
        if at_rest {
            self.place();
        }
        let mut wrong = Vec::new();
        for s in self.segments.iter_mut().filter(|s| !s.gone && !s.path.exists()) {
            s.gone = true;
            let class = s.packets.first().map(|i| self.model.kept[*i].class);
            if !s.aged && class.is_some_and(|c| self.history.classes[c].disk_mib.is_none()) {
                wrong.push(format!("{} has gone, and nothing says why", s.path.display()));
            }
            s.packets.iter().for_each(|i| self.model.kept[*i].now = Presence::Expired);
        }
        if at_rest && !unsealed(&self.store) {
            let (history, kept) = (self.history, &mut self.model.kept);
            for i in std::mem::take(&mut self.unplaced) {
                match history.classes[kept[i].class].disk_mib {
                    Some(_) => kept[i].now = Presence::Expired,
                    None => wrong.push(format!("packet {i} is in no segment")),
                }
            }
        }
        wrong.iter().take(3).for_each(|w| self.found(stage, w));
    }

    /// True: something happened.
    fn befall(&mut self, mishap: &Mishap) -> bool {
        let there: Vec<usize> = (0..self.segments.len())
            .filter(|i| !self.segments[*i].gone && self.segments[*i].path.starts_with(&self.store))
            .collect();
        let pick = |n: u64| there.get((n % there.len().max(1) as u64) as usize).copied();
        match *mishap {
            Mishap::Age(class) => {
                let c = &self.history.classes[class];
                if c.max_age_hours.is_none() {
                    return false;
                }
                let old = SystemTime::now() - Duration::from_secs(3 * 3600);
                let mut any = false;
                for s in self.segments.iter_mut().filter(|s| !s.gone && s.path.starts_with(self.store.join(c.name))) {
                    let file = std::fs::File::options().write(true).open(&s.path).expect("a segment");
                    file.set_modified(old).expect("its time");
                    (s.aged, any) = (true, true);
                }
                any
            }
            Mishap::NoIndex(n) => {
                pick(n).is_some_and(|i| std::fs::remove_file(self.segments[i].path.with_extension("idx")).is_ok())
            }
            Mishap::BadIndex(n, at) => pick(n).is_some_and(|i| flip(&self.segments[i].path.with_extension("idx"), at)),
            Mishap::ForeignIndex(n) => pick(n).is_some_and(|i| self.foreign_index(i)),
            Mishap::NoFilters => {
                let files = std::fs::read_dir(&self.store).expect("the store").flatten();
                let filters = files.filter(|f| f.file_name().to_string_lossy().starts_with("filters"));
                filters.map(|f| std::fs::remove_file(f.path()).is_ok()).fold(false, |a, b| a | b)
            }
            Mishap::BadByte(n, at) => pick(n).is_some_and(|i| {
                let times = std::fs::metadata(&self.segments[i].path).and_then(|m| m.modified());
                let done = flip(&self.segments[i].path, at);
                if let Ok(time) = times {
                    let file = std::fs::File::options().write(true).open(&self.segments[i].path).expect("a segment");
                    file.set_modified(time).expect("its time");
                }
                for p in &self.segments[i].packets {
                    self.model.kept[*p].now = Presence::Doubtful;
                }
                done
            }),
        }
    }

    /// Puts the index of another store's segment of the same number in the place of one; false: it has none of that number.
    fn foreign_index(&self, at: usize) -> bool {
        let place = &self.segments[at].path;
        let number = |path: &Path| path.file_stem().and_then(|n| n.to_str()?.rsplit('-').next().map(str::to_owned));
        let other = self.dir.join("other");
        if !other.exists() {
            // The same packets, later ones first: what stands where is not what stands there in ours.
            let mut packets: Vec<_> = self.history.runs[0].chunks.iter().flatten().collect();
            packets.reverse();
            let start = history::START;
            let packets = packets.iter().enumerate().map(|(i, (_, p))| (start + i as u64, p.wire, p.link, &p.data[..]));
            let input = self.dir.join("other.pcapng");
            std::fs::write(&input, pcapng::write(&self.history.network.links, packets)).expect("a capture");
            let run = Run { queues: 1, memory: 0, live: false, chunks: Vec::new(), end: End::Stop, after: Vec::new() };
            let settings = Settings { store: other.clone(), ..self.settings(&run, &input).expect("settings") };
            run_files(&settings, &|| Err("there is no other".into()), &mut Quiet).expect("another recording");
        }
        let classes = std::fs::read_dir(&other).into_iter().flatten().flatten().map(|e| e.path());
        let theirs = classes.flat_map(|c| segments(&c)).find(|s| number(s) == number(place));
        theirs.is_some_and(|s| std::fs::copy(s.with_extension("idx"), place.with_extension("idx")).is_ok())
    }

    /// What came to a follower is what a query gives at the end, but for the order of what came late.
    fn followed(&mut self, stage: &str, q: &Question, reply: &Result<ways::Reply, String>) {
        if self.history.is_chance(&q.filter) {
            return;
        }
        self.report.questions += 1;
        let kept = &self.model.kept;
        let judge = Judge::new(&self.dir, "followed", kept.iter().map(|p| (p.link, p.wire, &p.data[..])));
        let matching = judge.matching(&q.filter).or_else(|| judge.takes(&q.filter).then(Vec::new));
        let truth = Truth {
            history: self.history,
            kept,
            connections: &self.model.connections,
            matching,
            refusing: judge.refusing(&q.filter),
            knows_running: true,
            common: judge.takes(&q.filter),
            may_run: Default::default(),
        };
        if let Some(wrong) = truth.wrong_of_follower(q, reply) {
            self.wrong(stage, wrong.0, &format!("follower: {q}: {}", wrong.1));
        }
    }

    /// Some questions, by every way.
    fn ask(&mut self, stage: &str, ways: &[Way]) {
        self.report.stages += 1;
        let files = FilesAlone::new(&self.store);
        let at_rest = ways.iter().any(|w| matches!(w, Way::Scan));
        let (kept, history) = (&self.model.kept, self.history);
        let judge = Judge::new(&self.dir, "kept", kept.iter().map(|p| (p.link, p.wire, &p.data[..])));
        let named = history.classes.iter().enumerate().filter(|(n, _)| self.model.has(*n));
        let classes: Vec<&'static str> = named.map(|(_, c)| c.name).collect();
        let mut asked = vec![Question::default()];
        let n = if history.quick { self.dice.from(2, 4) } else { self.dice.from(2, 6) };
        asked.extend((0..n).map(|_| questions::any(&mut self.dice, &classes, kept, &self.model.connections)));
        let may_run = if at_rest { Default::default() } else { self.model.may_run() };
        let mut findings = Vec::new();
        for q in asked.iter().filter(|q| !history.is_chance(&q.filter)) {
            let matching = judge.matching(&q.filter).or_else(|| judge.takes(&q.filter).then(Vec::new));
            let refusing = judge.refusing(&q.filter);
            let refusing = if q.any_layer && judge.takes_inside(&q.filter) { Vec::new() } else { refusing };
            let mut truth = Truth {
                history,
                kept,
                connections: &self.model.connections,
                matching,
                refusing,
                knows_running: true,
                common: judge.takes(&q.filter),
                may_run: may_run.clone(),
            };
            if self.programs() && n % 2 == 0 {
                match judge.tcpdump(&q.filter) {
                    Ok(by) if by != truth.matching && !(by.is_none() && truth.matching == Some(Vec::new())) => {
                        findings.push((Kind::Packets, format!("{q}: tcpdump selects other packets than libpcap")));
                    }
                    Ok(_) => {}
                    Err(_) => self.report.without_tcpdump = true,
                }
            }
            let mut first: Option<(Vec<ways::Got>, bool)> = None;
            for way in ways {
                self.report.questions += 1;
                truth.knows_running = at_rest || !matches!(way, Way::Direct);
                let reply = ways::ask(way, &files, q);
                if matches!(way, Way::Memory(_)) {
                    let wrong = truth.wrong_of_memory(q, &reply);
                    findings.extend(wrong.map(|(kind, wrong)| (kind, format!("{way}: {q}: {wrong}"))));
                    continue;
                }
                let mut wrong = truth.wrong(q, &reply);
                if let (None, Ok(reply)) = (&wrong, &reply)
                    && let Some(packets) = &reply.packets
                {
                    let mut sorted = packets.clone();
                    sorted.sort();
                    // The program says it in words.
                    let damaged = reply.summary.as_ref().is_none_or(compare::says_damaged);
                    match &first {
                        Some((first, of_first)) if *first != sorted && q.limit.is_none() => {
                            let other = compare::difference(first, *of_first, &sorted, damaged);
                            wrong = other.map(|text| (Kind::Packets, text));
                        }
                        _ => first = Some((sorted, damaged)),
                    }
                }
                findings.extend(wrong.map(|(kind, wrong)| (kind, format!("{way}: {q}: {wrong}"))));
            }
        }
        for _ in 0..2 {
            let by = ByName::any(&mut self.dice);
            let mut q = questions::any(&mut self.dice, &classes, kept, &self.model.connections);
            q = Question { filter: by.text(), conn: None, any_layer: false, limit: None, ..q };
            let refused = !judge.takes(&q.filter) || !judge.refusing(&q.filter).is_empty();
            let matching = judge.matching(&q.filter).unwrap_or_default();
            let connections = &self.model.connections;
            let asked =
                totals::Asked { history, q: &q, by: &by, kept, connections, matching: &matching, may_run: &may_run };
            for way in ways {
                let wrong = match way {
                    Way::Direct => match files.connections(&q) {
                        // What runs has no receipt yet, and the files know no more than its packets.
                        Ok(_) if !at_rest => None,
                        Ok(found) => asked.list_wrong(&found.connections),
                        Err(e) => Some(format!("refused: {e}")),
                    },
                    Way::Api(socket) => match ways::listed(socket, &q) {
                        Ok((lines, summary)) => {
                            let (lines, n) = (lines.len() as u64, summary.connections);
                            let (least, most) = asked.count().unwrap_or((0, u64::MAX));
                            let wrong = lines != n || !(least..=most).contains(&n);
                            wrong
                                .then(|| format!("{lines} connections, {n} in the summary, {least} to {most} expected"))
                        }
                        Err(e) => Some(format!("refused: {e}")),
                    },
                    _ => continue,
                };
                self.report.questions += 1;
                if !refused {
                    findings.extend(wrong.map(|w| (Kind::Connections, format!("{way}: connections {q}: {w}"))));
                }
            }
        }
        findings.iter().for_each(|(kind, f)| self.wrong(stage, *kind, f));
    }
}

/// There are segments that nobody has sealed.
fn unsealed(store: &Path) -> bool {
    std::fs::read_dir(store.join("open")).is_ok_and(|d| d.count() > 0)
}

/// Changes a byte; false: there is none.
fn flip(path: &Path, at: u64) -> bool {
    let Ok(mut bytes) = std::fs::read(path) else { return false };
    if bytes.is_empty() {
        return false;
    }
    let at = (at % bytes.len() as u64) as usize;
    bytes[at] ^= 0x55;
    std::fs::write(path, bytes).is_ok()
}

/// The segments of a folder, by name.
fn segments(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|f| f.path());
    let mut found: Vec<PathBuf> = files.filter(|p| p.extension().is_some_and(|e| e == "pcapng")).collect();
    found.sort();
    found
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
