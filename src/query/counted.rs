//! How many connections a store tells of, by class: from the receipts, so that no segment is read. Called by `info`.

use super::pace::Pace;
use super::{Engine, QueryError};
use crate::conn::receipt::End;
use crate::ledger::each_connection;
use std::collections::BTreeMap;

impl Engine {
    /// By class: those that have a receipt, and of these those that had not ended by it.
    pub fn counted(&self, pace: &dyn Pace) -> Result<Vec<(String, [u64; 2])>, QueryError> {
        let (names, mut all) = (self.receipt_classes()?, BTreeMap::<String, [u64; 2]>::new());
        let mut by_id: BTreeMap<u8, [u64; 2]> = BTreeMap::new();
        each_connection(&self.layout().receipts(), (0, u64::MAX), || pace.go_on(), &mut |r| {
            let [all, lasting] = by_id.entry(r.class).or_default();
            *all += 1;
            *lasting += u64::from(r.end == End::Lasting);
        })?;
        if let Some(why) = pace.stopped() {
            return Err(QueryError::Stopped(why));
        }
        for (id, [n, last]) in by_id {
            let name = names.get(usize::from(id)).map_or("?", |name| name);
            let [all, lasting] = all.entry(name.to_owned()).or_default();
            (*all, *lasting) = (*all + n, *lasting + last);
        }
        Ok(all.into_iter().collect())
    }
}
