//! The metrics page: what each family is called, what it means and where its samples come from. Owns the names that
//! dashboards and alert rules rely on; a function of the last sample and the facts. Losses first, policy apart from loss,
//! every series there from the start.

use super::detail::{Facts, Port};
use super::statistics::Sample;
use crate::metrics::account::{Tally, WorkerCounts};
use crate::metrics::prometheus::{Kind, Page, seconds};

/// Packets or bytes of a tally.
type Of = fn(Tally) -> u64;
const UNITS: [(&str, Of); 2] = [("packets", |t| t.packets), ("bytes", |t| t.bytes)];

/// The page of a sample.
pub fn page(facts: &Facts, s: &Sample) -> String {
    let mut page = Page::default();
    lost(&mut page, s);
    policy(&mut page, facts, s);
    taken(&mut page, facts, s);
    workers(&mut page, facts, s);
    store(&mut page, facts, s);
    process(&mut page, facts, s);
    page.text()
}

fn lost(page: &mut Page, s: &Sample) {
    let mut f = page.family(
        "retrotap_dropped_packets_total",
        Kind::Counter,
        "Packets lost by the recorder, by cause (lost: the packet source's ring was full; write_failed: of all interfaces).",
    );
    for p in &s.detail.ports {
        let (failed, d) = (p.from.redirect_failed, p.row.total().dropped);
        for (cause, n) in [
            ("ring_full", failed.ring_full),
            ("no_frame", failed.no_frame),
            ("too_big", failed.too_big),
            ("unbound", failed.unbound),
            ("lost", p.from.lost),
            ("disk_stall", d.disk_stall.packets),
            ("handoff_full", d.handoff_full.packets),
            ("flood", d.flood.packets),
        ] {
            f.add(&[("interface", &p.interface), ("queue", &p.queue), ("cause", cause)], n);
        }
    }
    f.add(&[("cause", "write_failed")], s.account.store.write_failed);
    let mut f = page.family(
        "retrotap_dropped_bytes_total",
        Kind::Counter,
        "Bytes of dropped packets, for the causes whose packets were seen whole.",
    );
    for p in &s.detail.ports {
        let d = p.row.total().dropped;
        for (cause, t) in [("disk_stall", d.disk_stall), ("handoff_full", d.handoff_full), ("flood", d.flood)] {
            f.add(&[("interface", &p.interface), ("queue", &p.queue), ("cause", cause)], t.bytes);
        }
    }
    let mut f = page.family(
        "retrotap_nic_dropped_packets_total",
        Kind::Counter,
        "Packets that the interface's own counters call lost, before the recorder could see them.",
    );
    for n in &s.detail.nic {
        f.add(&[("interface", &n.interface), ("cause", n.cause)], n.packets);
    }
    page.family(
        "retrotap_receipts_lost_total",
        Kind::Counter,
        "Receipts of ended connections for which there was no room.",
    )
    .add(&[], s.detail.tracker.receipts_lost);
}

/// A pair of families, packets and bytes, by interface and queue.
fn by_port(page: &mut Page, s: &Sample, name: &str, help: &str, of: impl Fn(&Port) -> Tally) {
    for (unit, get) in UNITS {
        let name = format!("retrotap_{name}_{unit}_total");
        let mut f = page.family(&name, Kind::Counter, &help.replace("{}", unit));
        for p in &s.detail.ports {
            f.add(&[("interface", &p.interface), ("queue", &p.queue)], get(of(p)));
        }
    }
}

/// The same by class too.
fn by_class(page: &mut Page, facts: &Facts, s: &Sample, name: &str, help: &str, of: impl Fn(&WorkerCounts) -> Tally) {
    for (unit, get) in UNITS {
        let name = format!("retrotap_{name}_{unit}_total");
        let mut f = page.family(&name, Kind::Counter, &help.replace("{}", unit));
        for p in &s.detail.ports {
            for ((class, _), counts) in facts.classes.iter().zip(&p.row.classes) {
                f.add(&[("interface", &p.interface), ("queue", &p.queue), ("class", class)], get(of(counts)));
            }
        }
    }
}

