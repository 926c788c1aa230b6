//! What may be asked by those who may not see packets: what a connection's key can tell. Any other expression looks into packets, and a yes
//! or no to enough of those spells out what was said. Asked before a count or a list of connections is made.

use super::caller::Caller;
use super::role::Role;
use crate::query::lang::keyed::tellable;
use crate::query::lang::parse::parse;

/// Whether this caller may ask for this expression; if not, status and reason.
pub fn may_ask(caller: &Caller, filter: &str) -> Result<(), (u16, String)> {
    let by_key = || parse(filter).is_some_and(|e| tellable(&e));
    if filter.trim().is_empty() || caller.may("", Role::Packets).is_ok() || by_key() {
        return Ok(());
    }
    caller.may(
        "a filter of more than hosts, networks, ports, protocols and VLAN ids, without a direction,",
        Role::Packets,
    )
}
