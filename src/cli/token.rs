//! `retrotap token`: who may ask a recorder over TCP.

use super::table::Table;
use super::{Exit, Failure, say, show};
use crate::control::{FileError, Role, TOKENS, TokenLine, Tokens};
use crate::units;
use std::io::Write;
use std::path::PathBuf;

/// What `token` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a token and print it, once: its file holds only its SHA-256
    New(New),
    /// List the tokens
    List(List),
    /// Take a token away; a recorder under way knows it at once
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
struct Place {
    /// The store
    #[arg(long, value_name = "DIR", env = "RETROTAP_STORE")]
    store: Option<PathBuf>,
    /// The tokens' file, where api.tokens of the configuration names one [default: api.tokens in the store]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct New {
    #[command(flatten)]
    place: Place,
    /// What it may: statistics, connections, packets, control; each has all that those before it have
    #[arg(long)]
    role: Role,
    /// What it is called, in the audit log too
    #[arg(long)]
    name: String,
    /// It ends after this time: 12h, 90d
    #[arg(long = "for", value_name = "TIME", value_parser = units::parse_duration)]
    lasting: Option<u64>,
    /// It ends at this time: 2027-01-31, 2027-01-31T18:00
    #[arg(long, value_name = "TIME", conflicts_with = "lasting")]
    expires: Option<String>,
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    place: Place,
    /// JSON lines, one a token
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Revoke {
    #[command(flatten)]
    place: Place,
    /// Which
    #[arg(value_name = "NAME")]
    name: String,
}

impl Place {
    fn tokens(&self) -> Result<Tokens, Failure> {
        match (&self.file, &self.store) {
            (Some(file), _) => Ok(Tokens::new(file)),
            (None, Some(store)) => Ok(Tokens::new(&store.join(TOKENS))),
            (None, None) => Err(Failure::usage("name the store (--store DIR) or the tokens' file (--file FILE)")),
        }
    }
}

/// Does it.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let cannot = |e: FileError| Failure::cannot(e);
    match args.what {
        What::New(new) => {
            let now = units::now();
            let said = new.expires.as_deref().map(|t| units::parse_time(t, now)).transpose().map_err(Failure::usage)?;
            if said.is_some_and(|at| at <= now) {
                return Err(Failure::usage("--expires is past: the token would be good for nothing"));
            }
            let expires = new.lasting.map(|ns| now.saturating_add(ns)).or(said);
            let secret = new.place.tokens()?.issue(&new.name, new.role, expires).map_err(cannot)?;
            let _ = writeln!(say::out(), "{secret}");
        }
        What::List(list) => {
            let tokens: Vec<TokenLine> = list.place.tokens()?.lines().map_err(cannot)?;
            if list.json {
                tokens.iter().for_each(show::json_line);
                return Ok(Exit::Done);
            }
            let mut t = Table::new(&["token", "role", "made", "ends", "used last"]);
            for token in tokens {
                let [made, used] = [token.made, token.used].map(|at| at.map_or("-".into(), units::local_time));
                let ends = token.expires.map_or("never".into(), units::local_time);
                t.row([token.name, token.role.to_string(), made, ends, used]);
            }
            let _ = write!(say::out(), "{t}");
        }
        What::Revoke(revoke) => revoke.place.tokens()?.revoke(&revoke.name).map_err(cannot)?,
    }
    Ok(Exit::Done)
}
