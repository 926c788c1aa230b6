//! `torture serve`: under load serve is killed, in each way that ends a process from outside, in turns with the same load and the same questions without
//! kills. After each: when does it answer a question to memory again, are the orders in force, is what was in memory before still there.
//! And one follower over all of a turn: its packets are those of a later query.
//!
//! The kernel's own choice of whom to kill when memory ends cannot be aimed at one process without a memory cgroup that is this proof's to make; so there are its two
//! ends: a kill, which is what the kernel does, and `memory`: nothing more can be allocated, and the process ends itself.

use super::rig::{self, Rig};
use super::{Asked, http, judged, packets, shown};
use crate::bench::results::{Results, columns, median, ran_on, short};
use crate::json::{Value, object};
use crate::{processes, shell};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How serve ends, one after the other.
const WAYS: [&str; 4] = ["KILL", "SEGV", "ABRT", "memory"];
/// From one kill to the next: who has not lived for 3 s is started again after a pause that grows (`CALM` of `src/parent/pauses.rs`).
const EVERY: Duration = Duration::from_secs(5);
/// Kills of one turn: a store's time that fits a small disk.
const A_TURN: u32 = 10;
/// A question is asked again after this.
const PAUSE: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(30);
/// A process that can allocate nothing has so long to find out.
const STARVED: Duration = Duration::from_secs(2);
/// Addresses with an order.
const ORDERS: usize = 200;
/// What the follower has of it: no more than the disk can take twice.
const FOLLOWED: &str = "udp port 53";
const CLASSES: &str = "[class.all]\ncutoff = \"15KiB\"\n[class.probe]\nfilter = \"udp port 4000\"\nprecedence = 9\n";
/// The goal of the median, ms.
const ANSWERS_MS: f64 = 1000.0;

/// Measures, and judges.
pub fn run(asked: &Asked) -> Result<(), String> {
    let results = Results::open("torture-serve", &asked.bench)?;
    rig::build(asked)?;
    let begun = Instant::now();
    let (mut lines, mut done, mut turn) = (Vec::new(), 0, 0);
    while done < asked.times {
        turn += 1;
        let kills = A_TURN.min(asked.times - done);
        for killing in [false, true] {
            let line = measure(asked, turn, done, kills, killing)?;
            results.add(line.clone())?;
            lines.push(line);
        }
        done += kills;
        eprintln!("torture serve: {done} of {} kills after {} s", asked.times, begun.elapsed().as_secs());
    }
    let bars = bars(&lines);
    results.table(&format!("{}{}\n\n{}", table(&lines), ran_on(&results.newest()?.0), shown(&bars)))?;
    judged(&bars)
}

/// One turn.
fn measure(asked: &Asked, turn: u64, done: u32, kills: u32, killing: bool) -> Result<Value, String> {
    rig::folder()?;
    let mut rig = Rig::start(asked, CLASSES, &[])?;
    order()?;
    let file = rig::at("followed.pcapng");
    let mut follow = rig.retrotap();
    follow
        .args(["query", FOLLOWED, "--follow", "--reconnect", "60s", "--force", "--json", "--store"])
        .arg(rig::store());
    follow.arg("-w").arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
    let mut follow = rig::Running(follow.spawn().map_err(|e| format!("the follower: {e}"))?);
    let mut load = rig.load(turn, 2 * u64::from(kills) * EVERY.as_secs() + 600)?;
    std::thread::sleep(Duration::from_secs(rig::WARM_UP + 1));
    let before = rig::last()?;
    let start = Instant::now();
    let (mut rounds, mut end) = (Vec::new(), Instant::now());
    for n in 0..kills {
        std::thread::sleep(EVERY.saturating_sub(end.elapsed()));
        end = Instant::now();
        let way = killing.then(|| WAYS[(done + n) as usize % WAYS.len()]);
        rounds.push(round(rig.id(), way)?);
    }
    std::thread::sleep(EVERY.saturating_sub(end.elapsed()));
    let after = rig::last()?;
    let took = start.elapsed().as_secs_f64();
    rig::interrupt(&load.0)?;
    load.0.wait().map_err(|e| format!("load: {e}"))?;
    // What came last is on the disk, and the follower has it.
    rig.until("rest", || rig::last().is_ok_and(|l| rig::counted(&l, "pending") == 0))?;
    std::thread::sleep(Duration::from_secs(3));
    rig::interrupt(&follow.0)?;
    shell::wait(&mut follow.0, PATIENCE)?;
    let retrotap = rig.retrotap();
    let account = rig.stop()?;
    let differences = compare(retrotap, &file)?;
    let of = |line: &Value, field: &str| rig::counted(line, field);
    let lost = |field: &str| Value::from(of(&after, field).saturating_sub(of(&before, field)));
    let _ = rig::folder();
    Ok(object([
        ("torture", "serve".into()),
        ("turn", turn.into()),
        ("killing", u64::from(killing).into()),
        ("gbps", asked.gbps.into()),
        ("seconds", took.into()),
        ("seen", lost("seen.packets")),
        ("lost", lost("lost_packets")),
        ("lost_in_all", of(&account, "lost_packets").into()),
        ("rounds", Value::List(rounds)),
        ("followed", (differences.0 as u64).into()),
        ("follower_lacks", differences.1.missing.into()),
        ("follower_has_more", differences.1.more.into()),
        ("in_order", u64::from(differences.1.in_order).into()),
    ]))
}

