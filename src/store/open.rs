//! Opening a store to record into it: identity, lock, recovery, keeper. Called once at the start of a recording; readers need
//! none of it.

use super::catalog::Publisher;
use super::event::StoreEvent;
use super::format::{STORE_VERSION, StoreId};
use super::inbox::Inbox;
use super::keeper::roll::Roll;
use super::keeper::shelf::{Holding, Retention};
use super::keeper::sizes::Sizes;
use super::keeper::{Before, EnteredHook, EventHook, IndexHook, KeeperCounts, Plan, Running, Supply};
use super::layout::{self, Layout};
use super::live::Live;
use super::lock::Lock;
use super::recover::{self, OldTimes, TimesHook};
use super::writer::Writer;
use super::{StoreError, at};
use crate::class::{ClassId, Keep};
use crate::limits::{SEGMENT_BYTES, SYNC_NS};
use crate::metrics::latency::Distribution;
use crate::new_file;
use crate::window::{SegmentSlot, Window, WindowView};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How a store is written.
pub struct Options {
    /// Preallocated length of segments; smaller where the budget is.
    pub segment_bytes: u64,
    /// Disk budget of all segments together.
    pub budget: Option<u64>,
    /// The classes, and how long each is kept.
    pub classes: Vec<(String, Keep)>,
    /// Names by id, also of classes that are there no more; empty: the classes in their order.
    pub names: Vec<String>,
    /// How many writers there will be.
    pub workers: usize,
    /// fdatasync at least this often.
    pub sync: Duration,
    /// VLAN ids tell connections apart.
    pub vlan_in_key: bool,
    /// Where written blocks go to stay in memory.
    pub inbox: Option<Arc<Inbox>>,
    /// Where those who read see how far everything is; `None`: one is made.
    pub window: Option<Arc<Window>>,
    /// Builds a sealed segment's index; `None`: another process does.
    pub index: Option<IndexHook>,
    /// Tells when the packets of a sealed segment came that was there before.
    pub times: TimesHook,
    /// Takes events.
    pub on_event: EventHook,
    /// Asked before a segment is deleted that has expired.
    pub entered: EnteredHook,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: SEGMENT_BYTES,
            budget: None,
            classes: vec![("all".to_owned(), Keep::default())],
            names: Vec::new(),
            workers: 1,
            sync: Duration::from_nanos(SYNC_NS),
            vlan_in_key: true,
            inbox: None,
            window: None,
            index: Some(Box::new(|_| {})),
            times: Box::new(|_| None),
            on_event: Box::new(|_| {}),
            entered: Box::new(|| {}),
        }
    }
}

/// store.toml.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    /// Version of the store's layout.
    pub version: u32,
    /// 32 hexadecimal digits.
    pub id: String,
    /// When the store was made, RFC 3339.
    pub created: String,
}

impl Identity {
    /// Reads a store's identity.
    pub(super) fn read(layout: &Layout) -> Result<Identity, StoreError> {
        let path = layout.identity();
        let text = match fs::read_to_string(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::NotAStore { path: layout.root().to_owned() });
            }
            other => other.map_err(at(&path))?,
        };
        let broken = |why: String| StoreError::Identity { path: path.clone(), why };
        // The version first: another version may well have other fields.
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| broken(e.message().to_owned()))?;
        match table.get("version").and_then(toml::Value::as_integer) {
            Some(v) if v == i64::from(STORE_VERSION) => {}
            Some(version) => return Err(StoreError::Version { path: layout.root().to_owned(), version }),
            None => return Err(broken("it names no version".into())),
        }
        let identity: Identity = toml::from_str(&text).map_err(|e| broken(e.message().to_owned()))?;
        identity.id().ok_or_else(|| broken("its id is not 32 hexadecimal digits".into()))?;
        Ok(identity)
    }

    /// The id as it stands in segments.
    pub(super) fn id(&self) -> Option<StoreId> {
        let n = (self.id.len() == 32).then(|| u128::from_str_radix(&self.id, 16).ok()).flatten()?;
        Some(n.to_be_bytes())
    }

    fn create(layout: &Layout) -> Result<Identity, StoreError> {
        let path = layout.identity();
        let id =
            u128::from(super::random().map_err(at(&path))?) << 64 | u128::from(super::random().map_err(at(&path))?);
        let created = jiff::Timestamp::now().strftime("%FT%TZ").to_string();
        let identity = Identity { version: STORE_VERSION, id: format!("{id:032x}"), created };
        let text = toml::to_string(&identity).unwrap_or_default();
        let tmp = layout.root().join("store.toml.new");
        new_file::write(&tmp, new_file::SHARED, text).map_err(at(&tmp))?;
        fs::rename(&tmp, &path).map_err(at(&path))?;
        Ok(identity)
    }
}

