//! All terms of a packet: those that libpcap could compare in the packet as it stands, and those that it could compare if any of its
//! decoded layers were the packet (`--any-layer`). Called by the builder. Takes time in proportion to the packet's bytes, whatever is in them.

use super::term::Term;
use super::view::{self, Walked};
use crate::packet::{What, layers};

/// LINKTYPE_ETHERNET and LINKTYPE_RAW: what a query puts to libpcap of inner layers.
const ETHERNET: u16 = 1;
const RAW: u16 = 101;

/// Calls `emit` with every term of a packet, some more than once.
pub fn terms(link_type: u16, data: &[u8], walked: &mut Walked, emit: &mut impl FnMut(Term)) {
    walked.begin(data.len());
    view::walk(link_type, data, 0, walked, emit);
    layers(link_type, data, &mut |layer| {
        walked.steps += 1;
        match layer.what {
            // Only an inner one: the outermost was walked above.
            What::Ethernet { .. } if layer.offset > 0 => view::walk(ETHERNET, data, layer.offset, walked, emit),
            // Whatever announced it: libpcap looks at the version that it says itself.
            What::Ip4 { .. } | What::Ip6 { .. } => view::walk(RAW, data, layer.offset, walked, emit),
            What::Vlan(id) => emit(Term::Vlan(id)),
            What::Mpls(label) => emit(Term::Mpls(label)),
            _ => {}
        }
    });
}