/// Packets of the follower, and how they differ from those of a query over the store at rest.
fn compare(mut retrotap: Command, followed: &std::path::Path) -> Result<(usize, packets::Differences), String> {
    let later = rig::at("later.pcapng");
    shell::output(retrotap.args(["query", FOLLOWED, "--direct", "--store"]).arg(rig::store()).arg("-w").arg(&later))?;
    let (followed, later) = (packets::read(followed)?, packets::read(&later)?);
    match later.len() {
        0 => Err("the store has nothing of what was followed".into()),
        _ => Ok((followed.len(), packets::compare(&followed, &later))),
    }
}

/// One kill, or none, and what comes after it.
fn round(first: u32, way: Option<&str>) -> Result<Value, String> {
    let now = || shell::output(Command::new("date").args(["-u", "+%FT%T.%NZ"])).map(|t| t.trim().to_string());
    let moment = now()?;
    let start = Instant::now();
    let mut starved = None;
    if let Some(way) = way {
        let serve = rig::half(first, rig::SERVE).ok_or("there is no serve to kill")?;
        starved = strike(serve, way)?;
    }
    let whole = memory("{\"memory_only\":true,\"limit\":100}", start)?;
    let answered = start.elapsed().as_secs_f64() * 1e3;
    let older = memory(&format!("{{\"memory_only\":true,\"limit\":100,\"until\":\"{moment}\"}}"), start)?;
    let kept =
        http::ask(&socket(), &http::request("GET", "/v1/assignments", b""), PATIENCE).map_err(|e| e.to_string())?;
    let orders = http::body(&kept).split(|b| *b == b'\n').filter(|l| !l.is_empty()).count() as u64;
    Ok(object([
        ("way", way.into()),
        ("answered_ms", answered.into()),
        ("packets", whole.into()),
        ("older_packets", older.into()),
        ("orders", orders.into()),
        ("starved", starved.into()),
    ]))
}

/// Ends a process; for `memory` 1: it ended itself when it could allocate nothing, 0: it had to be killed.
fn strike(pid: u32, way: &str) -> Result<Option<u64>, String> {
    let start = Instant::now();
    if way == "memory" {
        shell::output(Command::new("prlimit").args([&format!("--pid={pid}"), "--as=4096"]))?;
        // It finds out when it is asked something.
        let asked = http::request("POST", "/v1/count", b"{\"filter\":\"tcp\",\"full_scan\":true,\"last\":\"10s\"}");
        while !processes::is_gone(pid) && start.elapsed() < STARVED {
            let _ = http::ask(&socket(), &asked, PAUSE);
            std::thread::sleep(PAUSE);
        }
        let itself = processes::is_gone(pid);
        if !itself {
            gone(pid, "KILL")?;
        }
        return Ok(Some(itself.into()));
    }
    gone(pid, way)?;
    Ok(None)
}

