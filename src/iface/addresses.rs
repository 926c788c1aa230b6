//! Addresses and default routes: what makes an interface one that the host lives on.
//!
//! Addresses come from getifaddrs(3), routes from /proc/net/route and /proc/net/ipv6_route (proc(5)).

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

/// Addresses of this network namespace: interface name and address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(Vec<(String, IpAddr)>);

impl Addresses {
    /// The first address of `name` that makes it the host's own: any but IPv6 link-local.
    pub fn of_host(&self, name: &str) -> Option<IpAddr> {
        self.0.iter().find(|(n, a)| n == name && !link_local(a)).map(|(_, a)| *a)
    }
}

fn link_local(a: &IpAddr) -> bool {
    matches!(a, IpAddr::V6(a) if a.is_unicast_link_local())
}

/// All addresses of this network namespace.
pub fn addresses() -> io::Result<Addresses> {
    ifaddrs::all().map(Addresses)
}

/// Names of the interfaces that carry a default route.
pub fn default_routes() -> BTreeSet<String> {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default();
    let mut names = defaults_v4(&read("route"));
    names.extend(defaults_v6(&read("ipv6_route")));
    names
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask ...`, a header line first.
fn defaults_v4(table: &str) -> BTreeSet<String> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let f: Vec<&str> = line.split_whitespace().collect();
            (f.get(1) == Some(&"00000000") && f.get(7) == Some(&"00000000"))
                .then(|| f.first().map(|n| (*n).to_owned()))?
        })
        .collect()
}

/// `destination length source length nexthop metric refcount use flags interface`. The kernel's own "unreachable" default
/// sits on `lo` with RTF_REJECT.
fn defaults_v6(table: &str) -> BTreeSet<String> {
    const RTF_REJECT: u32 = 0x200;
    table
        .lines()
        .filter_map(|line| {
            let f: Vec<&str> = line.split_whitespace().collect();
            let any = f.first()?.bytes().all(|b| b == b'0') && *f.get(1)? == "00";
            let flags = u32::from_str_radix(f.get(8)?, 16).ok()?;
            (any && flags & RTF_REJECT == 0).then(|| f.get(9).map(|n| (*n).to_owned()))?
        })
        .collect()
}

mod ifaddrs {
    #![allow(unsafe_code)]
    use std::ffi::CStr;
    use std::io;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    pub(super) fn all() -> io::Result<Vec<(String, IpAddr)>> {
        let mut list = std::ptr::null_mut();
        // SAFETY: writes the head of a list to `list`, which is freed below.
        if unsafe { libc::getifaddrs(&mut list) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut found = Vec::new();
        let mut at = list;
        // SAFETY: the list and all that it points to live until freeifaddrs; `at` walks it to its null end. An address
        // is read as the type that its family says.
        unsafe {
            while let Some(entry) = at.as_ref() {
                at = entry.ifa_next;
                let Some(address) = entry.ifa_addr.as_ref() else { continue };
                let ip = match i32::from(address.sa_family) {
                    libc::AF_INET => {
                        let v4 = entry.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned();
                        IpAddr::V4(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)))
                    }
                    libc::AF_INET6 => {
                        let v6 = entry.ifa_addr.cast::<libc::sockaddr_in6>().read_unaligned();
                        IpAddr::V6(Ipv6Addr::from(v6.sin6_addr.s6_addr))
                    }
                    _ => continue,
                };
                found.push((CStr::from_ptr(entry.ifa_name).to_string_lossy().into_owned(), ip));
            }
            libc::freeifaddrs(list);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_found_in_both_tables() {
        let v4 = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
                  eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                  eth1\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\nshort\t00000000\n";
        assert_eq!(defaults_v4(v4), BTreeSet::from(["eth0".to_owned()]));
        let zero = "0".repeat(32);
        let v6 = format!(
            "{zero} 00 {zero} 00 fe80000000000000000000000000001 00000400 1 0 00000003 eth2\n\
             {zero} 00 {zero} 00 {zero} ffffffff 1 0 00200200 lo\n\
             fe80{} 40 {zero} 00 {zero} 00000100 1 0 00000001 eth3\n",
            &zero[4..]
        );
        assert_eq!(defaults_v6(&v6), BTreeSet::from(["eth2".to_owned()]));
    }

    #[test]
    fn link_local_addresses_do_not_count() {
        let a = |s: &str| ("x".to_owned(), s.parse().unwrap());
        assert_eq!(Addresses(vec![a("fe80::1")]).of_host("x"), None);
        for host in ["10.0.0.1", "169.254.0.1", "2001:db8::1", "fd00::1"] {
            assert_eq!(Addresses(vec![a("fe80::1"), a(host)]).of_host("x"), Some(host.parse().unwrap()));
        }
        assert_eq!(Addresses(vec![a("10.0.0.1")]).of_host("y"), None);
    }
}