fn policy(page: &mut Page, facts: &Facts, s: &Sample) {
    by_port(page, s, "policy_shunted", "Past the cutoff and dropped in the kernel: {}.", |p| p.from.shunted);
    by_class(page, facts, s, "policy_cut", "Past the cutoff and dropped by the worker: {}.", |c| c.cut);
    by_port(page, s, "policy_filtered", "Not matched by the global filter: {}.", |p| p.row.early.filtered);
    by_port(page, s, "policy_duplicate", "Copies that a mirror port made: {}.", |p| p.row.early.duplicate);
    by_class(page, facts, s, "policy_discarded", "Of a class that records nothing: {}.", |c| c.class_discard);
    by_class(page, facts, s, "policy_sampled_out", "Past a sampled class's cutoff and not drawn: {}.", |c| {
        c.sampled_out
    });
}

fn taken(page: &mut Page, facts: &Facts, s: &Sample) {
    by_port(page, s, "seen", "All that the source saw: {}.", |p| p.from.seen);
    by_port(page, s, "redirected", "Sent to the recorder's sockets by the XDP program: {}.", |p| p.from.redirected);
    by_port(page, s, "passed", "Given to the host because no socket serves the queue: {}.", |p| p.from.passed);
    by_port(page, s, "received", "Taken by the workers: {}.", |p| p.row.early.received);
    by_port(page, s, "handed_over", "Part of received, handed to the worker of the connection: {}.", |p| {
        p.row.early.handed_over
    });
    by_class(page, facts, s, "stored", "Appended to a block: {}.", |c| c.stored);
    by_class(page, facts, s, "untracked", "Part of stored, though the connection table was full: {}.", |c| c.untracked);
    by_port(
        page,
        s,
        "unfollowed",
        "Part of received, of what is not followed: many connections under one name: {}.",
        |p| p.row.early.unfollowed,
    );
    let ports = &s.detail.ports;
    let mut by = |name, kind, help, of: &dyn Fn(&Port) -> u64| {
        let mut f = page.family(name, kind, help);
        for p in ports {
            f.add(&[("interface", &p.interface), ("queue", &p.queue)], of(p));
        }
    };
    by(
        "retrotap_not_understood_packets_total",
        Kind::Counter,
        "Part of redirected: the kernel's parser reached no connection; they are stored all the same.",
        &|p| p.from.not_understood,
    );
    by("retrotap_ring_packets", Kind::Gauge, "Packets in the ring that the worker has not taken yet.", &|p| {
        p.from.in_ring
    });
    by("retrotap_ring_size_packets", Kind::Gauge, "Places of the ring.", &|p| p.ring_size);
    let mut f = page.family("retrotap_interface_up", Kind::Gauge, "Whether the interface has a link.");
    for (interface, up) in &s.detail.links {
        f.add(&[("interface", interface)], u8::from(*up));
    }
}

