//! Addresses and networks that are asked for beside an expression: a feed of indicators, from a file or in a question to the API. Owns what may
//! stand there, and the expression that they make. Made by the command line and by `control`.

use crate::limits::ASK_ADDRESSES_MAX;
use ipnet::IpNet;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Why a word is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressesError {
    /// It is none.
    #[error("{0:?} is no address: 10.1.2.3 or 2001:db8::1, and names are not looked up")]
    NoAddress(String),
    /// A network among addresses.
    #[error("{0} is a network: it belongs among the nets")]
    Net(IpNet),
    /// It is none.
    #[error("{0:?} is no network: 10.1.2.0/24 or 2001:db8::/32")]
    NoNet(String),
    /// libpcap refuses that, too.
    #[error("{0} has bits behind its first {len}: the network is {net}", len = .0.prefix_len(), net = .0.trunc())]
    HostBits(IpNet),
    /// It would be no question.
    #[error("{0} is every address: without it the answer is the same, and found faster")]
    Everything(IpNet),
    /// More than are taken.
    #[error(
        "more than {ASK_ADDRESSES_MAX} addresses and networks: ask for them in parts, or for networks instead of hosts"
    )]
    TooMany,
}

/// Those of one question; which of them comes first makes no difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    hosts: BTreeSet<IpAddr>,
    nets: BTreeSet<IpNet>,
}

impl Addresses {
    /// Adds an address.
    pub fn host(&mut self, word: &str) -> Result<(), AddressesError> {
        let address = match (word.parse::<IpAddr>(), word.parse::<IpNet>()) {
            (Ok(address), _) => address,
            (_, Ok(net)) if net.prefix_len() == net.max_prefix_len() => net.addr(),
            (_, Ok(net)) => return Err(AddressesError::Net(net)),
            _ => return Err(AddressesError::NoAddress(word.into())),
        };
        self.hosts.insert(address);
        self.bounded()
    }

    /// Adds a network, or an address as one.
    pub fn net(&mut self, word: &str) -> Result<(), AddressesError> {
        let net = match (word.parse::<IpNet>(), word.parse::<IpAddr>()) {
            (Ok(net), _) => net,
            (_, Ok(address)) => address.into(),
            _ => return Err(AddressesError::NoNet(word.into())),
        };
        if net.prefix_len() == 0 {
            return Err(AddressesError::Everything(net));
        }
        if net.trunc() != net {
            return Err(AddressesError::HostBits(net));
        }
        self.nets.insert(net);
        self.bounded()
    }

    fn bounded(&self) -> Result<(), AddressesError> {
        if self.hosts.len() + self.nets.len() > ASK_ADDRESSES_MAX { Err(AddressesError::TooMany) } else { Ok(()) }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.nets.is_empty()
    }

    /// The expression, and any of these addresses at either end.
    pub fn joined(&self, filter: &str) -> String {
        fn words(what: &str, all: impl Iterator<Item = String>) -> Option<String> {
            let all: Vec<String> = all.collect();
            if all.is_empty() { None } else { Some(format!("{what} {}", all.join(" or "))) }
        }
        let hosts = words("host", self.hosts.iter().map(IpAddr::to_string));
        let nets = words("net", self.nets.iter().map(IpNet::to_string));
        let any = hosts.into_iter().chain(nets).collect::<Vec<_>>().join(" or ");
        match (filter.trim(), any.as_str()) {
            (_, "") => filter.to_owned(),
            ("", _) => any,
            // Its operators bind alike and group to the left: all of it, and one of these.
            (filter, any) => format!("{filter} and ({any})"),
        }
    }

    /// As they go into a question to the API: hosts and nets.
    pub fn words(&self) -> (Vec<String>, Vec<String>) {
        (self.hosts.iter().map(IpAddr::to_string).collect(), self.nets.iter().map(IpNet::to_string).collect())
    }

    /// How many hosts there are, and the SHA-256 of them sorted as text, a line each.
    pub fn hosts_told(&self) -> (usize, String) {
        told(self.hosts.iter().map(IpAddr::to_string))
    }

    /// The same of the networks.
    pub fn nets_told(&self) -> (usize, String) {
        told(self.nets.iter().map(IpNet::to_string))
    }
}

fn told(all: impl Iterator<Item = String>) -> (usize, String) {
    let all: BTreeSet<String> = all.collect();
    let mut sum = Sha256::new();
    all.iter().for_each(|one| sum.update(format!("{one}\n")));
    (all.len(), format!("{:x}", sum.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(hosts: &[&str], nets: &[&str]) -> Result<Addresses, AddressesError> {
        let mut all = Addresses::default();
        hosts.iter().try_for_each(|w| all.host(w))?;
        nets.iter().try_for_each(|w| all.net(w))?;
        Ok(all)
    }

    #[test]
    fn they_make_an_expression() {
        let some = of(&["10.0.0.2", "2001:db8::1", "10.0.0.2", "10.0.0.1/32"], &["10.1.0.0/16", "192.0.2.7"]).unwrap();
        let any = "host 10.0.0.1 or 10.0.0.2 or 2001:db8::1 or net 10.1.0.0/16 or 192.0.2.7/32";
        assert_eq!(some.joined(" "), any);
        assert_eq!(some.joined("tcp port 443 or udp"), format!("tcp port 443 or udp and ({any})"));
        assert_eq!(of(&[], &[]).unwrap().joined("tcp"), "tcp");
    }

    #[test]
    fn nonsense_is_named() {
        for (hosts, nets, why) in [
            (&["example.com"][..], &[][..], "names are not looked up"),
            (&["10.0.0.0/8"], &[], "among the nets"),
            (&[], &["10.0.0.1/8"], "the network is 10.0.0.0/8"),
            (&[], &["0.0.0.0/0"], "every address"),
            (&[], &["10.0.0.0/33"], "no network"),
        ] {
            let error = of(hosts, nets).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let mut many = Addresses::default();
        let all: Result<(), _> =
            (0..=ASK_ADDRESSES_MAX as u32).try_for_each(|n| many.host(&format!("{}", std::net::Ipv4Addr::from(n))));
        assert_eq!(all, Err(AddressesError::TooMany));
    }

    /// As `sort -u hosts | sha256sum` has it.
    #[test]
    fn lists_have_a_sum() {
        let some = of(&["10.0.0.10", "10.0.0.9"], &[]).unwrap();
        let sum = format!("{:x}", Sha256::digest("10.0.0.10\n10.0.0.9\n"));
        assert_eq!(some.hosts_told(), (2, sum));
        assert_eq!(some.nets_told().0, 0);
    }
}
