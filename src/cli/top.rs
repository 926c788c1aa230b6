//! `retrotap top`: the screen of `status`, live, and the connections with the most bytes. Owns the terminal while it runs, and gives it back
//! as it was, however it ends.

use super::api::{At, refused};
use super::status;
use super::table::Table;
use super::{Exit, Failure};
use crate::control::{Ask, Client, ClientError, Long, Status};
use crate::query::{Listed, Sort};
use crate::units;
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, poll, read};
use crossterm::{cursor, execute, queue, style, terminal};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// What `top` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Keys: q, Esc or Ctrl-C ends it; space asks again at once.")]
pub struct Args {
    #[command(flatten)]
    at: At,
    /// How often it asks
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration, default_value = "1s")]
    every: u64,
    /// Connections of the last so long
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration, default_value = "1m")]
    last: u64,
}

/// The connections are asked for less often: they read the index.
const CONNECTIONS_EVERY: Duration = Duration::from_secs(5);

/// Shows it until it is ended.
pub fn run(args: Args) -> Result<Exit, Failure> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Failure::usage("top draws on a terminal: on a pipe use retrotap status, or status --json"));
    }
    let mut daemon = args.at.recorder()?;
    let screen = Screen::take().map_err(cannot)?;
    let (mut connections, mut asked) = (Vec::new(), None::<Instant>);
    let every = Duration::from_nanos(args.every).max(Duration::from_millis(100));
    loop {
        let begun = Instant::now();
        let status: Status = match daemon.get("/v1/status") {
            Ok(status) => status,
            Err(e) => {
                drop(screen);
                return Err(refused(e));
            }
        };
        if asked.is_none_or(|t| t.elapsed() >= CONNECTIONS_EVERY) {
            connections = top(&mut daemon, args.last);
            asked = Some(Instant::now());
        }
        draw(&status, &connections, args.last).map_err(cannot)?;
        if ended(every.saturating_sub(begun.elapsed())).map_err(cannot)? {
            return Ok(Exit::Done);
        }
    }
}

fn cannot(e: io::Error) -> Failure {
    Failure::cannot(format_args!("the terminal: {e}"))
}

/// The connections with the most bytes, or the line that says why there are none.
fn top(daemon: &mut Client, last: u64) -> Vec<String> {
    let ask = Ask { last: Some(Long::Ns(last)), sort: Some(Sort::Bytes), top: Some(20), ..Ask::default() };
    let mut t = Table::new(&["protocol", "from", "to", ">packets", ">bytes", ">stored", "class"]);
    let mut row = |c: Listed| {
        t.row([
            c.ends.protocol,
            c.ends.a.to_string(),
            c.ends.b.to_string(),
            units::count(c.seen_packets),
            units::size(c.seen_bytes),
            units::size(c.stored_bytes),
            c.class,
        ]);
    };
    match daemon.lines("/v1/connections", &ask, &mut row) {
        Ok(_) => t.to_string().lines().map(str::to_owned).collect(),
        Err(ClientError::Refused(_, why)) => vec![why],
        Err(e) => vec![e.to_string()],
    }
}

fn draw(status: &Status, connections: &[String], last: u64) -> io::Result<()> {
    let (width, height) = match terminal::size() {
        Ok((w, h)) if w > 0 && h > 0 => (usize::from(w), usize::from(h)),
        _ => (80, 24),
    };
    let screen = status::screen(status);
    let heading = format!("connections of the last {} with the most bytes", units::duration(last));
    let lines = screen.lines().chain(["", &heading]).chain(connections.iter().map(String::as_str));
    let mut out = io::stdout().lock();
    queue!(out, cursor::MoveTo(0, 0))?;
    for (n, line) in lines.take(height.saturating_sub(1)).enumerate() {
        let clipped: String = line.chars().take(width).collect();
        queue!(
            out,
            cursor::MoveTo(0, n as u16),
            style::Print(clipped),
            terminal::Clear(terminal::ClearType::UntilNewLine)
        )?;
    }
    queue!(out, terminal::Clear(terminal::ClearType::FromCursorDown))?;
    queue!(out, cursor::MoveTo(0, height.saturating_sub(1) as u16), style::Print("q ends"))?;
    out.flush()
}

/// Waits for a key, at most this long; whether it is one that ends.
fn ended(wait: Duration) -> io::Result<bool> {
    let until = Instant::now() + wait;
    while poll(until.saturating_duration_since(Instant::now()))? {
        match read()? {
            Event::Key(key) if key.kind == KeyEventKind::Press => match key.code {
                KeyCode::Char('q') | KeyCode::Esc => return Ok(true),
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(true),
                KeyCode::Char(' ') => return Ok(false),
                _ => {}
            },
            Event::Resize(..) => return Ok(false),
            _ => {}
        }
    }
    Ok(false)
}

/// The terminal while it is ours.
struct Screen;

impl Screen {
    fn take() -> io::Result<Screen> {
        terminal::enable_raw_mode()?;
        let screen = Screen;
        execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = execute!(io::stdout(), cursor::Show, terminal::LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}
