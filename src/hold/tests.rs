//! Names, and what is broken. The rest is tested on a real store: `tests/hold.rs`.

use super::*;

#[test]
fn a_name_is_that_of_one_folder() {
    let dir = tempfile::tempdir().unwrap();
    crate::store::Store::create_or_open(dir.path(), Default::default()).unwrap().close();
    let held = Held::open(dir.path()).unwrap();
    let me = Who::me();
    let why = Why { reason: "why", who: &me, about: None, terms: HoldTerms::default() };
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
    assert!(!dir.path().join("held/case.1").exists() && !dir.path().join("held/.new-case.1").exists());
}

/// Whoever makes one, for however long, keeps nobody from making or releasing another; what an interrupted one left goes.
#[test]
fn one_that_is_being_made_holds_up_no_other() {
    let dir = tempfile::tempdir().unwrap();
    crate::store::Store::create_or_open(dir.path(), Default::default()).unwrap().close();
    let held = Held::open(dir.path()).unwrap();
    let me = Who::me();
    let why = Why { reason: "why", who: &me, about: None, terms: HoldTerms::default() };
    let query = crate::query::Query { store: dir.path().to_owned(), ..Default::default() };
    let found = || Ok(crate::query::Summary { packets: 1, ..Default::default() });
    let left = dir.path().join("held/.new-left");
    std::fs::create_dir(&left).unwrap();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| {
            held.hold_by(&query, "slow", why, &mut |_, _| {
                begun.send(()).unwrap();
                may_go_on.lock().unwrap().recv().unwrap();
                found()
            })
        });
        has_begun.recv().unwrap();
        assert!(dir.path().join("held/.new-slow").exists() && !left.exists());
        let e = held.hold_by(&query, "slow", why, &mut |_, _| found()).unwrap_err();
        assert!(matches!(e, HoldError::Exists(_)), "{e}");
        held.hold_by(&query, "quick", why, &mut |_, _| found()).unwrap();
        held.follow(&query, "follows", why, (units::now(), None), &mut |_, _| found()).unwrap();
        let mut following = Following::new(dir.path()).unwrap();
        let mut answers = |_: &crate::query::Query, _: &mut dyn crate::query::PacketSink| Ok(Default::default());
        let wrong = following.round(&mut Means { before: units::now(), answers: &mut answers, go_on: &|| true });
        assert!(wrong.is_empty(), "{wrong:?}");
        held.release("quick", "over", &me).unwrap();
        go_on.send(()).unwrap();
        slow.join().unwrap().unwrap();
    });
    let mut names = Vec::new();
    held.each(&mut |h| names.push(h.name)).unwrap();
    names.sort();
    assert_eq!(names, ["follows", "slow"]);
    assert!(!dir.path().join("held/.new-slow").exists() && !dir.path().join("held/.gone-quick").exists());
}

/// A hold has a size and an end where that is said, and those with an end have a share of all.
#[test]
fn a_hold_may_take_so_much_and_is_kept_so_long() {
    let dir = tempfile::tempdir().unwrap();
    crate::store::Store::create_or_open(dir.path(), Default::default()).unwrap().close();
    let held = Held::open(dir.path()).unwrap();
    let me = Who::me();
    let query = crate::query::Query { store: dir.path().to_owned(), ..Default::default() };
    let make = |name: &str, terms| {
        let why = Why { reason: "why", who: &me, about: None, terms };
        let found = || Ok(crate::query::Summary { packets: 1, ..Default::default() });
        held.hold_by(&query, name, why, &mut |_, _| found()).map(|(hold, _)| hold)
    };
    // An answer has a place for what it says of itself: no file is smaller.
    let bytes = make("any", HoldTerms::default()).unwrap().bytes;
    let e = make("large", HoldTerms { most: Some(bytes - 1), ..Default::default() }).unwrap_err();
    assert!(matches!(e, HoldError::TooLarge { .. }), "{e}");
    let now = units::now();
    let short = |until| HoldTerms { most: Some(2 * bytes), until: Some(until), share: Some(2 * bytes + bytes / 2) };
    make("over", short(now)).unwrap();
    make("short", short(now + 1_000_000_000_000)).unwrap();
    let e = make("third", short(now + 1_000_000_000_000)).unwrap_err();
    assert!(matches!(e, HoldError::Share { .. }), "{e}");
    make("unshared", HoldTerms::default()).unwrap();
    let mut following = Following::new(dir.path()).unwrap();
    let mut answers = |_: &crate::query::Query, _: &mut dyn crate::query::PacketSink| Ok(Default::default());
    let wrong = following.round(&mut Means { before: now, answers: &mut answers, go_on: &|| true });
    assert!(wrong.is_empty(), "{wrong:?}");
    let mut names = Vec::new();
    held.each(&mut |h| names.push(h.name)).unwrap();
    names.sort();
    assert_eq!(names, ["any", "short", "unshared"]);
    let log = std::fs::read_to_string(dir.path().join("held/log.jsonl")).unwrap();
    assert!(log.lines().any(|l| l.contains("release") && l.contains("kept until now")), "{log}");
    make("third", short(now + 1_000_000_000_000)).unwrap();
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
