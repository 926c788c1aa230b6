//! What operators see, end to end: the scrape of a recorder under load is the account, to the packet; promtool and a real
//! Prometheus read it; rules and dashboard name what there is. In network namespaces; needs root.

#[path = "../common/mod.rs"]
mod common;
mod page;
mod shipped;
mod tuning;
#[path = "../netns/world.rs"]
#[allow(dead_code)]
mod world;

use page::{Page, scrape};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use world::{Recorder, World};

/// Two classes beside `all`, one of which records nothing, and rings of this many frames.
fn config(world: &World, frames: u32) -> String {
    let path = world.path("metrics.toml");
    let text = format!(
        "frames = {frames}\n[class.web]\nfilter = \"tcp port 443\"\nprecedence = 2\ncutoff = \"2KiB\"\n\
         [class.none]\nfilter = \"udp\"\nprecedence = 1\nrecord = false\n"
    );
    std::fs::write(&path, text).expect("the configuration");
    path.to_str().expect("a path").to_string()
}

fn start(world: &World, metrics: &str, frames: u32, more: &[&str]) -> Recorder {
    let config = config(world, frames);
    world.record(None, &[&["-c", &config, "--metrics", metrics][..], more].concat())
}

/// Scrapes until a sample that was taken after this moment shows nothing on its way.
fn at_rest(socket: &Path) -> Page {
    let (start, from) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs());
    loop {
        let page = scrape(socket);
        let on_the_way = page.sum("retrotap_ring_packets", &[]) + page.sum("retrotap_pending_packets", &[]);
        if page.sum("retrotap_sample_timestamp_seconds", &[]) > from + 1 && on_the_way == 0 {
            return page;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "it does not come to rest:\n{}", page.text);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Scrapes until told to stop; each page follows the one before. Returns how many there were.
fn scrape_on(socket: &Path, stop: &AtomicBool, mut before: Page) -> usize {
    let mut pages = 0;
    while !stop.load(Ordering::Relaxed) {
        let page = scrape(socket);
        page.assert_follows(&before);
        before = page;
        pages += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    pages
}

/// Ends what waits for it when the test panics, too.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Two interfaces, losses of several kinds, policy of all kinds, scraped all the while: on the numbers of the page the law
/// holds for each queue, and they are those of the final account.
#[test]
fn the_scrape_is_the_account() {
    let Some(world) = World::new() else { return };
    world.veth(0, 1);
    world.veth(1, 1);
    let socket = world.path("metrics.sock");
    let path = socket.to_str().expect("a path").to_string();
    let more = ["-i", "tap0", "-i", "tap1", "--source", "xdp", "--filter", "not net 10.0.0.0/27"];
    let recorder = start(&world, &path, 2048, &more);
    let first = scrape(&socket);
    assert_eq!(first.ports().len(), 2, "{}", first.text);
    assert!(first.text.starts_with("# HELP retrotap_dropped_packets_total "), "losses come first");
    for (series, class) in [("stored", "all"), ("policy_cut", "web"), ("policy_discarded", "none")] {
        let name = format!("retrotap_{series}_packets_total");
        assert_eq!(first.sum(&name, &[("class", class)]), 0, "every series is there from the start");
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        let scraper = scope.spawn(|| scrape_on(&socket, &stop, first.clone()));
        let lab = ["--mix", "lab", "--active", "512", "--gbps", "0.2", "--seconds", "2"];
        world.load(&[&["--iface", "gen0"][..], &lab].concat());
        // Every packet a new connection: the kernel shunts none, and a recorder that stands still loses what its rings
        // don't hold.
        let flood = ["--iface", "gen1", "--mix", "flood", "--gbps", "0.05", "--seconds", "4"];
        let world = &world;
        let flood = scope.spawn(move || world.load(&flood));
        let begun = |p: Page| p.sum("retrotap_seen_packets_total", &[("interface", "tap1")]) > 0;
        while !flood.is_finished() && !begun(scrape(&socket)) {
            std::thread::sleep(Duration::from_millis(50));
        }
        recorder.signal("STOP");
        std::thread::sleep(Duration::from_millis(700));
        recorder.signal("CONT");
        flood.join().expect("the load");
        stop.store(true, Ordering::Relaxed);
        assert!(scraper.join().expect("the scraper") > 10);
    });
    let page = at_rest(&socket);
    page.assert_follows(&first);
    page.assert_law(true);
    for (family, labels) in [
        ("retrotap_dropped_packets_total", &[("cause", "no_frame")][..]),
        ("retrotap_policy_shunted_packets_total", &[]),
        ("retrotap_policy_filtered_packets_total", &[]),
        ("retrotap_policy_discarded_packets_total", &[("class", "none")]),
        ("retrotap_policy_cut_packets_total", &[("class", "web")]),
        ("retrotap_stored_packets_total", &[("class", "all"), ("interface", "tap1")]),
        ("retrotap_step_seconds_count", &[]),
        ("retrotap_durable_latency_seconds_count", &[]),
        ("retrotap_queryable_latency_seconds_count", &[]),
        ("retrotap_disk_written_bytes_total", &[]),
    ] {
        assert!(page.sum(family, labels) > 0, "{family} {labels:?} is 0:\n{}", page.text);
    }
    let (account, last) = recorder.stop_with_report();
    page.assert_is(&account);
    assert!(!socket.exists(), "the socket is removed");
    for (name, family) in [("step", "step"), ("durable", "durable_latency"), ("queryable", "queryable_latency")] {
        let of = &last["latency"][name];
        let q = |k: &str| of[format!("{k}_seconds")].as_f64().unwrap_or_else(|| panic!("{name}.{k} in {last}"));
        let count = of["count"].as_u64().expect("a count");
        assert!(count >= page.sum(&format!("retrotap_{family}_seconds_count"), &[]), "{name}");
        assert!(0.0 < q("p50") && q("p50") <= q("p99") && q("p99") <= q("p999") && q("p999") <= q("max"), "{last}");
    }
}

#[test]
fn the_packet_source_is_scraped_alike() {
    let Some(world) = World::new() else { return };
    world.veth(0, 1);
    let socket = world.path("metrics.sock");
    let recorder =
        start(&world, socket.to_str().expect("a path"), 4096, &["-i", "tap0", "--source", "packet", "--workers", "2"]);
    world.load(&[
        "--iface",
        "gen0",
        "--pass",
        "tap0",
        "--mix",
        "lab",
        "--active",
        "256",
        "--gbps",
        "0.1",
        "--seconds",
        "2",
    ]);
    let page = at_rest(&socket);
    page.assert_law(false);
    assert!(page.sum("retrotap_stored_packets_total", &[("interface", "tap0")]) > 0);
    page.assert_is(&recorder.stop());
}

/// A real Prometheus scrapes the recorder over TCP and answers with its numbers.
#[test]
fn prometheus_reads_it() {
    let Some(world) = World::new() else { return };
    if !shipped::have("prometheus") || !shipped::have("promtool") {
        return;
    }
    world.veth(0, 1);
    let lo = world.command("ip").args(["link", "set", "lo", "up"]).status().expect("ip");
    assert!(lo.success());
    let recorder = start(&world, "127.0.0.1:9464", 16384, &["-i", "tap0", "--source", "xdp"]);
    let config = world.path("prometheus.yml");
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning/prometheus/retrotap.rules.yml");
    std::fs::write(
        &config,
        format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{}]\nscrape_configs:\n\
             - job_name: retrotap\n  static_configs: [{{targets: ['127.0.0.1:9464']}}]\n",
            rules.display()
        ),
    )
    .expect("the configuration");
    let log = std::fs::File::create(world.path("prometheus.log")).expect("a log");
    let mut prometheus = world.command("prometheus");
    prometheus
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", world.path("tsdb").display()))
        .arg("--web.listen-address=127.0.0.1:9465")
        .stdout(Stdio::null())
        .stderr(log);
    let _prometheus = Killed(prometheus.spawn().expect("prometheus"));
    world.load(&["--iface", "gen0", "--mix", "lab", "--active", "256", "--gbps", "0.1", "--seconds", "1"]);
    let ask = |query: &str| {
        let out = world.command("promtool").args(["query", "instant", "http://127.0.0.1:9465", query]).output();
        let out = out.expect("promtool");
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    let start = Instant::now();
    let stored = loop {
        // Equal in three scrapes: at rest.
        let answer = ask("sum(retrotap_stored_packets_total) == sum(retrotap_stored_packets_total offset 3s) > 0");
        let value = answer.split("=> ").nth(1).and_then(|v| v.split(' ').next()).and_then(|v| v.parse::<u64>().ok());
        if let Some(n) = value {
            break n;
        }
        let log = std::fs::read_to_string(world.path("prometheus.log")).unwrap_or_default();
        assert!(start.elapsed() < Duration::from_secs(60), "no answer from Prometheus: {answer}\n{log}");
        std::thread::sleep(Duration::from_millis(200));
    };
    let up = ask("up{job=\"retrotap\"}");
    assert!(up.contains("=> 1 "), "{up}");
    // No rule fires on a recorder that is well, but that of its disk budget which was not given.
    let alerts = ask("ALERTS{alertstate=\"firing\", severity=\"critical\"}");
    assert_eq!(alerts.trim(), "", "critical alerts");
    let account = recorder.stop();
    assert_eq!(stored, account.worker.stored.packets);
}

