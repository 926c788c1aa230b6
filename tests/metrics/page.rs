//! A metrics page, read as a scraper reads it, and the equations that must hold on its numbers.

use retrotap::metrics::account::Account;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Name and labels to value.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub text: String,
    samples: BTreeMap<(String, BTreeMap<String, String>), f64>,
    types: BTreeMap<String, String>,
}

/// Asks for the page at a socket.
pub fn scrape(socket: &Path) -> Page {
    let mut stream = UnixStream::connect(socket).expect("the endpoint");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    Page::read(body)
}

impl Page {
    fn read(text: &str) -> Page {
        let mut page = Page { text: text.to_owned(), ..Page::default() };
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert_eq!(page.types.insert(name.to_owned(), kind.to_owned()), None, "{name} twice");
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').expect("a value");
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let labels = labels.trim_end_matches('}').split(',').filter(|l| !l.is_empty()).map(|l| {
                    let (k, v) = l.split_once('=').expect("a label");
                    (k.to_owned(), v.trim_matches('"').to_owned())
                });
                let key = (name.to_owned(), labels.collect());
                let value = value.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
                assert_eq!(page.samples.insert(key, value), None, "{line} twice");
            }
        }
        page
    }

    /// The sum of a family's samples that have these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let mine = self
            .samples
            .iter()
            .filter(|((n, l), _)| n == name && labels.iter().all(|(k, v)| l.get(*k).map_or("", String::as_str) == *v));
        let mut found = false;
        let sum: f64 = mine.map(|(_, v)| *v).inspect(|_| found = true).sum();
        assert!(found, "there is no {name} {labels:?}");
        sum as u64
    }

    /// Names of all families.
    pub fn families(&self) -> BTreeSet<&str> {
        self.types.keys().map(String::as_str).collect()
    }

    /// Interface and queue of each port.
    pub fn ports(&self) -> Vec<(String, String)> {
        let label = |l: &BTreeMap<String, String>, k: &str| l.get(k).cloned().unwrap_or_default();
        let mine = self.samples.keys().filter(|(n, _)| n == "retrotap_seen_packets_total");
        mine.map(|(_, l)| (label(l, "interface"), label(l, "queue"))).collect()
    }

    /// The same series, and no counter lower than before.
    pub fn assert_follows(&self, before: &Page) {
        let names = |p: &Page| p.samples.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(self), names(before), "series come and go");
        for ((name, labels), now) in &self.samples {
            let base = ["_bucket", "_count", "_sum"].iter().find_map(|s| name.strip_suffix(s)).unwrap_or(name);
            if matches!(self.types.get(base).map(String::as_str), Some("counter" | "histogram")) {
                let was = before.samples[&(name.clone(), labels.clone())];
                assert!(*now >= was, "{name} {labels:?} went back from {was} to {now}");
            }
        }
    }

    /// The sum law, port by port and in all; at rest.
    pub fn assert_law(&self, xdp: bool) {
        for (interface, queue) in self.ports() {
            let port = [("interface", interface.as_str()), ("queue", queue.as_str())];
            let n = |name: &str| self.sum(&format!("retrotap_{name}_packets_total"), &port);
            let lost = |cause| self.sum("retrotap_dropped_packets_total", &[port[0], port[1], ("cause", cause)]);
            let at = format!("{interface}:{queue}");
            if xdp {
                assert_eq!(n("seen"), n("policy_shunted") + n("redirected") + n("passed"), "{at}: seen");
                let failed = lost("ring_full") + lost("no_frame") + lost("too_big") + lost("unbound");
                let in_ring = self.sum("retrotap_ring_packets", &port);
                assert_eq!(n("redirected"), n("received") + in_ring + failed, "{at}: redirected");
            } else {
                assert_eq!(n("seen"), n("policy_shunted") + n("received") + lost("lost"), "{at}: seen");
            }
            let policy = n("policy_cut")
                + n("policy_filtered")
                + n("policy_discarded")
                + n("policy_sampled_out")
                + n("policy_duplicate");
            let dropped = lost("disk_stall") + lost("handoff_full") + lost("flood");
            assert_eq!(n("received"), n("stored") + policy + dropped, "{at}: received");
        }
        let stored = self.sum("retrotap_stored_packets_total", &[]);
        let rest = self.sum("retrotap_durable_packets_total", &[])
            + self.sum("retrotap_pending_packets", &[])
            + self.sum("retrotap_dropped_packets_total", &[("cause", "write_failed")]);
        assert_eq!(stored, rest, "stored");
    }

    /// Every counter of the account is the sum of its family.
    pub fn assert_is(&self, a: &Account) {
        for (name, t) in [
            ("seen", a.from.seen),
            ("policy_shunted", a.from.shunted),
            ("redirected", a.from.redirected),
            ("passed", a.from.passed),
            ("received", a.worker.received),
            ("stored", a.worker.stored),
            ("policy_cut", a.worker.cut),
            ("policy_filtered", a.worker.filtered),
            ("policy_discarded", a.worker.class_discard),
            ("policy_sampled_out", a.worker.sampled_out),
            ("policy_duplicate", a.worker.duplicate),
            ("untracked", a.worker.untracked),
            ("handed_over", a.worker.handed_over),
            ("unfollowed", a.worker.unfollowed),
        ] {
            assert_eq!(self.sum(&format!("retrotap_{name}_packets_total"), &[]), t.packets, "{name}");
            assert_eq!(self.sum(&format!("retrotap_{name}_bytes_total"), &[]), t.bytes, "{name}, bytes");
        }
        let (failed, d) = (a.from.redirect_failed, a.worker.dropped);
        for (cause, n) in [
            ("ring_full", failed.ring_full),
            ("no_frame", failed.no_frame),
            ("too_big", failed.too_big),
            ("unbound", failed.unbound),
            ("lost", a.from.lost),
            ("disk_stall", d.disk_stall.packets),
            ("handoff_full", d.handoff_full.packets),
            ("flood", d.flood.packets),
            ("write_failed", a.store.write_failed),
        ] {
            assert_eq!(self.sum("retrotap_dropped_packets_total", &[("cause", cause)]), n, "{cause}");
        }
        // What went to the host has a series of its own.
        assert_eq!(self.sum("retrotap_dropped_packets_total", &[]), a.lost_total() - a.from.passed.packets);
        assert_eq!(self.sum("retrotap_durable_packets_total", &[]), a.store.durable, "durable");
    }
}
