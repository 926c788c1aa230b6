//! `retrotap schema`: the JSON Schema of what is said as JSON, for programs that read it. `--page` is how `docs/json.md` is made.

use super::{Exit, Failure, objects, say};
use crate::shape::page;
use std::io::Write;

/// What `schema` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retrotap schema
  retrotap schema Connection > connection.schema.json

docs/json.md says the same for people.")]
pub struct Args {
    /// Of this object; all names without
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// All of them as the page docs/json.md
    #[arg(long, hide = true, conflicts_with = "name")]
    page: bool,
}

/// Prints it.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let text = match args.name {
        _ if args.page => page(&objects::all().collect::<Vec<_>>()),
        None => objects::all().map(|d| format!("{}\n", d.name)).collect(),
        Some(name) => {
            let found = objects::all().find(|d| d.name.eq_ignore_ascii_case(&name)).ok_or_else(|| {
                let known: Vec<&str> = objects::all().map(|d| d.name).collect();
                Failure::usage(format_args!("there is no {name:?}; there are {}", known.join(", ")))
            })?;
            serde_json::to_string_pretty(&found.schema()).unwrap_or_default() + "\n"
        }
    };
    let _ = say::out().write_all(text.as_bytes());
    Ok(Exit::Done)
}
