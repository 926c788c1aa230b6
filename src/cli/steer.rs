//! `retrotap assign`, `assignments`, `unassign`, `suspend-cutoff`, `suspend-timeout`, `suspensions` and `resume`: what a running recorder is told.

use super::api::{At, refused};
use super::table::Table;
use super::{Exit, Failure, say, show};
use crate::control::{AssignmentLine, Long, SuspensionLine};
use crate::units;
use serde_json::{Value, json};
use std::io::Write;

const ASSIGNMENTS: &str = "/v1/assignments";
const SUSPENSIONS: &str = "/v1/suspensions";

/// What `assign` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  retrotap assign 10.1.2.3 alarm --for 1h --store /var/lib/retrotap")]
pub struct Assign {
    /// An address, or a net as 10.0.0.0/8
    #[arg(value_name = "ADDRESS")]
    pub address: String,
    /// The class that its connections get, those that run already as well as new ones
    #[arg(value_name = "CLASS")]
    pub class: String,
    /// How long: 10m, 2h, 7d
    #[arg(long = "for", value_name = "TIME", value_parser = units::parse_duration)]
    pub lasting: u64,
    /// Only connections that the address begins
    #[arg(long, conflicts_with = "responder")]
    pub originator: bool,
    /// Only connections that others begin
    #[arg(long)]
    pub responder: bool,
    #[command(flatten)]
    pub at: At,
    /// The assignment as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What the lists take.
#[derive(Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    pub at: At,
    /// JSON lines, one each
    #[arg(long)]
    pub json: bool,
}

/// What `unassign` takes.
#[derive(Debug, clap::Args)]
pub struct Unassign {
    /// The address or net
    #[arg(value_name = "ADDRESS")]
    pub address: String,
    #[command(flatten)]
    pub at: At,
    /// What was assigned, as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What the suspensions take.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retrotap suspend-cutoff 'tcp 10.1.2.3:50432 192.0.2.9:443' --for 10m --store /var/lib/retrotap
  retrotap suspend-cutoff 10.1.2.3 --for 1h --store /var/lib/retrotap")]
pub struct Suspend {
    /// One connection as query --conn takes it, whatever VLAN or tunnel it is in; or an address, or a net
    #[arg(value_name = "CONNECTION|ADDRESS")]
    pub target: String,
    /// How long: 10m, 2h, 7d
    #[arg(long = "for", value_name = "TIME", value_parser = units::parse_duration)]
    pub lasting: u64,
    #[command(flatten)]
    pub at: At,
    /// The suspension as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What `resume` takes.
#[derive(Debug, clap::Args)]
pub struct Resume {
    /// As it was suspended
    #[arg(value_name = "CONNECTION|ADDRESS")]
    pub target: String,
    #[command(flatten)]
    pub at: At,
    /// What was suspended, as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Gives an address a class.
pub fn assign(args: Assign) -> Result<Exit, Failure> {
    let mut body = json!({ "address": args.address, "class": args.class, "for": Long::Ns(args.lasting) });
    for (role, _) in [("originator", args.originator), ("responder", args.responder)].iter().filter(|(_, on)| *on) {
        body["role"] = json!(role);
    }
    let done: AssignmentLine = args.at.recorder()?.ask("POST", ASSIGNMENTS, &body).map_err(refused)?;
    said(args.json, &done, || format!("{} has class {} until {}", done.address, done.class, time(done.until)))
}

/// Lists assignments.
pub fn assignments(args: List) -> Result<Exit, Failure> {
    let all: Vec<AssignmentLine> = args.at.recorder()?.list(ASSIGNMENTS).map_err(refused)?;
    if args.json {
        all.iter().for_each(show::json_line);
    } else {
        let mut t = Table::new(&["address", "class", "role", "until", "by"]);
        for a in all {
            t.row([a.address, a.class, a.role, time(a.until), a.by]);
        }
        say::note(write!(say::out(), "{t}"));
    }
    Ok(Exit::Done)
}

/// Takes one back.
pub fn unassign(args: Unassign) -> Result<Exit, Failure> {
    let body = json!({ "address": args.address });
    let was: AssignmentLine = args.at.recorder()?.ask("DELETE", ASSIGNMENTS, &body).map_err(refused)?;
    said(args.json, &was, || format!("{} no longer has class {} by assignment", was.address, was.class))
}

/// Stores past the cutoff.
pub fn suspend_cutoff(args: Suspend) -> Result<Exit, Failure> {
    suspend(args, true)
}

/// Keeps from ending by being idle.
pub fn suspend_timeout(args: Suspend) -> Result<Exit, Failure> {
    suspend(args, false)
}

fn suspend(args: Suspend, cutoff: bool) -> Result<Exit, Failure> {
    let mut body = target(&args.target);
    (body["for"], body["cutoff"], body["timeout"]) = (json!(Long::Ns(args.lasting)), json!(cutoff), json!(!cutoff));
    let done: SuspensionLine = args.at.recorder()?.ask("POST", SUSPENSIONS, &body).map_err(refused)?;
    let (what, until) = match cutoff {
        true => ("cutoff", done.cutoff_until),
        false => ("idle timeout", done.timeout_until),
    };
    said(args.json, &done, || format!("{}: {what} suspended until {}", args.target, time(until.unwrap_or_default())))
}

/// Lists suspensions.
pub fn suspensions(args: List) -> Result<Exit, Failure> {
    let all: Vec<SuspensionLine> = args.at.recorder()?.list(SUSPENSIONS).map_err(refused)?;
    if args.json {
        all.iter().for_each(show::json_line);
    } else {
        let mut t = Table::new(&["of", "cutoff until", "timeout until", "by"]);
        for s in all {
            let of = s.connection.map(|c| c.to_string()).or(s.address).unwrap_or_default();
            let until = |ns: Option<u64>| ns.map_or("-".to_owned(), time);
            t.row([of, until(s.cutoff_until), until(s.timeout_until), s.by]);
        }
        say::note(write!(say::out(), "{t}"));
    }
    Ok(Exit::Done)
}

/// Takes back what is suspended.
pub fn resume(args: Resume) -> Result<Exit, Failure> {
    let was: SuspensionLine = args.at.recorder()?.ask("DELETE", SUSPENSIONS, &target(&args.target)).map_err(refused)?;
    said(args.json, &was, || format!("{}: nothing is suspended any more", args.target))
}

/// An address has no blanks in it, a connection has.
fn target(text: &str) -> Value {
    match text.trim().contains(char::is_whitespace) {
        true => json!({ "conn": text }),
        false => json!({ "address": text }),
    }
}

fn time(ns: u64) -> String {
    units::local_time(ns)
}

fn said(json: bool, value: &impl serde::Serialize, text: impl Fn() -> String) -> Result<Exit, Failure> {
    match json {
        true => show::json_line(value),
        false => say::note(writeln!(say::out(), "{}", text())),
    }
    Ok(Exit::Done)
}