/// Killed when dropped.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// promtool finds nothing to complain of in the page, from the start and in use.
#[test]
fn promtool_accepts_the_page() {
    let Some(world) = World::new() else { return };
    if !shipped::have("promtool") {
        return;
    }
    world.veth(0, 2);
    let socket = world.path("metrics.sock");
    let recorder = start(&world, socket.to_str().expect("a path"), 4096, &["-i", "tap0", "--source", "xdp"]);
    shipped::check_metrics(&scrape(&socket).text);
    world.load(&["--iface", "gen0", "--mix", "lab", "--active", "64", "--gbps", "0.05", "--seconds", "1"]);
    let page = at_rest(&socket);
    shipped::check_metrics(&page.text);
    shipped::names_exist(&page.families());
    recorder.stop();
}

/// Without root and interfaces: files have the page, too.
#[test]
fn files_are_scraped() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("m.sock");
    let retrotap = Command::new(world::RETROTAP)
        .args(["record", "-r", "-", "--json", "--cutoff", "none", "--store"])
        .arg(dir.path().join("store"))
        .arg("--metrics")
        .arg(&socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the recorder");
    let mut retrotap = Killed(retrotap);
    let mut input = retrotap.0.stdin.take().expect("its input");
    let packets = 1000u32;
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65535, 1] {
        file.extend(word.to_le_bytes());
    }
    for n in 0..packets {
        for word in [1_700_000_000 + n, 0, 60, 60] {
            file.extend(word.to_le_bytes());
        }
        file.extend([0xff; 60]);
    }
    std::io::Write::write_all(&mut input, &file).expect("its input");
    let start = Instant::now();
    let page = loop {
        assert!(start.elapsed() < Duration::from_secs(30), "the packets are not on the page");
        std::thread::sleep(Duration::from_millis(50));
        if !socket.exists() {
            continue;
        }
        let page = scrape(&socket);
        if page.text.contains("retrotap_seen") && page.sum("retrotap_durable_packets_total", &[]) == u64::from(packets)
        {
            break page;
        }
    };
    page.assert_law(false);
    drop(input);
    assert!(retrotap.0.wait().expect("its end").success());
}
