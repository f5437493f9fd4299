//! The command line: parse, call, render, exit code. Must hold no rule of the domain; nothing but `main` may use it.

pub mod args;
pub mod completions;
pub mod error;
pub mod exit;
pub mod man;
pub mod ui;

mod agents;
mod app;
mod backup;
mod certify;
mod changes;
mod checkpoints;
mod cleanup;
mod demo;
mod doctor;
mod emergency;
mod execute;
mod help;
mod hotfix;
mod init;
mod init_server;
mod item;
mod land;
mod log;
mod others;
mod outlast;
mod phase;
mod plan;
mod planning;
mod rescue;
mod restore;
mod resume;
mod retry;
mod review;
mod show;
mod status;
mod stop;
mod stories;
mod sync;
mod transcript;
mod verify;
mod waiting;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use anstream::ColorChoice;
use clap::Parser;

use crate::adapters::agents::{acp, claude_hooks};
use crate::adapters::process::{sandbox, supervise};
use crate::domain::diagnostic::{escape, escape_line};
use args::{Cli, ColorWhen, Command, Globals};
use error::CommandError;
use exit::Exit;
use ui::{Loudness, Ui};

/// Runs the program with its arguments (the program's name first) to its exit code.
pub fn main(argv: Vec<OsString>) -> ExitCode {
    // Not for people, and started for every process of an attempt: before anything is set up.
    if let Some(args) = supervise::called(&argv) {
        return supervise::main(args);
    }
    if let Some(args) = sandbox::called(&argv) {
        return sandbox::become_confined(args, &mut std::io::stderr()).into();
    }
    if let Some(args) = acp::called(&argv) {
        return acp::main(args, &mut std::io::stdout(), &mut std::io::stderr()).into();
    }
    if let Some(args) = claude_hooks::called(&argv) {
        return claude_hooks::main(args, &mut std::io::stdin(), &mut std::io::stderr()).into();
    }
    ui::say_panics_in_one_sentence();
    guarded(|| run(&argv)).into()
}

/// Turns a panic into exit code 70; the panic hook has already said what happened.
fn guarded(work: impl FnOnce() -> Exit) -> Exit {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Exit::INTERNAL)
}

fn run(argv: &[OsString]) -> Exit {
    let cli = match Cli::try_parse_from(argv) {
        Ok(cli) => cli,
        Err(error) => return refused(argv, &error),
    };
    let mut ui = Ui::terminal(color(&cli.globals), loudness(&cli.globals));
    if is_for_program(&cli.command) {
        ui.speak_to_program();
    }
    let outcome = enter(&cli.globals).and_then(|()| dispatch(&cli.command, &mut ui));
    outcome.unwrap_or_else(|error| {
        ui.error(&error);
        error.exit()
    })
}

/// Shows help or version on stdout, a usage error on stderr.
fn refused(argv: &[OsString], error: &clap::Error) -> Exit {
    let mut ui = Ui::terminal(ColorChoice::Auto, Loudness::Normal);
    let plain = error.render().to_string();
    if !error.use_stderr() {
        let text = if ui.out_color() { error.render().ansi().to_string() } else { plain };
        return ui.data(&text).map_or_else(|error| error.exit(), |()| Exit::DONE);
    }
    if ui.err_color() && argv.iter().all(|arg| shown(arg) == *arg) {
        ui.message(&error.render().ansi().to_string());
    } else {
        // clap drops control bytes of an argument instead of showing them: let it complain about the escaped ones.
        let escaped = Cli::try_parse_from(argv.iter().map(shown));
        let plain = escaped.err().filter(clap::Error::use_stderr).map_or(plain, |error| error.render().to_string());
        ui.message(&escape(&plain));
    }
    Exit::USAGE
}

/// An argument as it can be printed.
fn shown(argument: &OsString) -> OsString {
    escape_line(&argument.to_string_lossy()).into()
}

fn color(globals: &Globals) -> ColorChoice {
    match globals.color {
        ColorWhen::Auto => ColorChoice::Auto,
        ColorWhen::Always => ColorChoice::Always,
        ColorWhen::Never => ColorChoice::Never,
    }
}

fn loudness(globals: &Globals) -> Loudness {
    match (globals.quiet, globals.verbose) {
        (true, _) => Loudness::Quiet,
        (false, true) => Loudness::Verbose,
        (false, false) => Loudness::Normal,
    }
}

/// Whether a command with a line for long work was asked for JSON or another program's format.
fn is_for_program(command: &Command) -> bool {
    match command {
        Command::Stories(args) => args.json,
        Command::Plan(args) => args.json || args.format != args::PlanFormat::Table,
        Command::Resume(args) => args.json,
        Command::Verify(args) => args.json,
        Command::Sync(args) => args.json,
        Command::Doctor(args) => args.json,
        _ => false,
    }
}

/// Changes into `-C`.
fn enter(globals: &Globals) -> Result<(), CommandError> {
    let Some(directory) = &globals.directory else { return Ok(()) };
    std::env::set_current_dir(directory)
        .map_err(|error| CommandError::usage(format!("cannot change to `{}`: {error}", directory.display())))
}

fn dispatch(command: &Command, ui: &mut Ui) -> Result<Exit, CommandError> {
    match command {
        Command::Init(args) => init::run(args, ui),
        Command::Stories(args) => stories::run(args, ui),
        Command::Plan(args) => plan::run(args, ui),
        Command::Status(args) => status::run(args, ui),
        Command::Show(args) => show::run(args, ui),
        Command::Log(args) => log::run(args, ui),
        Command::Review(args) => review::run(args, ui),
        Command::Verify(args) => verify::run(args, ui),
        Command::Phase(args) => phase::run(args, ui),
        Command::Land(args) => land::run(args, ui),
        Command::Hotfix(args) => hotfix::run(args, ui),
        Command::Retry(args) => retry::run(args, ui),
        Command::Resume(args) => resume::run(args, ui),
        Command::Stop(args) => stop::run(args, ui),
        Command::Cleanup(args) => cleanup::run(args, ui),
        Command::Rescue(args) => rescue::run(args, ui),
        Command::Backup(args) => backup::run(args, ui),
        Command::Restore(args) => restore::run(args, ui),
        Command::Sync(args) => sync::run(args, ui),
        Command::Doctor(args) => doctor::run(args, ui),
        Command::Agents(args) => agents::run(args, ui),
        Command::Demo(args) => demo::run(args, ui),
        Command::Hook(args) => Err(unknown_hook(&args.name)),
        Command::Completions(args) => completions::run(args, ui),
        Command::Man(args) => man::run(args, ui),
        Command::DemoAgent(_) => demo::agent(ui),
    }
}

/// `hook NAME` with a known name never comes here: `main` asks `hooks` first.
fn unknown_hook(name: &str) -> CommandError {
    CommandError::usage(format!("no hook `{name}`")).hint(format!("known hooks: {}", crate::hooks::NAMES.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_with_70() {
        assert_eq!(guarded(|| panic!("for the test")), Exit::INTERNAL);
        assert_eq!(guarded(|| Exit::PAUSED), Exit::PAUSED);
    }
}
