//! The checks of one interface.

use super::drivers::{self, known};
use super::script::quote;
use super::{Check, State, line};
use crate::iface::{Feature, Link, addresses, driver, feature, queues, tuning};

/// Receive descriptors that bridge a pause of the driver's loop.
const RING: u32 = 4096;

/// All of them.
pub(super) fn checks(link: &Link) -> Vec<Check> {
    let name = driver(&link.name).unwrap_or_default();
    let queues = queues(&link.name).unwrap_or(link.rx_queues).max(1);
    let mut all = vec![up(link), host_address(link), native(&name), zero_copy(&name), mtu(link, &name)];
    all.extend(Feature::ALL.map(|f| offload(link, f)));
    all.extend([pause(link), queue_number(link, queues), rss(link, queues), ring(link)]);
    all.extend(busy_poll(link));
    all.push(interrupts(link));
    all
}

fn up(link: &Link) -> Check {
    let found = match (link.up, link.carrier) {
        (true, true) => "up",
        (true, false) => "up, no link: look at cable and port",
        (false, _) => "down; record sets it up while it runs",
    };
    let check = Check::ok_if("link", "a port without a link brings no packets", link.up && link.carrier, found);
    let q = quote(&link.name);
    if link.up { check } else { check.fixed_by(format!("ip link set dev {q} up"), format!("ip link set dev {q} down")) }
}

fn host_address(link: &Link) -> Check {
    const WHY: &str =
        "with an address the host itself answers on the tap port, and record takes source packet: move it elsewhere";
    match addresses() {
        Err(e) => Check::unknown("no addresses", WHY, e.to_string()),
        Ok(all) => match all.of_host(&link.name) {
            None => Check::new("no addresses", WHY, State::Ok, "none"),
            // Taking an address away may cut its owner off: that is for people.
            Some(a) => Check::new("no addresses", WHY, State::NotOk, a.to_string()),
        },
    }
}

fn native(driver: &str) -> Check {
    const WHY: &str = "without XDP in the driver the program runs above it, after a copy";
    match known(driver) {
        Some(d) => Check::new("native XDP", WHY, State::Ok, format!("driver {}", d.name)),
        None => Check::unknown(
            "native XDP",
            WHY,
            if driver.is_empty() { "no driver".into() } else { format!("driver {driver}") },
        ),
    }
}

fn zero_copy(driver: &str) -> Check {
    const WHY: &str = "else the kernel copies each packet that is not cut; record says at its start which it is";
    let kernel = line("/proc/sys/kernel/osrelease").unwrap_or_default();
    let (Some(d), Some(now)) = (known(driver), drivers::release(&kernel)) else {
        return Check::unknown("zero-copy", WHY, format!("driver {driver}, Linux {kernel}"));
    };
    match d.zero_copy {
        Some(since) => {
            let found = format!("driver {driver} since Linux {}.{}, this is {kernel}", since.0, since.1);
            Check::ok_if("zero-copy", WHY, now >= since, found)
        }
        // Nothing can be done about it, and copy mode is a way to work.
        None => Check::new("zero-copy", WHY, State::Unknown, format!("driver {driver} has none: copy mode")),
    }
}

fn mtu(link: &Link, driver: &str) -> Check {
    const WHY: &str = "XDP refuses an MTU that its buffers do not hold";
    let found = link.mtu.to_string();
    let Some(limit) = known(driver).and_then(|d| d.mtu) else { return Check::unknown("MTU", WHY, found) };
    let q = quote(&link.name);
    Check::ok_if("MTU", WHY, link.mtu <= limit, format!("{found}, at most {limit}"))
        .fixed_by(format!("ip link set dev {q} mtu 1500"), format!("ip link set dev {q} mtu {}", link.mtu))
}

fn offload(link: &Link, f: Feature) -> Check {
    let (knob, word, why) = match f {
        Feature::Lro => ("LRO off", "lro", "it glues packets together; record turns it off itself while xdp runs"),
        Feature::Gro => ("GRO off", "gro", "it glues packets together; record turns it off itself while xdp runs"),
        Feature::RxVlan => (
            "rxvlan off",
            "rxvlan",
            "it takes VLAN tags out before XDP sees them; record turns it off itself while xdp runs",
        ),
    };
    let on = match feature(&link.name, f) {
        Ok(on) => on,
        Err(e) => return Check::unknown(knob, why, e.to_string()),
    };
    let set = |to| format!("ethtool -K {} {word} {to}", quote(&link.name));
    Check::ok_if(knob, why, !on, if on { "on" } else { "off" }).fixed_by(set("off"), set("on"))
}

fn pause(link: &Link) -> Check {
    const WHY: &str = "a recorder that slows the link down is no tap";
    let (rx, tx) = match tuning::pause(&link.name) {
        Ok(p) => p,
        Err(e) => return Check::unknown("pause frames off", WHY, e.to_string()),
    };
    let word = |on| if on { "on" } else { "off" };
    let set = |rx, tx| format!("ethtool -A {} rx {} tx {}", quote(&link.name), word(rx), word(tx));
    let found = format!("rx {}, tx {}", word(rx), word(tx));
    Check::ok_if("pause frames off", WHY, !rx && !tx, found).fixed_by(set(false, false), set(rx, tx))
}