fn workers(page: &mut Page, facts: &Facts, s: &Sample) {
    let t = &s.detail.tracker;
    let mut one = |name, kind, help, n: u64| page.family(name, kind, help).add(&[], n);
    one("retrotap_shunt_connections", Kind::Gauge, "Connections that the kernel cuts now.", t.shunt_live);
    one("retrotap_shunt_retiring_connections", Kind::Gauge, "Places of the shunt on their way out.", t.shunt_retiring);
    one("retrotap_shunt_capacity_connections", Kind::Gauge, "Places of the shunt.", facts.shunt_slots);
    one("retrotap_shunt_inserts_total", Kind::Counter, "Connections put into the shunt.", t.shunt_inserted);
    one("retrotap_shunt_evictions_total", Kind::Counter, "Connections that left it for hotter ones.", t.shunt_evicted);
    let mut f = page.family(
        "retrotap_shunt_refused_total",
        Kind::Counter,
        "Inserts that found no place (full) or that the kernel refused (kernel); the worker cuts these itself.",
    );
    f.add(&[("reason", "full")], t.shunt_full);
    f.add(&[("reason", "kernel")], t.shunt_failed);
    let mut f = page.family("retrotap_connections", Kind::Gauge, "Connections in the tables.");
    f.add(&[("ip", "4")], t.live_v4);
    f.add(&[("ip", "6")], t.live_v6);
    let mut f = page.family(
        "retrotap_connections_capacity",
        Kind::Gauge,
        "Connections that the tables are made for (6: and what is not IP).",
    );
    f.add(&[("ip", "4")], facts.connections[0]);
    f.add(&[("ip", "6")], facts.connections[1]);
    let mut gauge = |name, help, n: u64| page.family(name, Kind::Gauge, help).add(&[], n);
    gauge("retrotap_connections_one_sided", "Connections that nobody has answered.", t.one_sided);
    gauge("retrotap_flood_sources", "Sources that have as many one-sided connections open as they may.", t.flooding);
    let mut one = |name, help, n: u64| page.family(name, Kind::Counter, help).add(&[], n);
    one("retrotap_connections_begun_total", "Connections begun.", t.begun);
    one("retrotap_connections_ended_total", "Connections that left the tables.", t.ended);
    one("retrotap_connections_renewed_total", "Counts that started anew.", t.renewed);
    one(
        "retrotap_flood_refused_packets_total",
        "Packets of connections that a flood's limits kept out; dropped, or stored untracked.",
        t.flood_refused,
    );
    one("retrotap_table_full_packets_total", "Packets whose connection found no place; not lost by it.", t.table_full);
    let mut f = page.family("retrotap_blocks", Kind::Gauge, "Block buffers of a worker, by what they are doing.");
    for (n, w) in s.detail.workers.iter().enumerate() {
        let (worker, b) = (n.to_string(), &w.writer);
        for (state, n) in [("free", b.free), ("open", b.open), ("waiting", b.waiting), ("in_flight", b.in_flight)] {
            f.add(&[("worker", &worker), ("state", state)], n);
        }
    }
    let times = &s.detail.times;
    page.histogram("retrotap_step_seconds", "A worker's time for one batch of packets.", &times.step);
    page.histogram(
        "retrotap_durable_latency_seconds",
        "From the arrival of a block's oldest packet until it is on the disk.",
        &times.durable,
    );
    page.histogram(
        "retrotap_queryable_latency_seconds",
        "From a packet's arrival until a query finds it, the oldest of each publication.",
        &times.queryable,
    );
    let memory = s.detail.memory.unwrap_or_default();
    let mut one = |name, help, n: u64| page.family(name, Kind::Counter, help).add(&[], n);
    one("retrotap_memory_blocks_total", "Blocks that came into memory.", memory.blocks);
    one(
        "retrotap_memory_missed_blocks_total",
        "Blocks for which memory had no room: on disk only.",
        memory.missed_blocks,
    );
}

