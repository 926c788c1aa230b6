//! Memory of recent packets while it goes: capture takes chunks back all the time, questions run, and each answer is that of the files.

use retrotap::conn::verdict::Mark;
use retrotap::control::Engine;
use retrotap::query::pace::Freely;
use retrotap::query::{Answer, OutputError, PacketSink, Query, run_with};
use retrotap::recent::Shares;
use retrotap::recent::keep::{Admission, Keep};
use retrotap::recent::read::Recent;
use retrotap::source::{InputOptions, Interface, Packet};
use retrotap::store::sink::{Appended, Recorder, Sink};
use retrotap::store::{Options, Store, Writer};
use retrotap::units::{monotonic, now};
use retrotap::window::arena::ArenaView;
use retrotap::window::{Window, WindowView};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// The times of an answer's packets, in its order.
#[derive(Default, PartialEq, Eq)]
struct Times(Vec<u64>);

impl PacketSink for Times {
    fn packet(&mut self, p: &Answer<'_>) -> Result<(), OutputError> {
        assert_eq!(p.data.get(42..50), Some(&p.time.to_be_bytes()[..]), "the bytes of another packet");
        self.0.push(p.time);
        Ok(())
    }
}

/// UDP from one of eight hosts, with its time in it.
fn frame(n: u64, time: u64) -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 5, 0xce, 0, 0, 0, 0, 64, 17, 0, 0];
    f.extend([10, 0, 0, (n % 8) as u8, 192, 0, 2, 1, 4, 1, 0, 53, 5, 0xba, 0, 0]);
    f.extend(time.to_be_bytes());
    f.resize(1500, n as u8);
    f
}

/// Feeds so many packets of this moment, of two classes in turns by thousands, as fast as the disk takes them.
fn feed(mut writer: Writer, packets: u64) {
    let (interfaces, mut time) = ([Interface::new("eth0", 1)], 0);
    for n in 0..packets {
        while !writer.room() {
            writer.tick(monotonic());
            std::thread::sleep(Duration::from_micros(50));
        }
        time = now().max(time + 1);
        let (data, options) = (frame(n, time), InputOptions::NONE);
        let p = Packet { time, wire_len: 1500, iface: 0, hash: None, data: &data, options };
        let class = (n / 1000 % 2) as u8;
        assert_eq!(writer.append(class, &p, &interfaces, &Mark::None.into()), Appended::Stored);
        if n % 64 == 0 {
            writer.tick(monotonic());
        }
    }
    writer.finish();
}

fn ask(store: &Path, filter: &str, until: u64) -> Query {
    Query { store: store.to_owned(), filter: filter.into(), until: Some(until), ..Query::default() }
}

/// What is asked: an expression, of memory alone or not.
const ASKED: [(&str, bool); 4] =
    [("", false), ("host 10.0.0.3", false), ("udp port 53 and host 10.0.0.5", false), ("", true)];

/// An answer: from when to when it is to be whole.
struct Answered {
    filter: &'static str,
    from: u64,
    until: u64,
    times: Times,
}

/// Asks once. `None`: of memory alone, where there is no packet yet.
fn answer(
    engine: &Engine,
    recent: &Recent,
    store: &Path,
    (filter, memory_only): (&'static str, bool),
) -> Option<Answered> {
    // All before that is there, in memory or in files.
    let (until, mut times) = (engine.complete_before(), Times::default());
    let query = Query { memory_only, ..ask(store, filter, until) };
    let summary = match engine.answer(&query, &Freely, &mut times) {
        Ok(summary) => summary,
        Err(_) if memory_only => return None,
        Err(e) => panic!("{filter:?}: {e}"),
    };
    assert_eq!(summary.damaged_blocks + summary.damaged_packets + summary.expired_segments, 0);
    // As an answer says it of itself: after it has read.
    let reach = recent.reach().into_iter().map(|(_, from)| from).max().unwrap_or(u64::MAX);
    Some(Answered { filter, from: if memory_only { reach } else { 0 }, until, times })
}

#[test]
fn answers_while_memory_goes_are_those_of_the_files() {
    const PACKETS: u64 = 60_000;
    let dir = tempfile::tempdir().expect("a folder");
    let window = Window::create().expect("shared memory");
    let shares = Shares { total: 16 << 20, own: Vec::new() };
    let keeping = Keep::start(&shares, &window).expect("memory");
    let Admission { arena, pins } = keeping.keep().admit().expect("shared memory");
    let view = WindowView::open(window.file().expect("a file")).expect("a second mapping");
    let recent = Recent::new(ArenaView::open(arena, pins).expect("a second mapping"), view, dir.path());
    let reading = recent.start().expect("threads");
    let options = Options {
        classes: ["all", "dns"].map(|n| (n.to_owned(), Default::default())).to_vec(),
        segment_bytes: 8 << 20,
        inbox: Some(keeping.keep().inbox().clone()),
        window: Some(window.clone()),
        ..Options::default()
    };
    let store = Store::create_or_open(dir.path(), options).expect("a store");
    let engine = Engine::new(store.live().expect("a second mapping"), Some(recent.clone()));
    // Before anybody asks: until there is a writer all is there that ever will be.
    let (writer, fed) = (store.writer(0, 32).expect("a writer"), AtomicBool::new(false));
    let mut answers: Vec<Answered> = std::thread::scope(|s| {
        let asking = ASKED.map(|asked| {
            let (engine, recent, fed, store) = (&engine, &recent, &fed, dir.path());
            s.spawn(move || {
                let mut all = Vec::new();
                while !fed.load(Relaxed) {
                    all.extend(answer(engine, recent, store, asked));
                }
                all
            })
        });
        feed(writer, PACKETS);
        fed.store(true, Relaxed);
        asking.into_iter().flat_map(|a| a.join().expect("questions")).collect()
    });
    // And at rest: memory has the end of it.
    answers.extend(ASKED.iter().map(|asked| answer(&engine, &recent, dir.path(), *asked).expect("an answer")));
    assert!(answers.last().is_some_and(|a| !a.times.0.is_empty()), "memory has something");
    let (blocks, missed) = window.counts();
    assert!(blocks > 40 && window.held().len() == 2, "{blocks} blocks, {missed} missed");
    drop((engine, reading, keeping, recent));
    store.close();
    for Answered { filter, from, until, times } in answers {
        let mut want = Times::default();
        run_with(&ask(dir.path(), filter, until), &[], &mut want).expect("an answer");
        let [got, want] = [times, want].map(|t| t.0.into_iter().filter(|t| *t >= from).collect::<Vec<_>>());
        assert!(got == want, "{filter:?} {from}..{until}: {} packets instead of {}", got.len(), want.len());
    }
    let mut whole = Times::default();
    run_with(&ask(dir.path(), "", u64::MAX), &[], &mut whole).expect("an answer");
    assert_eq!(whole.0.len() as u64, PACKETS);
}