/// A store that is open for recording. Dropping it ends the keeper; finish all writers before.
#[derive(Debug)]
pub struct Store {
    layout: Layout,
    supply: Arc<Supply>,
    workers: usize,
    running: Running,
    /// Segments that the recorder before left, and that could not be sealed, as they are shown.
    _left: Vec<SegmentSlot>,
    _lock: Lock,
}

impl Store {
    /// Opens the store at `path` for recording, or makes it. Recovers what a killed recorder left. Fails if somebody else
    /// records into it, if it is no store or one of another version, and if the budget is too small to work with.
    pub fn create_or_open(path: &Path, options: Options) -> Result<Store, StoreError> {
        let layout = Layout::new(path);
        fs::create_dir_all(path).map_err(at(path))?;
        let identity = match Identity::read(&layout) {
            Err(StoreError::NotAStore { .. }) if is_empty(path)? => {
                let lock = Lock::take(&layout)?;
                // Somebody else may have made it while we waited for nothing.
                let made = Identity::read(&layout).or_else(|_| Identity::create(&layout))?;
                drop(lock);
                made
            }
            other => other?,
        };
        let lock = Lock::take(&layout)?;
        let id = identity.id().unwrap_or_default();
        for (name, _) in &options.classes {
            if !layout::valid_class(name) {
                return Err(StoreError::ClassName { name: name.clone() });
            }
        }
        let (workers, spares) = (options.workers, options.workers + 1);
        let keep = Retention { total: options.budget, classes: options.classes };
        let sizes = Sizes::new(options.segment_bytes, &keep, options.workers, spares)?;
        for dir in [layout.open(), layout.ledger(), layout.receipts(), layout.held()] {
            layout::make_private(&dir).map_err(at(&dir))?;
        }
        let window = options.window.map_or_else(Window::create, Ok).map_err(at(path))?;
        window.name_store(&id);
        let catalog = Publisher::create(&layout, &id).map_err(at(&layout.catalog()))?;
        let found = recover::recover(&layout, &id, &|e: StoreEvent| (options.on_event)(e))?;
        let roll = Roll::default();
        let in_order = || keep.classes.iter().map(|(name, _)| name.clone()).collect();
        let names = if options.names.is_empty() { in_order() } else { options.names };
        for (id, name) in names.iter().enumerate() {
            // One that is there no more gets no segment.
            let place = keep.classes.iter().position(|(n, _)| n == name);
            let bytes = place.and_then(|at| sizes.classes.get(at)).copied().unwrap_or(sizes.made);
            roll.set(id as ClassId, name, bytes);
            window.name_class(id as ClassId, name);
        }
        let left = show_left(&window, &found.unsealed).map_err(at(&layout.open()))?;
        let supply = Supply::new(id, roll, spares, options.inbox, window).with_vlans(options.vlan_in_key);
        let supply = Arc::new(supply);
        let plan = Plan {
            layout: layout.clone(),
            segment_bytes: sizes.made,
            keep,
            sync: options.sync,
            next_number: found.next_number,
        };
        let hooks = (options.index, options.on_event, options.entered);
        let keeper = supply.clone();
        let times = OldTimes::start(&found.sealed, options.times, move || keeper.wake()).map_err(at(path))?;
        let before = Before { sealed: found.sealed, times };
        let running = Running::start(plan, supply.clone(), catalog, before, hooks).map_err(at(path))?;
        Ok(Store { layout, supply, workers, running, _left: left, _lock: lock })
    }

