//! `retrotap console`: the same commands, one a line, with history and completion. Owns the line; each is parsed by the same grammar and
//! done by the same code as from a shell.

use super::api::At;
use super::{Cli, Exit, Failure, dispatch, logging};
use clap::{CommandFactory, Parser};
use reedline::{
    ColumnarMenu, Completer, DefaultPrompt, DefaultPromptSegment, Emacs, FileBackedHistory, KeyCode, KeyModifiers,
    MenuBuilder, Reedline, ReedlineEvent, ReedlineMenu, Signal, Span, Suggestion, default_emacs_keybindings,
};
use std::io::IsTerminal;
use std::path::PathBuf;

/// What `console` takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each line is a command without the word retrotap: status, connections 'port 53' --last 1m, help query. Tab completes,
the arrows go through the history. exit, quit or Ctrl-D ends it."
)]
pub struct Args {
    #[command(flatten)]
    at: At,
}

/// Lines that the history keeps.
const HISTORY: usize = 1000;
/// Not from within.
const NOT_HERE: &[&str] = &["console", "record"];

/// Reads and does until the end.
pub fn run(args: Args) -> Result<Exit, Failure> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Failure::usage("console is for a terminal: in scripts run the commands themselves"));
    }
    let mut keys = default_emacs_keybindings();
    let complete = ReedlineEvent::UntilFound(vec![ReedlineEvent::Menu("complete".into()), ReedlineEvent::MenuNext]);
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, complete);
    let menu = Box::new(ColumnarMenu::default().with_name("complete"));
    let mut editor = Reedline::create()
        .with_completer(Box::new(Grammar))
        .with_quick_completions(true)
        .with_partial_completions(true)
        .with_menu(ReedlineMenu::EngineCompleter(menu))
        .with_edit_mode(Box::new(Emacs::new(keys)));
    match history() {
        Some(history) => editor = editor.with_history(Box::new(history)),
        None => tracing::info!("no history: neither XDG_STATE_HOME nor HOME names a directory that can be written"),
    }
    let prompt = DefaultPrompt::new(DefaultPromptSegment::Basic("retrotap".into()), DefaultPromptSegment::Empty);
    loop {
        match editor.read_line(&prompt) {
            Ok(Signal::Success(line)) if matches!(line.trim(), "exit" | "quit") => return Ok(Exit::Done),
            Ok(Signal::Success(line)) => one(&line, &args.at),
            Ok(Signal::CtrlD) => return Ok(Exit::Done),
            Ok(_) => {}
            Err(e) => return Err(Failure::cannot(format_args!("the terminal: {e}"))),
        }
    }
}

fn history() -> Option<FileBackedHistory> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    FileBackedHistory::with_file(HISTORY, state.join("retrotap/history")).ok()
}

/// Does a line; what is wrong with it is said, and the next may come.
fn one(line: &str, at: &At) {
    let Some(mut words) = shlex::split(line) else {
        return logging::error(&"a quote is not closed");
    };
    let Some(command) = words.first().cloned() else { return };
    if NOT_HERE.contains(&command.as_str()) {
        return logging::error(&format_args!("{command} is a command for the shell"));
    }
    words.extend(place(&command, &words, at));
    let json = words.iter().any(|w| w == "--json");
    match Cli::try_parse_from(std::iter::once("retrotap".to_owned()).chain(words)) {
        Ok(cli) => {
            if let Err(failure) = dispatch(cli.command) {
                logging::failed(&failure, json);
            }
        }
        Err(e) => {
            let _ = e.print();
        }
    }
}

/// The console's own store and recorder, for a command that takes them and names none.
fn place(command: &str, words: &[String], at: &At) -> Vec<String> {
    let grammar = Cli::command();
    let Some(of) = grammar.find_subcommand(command) else { return Vec::new() };
    let text = |p: &Option<PathBuf>| p.as_ref().map(|p| p.to_string_lossy().into_owned());
    let known = [
        ("store", text(&at.store)),
        ("api", at.far.api.clone()),
        ("token-file", text(&at.far.token_file)),
        ("ca", text(&at.far.ca)),
    ];
    let takes = |long: &str| of.get_arguments().any(|a| a.get_long() == Some(long));
    let named = |long: &str| words.iter().any(|w| w == &format!("--{long}") || w.starts_with(&format!("--{long}=")));
    let missing = known.into_iter().filter(|(long, _)| takes(long) && !named(long));
    missing.filter_map(|(long, value)| Some(format!("--{long}={}", value?))).collect()
}

/// Completes commands and their options from the grammar.
struct Grammar;

impl Completer for Grammar {
    fn complete(&mut self, line: &str, pos: usize) -> Vec<Suggestion> {
        let before = line.get(..pos).unwrap_or(line);
        let start = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let word = before.get(start..).unwrap_or_default();
        let suggestion = |value: String, description: Option<String>| Suggestion {
            value,
            description,
            span: Span::new(start, pos),
            append_whitespace: true,
            ..Suggestion::default()
        };
        candidates(before, start, word).into_iter().map(|(value, about)| suggestion(value, about)).collect()
    }
}

/// What may stand at `start`, where `word` has been begun, and what it means.
fn candidates(before: &str, start: usize, word: &str) -> Vec<(String, Option<String>)> {
    let grammar = Cli::command();
    let mut all = Vec::new();
    match before.get(..start).unwrap_or_default().split_whitespace().next() {
        None => {
            let commands = grammar.get_subcommands().filter(|c| !NOT_HERE.contains(&c.get_name()));
            all.extend(commands.map(|c| (c.get_name().to_owned(), c.get_about().map(ToString::to_string))));
            all.extend([("help".to_owned(), None), ("exit".to_owned(), None)]);
        }
        Some("help") => all.extend(grammar.get_subcommands().map(|c| (c.get_name().to_owned(), None))),
        Some(command) => {
            let options = grammar.find_subcommand(command).into_iter().flat_map(clap::Command::get_arguments);
            let long = |a: &clap::Arg| Some((format!("--{}", a.get_long()?), a.get_help().map(ToString::to_string)));
            all.extend(options.filter_map(long));
        }
    }
    all.retain(|(value, _)| value.starts_with(word));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_their_options_are_completed() {
        let of = |line: &str| -> Vec<String> {
            let values = Grammar.complete(line, line.len());
            values.into_iter().map(|s| s.value).collect()
        };
        assert_eq!(of("stat"), ["status"]);
        assert!(of("").len() > 15 && !of("").contains(&"console".to_owned()));
        assert_eq!(of("connections 'port 53' --so"), ["--sort"]);
        assert_eq!((of("help los"), of("nothing --a")), (vec!["losses".to_owned()], vec![]));
    }

    #[test]
    fn a_command_gets_the_consoles_store_unless_it_names_one() {
        let far = crate::cli::api::Far { api: None, token_file: None, ca: None };
        let at = At { store: Some("/s".into()), far };
        let of = |line: &str| place(line.split(' ').next().unwrap(), &shlex::split(line).unwrap(), &at);
        assert_eq!(of("status"), ["--store=/s"]);
        assert!(of("status --store /x").is_empty() && of("completions").is_empty() && of("nothing").is_empty());
    }
}
