//! What a history is: classes, networks, runs of the recorder with the packets that each is given, and what happens to the store between
//! them. All of it comes from the seed, before anything runs.

use crate::dice::Dice;
use crate::oracle::model::{Rules, S};
use crate::packets::{ETHERNET, Given, Network, Talk};

/// A history.
#[derive(Clone, Debug)]
pub struct History {
    pub seed: u64,
    /// One of many: at rest only, and less is asked.
    pub quick: bool,
    /// `all` first.
    pub classes: Vec<Class>,
    pub vlans: bool,
    pub network: Network,
    pub runs: Vec<Run>,
    /// The run and the chunk before which a reload brings the late classes.
    pub reload: Option<(usize, usize)>,
}

/// A class, as its configuration says it and as the model knows it.
#[derive(Clone, Debug)]
pub struct Class {
    pub name: &'static str,
    pub filter: &'static str,
    pub precedence: i32,
    pub rules: Rules,
    pub snaplen: Option<usize>,
    pub disk_mib: Option<u64>,
    pub max_age_hours: Option<u64>,
    /// It comes with the reload.
    pub late: bool,
}

/// One life of the recorder.
#[derive(Clone, Debug)]
pub struct Run {
    /// Workers; each has its own source.
    pub queues: usize,
    /// Bytes of recent packets; 0: none.
    pub memory: u64,
    /// Questions are asked while it runs.
    pub live: bool,
    /// Between two of them every worker has all that it was given.
    pub chunks: Vec<Vec<(usize, Given)>>,
    pub end: End,
    /// What then happens to the store, in this order.
    pub after: Vec<Mishap>,
}

/// How a recorder ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its input ends.
    Stop,
    /// It is killed: what it has written stays as it is.
    Kill,
}

/// What befalls a store at rest. Numbers choose among its segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// All segments of a class look as if they had been recorded long ago.
    Age(usize),
    /// An index is gone.
    NoIndex(u64),
    /// A byte of an index is another.
    BadIndex(u64, u64),
    /// An index is that of another store's segment of the same number.
    ForeignIndex(u64),
    /// All files of filters are gone.
    NoFilters,
    /// A byte of a segment is another.
    BadByte(u64, u64),
}

/// Links whose packets no index understands yet are answered wrong: switched on when that is mended.
const EVERY_LINK: bool = true;
/// What a damaged segment hides is not always said: the same.
const DAMAGE: bool = true;

/// An index is believed without a look whose it is: the same.
const FOREIGN: bool = true;

/// Time of the first packet.
pub const START: u64 = 1_700_000_000 * S;
/// Of the disk budgets only so small ones are exceeded.
const MIB: u64 = 1 << 20;