    /// A writer for one worker, with so many block buffers of 1 MiB.
    pub fn writer(&self, worker: u16, blocks: usize) -> Result<Writer, StoreError> {
        Writer::new(worker, blocks, self.supply.clone()).map_err(|source| StoreError::Memory { blocks, source })
    }

    /// What is to be kept from now on, of classes by id, in segments of which length. What is too much goes within moments. Fails
    /// where a budget holds too few segments, and changes nothing then. New classes are to be told here before any worker.
    pub fn keep(
        &self,
        segment_bytes: u64,
        total: Option<u64>,
        of: &[(ClassId, String, Keep)],
    ) -> Result<(), StoreError> {
        if let Some((_, name, _)) = of.iter().find(|(_, name, _)| !layout::valid_class(name)) {
            return Err(StoreError::ClassName { name: name.clone() });
        }
        let classes = of.iter().map(|(_, name, keep)| (name.clone(), *keep)).collect();
        let keep = Retention { total, classes };
        let sizes = Sizes::new(segment_bytes, &keep, self.workers, self.workers + 1)?;
        for ((id, name, _), bytes) in of.iter().zip(&sizes.classes) {
            self.supply.classes().set(*id, name, *bytes);
            self.supply.window().name_class(*id, name);
        }
        self.supply.keep(keep, sizes.made);
        Ok(())
    }

    /// Paths of this store.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What questions see of it.
    pub fn window(&self) -> &Arc<Window> {
        self.supply.window()
    }

    /// The store as questions read it, who know no more of it than its window and its files.
    pub fn live(&self) -> io::Result<Live> {
        Ok(Live::new(WindowView::open(self.window().file()?)?, self.layout.clone()))
    }

    /// The ledger has the start of this recording: readers of other processes may take the recorder's signs of life for recorded time.
    pub fn recording(&self) {
        self.supply.recording();
    }

    /// What the disk holds of each class, as of at most a second ago; cheap.
    pub fn holdings(&self) -> Vec<Holding> {
        self.supply.holdings()
    }

    /// What the keeper has done and has to do, as of at most a second ago.
    pub fn keeper_counts(&self) -> KeeperCounts {
        self.supply.keeper_counts()
    }

    /// Adds the times from arrival to queryable so far, ns.
    pub fn queryable_ns(&self, to: &mut Distribution) {
        self.supply.queryable_ns().add_to(to);
    }

    /// Seals what the writers have handed over, waits until it is indexed, and lets go of the store. Returns what
    /// the disk holds now.
    pub fn close(mut self) -> Vec<Holding> {
        self.running.stop();
        self.supply.holdings()
    }

    #[cfg(test)]
    pub(crate) fn supply(&self) -> Arc<Supply> {
        self.supply.clone()
    }
}

/// Shows segments that nobody writes.
fn show_left(window: &Arc<Window>, numbers: &[u64]) -> io::Result<Vec<SegmentSlot>> {
    let show = |number: &u64| {
        let slot = window.segment(*number)?;
        slot.settle(u64::MAX);
        Some(slot)
    };
    let all: Option<Vec<SegmentSlot>> = numbers.iter().map(show).collect();
    all.ok_or_else(|| io::Error::other(format!("{} segments here can't be sealed: too many to go on", numbers.len())))
}

/// Whether nothing is in the directory but what an interrupted making of a store leaves.
fn is_empty(path: &Path) -> Result<bool, StoreError> {
    for entry in fs::read_dir(path).map_err(at(path))? {
        let name = entry.map_err(at(path))?.file_name();
        if name != "lock" && name != "store.toml.new" && name != "lost+found" {
            return Ok(false);
        }
    }
    Ok(true)
}
