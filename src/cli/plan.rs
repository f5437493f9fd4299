//! The `plan` command. Must stay thin: parse, call, render, exit code.

use super::app::App;
use super::args::{PlanArgs, PlanFormat};
use super::certify;
use super::error::CommandError;
use super::exit::Exit;
use super::planning::{self, Planned};
use super::ui::Ui;
use crate::domain::graph;
use crate::report::plan::{self, Frame};
use crate::report::text::Color;

/// Runs `git orchestrate plan`.
pub(crate) fn run(args: &PlanArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open()?;
    certify::warn(&app, ui)?;
    let planned = Planned::survey(app, &args.planning, ui)?;
    let format = if args.json { PlanFormat::Json } else { args.format };
    let text = match format {
        PlanFormat::Table => {
            let head = planned.headline();
            let command = planned.accept(&args.planning).is_ok().then(|| command(args));
            let color = Color::of(ui.out_color());
            plan::table(&planned.plan, &Frame { head: &head, command: command.as_deref(), width: ui.fitted(), color })
        }
        PlanFormat::Json => plan::json(&planned.plan),
        PlanFormat::Dot => plan::dot(&planned.plan),
        PlanFormat::Mermaid => plan::mermaid(&planned.plan),
    };
    ui.data(&text)?;
    planned.accept(&args.planning)?;
    Ok(Exit::DONE)
}

/// The command that runs the plan that is shown.
fn command(args: &PlanArgs) -> String {
    let mut words = planning::typed(&args.planning);
    if let Some(missing) = args.planning.missing {
        words.extend(["--missing".to_owned(), missing.as_str().to_owned()]);
    }
    graph::command(&words)
}
