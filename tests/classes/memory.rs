//! Memory of a class's own: what others bring pushes nothing out of it, it takes no more, and a reload shares it otherwise.

use crate::MIB;
use crate::reload::{World, status};
use serde_json::Value;

fn config(quiet: &str) -> String {
    format!(
        "memory = \"32MiB\"\n[class.all]\ncutoff = \"none\"\n[class.quiet]\nfilter = \"port 53\"\ncutoff = \"none\"\n{quiet}"
    )
}

/// Packets of a class that memory alone has; it knows no class that it has nothing of.
fn held(w: &World, class: &str) -> u64 {
    let ran = w.r.run(&["query", "--class", class, "--memory-only", "--count", "--json"]);
    if ran.err.contains("has no class") {
        return 0;
    }
    ran.json()["packets"].as_u64().unwrap_or_else(|| panic!("no count: {}", ran.err))
}

/// The class as `classes` shows it, once that is so.
fn shown(w: &World, class: &str, is: impl Fn(&Value) -> bool) -> Value {
    w.daemon().until("what memory holds", || {
        let status = status(w.daemon());
        let c = status["classes"].as_array()?.iter().find(|c| c["class"] == class)?.clone();
        is(&c).then_some(c)
    })
}

/// Sixty MiB of another class, which is twice the memory.
fn flood(w: &mut World) {
    w.feed_sized(80, 60_000, 1049);
}

#[test]
fn others_push_nothing_out_of_a_class_with_memory_of_its_own() {
    let mut w = World::new(&config("memory = \"16MiB\"\n"));
    w.feed(53, 2000);
    let quiet = shown(&w, "quiet", |c| c["memory_bytes"].as_u64() > Some(0));
    assert_eq!(quiet["memory_budget_bytes"], 16 * MIB);
    flood(&mut w);
    let all = shown(&w, "all", |c| c["memory_bytes"].as_u64() > Some(4 * MIB));
    assert!(all["memory_bytes"].as_u64() <= Some(16 * MIB) && all["memory_budget_bytes"].is_null(), "{all}");
    assert_eq!(held(&w, "quiet"), 2000, "all of it");
    let others = held(&w, "all");
    assert!((1000..16_000).contains(&others), "{others} packets of 60000");
    assert!(w.r.run(&["classes"]).text().contains("of 16.0 MiB"), "{}", w.r.run(&["classes"]).text());
    // It takes no more than its own either.
    w.feed_sized(53, 40_000, 1049);
    let quiet = shown(&w, "quiet", |c| c["memory_bytes"].as_u64() > Some(4 * MIB));
    assert!(quiet["memory"].as_u64() <= Some(16 * MIB), "{quiet}");
    assert!(held(&w, "all") >= others.min(1000), "and pushed nothing out");
    // Without its own it goes with the others; an answer has all of it all the same.
    let said = w.reload(&config(""));
    assert_eq!(said["changed"][0]["key"], "class.quiet.memory", "{said}");
    w.feed(53, 10);
    flood(&mut w);
    shown(&w, "all", |c| c["memory_bytes"].as_u64() > Some(10 * MIB));
    // It goes when others need its place, which they do when enough of them has come to memory.
    for _ in 0..10 {
        if held(&w, "quiet") > 0 {
            flood(&mut w);
        }
    }
    assert_eq!(held(&w, "quiet"), 0);
    // And gets it back.
    w.reload(&config("memory = \"16MiB\"\n"));
    w.feed(53, 100);
    flood(&mut w);
    assert_eq!(held(&w, "quiet"), 100);
    let ran = w.r.run(&["query", "--class", "quiet", "--count", "--json"]);
    assert_eq!(ran.json()["packets"], 2000 + 40_000 + 10 + 100);
    std::fs::write(w.r.dir().join("retrotap.toml"), config("memory = \"30MiB\"\n")).expect("a configuration");
    let ran = w.r.run(&["reload"]);
    assert!(ran.code != Some(0) && ran.err.contains("must be left"), "{}", ran.err);
    let fed = w.fed();
    let account = w.end();
    assert_eq!(account["received"]["packets"], fed);
}
