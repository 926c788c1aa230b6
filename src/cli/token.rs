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
            let expires = new.lasting.map(|ns| units::now().saturating_add(ns));
            let secret = new.place.tokens()?.issue(&new.name, new.role, expires).map_err(cannot)?;
            let _ = writeln!(say::out(), "{secret}");
        }
        What::List(list) => {
            let tokens = list.place.tokens()?.list().map_err(cannot)?;
            if list.json {
                tokens.into_iter().map(TokenLine::from).for_each(|t| show::json_line(&t));
                return Ok(Exit::Done);
            }
            let mut t = Table::new(&["token", "role", "made", "ends"]);
            for token in tokens {
                let ends = token.expires.map_or("never".into(), units::local_time);
                let made = units::parse_time(&token.made, 0).map_or(token.made, units::local_time);
                t.row([token.name, token.role.to_string(), made, ends]);
            }
            let _ = write!(say::out(), "{t}");
        }
        What::Revoke(revoke) => revoke.place.tokens()?.revoke(&revoke.name).map_err(cannot)?,
    }
    Ok(Exit::Done)
}
