//! `cargo xtask`: the repository's own commands: setup, demo, bench, test, tidy, deny. Uses no crates, so that it builds on a
//! machine with nothing but a Rust toolchain and a C linker; installs the rest itself. Never part of the product.

mod bench;
mod demo;
mod deny;
mod fuzz;
mod json;
mod netns;
mod processes;
mod setup;
mod shell;
mod term;
mod test;
mod tidy;
mod torture;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  setup [--no-install]   install what building and testing need (Debian and Ubuntu); --no-install: only say what is missing
  demo  [--no-install]   record ten seconds of traffic through native XDP, ask three queries, show the account
  bench [NAME]           measurements that anyone can rerun, against other tools; alone: which there are
  test  [--no-install]   everything: formats, lints, unit, property, vectors, replay, eBPF fixtures, namespaces
        [FILTER...]      only the steps whose name contains one of these words
  fuzz  [TARGET...]      parsers of bytes from outside and histories of stores, for longer and from other seeds; alone: which
                         targets there are
  torture [NAME]         the recorder under load while its parts are killed, or while somebody means harm: minutes, a machine to
                         itself; alone: which there are
  docs                   write docs/json.md, made from the types that are said as JSON
  tidy                   the rules of the source tree
  deny                   licences, advisories and sources of the dependencies (installs cargo-deny when it is missing)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    if command == "bench" {
        return finish(shell::enter_repository().and_then(|()| bench::command(rest)));
    }
    if command == "torture" {
        return finish(torture::command(rest));
    }
    if command == "fuzz" {
        return finish(shell::enter_repository().and_then(|()| fuzz::command(rest)));
    }
    let (flags, words): (Vec<&str>, Vec<&str>) = rest.iter().map(String::as_str).partition(|a| a.starts_with('-'));
    let install = !flags.contains(&"--no-install");
    let known = |accepted: &[&str], takes_words: bool| match flags.iter().find(|f| !accepted.contains(f)) {
        Some(flag) => Err(format!("unknown option {flag}\n\n{HELP}")),
        None if !takes_words && !words.is_empty() => Err(format!("unexpected argument {}\n\n{HELP}", words[0])),
        None => Ok(()),
    };
    if let Err(e) = shell::enter_repository() {
        eprintln!("xtask: {e}");
        return ExitCode::FAILURE;
    }
    let outcome = match command {
        "setup" => known(&["--no-install"], false).and_then(|()| setup::ensure(setup::Scope::Test, install)),
        "demo" => known(&["--no-install"], false).and_then(|()| demo::run(install)),
        "test" => known(&["--no-install"], true).and_then(|()| test::run(install, &words)),
        "docs" => known(&[], false).and_then(|()| docs()),
        "tidy" => known(&[], false).and_then(|()| tidy::run().map(|report| println!("{report}"))),
        "deny" => known(&["--no-install"], false).and_then(|()| deny::run(install)),
        "help" | "-h" | "--help" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!("unknown command {other}\n\n{HELP}")),
    };
    finish(outcome)
}

/// The pages that are made from the program.
fn docs() -> Result<(), String> {
    let said = std::process::Command::new("cargo")
        .args(["run", "--quiet", "--bin", "retrotap", "--", "schema", "--page"])
        .output()
        .map_err(|e| format!("cargo: {e}"))?;
    if !said.status.success() {
        return Err(String::from_utf8_lossy(&said.stderr).into_owned());
    }
    std::fs::create_dir_all("docs")
        .and_then(|()| std::fs::write("docs/json.md", said.stdout))
        .map_err(|e| format!("docs/json.md: {e}"))
}

fn finish(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("xtask: {e}");
            ExitCode::FAILURE
        }
    }
}
