//! An alert, whichever NIDS it came from. Made by `eve` and `zeek`; judged by the rules.

use crate::query::{CommunityId, ConnSpec};
use std::net::{IpAddr, SocketAddr};

/// What a NIDS saw. Times are Unix ns of packets.
#[derive(Clone, Debug, Default)]
pub struct Alert {
    /// Of the packet.
    pub time: u64,
    /// First packet of its connection, if the NIDS knows.
    pub began: Option<u64>,
    /// Its connection, if it has one that can be named.
    pub conn: Option<ConnSpec>,
    /// Its connection's community ID.
    pub community: Option<CommunityId>,
    /// Sender of the packet.
    pub source: Option<IpAddr>,
    /// Its receiver.
    pub destination: Option<IpAddr>,
    /// Who attacks, if the NIDS says so; else the sender.
    pub attacker: Option<IpAddr>,
    /// Signature id; Suricata.
    pub sid: Option<u64>,
    /// Its generator.
    pub gid: Option<u64>,
    /// 1 is the gravest.
    pub severity: Option<u64>,
    /// Of the signature.
    pub category: Option<String>,
    /// Text of the signature, or a notice's message.
    pub signature: Option<String>,
    /// Name of the notice; Zeek.
    pub notice: Option<String>,
    /// The NIDS' own name of the connection, for people: flow_id, uid.
    pub flow: String,
    /// Whoever sent the alert waits for an answer under this name.
    pub request: Option<String>,
    /// As it came.
    pub record: serde_json::Value,
}

impl Alert {
    /// What it is about, in a word or two.
    pub fn what(&self) -> String {
        match (&self.notice, self.sid) {
            (Some(notice), _) => notice.clone(),
            (None, Some(sid)) => format!("{}:{sid}", self.gid.unwrap_or(1)),
            (None, None) => "alert".into(),
        }
    }
}

/// A connection, from what a NIDS calls its parts; `None`: it is not told by these.
pub fn conn(proto: &str, a: Option<IpAddr>, ap: Option<u16>, b: Option<IpAddr>, bp: Option<u16>) -> Option<ConnSpec> {
    let (a, b) = (a?, b?);
    let number = match proto.to_ascii_lowercase().as_str() {
        "tcp" => 6,
        "udp" => 17,
        "sctp" => 132,
        "icmp" => 1,
        "ipv6-icmp" | "icmp6" | "icmpv6" => 58,
        "gre" => 47,
        "esp" => 50,
        other => other.parse::<u8>().ok()?,
    };
    let text = match (number, ap, bp) {
        (6 | 17 | 132, Some(ap), Some(bp)) => format!("{number} {} {}", SocketAddr::new(a, ap), SocketAddr::new(b, bp)),
        (6 | 17 | 132, ..) => return None,
        _ => format!("{number} {a} {b}"),
    };
    text.parse().ok()
}
