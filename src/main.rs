//! Starts the program: as a git hook when called by a hook's name, else as the command line. Must not decide anything else.

use std::io::{stderr, stdin};
use std::process::ExitCode;

fn main() -> ExitCode {
    let argv: Vec<_> = std::env::args_os().collect();
    // Git calls the reference-transaction hook up to 33 times per command: nothing is set up before this question.
    match git_orchestrate::hooks::called_as_hook(&argv) {
        Some((name, args)) => {
            ExitCode::from(git_orchestrate::hooks::dispatch(&name, &args, &mut stdin(), &mut stderr()))
        }
        None => git_orchestrate::cli::main(argv),
    }
}