fn store(page: &mut Page, facts: &Facts, s: &Sample) {
    let workers = || s.detail.workers.iter().enumerate().map(|(n, w)| (n.to_string(), w));
    let mut each = |name, kind, help, of: &dyn Fn(&super::detail::WorkerDetail) -> f64| {
        let mut f = page.family(name, kind, help);
        workers().for_each(|(n, w)| f.add(&[("worker", &n)], of(w)));
    };
    each("retrotap_durable_packets_total", Kind::Counter, "Stored packets that are on the disk.", &|w| {
        w.store.durable as f64
    });
    each("retrotap_pending_packets", Kind::Gauge, "Stored packets in memory or in flight.", &|w| {
        w.store.pending as f64
    });
    each("retrotap_disk_written_bytes_total", Kind::Counter, "Bytes that the disk has taken.", &|w| {
        w.writer.written_bytes as f64
    });
    each("retrotap_durable_lag_seconds", Kind::Gauge, "Age of the oldest block that is not on the disk.", &|w| match w
        .writer
        .oldest_pending
    {
        0 => 0.0,
        began => seconds(s.mono_ns.saturating_sub(began)),
    });
    let k = &s.detail.keeper;
    let mut f = page.family("retrotap_segments", Kind::Gauge, "Segments of each class, those being written included.");
    s.holdings.iter().for_each(|h| f.add(&[("class", &h.class)], h.segments));
    let mut f =
        page.family("retrotap_store_bytes", Kind::Gauge, "Bytes of the segments of each class and their indexes.");
    s.holdings.iter().for_each(|h| f.add(&[("class", &h.class)], h.bytes));
    let mut f = page.family(
        "retrotap_oldest_packet_timestamp_seconds",
        Kind::Gauge,
        "Time of the oldest packet in the sealed segments of each class; NaN while there is none.",
    );
    s.holdings.iter().for_each(|h| f.add(&[("class", &h.class)], h.since.map_or(f64::NAN, seconds)));
    let limit = |b: Option<u64>| b.map_or("+Inf".to_owned(), |b| b.to_string());
    page.family("retrotap_store_budget_bytes", Kind::Gauge, "Disk budget of the store.").add(&[], limit(facts.budget));
    let mut f = page.family("retrotap_class_budget_bytes", Kind::Gauge, "Disk budget of each class.");
    facts.classes.iter().for_each(|(class, b)| f.add(&[("class", class)], limit(*b)));
    let mut f = page.family(
        "retrotap_class_holds_seconds",
        Kind::Gauge,
        "How much past the budget of each class will hold at the rate of what it has; NaN where nothing tells it.",
    );
    s.holdings.iter().for_each(|h| f.add(&[("class", &h.class)], h.holds_ns.map_or(f64::NAN, seconds)));
    let mut f =
        page.family("retrotap_class_min_age_seconds", Kind::Gauge, "What it should hold at least, where that is said.");
    facts.min_ages.iter().for_each(|(class, ns)| f.add(&[("class", class)], seconds(*ns)));
    let held = |class: &str| s.detail.held.get(class).cloned().unwrap_or_default();
    let mut f = page.family("retrotap_class_memory_bytes", Kind::Gauge, "Blocks of each class in memory.");
    s.holdings.iter().for_each(|h| f.add(&[("class", &h.class)], held(&h.class).bytes));
    let mut f = page.family(
        "retrotap_class_memory_oldest_timestamp_seconds",
        Kind::Gauge,
        "Time of the oldest packet of each class in memory; NaN while there is none.",
    );
    s.holdings.iter().for_each(|h| {
        f.add(&[("class", &h.class)], Some(held(&h.class).since).filter(|t| *t > 0).map_or(f64::NAN, seconds));
    });
    if let Some((size, free)) = s.detail.filesystem {
        let mut one = |name, help, n| page.family(name, Kind::Gauge, help).add(&[], n);
        one("retrotap_filesystem_size_bytes", "Size of the filesystem of the store.", size);
        one("retrotap_filesystem_free_bytes", "What is free on it.", free);
    }
    let mut one = |name, kind, help, n: u64| page.family(name, kind, help).add(&[], n);
    one("retrotap_segments_spare", Kind::Gauge, "Preallocated segments that no worker has taken yet.", k.spare);
    one("retrotap_segments_sealed_total", Kind::Counter, "Segments sealed.", k.sealed);
    one("retrotap_segments_indexed_total", Kind::Counter, "Segments indexed.", k.indexed);
    one("retrotap_segments_expired_total", Kind::Counter, "Segments dropped to keep the budget.", k.expired);
    one("retrotap_expired_bytes_total", Kind::Counter, "Their bytes.", k.expired_bytes);
    one("retrotap_segments_unindexed", Kind::Gauge, "Sealed segments that wait for their index.", k.unindexed);
    page.family("retrotap_index_lag_seconds", Kind::Gauge, "How long the oldest of them has waited.")
        .add(&[], seconds(k.index_lag_ns));
}

fn process(page: &mut Page, facts: &Facts, s: &Sample) {
    let version = env!("CARGO_PKG_VERSION");
    page.family("retrotap_build_info", Kind::Gauge, "Always 1; version and source are its labels.")
        .add(&[("version", version), ("source", facts.source)], 1);
    let mut one = |name, help, n: f64| page.family(name, Kind::Gauge, help).add(&[], n);
    one("retrotap_start_time_seconds", "When the recording began, Unix time.", seconds(facts.started));
    one("retrotap_sample_timestamp_seconds", "When these numbers were taken, Unix time.", seconds(s.unix_ns));
}