impl History {
    /// `scale`: how many hundredths of its packets it has.
    pub fn new(seed: u64, scale: u64) -> History {
        let mut dice = Dice::new(seed);
        let d = &mut dice;
        let quick = !seed.is_multiple_of(4);
        let big = d.chance(if quick { 5 } else { 20 });
        let network = network(d, big);
        let classes = classes(d, big);
        let vlans = d.chance(90);
        let multi = d.chance(if quick { 25 } else { 50 });
        let cutoffs = classes.iter().any(|c| c.rules.cutoff_bytes.is_some() || c.rules.cutoff_packets.is_some());
        let mut network = network;
        // With several workers a fragment takes another way than the rest of its connection, so that what is past a cutoff is not sure; and of a
        // tunnel's fragments the first, which names another pair, comes by another queue than the rest.
        network.fragments &= !(multi && (cutoffs || network.tunnels));
        // Nor is the order of an end and of what comes after it.
        network.tcp_fragments = !multi;
        let mut time = START + d.below(1000) * 1_000_000;
        let mut talks: Vec<Talk> = (0..d.from(2, 14)).map(|_| Talk::any(d, &network)).collect();
        let runs: Vec<Run> = (0..if quick { d.one(&[1, 1, 1, 2]) } else { d.one(&[1, 2, 2, 3]) })
            .map(|_| {
                let queues = if multi { d.from(1, 3) as usize } else { 1 };
                // What a budget takes while it runs nobody knows to the packet.
                let live = !quick && d.chance(60) && !classes.iter().any(|c| c.disk_mib.is_some());
                let memory = if live && d.chance(75) { 4 * MIB } else { 0 };
                let packets = if big { d.from(60, 220) } else { d.from(1, 220) };
                let parts = if live || queues > 1 { d.from(1, 3) } else { 1 };
                let chunks = (0..parts)
                    .map(|_| {
                        if d.chance(50) {
                            let at = d.below(talks.len() as u64) as usize;
                            talks[at] = Talk::any(d, &network);
                        }
                        time += gap(d, true);
                        chunk(d, &network, &mut talks, &mut time, packets / parts + 1, queues)
                    })
                    .collect();
                time += d.from(10, 900) * S;
                let end = if live && d.chance(30) { End::Kill } else { End::Stop };
                let after = (0..d.below(if quick { 2 } else { 3 })).map(|_| mishap(d, &classes)).collect();
                Run { queues, memory, live, chunks, end, after }
            })
            .collect();
        let reload = runs.iter().position(|r| r.live && r.chunks.len() > 1).filter(|_| d.chance(40)).map(|n| (n, 1));
        let mut classes = classes;
        for c in classes.iter_mut().skip(1) {
            c.late = reload.is_some() && d.chance(50);
        }
        let mut runs = runs;
        for chunk in runs.iter_mut().flat_map(|r| &mut r.chunks) {
            chunk.truncate((chunk.len() * scale as usize / 100).max(1));
        }
        History { seed, quick, classes, vlans, network, runs, reload }
    }
}

impl History {
    /// libpcap's answer is chance: where it has to compute where headers are (radiotap), its program for `pppoes` reads a place of its memory that
    /// it never wrote to (1.10.3).
    pub fn is_chance(&self, expression: &str) -> bool {
        expression.contains("pppoes") && self.network.links.contains(&127)
    }
}

/// As whoever looks into a finding wants it.
impl std::fmt::Display for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "  vlan_in_key {}, reload {:?}, {:?}", self.vlans, self.reload, self.network)?;
        self.classes.iter().try_for_each(|c| writeln!(f, "  {c:?}"))?;
        self.runs.iter().enumerate().try_for_each(|(n, r)| {
            let packets: Vec<usize> = r.chunks.iter().map(Vec::len).collect();
            let Run { queues, memory, live, end, after, .. } = r;
            writeln!(f, "  run {n}: {queues} workers, memory {memory}, live {live}, packets {packets:?}, {end:?}, then {after:?}")
        })
    }
}

fn network(d: &mut Dice, big: bool) -> Network {
    let mut links = match d.below(10) {
        0..6 => vec![ETHERNET],
        6 => vec![d.one(&[0, 9, 101, 108, 113, 228, 229, 276])],
        _ if !EVERY_LINK => (0..d.from(1, 3)).map(|_| d.one(&[1, 1, 0, 9, 101, 108, 113, 228, 229, 276])).collect(),
        _ => (0..d.from(1, 3))
            .map(|_| d.one(&[1, 1, 0, 9, 101, 108, 113, 228, 229, 276, 6, 10, 50, 100, 105, 127, 147]))
            .collect(),
    };
    // libpcap takes a second interface of these for one of another type: it compares the number in the file with its own.
    for renamed in [12, 100, 101] {
        let mut first = true;
        links.retain(|l: &u16| *l != renamed || std::mem::replace(&mut first, false));
    }
    Network {
        links,
        tunnels: d.chance(40),
        tags: d.chance(40),
        fragments: d.chance(30),
        tcp_fragments: true,
        cut_off: d.one(&[0, 0, 5, 20]),
        payload: if big { 59_000 } else { d.one(&[1, 200, 1400]) },
        hosts: d.one(&[2, 4, 12]),
    }
}

/// Filters of classes: they compile for every link that carries IP.
const FILTERS: [(&str, &str); 6] = [
    ("dns", "port 53"),
    ("web", "tcp port 80 or tcp port 443"),
    ("host", "host 10.0.0.1"),
    ("udp", "udp"),
    ("six", "ip6"),
    ("icmp", "icmp or icmp6"),
];

