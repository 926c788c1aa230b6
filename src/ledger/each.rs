//! Every connection that the receipts tell of, once: one that lasts has a receipt each hour and another at its end. Called by what counts
//! connections: `info` and `plan --store`.

use super::LedgerError;
use super::search::{Wanted, search_while};
use crate::conn::receipt::{End, Receipt};
use crate::packet::key::Key;
use std::collections::HashMap;
use std::path::Path;

/// Gives `each` the last receipt of every connection of `from..to`, Unix ns, in no order; as long as `go_on` holds.
pub fn each_connection(
    dir: &Path,
    window: (u64, u64),
    go_on: impl Fn() -> bool,
    each: &mut dyn FnMut(&Receipt),
) -> Result<(), LedgerError> {
    // Mostly one of each name.
    let mut lasting: HashMap<Key, Vec<Receipt>> = HashMap::new();
    search_while(dir, window, &Wanted::All, go_on, |r, _| match r.end {
        End::Lasting => {
            let of_name = lasting.entry(r.key).or_default();
            // Its first packet may have come late.
            forget(of_name, r);
            of_name.reserve_exact(1);
            of_name.push(*r);
        }
        _ => {
            if let Some(of_name) = lasting.get_mut(&r.key) {
                forget(of_name, r);
            }
            each(r);
        }
    })?;
    lasting.values().flatten().for_each(each);
    Ok(())
}

/// Forgets what a later receipt of the same connection tells again.
fn forget(of_name: &mut Vec<Receipt>, later: &Receipt) {
    of_name.retain(|r| !(later.first..=later.last).contains(&r.first));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{RECEIPTS_BYTES, Receipts};

    #[test]
    fn each_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut receipts = Receipts::open(dir.path(), RECEIPTS_BYTES).unwrap();
        let one = |port, first, last, end| Receipt { end, ..Receipt::of_one(Key::tcp(port), first, last) };
        let all = [
            one(1, 5, 90, End::Lasting),
            one(1, 5, 95, End::Lasting),
            one(2, 5, 90, End::Lasting),
            // An older packet came late.
            one(2, 1, 95, End::Lasting),
            one(2, 1, 99, End::Closed),
            one(2, 100, 101, End::Closed),
            one(3, 7, 8, End::Idle),
        ];
        receipts.append(1, &all).unwrap();
        let mut got = Vec::new();
        each_connection(dir.path(), (0, u64::MAX), || true, &mut |r| got.push((r.key, r.first, r.last))).unwrap();
        got.sort();
        let want = [(1, 5, 95), (2, 1, 99), (2, 100, 101), (3, 7, 8)];
        assert_eq!(got, want.map(|(port, first, last)| (Key::tcp(port), first, last)));
    }
}
