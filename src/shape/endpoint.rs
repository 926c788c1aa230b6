//! What names a connection: protocol and two ends, address and port apart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// One end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// IP address, or hardware address as 00:11:22:33:44:55; null: the protocol has none that is known.
    pub address: Option<String>,
    /// Port; null: the protocol has none.
    pub port: Option<u16>,
}

/// Protocol and ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ends {
    /// `tcp`, `udp`, `icmp`, `icmp6`, `sctp`, `arp`; else the number of the IP protocol, or the ethertype as 0x88cc.
    pub protocol: String,
    /// The originator, where it is known.
    pub a: Endpoint,
    /// The other end.
    pub b: Endpoint,
}

impl Endpoint {
    /// Of an IP address.
    pub fn new(address: IpAddr, port: Option<u16>) -> Endpoint {
        Endpoint { address: Some(address.to_string()), port }
    }
}

/// For people, and as the command line takes it: `10.0.0.1:80`, `[2001:db8::1]:80`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address.as_deref().unwrap_or_default();
        match (self.port, address.parse::<IpAddr>()) {
            (Some(port), Ok(ip)) => write!(f, "{}", SocketAddr::new(ip, port)),
            (Some(port), Err(_)) => write!(f, "{address}:{port}"),
            (None, _) => f.write_str(address),
        }
    }
}

/// As `--conn` takes it.
impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.protocol, self.a, self.b)
    }
}
