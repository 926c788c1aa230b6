//! What is asked for: connections and hosts that the store has, drawn from its indexes, and hosts that it has not. Called once.

use retrotap::index::Index;
use retrotap::index::conns::Conn;
use retrotap::packet::key::{Key, Kind};
use retrotap::store::list::segments;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

/// Half of the window around a host's packet, ns.
const HALF_WINDOW: u64 = 300_000_000_000;

/// One question.
pub enum Question {
    /// A connection, in the whole store.
    Connection(&'static str, SocketAddr, SocketAddr),
    /// A host, between these times, Unix ns.
    Host(IpAddr, u64, u64),
    /// A host, in the whole store.
    Anywhere(IpAddr),
    /// A network, in the whole store.
    Net(String),
}

impl Question {
    /// For `retrotap query`.
    pub fn arguments(&self) -> Vec<String> {
        match self {
            Question::Connection(proto, a, b) => vec!["--conn".into(), format!("{proto} {a} {b}")],
            Question::Host(_, from, to) => {
                let time = |ns: &u64| retrotap::units::time(*ns);
                vec!["--since".into(), time(from), "--until".into(), time(to), self.filter()]
            }
            Question::Anywhere(_) | Question::Net(_) => vec![self.filter()],
        }
    }

    /// The same for tcpdump, which knows no times: a pcap-filter expression.
    pub fn filter(&self) -> String {
        match self {
            Question::Connection(proto, a, b) => {
                format!("{proto} and host {} and host {} and port {} and port {}", a.ip(), b.ip(), a.port(), b.port())
            }
            Question::Host(host, ..) | Question::Anywhere(host) => format!("host {host}"),
            Question::Net(net) => format!("net {net}"),
        }
    }

    /// For people.
    pub fn words(&self) -> String {
        self.arguments().join(" ")
    }
}

/// Questions of one kind, and what they are called.
pub type Questions = (&'static str, Vec<Question>);

/// All of them.
pub fn questions(
    store: &Path,
    count: usize,
    net: &str,
    rounds: usize,
) -> Result<Vec<Questions>, Box<dyn std::error::Error>> {
    let sealed: Vec<_> = segments(store)?.into_iter().filter(|s| s.sealed).collect();
    if sealed.is_empty() {
        return Err("the store has no sealed segment".into());
    }
    let (mut connections, mut hosts) = (Vec::new(), Vec::new());
    for n in 0..count {
        let segment = &sealed[n * sealed.len() / count];
        let mut all: Vec<Conn> = Vec::new();
        Index::open(&segment.index())?.each_conn(0, &mut |_, c| {
            if c.key.tail().kind() == Kind::Ip && matches!(c.key.tail().proto, 6 | 17) {
                all.push(c);
            }
        })?;
        // Others of a segment that is drawn from twice.
        let Some(c) = all.get((n * 7919) % all.len().max(1)) else { continue };
        let Some((proto, a, b)) = endpoints(&c.key) else { continue };
        connections.push(Question::Connection(proto, a, b));
        // The end with the lower port is the server: of them there are many, each with some connections.
        let host = if a.port() < b.port() { a.ip() } else { b.ip() };
        hosts.push(Question::Host(host, c.first.saturating_sub(HALF_WINDOW), c.first + HALF_WINDOW));
    }
    let absent = (0..count).map(|n| IpAddr::from(Ipv4Addr::from_bits(0xcb00_7100 + n as u32)));
    Ok(vec![
        ("connection", connections),
        ("host in 10 minutes", hosts),
        ("absent host", absent.map(Question::Anywhere).collect()),
        ("net", (0..rounds).map(|_| Question::Net(net.to_owned())).collect()),
    ])
}

fn endpoints(key: &Key) -> Option<(&'static str, SocketAddr, SocketAddr)> {
    let proto = if key.tail().proto == 6 { "tcp" } else { "udp" };
    let [a, b] = key.addrs()?;
    let [p, q] = key.tail().port;
    Some((proto, SocketAddr::new(a, p), SocketAddr::new(b, q)))
}