fn classes(d: &mut Dice, big: bool) -> Vec<Class> {
    let mut all = vec![class(d, "all", "", big)];
    for _ in 0..d.below(4) {
        let (name, filter) = d.one(&FILTERS);
        if !all.iter().any(|c| c.name == name) {
            all.push(class(d, name, filter, big));
        }
    }
    all
}

fn class(d: &mut Dice, name: &'static str, filter: &'static str, big: bool) -> Class {
    let seconds = |n: u64| n * S;
    let rules = Rules {
        cutoff_bytes: if big {
            d.one(&[None, None, Some(300_000)])
        } else {
            d.one(&[None, None, Some(60), Some(500), Some(2000), Some(15 << 10)])
        },
        cutoff_packets: d.one(&[None, None, None, Some(1), Some(3)]),
        idle_tcp: seconds(d.one(&[300, 300, 5, 20])),
        idle_other: seconds(d.one(&[180, 180, 5, 20])),
        renew_tcp: d.one(&[None, None, Some(10), Some(60)]).map(seconds),
        renew_other: d.one(&[Some(600), Some(600), None, Some(10)]).map(seconds),
        vlans: true,
        whole_unknown: name == "all",
        record: name == "all" || d.chance(90),
    };
    Class {
        name,
        filter,
        precedence: d.below(3) as i32,
        rules,
        snaplen: d.one(&[None, None, None, Some(64), Some(96), Some(200)]),
        disk_mib: (big && d.chance(50)).then_some(16),
        max_age_hours: d.chance(40).then_some(2),
        late: false,
    }
}

fn mishap(d: &mut Dice, classes: &[Class]) -> Mishap {
    match d.below(10) {
        0..4 => Mishap::Age(d.below(classes.len() as u64) as usize),
        4..6 => Mishap::NoIndex(d.next()),
        6 => Mishap::BadIndex(d.next(), d.next()),
        7 if FOREIGN => Mishap::ForeignIndex(d.next()),
        8 if DAMAGE => Mishap::BadByte(d.next(), d.next()),
        _ => Mishap::NoFilters,
    }
}

/// Time to the next packet. Within a chunk of several workers nobody knows which comes first, so that it is short there.
fn gap(d: &mut Dice, long: bool) -> u64 {
    match d.below(20) {
        0..6 => 0,
        6..14 => d.below(20_000_000),
        14..18 if long => d.below(3 * S),
        18 if long => d.one(&[5, 10, 20, 30, 60, 180, 300, 600]) * S + d.below(3) - 1,
        19 if long => d.below(40 * S),
        _ => d.below(5_000_000),
    }
}

/// Packets of one chunk: those of one talk go to one queue, so that their order is kept.
fn chunk(
    d: &mut Dice,
    network: &Network,
    talks: &mut [Talk],
    time: &mut u64,
    packets: u64,
    queues: usize,
) -> Vec<(usize, Given)> {
    let spread = d.next();
    let mut newest = *time;
    let made = (0..packets)
        .map(|_| {
            let which = d.below(talks.len() as u64) as usize;
            let mut p = talks[which].packet(d, network);
            *time += gap(d, queues == 1);
            p.time = *time;
            if queues == 1 && d.chance(6) {
                // Late by what a source may be late.
                p.time = p.time.saturating_sub(d.below(3 * S)).max(newest.saturating_sub(3 * S));
            }
            newest = newest.max(p.time);
            (which, p)
        })
        .collect::<Vec<_>>();
    // Two talks may have one name: all of a pair go one way, whatever their ports.
    let queue = |p: &Given| {
        let name = crate::oracle::parse::parse(network.links[p.link], &p.data, false).name;
        let mut h = std::hash::DefaultHasher::new();
        match name.ends() {
            Some(ends) => std::hash::Hash::hash(&ends.map(|(addr, _)| addr), &mut h),
            None => std::hash::Hash::hash(&name, &mut h),
        }
        (std::hash::Hasher::finish(&h).wrapping_add(spread) % queues as u64) as usize
    };
    made.into_iter().map(|(_, p)| (queue(&p), p)).collect()
}