fn queue_number(link: &Link, queues: u32) -> Check {
    const WHY: &str = "one queue feeds one worker, which wants a CPU of its own";
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let found = format!("{queues} for {cpus} CPUs");
    let check = Check::ok_if("queues", WHY, queues <= cpus, found);
    // veth and a few cards have receive channels apart; ethtool names the rest combined.
    let word = if link.kind.as_deref() == Some("veth") { "rx" } else { "combined" };
    let set = |n| format!("ethtool -L {} {word} {n}", quote(&link.name));
    check.fixed_by(set(cpus), set(queues))
}

fn rss(link: &Link, queues: u32) -> Check {
    const WHY: &str =
        "both directions of a connection on one queue: workers hand nothing over (results are right without)";
    const KNOB: &str = "symmetric RSS";
    if queues == 1 {
        return Check::new(KNOB, WHY, State::Ok, "one queue");
    }
    let rss = match tuning::rss(&link.name) {
        Ok(rss) if !rss.key.is_empty() || rss.symmetric_xor => rss,
        Ok(_) => return Check::unknown(KNOB, WHY, "the driver tells no key"),
        Err(e) => return Check::unknown(KNOB, WHY, e.to_string()),
    };
    let hex = |key: &[u8]| key.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":");
    let symmetric: Vec<u8> = [0x6d, 0x5a].into_iter().cycle().take(rss.key.len()).collect();
    let set = |key: &[u8]| format!("ethtool -X {} hkey {}", quote(&link.name), hex(key));
    Check::ok_if(KNOB, WHY, rss.symmetric(), if rss.symmetric() { "symmetric" } else { "not symmetric" })
        .fixed_by(set(&symmetric), set(&rss.key))
}

fn ring(link: &Link) -> Check {
    const WHY: &str = "a larger ring bridges longer pauses; a very large one spoils the cache";
    let r = match tuning::ring(&link.name) {
        Ok(r) if r.max > 0 => r,
        Ok(_) => return Check::unknown("receive ring", WHY, "the driver tells none"),
        Err(e) => return Check::unknown("receive ring", WHY, e.to_string()),
    };
    let want = RING.min(r.max);
    let set = |n| format!("ethtool -G {} rx {n}", quote(&link.name));
    Check::ok_if("receive ring", WHY, r.now >= want, format!("{} of at most {}", r.now, r.max))
        .fixed_by(set(want), set(r.now))
}

/// Files of sysfs, which shows the namespace that it was mounted in: elsewhere they are not known.
fn busy_poll(link: &Link) -> Vec<Check> {
    const WHY: &str =
        "with zero-copy the worker polls the driver itself, and the card's interrupt should stay quiet meanwhile";
    let ours = line(&format!("/sys/class/net/{}/ifindex", link.name)).is_some_and(|i| i == link.index.to_string());
    [("napi_defer_hard_irqs", 2u64), ("gro_flush_timeout", 200_000)]
        .into_iter()
        .map(|(knob, want)| {
            let path = format!("/sys/class/net/{}/{knob}", link.name);
            let now = line(&path).filter(|_| ours).and_then(|l| l.parse::<u64>().ok());
            let Some(now) = now else { return Check::unknown(knob, WHY, "sysfs does not show it here") };
            let set = |n| format!("echo {n} > {}", quote(&path));
            Check::ok_if(knob, WHY, now >= want, now.to_string()).fixed_by(set(want), set(now))
        })
        .collect()
}

fn interrupts(link: &Link) -> Check {
    const WHY: &str = "a queue's interrupt that wanders takes its packets from cache to cache";
    const KNOB: &str = "interrupts stay";
    let table = std::fs::read_to_string("/proc/interrupts").unwrap_or_default();
    let mine = numbers(&table, &link.name);
    if mine.is_empty() {
        return Check::unknown(KNOB, WHY, "no interrupt bears its name");
    }
    let path = |n: u32| format!("/proc/irq/{n}/smp_affinity_list");
    let now: Vec<(u32, String)> = mine.into_iter().filter_map(|n| Some((n, line(&path(n))?))).collect();
    let pinned = now.iter().filter(|(_, cpus)| cpus.parse::<u32>().is_ok()).count();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let set = |to: &mut dyn Iterator<Item = (u32, String)>| {
        to.map(|(n, cpus)| format!("echo {} > {}", quote(&cpus), path(n))).collect::<Vec<_>>().join(" && ")
    };
    let spread = set(&mut now.iter().enumerate().map(|(i, (n, _))| (*n, (i % cpus).to_string())));
    let back = set(&mut now.iter().cloned());
    Check::ok_if(KNOB, WHY, pinned == now.len(), format!("{pinned} of {} have one CPU", now.len()))
        .fixed_by(spread, back)
}

/// Interrupts whose name has the interface's name as a word: `eth0`, `eth0-TxRx-3`, `i40e-eth0-TxRx-3`.
pub(super) fn numbers(table: &str, name: &str) -> Vec<u32> {
    let bears = |l: &str| l.split_whitespace().next_back().is_some_and(|w| w.split(['-', '@', ':']).any(|p| p == name));
    table.lines().filter(|l| bears(l)).filter_map(|l| l.trim().split(':').next()?.parse().ok()).collect()
}
