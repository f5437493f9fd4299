//! The `plan` command. Must stay thin: parse, call, render, exit code.

use super::app::App;
use super::args::{PlanArgs, PlanFormat};
use super::error::CommandError;
use super::exit::Exit;
use super::planning::Planned;
use super::ui::Ui;
use crate::report::plan::{self, Frame};
use crate::report::text::Color;

/// Runs `git orchestrate plan`.
pub(crate) fn run(args: &PlanArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let planned = Planned::make(App::open()?, &args.planning, ui)?;
    let format = if args.json { PlanFormat::Json } else { args.format };
    let text = match format {
        PlanFormat::Table => {
            let head = planned.headline();
            let command = command(args);
            let color = Color::of(ui.out_color());
            plan::table(&planned.plan, &Frame { head: &head, command: Some(&command), width: ui.fitted(), color })
        }
        PlanFormat::Json => plan::json(&planned.plan),
        PlanFormat::Dot => plan::dot(&planned.plan),
        PlanFormat::Mermaid => plan::mermaid(&planned.plan),
    };
    ui.data(&text)?;
    Ok(Exit::DONE)
}

/// The command that runs the plan that is shown.
fn command(args: &PlanArgs) -> String {
    let mut words = vec!["git orchestrate stories".to_owned()];
    words.extend(args.planning.scope.iter().cloned());
    if let Some(agent) = &args.planning.agent {
        words.push(format!("--agent {agent}"));
    }
    words.join(" ")
}
