//! The `show` command: one story whole. Must stay thin: parse, call, render, exit code.

use super::app::App;
use super::args::ShowArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::status::item_of;
use super::ui::Ui;
use crate::report::status::{self, Shown};
use crate::report::text::Color;

/// Runs `git orchestrate show`.
pub(crate) fn run(args: &ShowArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open()?;
    let (key, state, known) = item_of(&app, &args.id)?;
    let live = app.machine.held(std::iter::once(&key)).contains(&key);
    let shown = Shown { key: &key, state: state.as_ref(), known: known.as_ref(), live: Some(live) };
    let text = if args.json { status::show_json(&shown) } else { status::show(&shown, Color::of(ui.out_color())) };
    ui.data(&text)?;
    Ok(Exit::DONE)
}
