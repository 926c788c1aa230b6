//! What each driver can do for XDP. Sources: the tables of docs.ebpf.io (kernel 6.19), the drivers' sources.

/// A driver, the kernel (major, minor) since which its AF_XDP is zero-copy, and the largest MTU under an XDP program that takes
/// frames of several buffers; `None`: never, or without bound.
#[derive(Clone, Copy, Debug)]
pub struct Driver {
    /// As `ethtool -i` names it.
    pub name: &'static str,
    /// Zero-copy since.
    pub zero_copy: Option<(u32, u32)>,
    /// MTU.
    pub mtu: Option<u32>,
}

const fn of(name: &'static str, zero_copy: Option<(u32, u32)>, mtu: Option<u32>) -> Driver {
    Driver { name, zero_copy, mtu }
}

/// Drivers with native XDP.
pub const DRIVERS: &[Driver] = &[
    of("i40e", Some((4, 20)), Some(9702)),
    of("ixgbe", Some((4, 20)), Some(3050)),
    of("mlx5_core", Some((5, 3)), None),
    of("ice", Some((5, 5)), Some(3046)),
    of("stmmac", Some((5, 13)), None),
    of("igc", Some((5, 14)), Some(1500)),
    of("nfp", Some((5, 18)), None),
    of("fsl_dpaa2_eth", Some((6, 2)), None),
    of("tsnep", Some((6, 4)), None),
    of("gve", Some((6, 4)), None),
    of("virtio_net", Some((6, 11)), Some(3506)),
    of("igb", Some((6, 14)), Some(3046)),
    of("idpf", Some((6, 18)), None),
    of("icssg-prueth", Some((6, 19)), None),
    of("veth", None, Some(73_152)),
    of("bnxt_en", None, None),
    of("ena", None, None),
    of("mlx4_en", None, None),
    of("qede", None, None),
    of("sfc", None, None),
    of("mana", None, None),
    of("vmxnet3", None, None),
];

/// What is known of a driver.
pub fn known(name: &str) -> Option<&'static Driver> {
    DRIVERS.iter().find(|d| d.name == name)
}

/// Major and minor of a kernel's release, as `6.18.44-x`.
pub fn release(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
