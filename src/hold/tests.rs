//! Names, and what is broken. The rest is tested on a real store: `tests/hold.rs`.

use super::*;

#[test]
fn a_name_is_that_of_one_folder() {
    let dir = tempfile::tempdir().unwrap();
    crate::store::Store::create_or_open(dir.path(), Default::default()).unwrap().close();
    let held = Held::open(dir.path()).unwrap();
    let me = Who::me();
    let why = Why { reason: "why", who: &me, about: None };
    let query = crate::query::Query { store: dir.path().to_owned(), ..Default::default() };
    let long = "x".repeat(65);
    for name in ["", "..", "../x", "a/b", ".new", "-x", "lock", "limit", "log.jsonl", "ä", &long] {
        let e = held.hold(&query, name, why).unwrap_err();
        assert!(matches!(e, HoldError::Name(_)), "{name:?}: {e}");
        assert!(matches!(held.release(name, "why", &Who::me()).unwrap_err(), HoldError::Unknown { .. }), "{name:?}");
    }
    // Nothing in the store: nothing to hold, and nothing stays behind.
    let e = held.hold(&query, "case.1", why).unwrap_err();
    assert!(matches!(e, HoldError::Empty), "{e}");
    assert!(!dir.path().join("held/case.1").exists() && !dir.path().join("held/.new").exists());
}

#[test]
fn a_record_that_is_none_is_named_and_the_others_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    crate::store::Store::create_or_open(dir.path(), Default::default()).unwrap().close();
    let held = Held::open(dir.path()).unwrap();
    for (name, text) in [("a", "{"), ("b", "{}"), ("c", "[1]")] {
        let place = dir.path().join("held").join(name);
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join("hold.json"), text).unwrap();
    }
    let mut lines = Vec::new();
    held.each_line(&mut |line| {
        lines.push(line);
        true
    })
    .unwrap();
    assert_eq!(lines.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(lines.iter().all(|l| l.record.is_none() && l.damaged.is_some()));
    let mut asked = 0;
    held.each_line(&mut |_| {
        asked += 1;
        asked < 2
    })
    .unwrap();
    assert_eq!(asked, 2, "it ends where nobody wants more");
}
