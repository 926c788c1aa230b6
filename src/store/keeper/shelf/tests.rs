//! The shelf against what it promises: budgets, shares, ages.

use super::*;
use proptest::prelude::*;

fn shelved(n: u64, class: &str, bytes: u64, ended: u64) -> Shelved {
    Shelved { path: PathBuf::from(n.to_string()), class: class.into(), times: PacketTimes::Unknown, bytes, ended }
}

fn disk(bytes: u64) -> Keep {
    Keep { disk: Some(bytes), ..Keep::default() }
}

fn unsealed(class: Option<&str>, bytes: u64) -> Unsealed<'_> {
    Unsealed { class, most: bytes, taken: bytes }
}

proptest! {
    /// Whatever is sealed, the store stays within its budget, the oldest go first, nothing goes without need, and a class
    /// with a budget of its own loses nothing to the others.
    #[test]
    fn budget_is_kept_by_dropping_the_oldest(
        sizes in prop::collection::vec((0u8..3, 1u64..100), 1..60), total in 100u64..400, limit in 50u64..200, open in 0u64..40,
    ) {
        let keep = Retention { total: Some(total), classes: vec![("c1".into(), disk(limit))] };
        let open = [unsealed(Some("c1"), open), unsealed(None, 7)];
        let mut shelf = Shelf::default();
        for (n, (class, bytes)) in sizes.iter().enumerate() {
            let class = format!("c{class}");
            shelf.put(n as u64, shelved(n as u64, &class, *bytes, 0));
            let before: Vec<u64> = shelf.sealed.keys().copied().collect();
            let mut gone = Vec::new();
            while let Some((s, why)) = shelf.excess(&keep, &open, 0) {
                // Of c1 only its own budget takes, as long as there is anything else to take.
                if why == Cause::Store && s.class == "c1" {
                    prop_assert!(shelf.sealed.values().all(|s| s.class == "c1"));
                }
                gone.push(s);
            }
            prop_assert_eq!(shelf.bytes, shelf.sealed.values().map(|s| s.bytes).sum::<u64>());
            prop_assert_eq!(shelf.bytes, shelf.classes.values().map(|m| m.bytes).sum::<u64>());
            prop_assert!(shelf.bytes + open[0].taken + 7 <= total || shelf.sealed.is_empty());
            let of_class: u64 = shelf.sealed.values().filter(|s| s.class == "c1").map(|s| s.bytes).sum();
            prop_assert!(of_class + open[0].most <= limit || of_class == 0);
            // Each that went is older than all that stayed of its kind.
            for g in &gone {
                let n: u64 = g.path.to_str().unwrap().parse().unwrap();
                prop_assert!(before.contains(&n));
                let own = |class: &str| class == "c1";
                prop_assert!(shelf.sealed.iter().filter(|(_, s)| own(&s.class) == own(&g.class)).all(|(m, _)| *m > n));
            }
        }
    }
}

#[test]
fn what_is_older_than_its_class_keeps_goes_whatever_the_budget() {
    const S: u64 = 1_000_000_000;
    let keep = Keep { max_age_ns: Some(600 * S), ..Keep::default() };
    let keep = Retention { total: None, classes: vec![("mail".into(), keep), ("all".into(), Keep::default())] };
    let mut shelf = Shelf::default();
    for (n, class) in ["mail", "all", "mail"].iter().enumerate() {
        shelf.put(n as u64, shelved(n as u64, class, 10, n as u64 * 100 * S));
    }
    // A minute before its end it may have begun.
    assert_eq!(shelf.excess(&keep, &[], 539 * S), None);
    assert_eq!(shelf.excess(&keep, &[], 540 * S), Some((shelved(0, "mail", 10, 0), Cause::Age)));
    assert_eq!(shelf.excess(&keep, &[], 739 * S), None);
    assert_eq!(shelf.excess(&keep, &[], 740 * S).unwrap().0.path, PathBuf::from("2"));
    assert_eq!(shelf.excess(&keep, &[], u64::MAX), None);
}

/// What goes is in the ledger with its times: the oldest waits for them, and nothing newer goes in its place.
#[test]
fn nothing_goes_before_its_times_are_known() {
    let keep = Retention { total: Some(25), classes: Vec::new() };
    let mut shelf = Shelf::default();
    for n in 0..4 {
        let times = if n < 3 { PacketTimes::Awaited } else { PacketTimes::Known(7, 8) };
        shelf.put(n, Shelved { times, ..shelved(n, "all", 10, 0) });
    }
    let gone = |shelf: &mut Shelf| shelf.excess(&keep, &[], 0).map(|(s, _)| (s.path, s.times.known()));
    assert_eq!((gone(&mut shelf), shelf.waits()), (None, true));
    assert!(shelf.oldest_of_all(&keep, |_| true).is_none() && shelf.waits());
    // A budget that holds them asks for none.
    assert!(shelf.excess(&Retention::default(), &[], 0).is_none() && !shelf.waits());
    shelf.note_times(0, Some((1, 2)));
    shelf.note_times(3, None);
    assert_eq!((gone(&mut shelf), shelf.waits()), (Some(("0".into(), Some((1, 2)))), false));
    assert_eq!((gone(&mut shelf), shelf.waits()), (None, true));
    shelf.resize(1, 11);
    assert_eq!((gone(&mut shelf), shelf.waits()), (None, true), "its index has come, its times have not");
    shelf.no_more_times();
    assert_eq!((gone(&mut shelf), shelf.waits()), (Some(("1".into(), None)), false));
    assert_eq!((gone(&mut shelf), shelf.waits()), (None, false));
    let rest: Vec<_> = std::iter::from_fn(|| shelf.oldest_of_all(&keep, |_| true)).map(|s| s.times.known()).collect();
    assert_eq!(rest, [None, Some((7, 8))]);
}
