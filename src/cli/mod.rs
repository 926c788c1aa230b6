//! The command line: what each command takes, and how it answers. Owns argument grammar, help texts, exit codes and
//! logging; the work is done by `record`, `query` and `store`. Called by `main` only.

mod account;
mod answer;
mod api;
mod configs;
mod connections;
mod console;
mod doctor;
mod exit;
mod export;
mod extras;
mod file;
mod follow;
mod halves;
mod hold;
mod info;
mod lists;
mod logging;
mod losses;
mod manifest;
mod nids;
mod objects;
mod plain;
mod plan;
mod query;
mod record;
mod reload;
mod say;
mod schema;
mod security;
mod serve;
mod show;
mod status;
mod steer;
mod table;
mod token;
mod top;
mod verify;

pub use exit::{Exit, Failure};

use crate::filter::apart;
use crate::parent;
use clap::{Parser, Subcommand};
use logging::Voice;
use rustix::fs::Mode;
use rustix::process::umask;
use std::process::ExitCode;

/// The end of every `--help`.
const AFTER_HELP: &str = "Exit codes:
  0  done, and nothing to complain about
  1  done, but not whole: a capture broke off, the account does not add up, a store is damaged; with --strict also
     where an answer is not complete: expired, lost, not recorded, beyond the limit
  2  the command line or the configuration is wrong
  3  it cannot be done: permission, interface, store, disk
With --json the error is a line of JSON on standard error, and every object is as docs/json.md has it (retrotap schema).";

/// All of the command line.
#[derive(Debug, Parser)]
#[command(
    name = "retrotap",
    version,
    about = "A time machine for network taps",
    long_about = "Records the first bytes of every connection, keeps days of it on one machine, and gives any of it back as \
                  pcapng, with an honest statement of what it does not have.",
    after_help = AFTER_HELP,
    after_long_help = AFTER_HELP,
    propagate_version = true,
    max_term_width = 110,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// More on standard error: -v what it does, -vv details
    #[arg(short, long, action = clap::ArgAction::Count, global = true, help_heading = "General")]
    verbose: u8,
    /// Only errors on standard error
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "General")]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Record from interfaces or capture files into a store
    Record(Box<record::Args>),
    /// Answer over the API about stores into which nobody records: imported traces, evidence, those of a recorder that has stopped
    Serve(serve::Args),
    /// Give packets back from a store
    Query(query::Args),
    /// List connections, with what was seen and stored of each
    Connections(connections::Args),
    /// Show what was lost when, where and why, and when nothing was recorded
    Losses(losses::Args),
    /// Show how a recorder is doing: rates, what is kept and lost, and how many days each class holds
    Status(status::Args),
    /// Show the storage classes of a recorder: fill, age, days left
    Classes(status::Classes),
    /// Show a recorder live
    Top(top::Args),
    /// Give commands one after the other, with history and completion
    Console(console::Args),
    /// Show what a store holds
    Info(info::Args),
    /// Check every block, index and sum of a store and name what is broken; or an answer or a hold by its manifest
    Verify(verify::Args),
    /// Keep packets beyond every budget, with their sum and a reason
    Hold(Box<hold::Args>),
    /// List what is held, check its sums, set its limit
    Holds(hold::List),
    /// Let go of a hold
    Release(hold::Release),
    /// Copy the packets of a hold, with the manifest that makes them evidence
    Export(export::Args),
    /// Have a running recorder read its configuration again
    Reload(reload::Args),
    /// Give the connections of an address a class for a time
    Assign(Box<steer::Assign>),
    /// List the addresses that have a class by assignment
    Assignments(Box<steer::List>),
    /// Take an address' assignment back
    Unassign(Box<steer::Unassign>),
    /// Store a connection, or all of an address, past its cutoff for a time
    SuspendCutoff(Box<steer::Suspend>),
    /// Keep a connection, or all of an address, from ending by being idle for a time
    SuspendTimeout(Box<steer::Suspend>),
    /// List what is suspended
    Suspensions(Box<steer::List>),
    /// Take a suspension back
    Resume(Box<steer::Resume>),
    /// Let the alerts of a NIDS steer the recorder and hold packets
    Nids(nids::Args),
    /// Say what a range of cutoffs would keep of some traffic, and how many days fit a disk
    Plan(plan::Args),
    /// Make, list and revoke the tokens with which a recorder is asked over TCP
    Token(token::Args),
    /// Say what of this machine is not as capture wants it, and the commands that make it so
    Doctor(doctor::Args),
    /// Check a configuration file without starting anything
    CheckConfig(configs::Check),
    /// Turn a configuration of the original Time Machine into one of retrotap
    ImportConfig(configs::Import),
    /// Print the JSON Schema of what a command, or the API, says as JSON
    Schema(schema::Args),
    /// Print the completion script of a shell
    Completions(extras::Completions),
    /// Print the manual page, or write all of them into a directory
    Man(extras::Man),
}

