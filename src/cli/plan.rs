//! The `plan` command. Must stay thin: parse, call, render, exit code.

use super::app::App;
use super::args::{PlanArgs, PlanFormat};
use super::error::CommandError;
use super::exit::Exit;
use super::planning::Planned;
use super::ui::Ui;
use crate::report::plan;

/// Runs `git orchestrate plan`.
pub(crate) fn run(args: &PlanArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let planned = Planned::make(App::open()?, &args.planning, ui)?;
    let (width, color) = (ui.width(), ui.out_color());
    let format = if args.json { PlanFormat::Json } else { args.format };
    let text = match format {
        PlanFormat::Table => plan::table(&planned.plan, &planned.headline(), width, color),
        PlanFormat::Json => plan::json(&planned.plan),
        PlanFormat::Dot => plan::dot(&planned.plan),
        PlanFormat::Mermaid => plan::mermaid(&planned.plan),
    };
    ui.data(&text)?;
    Ok(Exit::DONE)
}
