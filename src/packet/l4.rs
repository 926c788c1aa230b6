//! What follows an IP header: ports, TCP flags, ICMP echo ids, or the next header of a tunnel. A step of the parser.

use super::Fragment;
use super::bytes::Bytes;
use super::walk::{Next, Reached};

pub(super) const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const DCCP: u8 = 33;
pub(super) const ICMP6: u8 = 58;
pub(super) const SCTP: u8 = 132;
pub(super) const UDP_LITE: u8 = 136;

/// Fills in ports and flags, and moves `off` to what is inside a tunnel. A fragment's tunnel is not followed.
#[inline]
pub(super) fn read(bytes: Bytes<'_>, off: &mut usize, reached: &mut Reached) -> Next {
    if matches!(reached.fragment, Fragment::Later(_)) {
        return Next::Done;
    }
    let next = match reached.proto {
        TCP => {
            tcp(bytes, *off, reached);
            return Next::Done;
        }
        UDP => {
            ports(bytes, *off, reached);
            *off += 8;
            let [_, dst] = reached.ports;
            tunnel(UDP, dst)
        }
        DCCP | SCTP | UDP_LITE => {
            ports(bytes, *off, reached);
            Next::Done
        }
        ICMP | ICMP6 => {
            echo(bytes, *off, reached);
            Next::Done
        }
        other => tunnel(other, 0),
    };
    if reached.fragment == Fragment::None { next } else { Next::Done }
}

/// True for protocols that begin with a source and a destination port.
pub(super) fn has_ports(proto: u8) -> bool {
    matches!(proto, TCP | UDP | DCCP | SCTP | UDP_LITE)
}

/// The tunnel that a protocol, or a UDP destination port, stands for.
#[inline]
pub(super) fn tunnel(proto: u8, dst_port: u16) -> Next {
    match (proto, dst_port) {
        (4, _) => Next::Ip4,
        (41, _) => Next::Ip6,
        (47, _) => Next::Gre,
        (137, _) => Next::Mpls,
        (UDP, 4789) => Next::Vxlan,
        (UDP, 6081) => Next::Geneve,
        (UDP, 2152) => Next::GtpU,
        _ => Next::Done,
    }
}

#[inline]
fn ports(bytes: Bytes<'_>, off: usize, reached: &mut Reached) {
    if let Some([a, b, c, d]) = bytes.at(off) {
        reached.ports = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
    }
}

/// Ports need 4 bytes; sequence number and flags need the fixed part up to the window.
#[inline]
fn tcp(bytes: Bytes<'_>, off: usize, reached: &mut Reached) {
    ports(bytes, off, reached);
    if let Some([_, _, _, _, seq @ .., _, _, _, _, _, flags, _, _]) = bytes.at::<16>(off) {
        reached.tcp_seq = u32::from_be_bytes(seq);
        reached.tcp_flags = flags;
    }
}

/// The id of an echo request or reply stands for both ports.
fn echo(bytes: Bytes<'_>, off: usize, reached: &mut Reached) {
    if let Some([kind, _, _, _, a, b, _, _]) = bytes.at::<8>(off)
        && matches!((reached.proto, kind), (ICMP, 0 | 8) | (ICMP6, 128 | 129))
    {
        reached.ports = [u16::from_be_bytes([a, b]); 2];
    }
}
