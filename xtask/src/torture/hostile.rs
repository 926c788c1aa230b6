//! `torture hostile`: under load somebody sends the table of hostile requests, over the socket as another user and over TLS with a token, while an honest client asks
//! memory at a steady pace; in turns with the same load and the same client alone. What it costs: packets, the honest client's time, memory, the
//! audit log; and that everybody gets an answer or an end, and no process dies.

use super::rig::{self, Rig, Running};
use super::{Asked, judged, requests, sender, shown};
use crate::bench::results::{Results, columns, ran_on, short};
use crate::json::{Value, object};
use crate::shell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PORT: &str = "7443";
/// Who means harm on the socket.
const USER: &str = "nobody";
/// Of the honest client.
const PER_SECOND: u32 = 50;
/// Its goal, us.
const P99_US: f64 = 50_000.0;
/// The audit log takes no more: `AUDIT_BYTES` of `src/limits/audit.rs`, and what waits.
const AUDIT_BYTES: u64 = (512 + 4) << 20;
/// After its time the table is sent to its end; that takes no longer.
const REST: Duration = Duration::from_secs(900);

/// Where somebody else may go: the socket, this program.
struct Outside(PathBuf);

impl Outside {
    fn new() -> Result<Outside, String> {
        let folder = std::env::temp_dir().join(format!("retrotap-torture-{}", std::process::id()));
        let io = |e: std::io::Error| format!("{}: {e}", folder.display());
        fs::create_dir_all(&folder).map_err(io)?;
        let outside = Outside(folder.clone());
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).map_err(io)?;
        fs::copy(std::env::current_exe().map_err(io)?, outside.program()).map_err(io)?;
        fs::set_permissions(outside.program(), fs::Permissions::from_mode(0o755)).map_err(io)?;
        Ok(outside)
    }

    fn program(&self) -> PathBuf {
        self.0.join("xtask")
    }

    fn socket(&self) -> PathBuf {
        self.0.join("api.sock")
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Measures, and judges.
pub fn run(asked: &Asked) -> Result<(), String> {
    if shell::find("openssl").is_none() || shell::find("setpriv").is_none() {
        return Err("torture hostile needs openssl and setpriv".into());
    }
    let results = Results::open("torture-hostile", &asked.bench)?;
    rig::build(asked)?;
    let outside = Outside::new()?;
    let mut lines = Vec::new();
    for harm in [false, true] {
        let line = measure(asked, &outside, harm)?;
        results.add(line.clone())?;
        lines.push(line);
    }
    let bars = bars(&lines);
    results.table(&format!("{}{}\n\n{}", table(&lines), ran_on(&results.newest()?.0), shown(&bars)))?;
    judged(&bars)
}

/// A certificate of its own, a token, and who may what.
fn configuration(asked: &Asked, outside: &Outside, folder: &Path) -> Result<(String, String), String> {
    let (cert, key, tokens) = (folder.join("api.crt"), folder.join("api.key"), folder.join("api.tokens"));
    let mut make = Command::new("openssl");
    make.args(["req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-subj", "/CN=retrotap", "-keyout"]);
    make.arg(&key).arg("-out").arg(&cert).args(["-addext", "subjectAltName=IP:127.0.0.1"]);
    shell::output(make.args(["-addext", "basicConstraints=critical,CA:FALSE"]))?;
    let mut token = Command::new(asked.bench.programs().join("retrotap"));
    token.args(["token", "new", "--role", "control", "--name", "hostile", "--file"]).arg(&tokens);
    let said = shell::output(&mut token)?;
    let token = said.split_whitespace().find(|w| w.starts_with("retrotap_")).ok_or(format!("no token in {said}"))?;
    let group = shell::output(Command::new("id").args(["-gn", USER]))?;
    let text = format!(
        "[class.all]\ncutoff = \"15KiB\"\n[api]\nsocket = {:?}\ngroup = {:?}\nlisten = \"127.0.0.1:{PORT}\"\ncertificate = {cert:?}\nkey = {key:?}\ntokens = {tokens:?}\n\
         [api.roles]\ncontrol = [\"{USER}\"]\n",
        outside.socket(),
        group.trim(),
    );
    Ok((text, token.to_string()))
}

/// One turn.
fn measure(asked: &Asked, outside: &Outside, harm: bool) -> Result<Value, String> {
    let folder = rig::folder()?;
    let (config, token) = configuration(asked, outside, &folder)?;
    let mut rig = Rig::start(asked, &config, &[])?;
    rig.until("its socket", || outside.socket().exists())?;
    let planned = rig.planned()?;
    let mut load = rig.load(1, asked.seconds + REST.as_secs() + rig::WARM_UP)?;
    std::thread::sleep(Duration::from_secs(rig::WARM_UP + 1));
    let halves = || [rig::CAPTURE, rig::SERVE].map(|word| rig::half(rig.id(), word));
    let (before, pids, start) = (rig::last()?, halves(), Instant::now());
    let honest = format!("--clients 1 --renew --sample 2000 --per-second {PER_SECOND} --seconds {}", asked.seconds);
    let mut honest = rig.ask(&outside.socket(), &honest)?;
    let mut senders = if harm { senders(&rig, outside, asked, &token)? } else { Vec::new() };
    let (mut most, mut later) = (0, 0u64);
    let ends = |running: &mut Running| running.0.try_wait().map(|s| s.is_some()).unwrap_or(true);
    while start.elapsed() < Duration::from_secs(asked.seconds) || !senders.iter_mut().all(ends) {
        most = most.max(rig::resident(rig.id()));
        if start.elapsed() > Duration::from_secs(asked.seconds) + REST {
            later = 1;
            break;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    drop(senders);
    let asked_it = match shell::wait(&mut honest.0, Duration::from_secs(60))? {
        shell::End::Itself(true) => read(&mut honest),
        _ => None,
    };
    let (after, took) = (rig::last()?, start.elapsed().as_secs_f64());
    let alive = halves() == pids && pids.iter().all(Option::is_some);
    let audit = bytes_of(&rig::store().join("audit"));
    rig::interrupt(&load.0)?;
    load.0.wait().map_err(|e| format!("load: {e}"))?;
    rig.stop()?;
    let since = |field: &str| Value::from(rig::counted(&after, field).saturating_sub(rig::counted(&before, field)));
    let came = came(&said());
    let _ = rig::folder();
    Ok(object([
        ("torture", "hostile".into()),
        ("harm", u64::from(harm).into()),
        ("gbps", asked.gbps.into()),
        ("seconds", took.into()),
        ("seen", since("seen.packets")),
        ("lost", since("lost_packets")),
        ("memory_missed", since("recent.missed_blocks")),
        ("honest", asked_it.unwrap_or(Value::Word("null".into()))),
        ("resident", most.into()),
        ("planned", planned.into()),
        ("audit_bytes", audit.into()),
        ("table", (requests::all().len() as u64).into()),
        ("not_sent_through", later.into()),
        ("alive", u64::from(alive).into()),
        ("came", came),
    ]))
}

/// Those who mean harm, at work: over the socket, over TLS.
fn senders(rig: &Rig, outside: &Outside, asked: &Asked, token: &str) -> Result<Vec<Running>, String> {
    let seconds = asked.seconds.to_string();
    let program = outside.program().to_string_lossy().into_owned();
    let (nobody, id) = (format!("--reuid={USER}"), shell::output(Command::new("id").args(["-g", USER]))?);
    let group = format!("--regid={}", id.trim());
    let socket = outside.socket().to_string_lossy().into_owned();
    let mut unix = Command::new("setpriv");
    unix.args([nobody.as_str(), &group, "--clear-groups", "prlimit", "--nofile=16384", "nice", "-n", "10", &program]);
    unix.args(["torture", sender::WORD, "unix", &socket, &seconds]);
    let mut tls = rig.namespace.command("prlimit");
    tls.args(["--nofile=16384", "nice", "-n", "10", &program]);
    tls.args(["torture", sender::WORD, "tls", PORT, &seconds, token]);
    [("unix", unix), ("tls", tls)].into_iter().map(|(name, command)| begun(name, command)).collect()
}

fn begun(name: &str, mut command: Command) -> Result<Running, String> {
    let out = File::create(rig::at(name)).map_err(|e| format!("{name}: {e}"))?;
    command.stdin(Stdio::null()).stdout(out).current_dir("/");
    command.spawn().map(Running).map_err(|e| format!("cannot run {}: {e}", shell::text(&command)))
}

/// The last line of a client that has ended.
fn read(client: &mut Running) -> Option<Value> {
    let mut text = String::new();
    std::io::Read::read_to_string(client.0.stdout.as_mut()?, &mut text).ok()?;
    Value::parse(text.lines().last()?).ok()
}

/// What the senders said, line by line.
fn said() -> Vec<Value> {
    let text = |name| fs::read_to_string(rig::at(name)).unwrap_or_default();
    [text("unix"), text("tls")].iter().flat_map(|t| t.lines()).filter_map(|l| Value::parse(l).ok()).collect()
}

/// How many of each kind of end there were, and the names of those that may not be.
fn came(said: &[Value]) -> Value {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let (mut wrong, mut longest) = (Vec::new(), 0.0f64);
    for line in said {
        let over = line.text("over").unwrap_or_default();
        let (what, status) = (line.text("came").unwrap_or_default(), line.number("status").unwrap_or(0));
        longest = longest.max(line.float("ms").unwrap_or(0.0));
        *counts.entry(format!("{over}_sent")).or_default() += 1;
        *counts.entry(if status > 0 { format!("{over}_{status}") } else { format!("{over}_{what}") }).or_default() += 1;
        if (what == "late" || status == 500) && wrong.len() < 50 {
            wrong.push(Value::from(format!("{over}: {} ({what}, {status})", line.text("name").unwrap_or_default())));
        }
    }
    let mut all: Vec<(String, Value)> = counts.into_iter().map(|(name, n)| (name, n.into())).collect();
    all.extend([("longest_ms".to_string(), longest.into()), ("wrong".to_string(), Value::List(wrong))]);
    Value::Object(all)
}

fn bytes_of(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|f| f.metadata().ok()).map(|m| m.len()).sum()
}

fn of(lines: &[Value], harm: u64) -> Option<&Value> {
    lines.iter().find(|l| l.number("harm") == Ok(harm))
}

fn bars(lines: &[Value]) -> Vec<(bool, String)> {
    let (Some(without), Some(with)) = (of(lines, 0), of(lines, 1)) else {
        return vec![(false, "nothing was measured".into())];
    };
    let n = |line: &Value, field: &str| rig::counted(line, field);
    // A turn with harm is longer by what was left of the table.
    let share = |line: &Value| n(line, "lost") as f64 / n(line, "seen").max(1) as f64;
    let p99 = with.float("honest.p99_us");
    let (resident, planned, audit) = (n(with, "resident"), n(with, "planned"), n(with, "audit_bytes"));
    let table = n(with, "table");
    let wrong = match with.get("came.wrong") {
        Some(Value::List(wrong)) => wrong.iter().map(Value::to_string).collect::<Vec<_>>(),
        _ => Vec::new(),
    };
    let [unix, tls] = ["came.unix_sent", "came.tls_sent"].map(|f| n(with, f));
    vec![
        (
            share(with) <= share(without),
            format!(
                "capture unmoved: {} of {} packets lost, without {} of {}",
                n(with, "lost"),
                n(with, "seen"),
                n(without, "lost"),
                n(without, "seen")
            ),
        ),
        (
            p99.is_some_and(|us| us < P99_US),
            match p99 {
                Some(us) => format!("an honest client's memory queries: p99 {} ms, below 50", short(us / 1e3)),
                None => "an honest client's memory queries: it was refused".into(),
            },
        ),
        (resident <= planned, format!("memory of all processes: {} of {} MiB planned", resident >> 20, planned >> 20)),
        (wrong.is_empty(), format!("an answer or an end for each of {} requests: wrong are {wrong:?}", unix + tls)),
        (
            table >= 200 && unix.min(tls) >= table,
            format!("a table of {table}, sent {unix} times by the socket and {tls} over TLS"),
        ),
        (n(with, "alive") == 1, "capture and serve are the processes that they were".into()),
        (audit <= AUDIT_BYTES, format!("the audit log has {} MiB of at most {}", audit >> 20, AUDIT_BYTES >> 20)),
    ]
}

fn table(lines: &[Value]) -> String {
    let head = ["turn", "s", "seen", "lost", "queries", "p50 ms", "p99 ms", "worst ms", "resident MiB", "audit KiB"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for (name, harm) in [("without", 0), ("with harm", 1)] {
        let Some(line) = of(lines, harm) else { continue };
        let ms = |field: &str| short(line.float(field).unwrap_or(f64::NAN) / 1e3);
        let n = |field: &str| rig::counted(line, field);
        rows.push(vec![
            name.into(),
            short(line.float("seconds").unwrap_or(f64::NAN)),
            n("seen").to_string(),
            n("lost").to_string(),
            n("honest.queries").to_string(),
            ms("honest.p50_us"),
            ms("honest.p99_us"),
            ms("honest.max_us"),
            (n("resident") >> 20).to_string(),
            (n("audit_bytes") >> 10).to_string(),
        ]);
    }
    let came = of(lines, 1).and_then(|l| l.get("came")).map_or(String::new(), Value::to_string);
    format!("{}\nWhat came of them: {came}\n{}\n", columns(&rows), ran_on(lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(harm: u64, lost: u64, p99: f64, wrong: &[Value]) -> Value {
        object([
            ("harm", harm.into()),
            ("seen", 1000u64.into()),
            ("lost", lost.into()),
            ("honest", object([("p99_us", p99.into())])),
            ("resident", 5u64.into()),
            ("planned", 9u64.into()),
            ("table", 200u64.into()),
            ("alive", 1u64.into()),
            (
                "came",
                object([
                    ("unix_sent", 200u64.into()),
                    ("tls_sent", 201u64.into()),
                    ("wrong", Value::List(wrong.into())),
                ]),
            ),
        ])
    }

    #[test]
    fn each_bar_is_missed_by_its_own() {
        let missed =
            |with: Value| bars(&[line(0, 3, 1e3, &[]), with]).iter().map(|(held, _)| !held).collect::<Vec<_>>();
        assert_eq!(missed(line(1, 3, 1e3, &[])), [false; 7]);
        assert_eq!(missed(line(1, 4, 1e3, &[])), [true, false, false, false, false, false, false]);
        assert_eq!(missed(line(1, 3, 6e4, &[])), [false, true, false, false, false, false, false]);
        assert_eq!(missed(line(1, 3, 1e3, &["x".into()])), [false, false, false, true, false, false, false]);
    }

    #[test]
    fn ends_are_counted() {
        let one = |what: &str, status: Option<u64>| {
            object([
                ("over", "tls".into()),
                ("came", what.into()),
                ("status", status.into()),
                ("name", "n".into()),
                ("ms", 2.0.into()),
            ])
        };
        let all = came(&[one("answered", Some(400)), one("answered", Some(500)), one("late", None), one("left", None)]);
        let Some(Value::List(wrong)) = all.get("wrong") else { panic!("{all}") };
        assert_eq!(
            (all.number("tls_sent"), all.number("tls_400"), all.number("tls_left"), wrong.len()),
            (Ok(4), Ok(1), Ok(1), 2)
        );
    }
}
