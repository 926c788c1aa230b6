//! Many clients that ask a recorder's socket for one connection after another, or look through its store, and how long each answer took.
//! Called by `cargo xtask bench query`; plain HTTP with blocking sockets, so that what is measured is the recorder. The connections are those
//! that it has in memory at that moment; what each answer had can be written to a file, which `load --check` compares with what was sent.

mod answers;
mod client;
mod keys;

use answers::Answered;
use clap::Parser;
use client::{Request, Tally, post};
use std::path::PathBuf;
use std::sync::RwLock;
use std::time::{Duration, Instant};

/// Asks for single connections, as fast as the answers come.
#[derive(Parser, Clone, Debug)]
struct Options {
    /// The recorder's socket.
    #[arg(long)]
    socket: PathBuf,
    /// Clients at a time.
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// How long, seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Ask the whole store, not only what is in memory.
    #[arg(long)]
    disk: bool,
    /// Ask for what does not occur, by a look at every packet of the store, and say how many that were.
    #[arg(long, conflicts_with = "disk")]
    scan: bool,
    /// Traffic is being recorded: draw the connections anew each second, from those that began a second before.
    #[arg(long, conflicts_with = "scan")]
    renew: bool,
    /// Each client asks so often a second, and no faster; an answer's time counts from when it was to be asked.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    per_second: Option<u32>,
    /// Packets that the connections are taken from, each time.
    #[arg(long, default_value_t = 50_000)]
    sample: u64,
    /// Write what each answer had, for `load --check`.
    #[arg(long, conflicts_with = "scan")]
    answers: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The connections are drawn anew so often.
const RENEWED: Duration = Duration::from_secs(1);
/// For the first ones it waits so long.
const FIRST: Duration = Duration::from_secs(10);

/// The first keys: a load that has just begun may have none that is old enough yet.
fn first(options: &Options) -> Result<Vec<Request>, Error> {
    let until = Instant::now() + FIRST;
    loop {
        let drawn = keys::draw(&options.socket, options.sample, !options.disk, options.renew)?;
        if !drawn.is_empty() || Instant::now() >= until {
            return Ok(drawn);
        }
        std::thread::sleep(RENEWED / 10);
    }
}

fn main() -> Result<(), Error> {
    let options = Options::parse();
    let requests = RwLock::new(if options.scan {
        let question = serde_json::json!({ "filter": "host 203.0.113.77", "full_scan": true });
        vec![Request { conn: String::new(), bytes: post("/v1/count", &question), least: 0 }]
    } else {
        first(&options)?
    });
    let drawn = requests.read().map_or(0, |r| r.len());
    if drawn == 0 {
        return Err("the recorder has no TCP or UDP connection in memory".into());
    }
    let started = Instant::now();
    let until = started + Duration::from_secs(options.seconds);
    let (all, renewed) = std::thread::scope(|scope| -> Result<(Tally, usize), Error> {
        let (options, requests) = (&options, &requests);
        let ask = |n: usize| scope.spawn(move || client::run(options, requests, n * 7919, until));
        let clients: Vec<_> = (0..options.clients).map(ask).collect();
        let mut renewed = 0;
        while options.renew && Instant::now() + RENEWED < until {
            std::thread::sleep(RENEWED);
            let new = keys::draw(&options.socket, options.sample, !options.disk, true)?;
            // In a second without new connections the old ones are asked for again.
            if !new.is_empty() {
                renewed += new.len();
                *requests.write().map_err(|_| "a client panicked")? = new;
            }
        }
        let mut all = Tally::none()?;
        for c in clients {
            all.add(c.join().map_err(|_| "a client panicked")??)?;
        }
        Ok((all, renewed))
    })?;
    let seconds = started.elapsed().as_secs_f64();
    if let Some(path) = &options.answers {
        Answered::write(&all.answered, path)?;
    }
    let us = |q: f64| all.times.value_at_quantile(q) as f64 / 1e3;
    let first = |q: f64| all.firsts.value_at_quantile(q) as f64 / 1e3;
    let rate = all.times.len() as f64 / seconds;
    let (connections, empty) = (drawn + renewed, all.empty);
    if options.json {
        let all = serde_json::json!({
            "clients": options.clients, "seconds": seconds, "connections": connections, "queries": all.times.len(),
            "per_second": rate, "empty": empty, "packets": all.packets, "bytes": all.bytes, "p50_us": us(0.5), "p90_us": us(0.9),
            "p99_us": us(0.99), "max_us": us(1.0), "first_p50_us": first(0.5), "first_p99_us": first(0.99),
            "first_max_us": first(1.0), "scanned_packets_per_second": all.scanned[0] as f64 / seconds,
            "scanned_bytes_per_second": all.scanned[1] as f64 / seconds,
        });
        println!("{all}");
    } else {
        println!(
            "{} clients: {rate:.0} queries/s of {connections} connections; p50 {:.0} us, p90 {:.0} us, p99 {:.0} us, max {:.0} us; {empty} empty",
            options.clients,
            us(0.5),
            us(0.9),
            us(0.99),
            us(1.0)
        );
    }
    Ok(())
}
