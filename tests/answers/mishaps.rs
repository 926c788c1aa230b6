//! What befalls a store at rest: segments that are too old, indexes and filters that are missing, damaged or another's, bytes that have changed.

use crate::history::{self, End, Mishap, Run};
use crate::life::Life;
use crate::life::Quiet;
use crate::model::Presence;
use crate::pcapng;
use crate::segments::segments;
use retrotap::config::Settings;
use retrotap::record::run as run_files;
use std::path::Path;
use std::time::{Duration, SystemTime};

impl Life<'_> {
    /// True: something happened.
    pub fn befall(&mut self, mishap: &Mishap) -> bool {
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
