//! What is known of the store's segments: which packets are in each, by libpcap, and which have gone. Owns the rule that every stored packet is in
//! one segment, once, until something says why not.

use crate::life::Life;
use crate::model::Presence;
use crate::oracle::captures;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A segment that was sealed, and the numbers of the packets in it.
pub struct Sealed {
    pub path: PathBuf,
    pub packets: Vec<usize>,
    pub aged: bool,
    pub gone: bool,
}

/// Numbers of stored packets by time, length on the wire and bytes.
type Numbers = HashMap<(u64, u32, Vec<u8>), Vec<usize>>;

impl Life<'_> {
    /// Reads the sealed segments that are new, with libpcap: each has packets that were stored, once.
    pub fn place(&mut self) {
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
    pub fn look(&mut self, stage: &str) {
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
}

/// There are segments that nobody has sealed.
fn unsealed(store: &Path) -> bool {
    std::fs::read_dir(store.join("open")).is_ok_and(|d| d.count() > 0)
}

/// The segments of a folder, by name.
pub fn segments(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|f| f.path());
    let mut found: Vec<PathBuf> = files.filter(|p| p.extension().is_some_and(|e| e == "pcapng")).collect();
    found.sort();
    found
}
