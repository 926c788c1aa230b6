//! How much past the budgets will hold: at the rate at which what is on the disk has come. Pure but for the listing of a store that
//! nobody records into; read by the keeper each second, and before a start.

use super::shelf::{Holding, PacketTimes, Retention, Shelf, Shelved};
use crate::limits::OUTLOOK_NS;
use crate::store::layout::{self, Layout};
use crate::store::list;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Says of each holding how much past its budget will hold, where there is a budget and enough past to tell.
pub fn fill(holdings: &mut [Holding], keep: &Retention, now: u64) {
    let of = |name: &str| keep.classes.iter().find(|(n, _)| n == name).map(|(_, k)| *k).unwrap_or_default();
    let own: u64 = keep.classes.iter().filter_map(|(_, k)| k.disk).fold(0, u64::saturating_add);
    // Those without a budget of their own share what the others leave.
    let sharing = || holdings.iter().filter(|h| of(&h.class).disk.is_none());
    let shared = (sharing().map(|h| h.bytes).sum::<u64>(), sharing().filter_map(|h| h.recorded).min());
    let rest = keep.total.map(|total| total.saturating_sub(own));
    for h in holdings.iter_mut() {
        let k = of(&h.class);
        let (budget, bytes, since) = match k.disk {
            Some(disk) => (Some(disk), h.bytes, h.recorded),
            None => (rest, shared.0, shared.1),
        };
        let holds = budget.zip(since).and_then(|(budget, since)| {
            let span = now.checked_sub(since).filter(|span| *span >= OUTLOOK_NS)?;
            u64::try_from(u128::from(budget) * u128::from(span) / u128::from(bytes.max(1))).ok()
        });
        h.holds_ns = match (holds, k.max_age_ns) {
            (Some(holds), Some(most)) => Some(holds.min(most)),
            (holds, _) => holds,
        };
    }
}

/// What the sealed segments of a store are, and how much past these budgets would hold. Empty where there is no store.
pub fn of_store(store: &Path, keep: &Retention, now: u64) -> Vec<Holding> {
    let mut shelf = Shelf::default();
    for s in list::sealed(&Layout::new(store)).unwrap_or_default() {
        let Ok(file) = std::fs::metadata(&s.path) else { continue };
        let index = std::fs::metadata(layout::index_of(&s.path)).map_or(0, |m| m.len());
        let ended =
            file.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map_or(now, |d| d.as_nanos() as u64);
        let class = s.class.unwrap_or_default();
        shelf.put(
            s.number,
            Shelved { path: s.path, class, times: PacketTimes::Unknown, bytes: file.len() + index, ended },
        );
    }
    let mut all = shelf.holdings(&Default::default(), &[]);
    fill(&mut all, keep, now);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Keep;

    const H: u64 = 3_600_000_000_000;

    fn holding(class: &str, bytes: u64, recorded: u64) -> Holding {
        Holding { class: class.into(), segments: 1, bytes, recorded: Some(recorded), ..Holding::default() }
    }

    #[test]
    fn a_budget_holds_as_long_as_it_takes_to_fill() {
        let keep = |disk, max_age_ns| Keep { disk, max_age_ns, ..Keep::default() };
        let classes = vec![
            ("all".into(), keep(None, None)),
            ("own".into(), keep(Some(100), None)),
            ("aged".into(), keep(Some(1000), Some(3 * H))),
            ("rest".into(), keep(None, None)),
            ("new".into(), keep(Some(100), None)),
        ];
        let now = 100 * H;
        let mut holdings = vec![
            holding("all", 300, now - 6 * H),
            holding("own", 50, now - 2 * H),
            holding("aged", 10, now - H),
            holding("rest", 100, now - 2 * H),
            holding("new", 10, now - 1),
        ];
        fill(&mut holdings, &Retention { total: Some(2000), classes: classes.clone() }, now);
        let holds: Vec<_> = holdings.iter().map(|h| h.holds_ns).collect();
        // 800 bytes are left for those that share, who took 400 in 6 hours.
        assert_eq!(holds, [Some(12 * H), Some(4 * H), Some(3 * H), Some(12 * H), None]);
        fill(&mut holdings, &Retention { total: None, classes }, now);
        assert_eq!(holdings[0].holds_ns, None);
    }
}
