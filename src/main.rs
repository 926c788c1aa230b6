//! The `retrotap` command. Owns nothing: everything is in the library's `cli`.

fn main() -> std::process::ExitCode {
    retrotap::cli::main()
}
