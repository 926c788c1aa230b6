//! Shell completions and manual pages, both made from the grammar.

use super::{Cli, Exit, Failure, say};
use clap::CommandFactory;
use std::io::Write;
use std::path::PathBuf;

/// `retrotap completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  retrotap completions bash > /etc/bash_completion.d/retrotap")]
pub struct Completions {
    /// Which shell
    shell: clap_complete::Shell,
}

/// `retrotap man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retrotap man | man -l -
  retrotap man /usr/local/share/man/man1")]
pub struct Man {
    /// Write retrotap.1, retrotap-record.1 and so on here
    dir: Option<PathBuf>,
}

/// Prints the script.
pub fn completions(args: Completions) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "retrotap", &mut script);
    print(&script)
}

/// Prints or writes the pages.
pub fn man(args: Man) -> Result<Exit, Failure> {
    match args.dir {
        Some(dir) => clap_mangen::generate_to(Cli::command(), &dir)
            .map(|()| Exit::Done)
            .map_err(|e| Failure::cannot(format_args!("cannot write manual pages to {}: {e}", dir.display()))),
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(Failure::cannot)?;
            print(&page)
        }
    }
}

/// To standard output.
fn print(bytes: &[u8]) -> Result<Exit, Failure> {
    let _ = say::out().write_all(bytes);
    Ok(Exit::Done)
}
