//! The sizes of everything, and the memory that they take: what `record --plan` prints is what a recording takes, since
//! both come from here. Called before the start; changes nothing.

use super::{RecordError, survey};
use crate::config::plan::Plan;
use crate::config::{From, Settings};
use crate::conn::TrackerPlan;
use crate::conn::receipt::Receipt;
use crate::control::Place;
use crate::limits::{
    AHEAD_THREADS, ASK_LONG_PLANNED_BYTES, ASKS_LONG, BLOCK_BYTES, BLOCKS_AHEAD_MAX, CLASSES_MAX, COUNT_BYTES_SURE,
    COUNTS_BYTES, FILE_WINDOW_BYTES, FOLLOWERS_MAX, GATHERED_BYTES, GATHERERS, LETTERS_PER_WORKER, LISTS_BYTES,
    LOOKS_AT_ONCE, MEMORY_THREADS, PARCEL_BYTES, PARCELS_PER_WORKER, QUERY_THREADS, RECEIPTS_HELD_BYTES,
    RECEIPTS_PER_LETTER, SHUNT_SLOTS, TERM_BYTES, TERMS_OF_INDEX,
};
use crate::metrics::latency::Histogram;
use crate::metrics::tallies::Tallies;
use crate::packet::Parser;
use crate::source::live::{LivePlan, Survey, Tapped};
use crate::worker::dedup::Dedup;

/// How many and how large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Worker threads.
    pub workers: usize,
    /// Block buffers of each.
    pub blocks: usize,
    /// Each one's part of the connection table.
    pub tracker: TrackerPlan,
}

impl Sizes {
    /// For capture files: one worker, no shunt.
    pub fn files(settings: &Settings) -> Sizes {
        Sizes::sources(settings, 1)
    }

    /// For so many sources that wait, each with a worker of its own: no shunt.
    pub fn sources(settings: &Settings, workers: usize) -> Sizes {
        Sizes::new(settings, workers, 0)
    }

    /// For interfaces.
    pub fn live(settings: &Settings, survey: &Survey) -> Sizes {
        let plan = live_plan(settings);
        let workers = plan.workers(survey);
        Sizes::new(settings, workers, plan.shunt_slots as usize / workers.max(1))
    }

    fn new(settings: &Settings, workers: usize, shunt_slots: usize) -> Sizes {
        let [connections_v4, connections_v6] = settings.connections.map(|n| n.div_ceil(workers.max(1)));
        let blocks = (settings.buffer_bytes / BLOCK_BYTES as u64) as usize;
        Sizes { workers, blocks, tracker: TrackerPlan { connections_v4, connections_v6, shunt_slots } }
    }
}

fn live_plan(settings: &Settings) -> LivePlan {
    LivePlan {
        workers: settings.workers,
        frames: settings.frames,
        shunt_slots: SHUNT_SLOTS,
        ..LivePlan::new(Parser::new(0, true))
    }
}

/// Counters and histograms of a worker.
fn tallies(ports: usize) -> usize {
    Tallies::bytes(ports, CLASSES_MAX) + 2 * Histogram::BYTES
}

/// All memory of a recording with these settings, by part.
pub fn plan(settings: &Settings) -> Result<Plan, RecordError> {
    let mut plan = Plan::default();
    let mut ports = 1;
    let sizes = match &settings.from {
        From::Files { .. } => {
            plan.add("file window", 1, "buffer", FILE_WINDOW_BYTES);
            Sizes::files(settings)
        }
        From::Interfaces { .. } => {
            let survey = survey(settings)?;
            let queues = |t: &Tapped| if survey.xdp { t.queues as usize } else { 1 };
            ports = survey.tapped.iter().map(queues).sum();
            for (part, bytes) in live_plan(settings).memory(&survey) {
                plan.add_bytes(part, bytes);
            }
            Sizes::live(settings, &survey)
        }
    };
    let workers = sizes.workers;
    let t = sizes.tracker.memory();
    plan.add("connections IPv4", workers, "tables", t.connections_v4);
    plan.add("connections IPv6", workers, "tables", t.connections_v6);
    plan.add("first fragments", workers, "tables", t.fragments);
    plan.add("receipts waiting", workers, "rings", t.receipts);
    plan.add("shunt retirement", workers, "lists", t.retirement);
    plan.add("orders", workers, "tables", t.orders);
    plan.add("one-sided connections by source", workers, "tables", t.floods);
    plan.add("receipts under way", workers * LETTERS_PER_WORKER, "letters", RECEIPTS_PER_LETTER * size_of::<Receipt>());
    if workers > 1 {
        plan.add("handed over", workers * PARCELS_PER_WORKER, "parcels", PARCEL_BYTES);
    }
    plan.add("duplicates", workers, "tables", Dedup::BYTES);
    plan.add("tallies", workers, "tables", tallies(ports));
    plan.add("blocks", workers * sizes.blocks, "blocks", BLOCK_BYTES);
    if settings.memory > 0 {
        let own: u64 = settings.classes.iter().filter_map(|c| c.memory).sum();
        plan.add_bytes("recent packets", settings.memory.saturating_sub(own));
        if own > 0 {
            plan.add_bytes("recent packets, own of classes", own);
        }
    }
    if !matches!(settings.api, Place::Off) {
        let segments = settings.disk.map_or(0, |disk| disk / settings.segment_bytes.max(1));
        plan.add_for_questions("filters of segments", segments, "sealed segments, filters", FILTER_BYTES);
        plan.add_for_questions("receipts held", 1, "copy of the latest", RECEIPTS_HELD_BYTES as u64 * 2);
        let blocks = BLOCKS_AHEAD_MAX + AHEAD_THREADS + GATHERERS;
        let each = blocks * BLOCK_BYTES + LOOKS_AT_ONCE * GATHERED_BYTES;
        plan.add_for_questions(
            "queries",
            (QUERY_THREADS + MEMORY_THREADS) as u64,
            "at a time, blocks and packets",
            each as u64,
        );
        let long = ASK_LONG_PLANNED_BYTES as u64;
        plan.add_for_questions("long lists of addresses", ASKS_LONG as u64, "at a time, being planned", long);
        plan.add_for_questions("lists of connections", 1, "of all that are being made", LISTS_BYTES);
        plan.add_for_questions("connections of other answers", 1, "of all", COUNTS_BYTES);
        let answers = (QUERY_THREADS + MEMORY_THREADS + FOLLOWERS_MAX) as u64;
        plan.add_for_questions("the same that each has in any case", answers, "answers", COUNT_BYTES_SURE);
    }
    // Of a sealed segment, and of recent packets.
    let indexes = 1 + u64::from(settings.memory > 0);
    plan.add_for_questions("indexes being made", indexes, "lists of values", (TERMS_OF_INDEX * TERM_BYTES) as u64);
    Ok(plan)
}

/// The filters of a segment of the lab mix: 50,000 addresses, 9 bits each; 185,000 pairs of addresses, addresses with port and
/// community IDs, 4.5 bits each. Held for each sealed segment once somebody has asked.
const FILTER_BYTES: u64 = 160 << 10;
