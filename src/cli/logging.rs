//! What goes to standard error: events through `tracing`, coloured only on a terminal and only without NO_COLOR.

use super::Failure;
use super::plain::plain;
use crate::shape;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::io::IsTerminal;
use std::sync::OnceLock;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// Local time to the millisecond: the log is read beside a clock on the wall.
struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, w: &mut Writer<'_>) -> std::fmt::Result {
        write!(w, "{}", jiff::Zoned::now().strftime("%H:%M:%S%.3f"))
    }
}

/// How much is said.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Voice {
    /// How often -v was given.
    pub verbose: u8,
    /// Only errors.
    pub quiet: bool,
}

static VOICE: OnceLock<Voice> = OnceLock::new();

/// How much this process says.
pub fn voice() -> Voice {
    VOICE.get().copied().unwrap_or(Voice { verbose: 0, quiet: false })
}

/// Sets the subscriber up. RETROTAP_LOG, in the syntax of tracing's filters, wins over the options.
pub fn start(voice: Voice) {
    let _ = VOICE.set(voice);
    let level = match (voice.quiet, voice.verbose) {
        (true, _) => "error",
        (_, 0) => "info",
        (_, 1) => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("RETROTAP_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour())
        .with_target(false)
        .with_timer(Clock)
        .init();
}

/// Standard error takes colours.
pub fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// The last word of a command that failed; with `--json` it is one line of JSON.
pub fn failed(failure: &Failure, json: bool) {
    match json {
        true => eprintln!("{}", shape::text(&failure.answer())),
        false => error(failure),
    }
}

/// What is wrong, in words.
pub fn error(what: &impl Display) {
    let what = plain(&what.to_string());
    match colour() {
        true => eprintln!("\x1b[1;31merror:\x1b[0m {what}"),
        false => eprintln!("error: {what}"),
    }
}
