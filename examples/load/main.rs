//! The load generator's user side: fills the tables of `ebpf/load.bpf.c` (the mix), runs it, prints the truth: what was
//! offered and what a cutoff must keep. Called by `cargo xtask demo`, the tests in namespaces and benches, with the
//! sending end of a veth whose other end has a native XDP program. Never part of the recorder.

mod check;
mod mix;
mod play;
mod run;
mod shapes;
mod trace;
mod truth;

use clap::Parser;

/// Offers traffic made in the kernel to one end of a veth, and says exactly what was offered.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    /// The sending end of a veth; twice: one for the client's direction, one for the server's.
    #[arg(long, required_unless_present_any = ["to", "check"], num_args = 1)]
    pub iface: Vec<String>,
    /// Write the same packets to this pcap file instead, - is standard output; needs no privilege.
    #[arg(long, conflicts_with_all = ["iface", "cpu", "sink", "pass", "warm_up"])]
    pub to: Option<std::path::PathBuf>,
    /// Write only those that the cutoff keeps, at their times: a recorder's store of this load is made of them without moving the rest.
    #[arg(long, requires = "to", conflicts_with = "trace")]
    pub kept: bool,
    /// Send nothing: make the first `--packets` of this load anew and compare with them what answers had (a file that `examples/ask` wrote).
    #[arg(long, requires = "packets", conflicts_with_all = ["iface", "to", "trace"])]
    pub check: Option<std::path::PathBuf>,
    /// Stop after this many packets.
    #[arg(long)]
    pub packets: Option<u64>,
    /// What kinds of connections.
    #[arg(long, value_enum, default_value = "lab")]
    pub mix: mix::Mix,
    /// Offer this capture file, over and over, instead of a mix; the addresses of each further loop are rewritten, so that its
    /// connections are new ones.
    #[arg(long, conflicts_with_all = ["mix", "active", "first_connection"])]
    pub trace: Option<std::path::PathBuf>,
    /// With --trace: this many times its own pace; without this and --gbps as fast as it goes (in a file: its own pace).
    #[arg(long, requires = "trace", conflicts_with = "gbps", value_parser = positive)]
    pub times: Option<f64>,
    /// How long.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Before that, this long at a pace of 5 Gbit/s: a recorder takes the connections under way for new ones, and is in its own
    /// steady state when it has cut them.
    #[arg(long, default_value_t = 0.0)]
    pub warm_up: f64,
    /// Rate in Gbit/s of frame bytes; without it as fast as it goes (in a file: 10).
    #[arg(long)]
    pub gbps: Option<f64>,
    /// The same seed makes the same packets.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Number of the first connection; runs whose numbers do not overlap share no connection.
    #[arg(long, default_value_t = 0)]
    pub first_connection: u64,
    /// Connections active at any time (a power of two, at most 65536).
    #[arg(long)]
    pub active: Option<u32>,
    /// Bytes after which a connection is cut: the account says what that must keep.
    #[arg(long, default_value_t = 15 << 10)]
    pub cutoff: u64,
    /// CPU to run on; the veth's receive queue is this CPU modulo its queues.
    #[arg(long, value_delimiter = ',')]
    pub cpu: Vec<usize>,
    /// With several CPUs: move to the next one after this many milliseconds.
    #[arg(long, default_value_t = 5)]
    pub hop_ms: u64,
    /// Attach a program to this interface that counts and drops: the ceiling, and a check of the account.
    #[arg(long)]
    pub sink: Vec<String>,
    /// Attach a program to this interface that gives everything to the host: for a receiver without one of its own.
    #[arg(long)]
    pub pass: Vec<String>,
    /// One JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

impl Options {
    /// What the load is called in the account.
    fn name(&self) -> String {
        match &self.trace {
            Some(path) => path.display().to_string(),
            None => format!("{:?}", self.mix).to_lowercase(),
        }
    }

    /// What both players start from.
    fn start(&self) -> Result<mix::Start, String> {
        let active = self.active.unwrap_or(self.mix.active());
        if !active.is_power_of_two() || active > mix::CONNS_MAX {
            return Err(format!("--active must be a power of two up to {}", mix::CONNS_MAX));
        }
        Ok(mix::Start::new(self.mix, self.seed, self.first_connection, active))
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().map_err(|_| "not a number".to_string())?;
    if number > 0.0 { Ok(number) } else { Err("it must be above 0".into()) }
}

fn main() {
    let options = Options::parse();
    if let Some(answers) = &options.check {
        match check::check(&options, answers) {
            Ok(verdict) => println!("{}", serde_json::to_string(&verdict).expect("plain numbers")),
            Err(e) => fail(&*e),
        }
        return;
    }
    let truth = match (&options.to, &options.trace) {
        (Some(file), Some(trace)) => trace::write(&options, trace, file),
        (Some(file), None) => play::write(&options, file),
        (None, _) => run::run(&options),
    };
    let truth = truth.map(|truth| match options.json {
        true => serde_json::to_string(&truth).expect("plain numbers"),
        false => truth.to_string(),
    });
    match truth {
        Ok(truth) if options.to.as_deref().is_some_and(|to| to.as_os_str() == "-") => eprintln!("{truth}"),
        Ok(truth) => println!("{truth}"),
        Err(e) => fail(&*e),
    }
}

fn fail(e: &dyn std::error::Error) -> ! {
    eprintln!("load: {e}");
    std::process::exit(1);
}