/// Until it is gone: of a SIGSEGV from outside the handler for overflown stacks takes the first.
fn gone(pid: u32, name: &str) -> Result<(), String> {
    let start = Instant::now();
    while !processes::is_gone(pid) {
        rig::signal(pid, name);
        if start.elapsed() > PATIENCE {
            return Err(format!("process {pid} outlives SIG{name}"));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn socket() -> std::path::PathBuf {
    rig::store().join("api.sock")
}

/// Asks memory until there is an answer; its bytes beyond a head of a file: 0, there was no packet in it.
fn memory(question: &str, start: Instant) -> Result<u64, String> {
    let request = http::request("POST", "/v1/query", question.as_bytes());
    loop {
        match http::ask(&socket(), &request, PATIENCE) {
            Ok(answer) if http::status(&answer) == Some(200) => {
                let file = rig::at("answer.pcapng");
                std::fs::write(&file, http::body(&answer)).map_err(|e| e.to_string())?;
                return packets::read(&file).map(|all| all.len() as u64);
            }
            other if start.elapsed() > PATIENCE => {
                let said = other.map(|a| String::from_utf8_lossy(&a[..a.len().min(300)]).into_owned());
                return Err(format!("memory is not answered: {said:?}"));
            }
            _ => std::thread::sleep(PAUSE),
        }
    }
}

/// Orders that are to outlive it all.
fn order() -> Result<(), String> {
    let one = |n: usize| format!("{{\"address\":\"203.0.113.{n}\",\"class\":\"probe\",\"for\":\"3h\"}}");
    let all: Vec<String> = (0..ORDERS).map(one).collect();
    let request = http::request("POST", "/v1/assignments", format!("[{}]", all.join(",")).as_bytes());
    let answer = http::ask(&socket(), &request, PATIENCE).map_err(|e| format!("orders: {e}"))?;
    match http::status(&answer) {
        Some(200..=299) => Ok(()),
        _ => Err(format!("orders: {}", String::from_utf8_lossy(&answer))),
    }
}

fn rounds(lines: &[Value], killing: u64) -> Vec<&Value> {
    let own = lines.iter().filter(|l| l.number("killing") == Ok(killing));
    let rounds = own.filter_map(|l| match l.get("rounds") {
        Some(Value::List(rounds)) => Some(rounds),
        _ => None,
    });
    rounds.flatten().collect()
}

fn sum(lines: &[Value], killing: u64, field: &str) -> u64 {
    lines.iter().filter(|l| l.number("killing") == Ok(killing)).map(|l| rig::counted(l, field)).sum()
}

fn answered(rounds: &[&Value]) -> Vec<f64> {
    rounds.iter().filter_map(|r| r.float("answered_ms")).collect()
}

fn bars(lines: &[Value]) -> Vec<(bool, String)> {
    let [without, with] = [0, 1].map(|killing| sum(lines, killing, "lost"));
    let after = rounds(lines, 1);
    let middle = median(answered(&after));
    let lasting = after.iter().filter(|r| r.number("orders") == Ok(ORDERS as u64)).count();
    let readable = after.iter().filter(|r| r.number("older_packets").is_ok_and(|n| n > 0)).count();
    let [lacks, more] = ["follower_lacks", "follower_has_more"].map(|f| sum(lines, 1, f) + sum(lines, 0, f));
    vec![
        (with <= without, format!("not one packet more lost than without: {with} with kills, {without} without")),
        (middle < ANSWERS_MS, format!("memory is answered within 1 s at the median: {} ms", short(middle))),
        (lasting == after.len(), format!("all orders in force after {lasting} of {} kills", after.len())),
        (readable == after.len(), format!("what was in memory is there after {readable} of {} kills", after.len())),
        (lacks + more == 0, format!("the follower's packets are those of a later query: {lacks} missing, {more} more")),
    ]
}

fn table(lines: &[Value]) -> String {
    let mut rows = vec![["way", "times", "answers ms", "worst", "orders", "older packets"].map(String::from).to_vec()];
    let mut row = |name: &str, of: &[&Value]| {
        let least = |field: &str| of.iter().map(|r| rig::counted(r, field)).min().map_or("-".into(), |n| n.to_string());
        let worst = answered(of).into_iter().fold(f64::NAN, f64::max);
        let times = of.len().to_string();
        rows.push(vec![
            name.into(),
            times,
            short(median(answered(of))),
            short(worst),
            least("orders"),
            least("older_packets"),
        ]);
    };
    let (with, without) = (rounds(lines, 1), rounds(lines, 0));
    for way in WAYS {
        let own: Vec<&Value> = with.iter().copied().filter(|r| r.text("way") == Some(way)).collect();
        row(way, &own);
    }
    row("all", &with);
    row("without", &without);
    let itself = with.iter().filter(|r| r.number("starved") == Ok(1)).count();
    let turns = ["without", "with kills"].into_iter().zip(0..).map(|(name, killing)| {
        let of = |field| sum(lines, killing, field).to_string();
        vec![
            name.into(),
            of("seen"),
            of("lost"),
            of("lost_in_all"),
            of("followed"),
            of("follower_lacks"),
            of("follower_has_more"),
        ]
    });
    let head = ["turns", "seen", "lost", "lost in all", "followed", "lacks", "more"].map(String::from).to_vec();
    format!(
        "{}\n{}\n{} Gbit/s of the lab mix. Orders, older packets: the fewest that were there after one. memory: nothing more can be allocated, {itself} of them ended \
         by themselves and the others were killed. Lost: while it was measured; in all: with start and end.\n",
        columns(&rows),
        columns(&std::iter::once(head).chain(turns).collect::<Vec<_>>()),
        short(median(lines.iter().filter_map(|l| l.float("gbps")).collect())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(killing: u64, lost: u64, ms: f64, lacks: u64) -> Value {
        let round = object([
            ("way", if killing > 0 { Some("KILL") } else { None }.into()),
            ("answered_ms", ms.into()),
            ("orders", (ORDERS as u64).into()),
            ("older_packets", 5u64.into()),
        ]);
        object([
            ("killing", killing.into()),
            ("lost", lost.into()),
            ("follower_lacks", lacks.into()),
            ("rounds", Value::List(vec![round])),
        ])
    }

    #[test]
    fn each_bar_is_missed_by_its_own() {
        let missed = |lines: &[Value]| bars(lines).iter().map(|(held, _)| !held).collect::<Vec<_>>();
        assert_eq!(missed(&[line(0, 3, 1.0, 0), line(1, 3, 200.0, 0)]), [false; 5]);
        assert_eq!(missed(&[line(0, 3, 1.0, 0), line(1, 4, 200.0, 0)]), [true, false, false, false, false]);
        assert_eq!(missed(&[line(0, 3, 1.0, 0), line(1, 3, 1200.0, 0)]), [false, true, false, false, false]);
        assert_eq!(missed(&[line(0, 3, 1.0, 0), line(1, 3, 200.0, 1)]), [false, false, false, false, true]);
        assert!(table(&[line(0, 3, 1.0, 0), line(1, 3, 200.0, 0)]).contains("KILL"));
    }
}