/// Parses the arguments and does what they say.
pub fn main() -> ExitCode {
    match std::env::args_os().nth(1) {
        Some(word) if word == apart::WORD => return apart::serve(),
        Some(word) if word == parent::CAPTURE => return halves::capture(),
        Some(word) if word == parent::SERVE => return halves::serve(),
        _ => {}
    }
    // Also where the arguments make no sense.
    let json = std::env::args_os().take_while(|a| a != "--").any(|a| a == "--json");
    let done = match Cli::try_parse() {
        Ok(cli) => {
            logging::start(Voice { verbose: cli.verbose, quiet: cli.quiet });
            dispatch(cli.command)
        }
        Err(e) if e.use_stderr() && json => Err(Failure::usage(e.to_string().trim_end())),
        Err(e) => {
            let exit = if e.use_stderr() { Exit::Usage } else { Exit::Done };
            // Nothing is left to say it to when standard error itself is closed.
            let printed = e.print();
            if exit == Exit::Done {
                say::note(printed);
            }
            Ok(exit)
        }
    };
    match done.and_then(said) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            logging::failed(&failure, json);
            failure.exit.into()
        }
    }
}

impl Command {
    fn writes_to_a_store(&self) -> bool {
        matches!(
            self,
            Command::Record(_)
                | Command::Serve(_)
                | Command::Hold(_)
                | Command::Holds(_)
                | Command::Release(_)
                | Command::Token(_)
                | Command::Nids(_)
        )
    }
}

/// Does what a command says.
fn dispatch(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Record(_) | Command::Serve(_) => apart::always(),
        _ => apart::where_long(),
    }
    if command.writes_to_a_store() {
        // Whatever is made there: the owner's, and his group's to read. Who is watched, and who spoke with whom, is nobody else's.
        let others = Mode::WGRP | Mode::RWXO;
        umask(umask(others) | others);
    }
    match command {
        Command::Record(args) => record::run(*args),
        Command::Serve(args) => serve::run(args),
        Command::Query(args) => query::run(args),
        Command::Connections(args) => connections::run(args),
        Command::Losses(args) => losses::run(args),
        Command::Status(args) => status::run(args),
        Command::Classes(args) => status::classes(args),
        Command::Top(args) => top::run(args),
        Command::Console(args) => console::run(args),
        Command::Info(args) => info::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Hold(args) => hold::hold(*args),
        Command::Holds(args) => hold::list(args),
        Command::Release(args) => hold::release(args),
        Command::Export(args) => export::run(args),
        Command::Reload(args) => reload::run(args),
        Command::Assign(args) => steer::assign(*args),
        Command::Assignments(args) => steer::assignments(*args),
        Command::Unassign(args) => steer::unassign(*args),
        Command::SuspendCutoff(args) => steer::suspend_cutoff(*args),
        Command::SuspendTimeout(args) => steer::suspend_timeout(*args),
        Command::Suspensions(args) => steer::suspensions(*args),
        Command::Resume(args) => steer::resume(*args),
        Command::Nids(args) => nids::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Token(args) => token::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::CheckConfig(args) => configs::check(args),
        Command::ImportConfig(args) => configs::import(args),
        Command::Schema(args) => schema::run(args),
        Command::Completions(args) => extras::completions(args),
        Command::Man(args) => extras::man(args),
    }
}

/// The exit of a command whose answer went to standard output, if all of it did.
fn said(exit: Exit) -> Result<Exit, Failure> {
    match say::failed() {
        None => Ok(exit),
        Some(why) => Err(Failure::cannot(format_args!("the answer could not be written to standard output: {why}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }
}
