//! All terms of a packet: those that libpcap could compare in the packet as it stands, and those that it could compare if any of its
//! decoded layers were the packet (`--any-layer`). Called by the builder.

use super::term::Term;
use super::view;
use crate::packet::{What, layers};

/// LINKTYPE_ETHERNET and LINKTYPE_RAW: what a query puts to libpcap of inner layers.
const ETHERNET: u16 = 1;
const RAW: u16 = 101;

/// Calls `emit` with every term of a packet, some more than once.
pub fn terms(link_type: u16, data: &[u8], emit: &mut impl FnMut(Term)) {
    view::walk(link_type, data, emit);
    layers(link_type, data, &mut |layer| match layer.what {
        // Only an inner one: the outermost was walked above.
        What::Ethernet { .. } if layer.offset > 0 => {
            view::walk(ETHERNET, data.get(layer.offset..).unwrap_or_default(), emit);
        }
        // Whatever announced it: libpcap looks at the version that it says itself.
        What::Ip4 { .. } | What::Ip6 { .. } => {
            view::walk(RAW, data.get(layer.offset..).unwrap_or_default(), emit);
        }
        What::Vlan(id) => emit(Term::Vlan(id)),
        What::Mpls(label) => emit(Term::Mpls(label)),
        _ => {}
    });
}
