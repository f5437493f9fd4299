//! The `stories` command. Must stay thin: parse, call, render, exit code.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::app::App;
use super::args::StoriesArgs;
use super::certify;
use super::error::CommandError;
use super::execute::{self, Options, View};
use super::exit::Exit;
use super::init::quoted;
use super::others::{self, Choice};
use super::planning::Planned;
use super::resume;
use super::ui::Ui;
use crate::adapters::git::content;
use crate::engine::ports::Ledger;
use crate::report::plan::{self, Frame};
use crate::report::text::Color;

/// Runs `git orchestrate stories`.
pub(crate) fn run(args: &StoriesArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open_to_change()?;
    if args.dry_run {
        certify::warn(&app, ui)?;
    } else {
        certify::settle(&app, ui)?;
        execute::recover(&app, ui)?;
    }
    let mut planned = Planned::survey(app, &args.planning, ui)?;
    let headline = planned.headline();
    if args.dry_run {
        let frame = Frame { head: &headline, command: None, width: ui.fitted(), color: Color::of(ui.out_color()) };
        let text = if args.json { plan::json(&planned.plan) } else { plan::table(&planned.plan, &frame) };
        ui.data(&text)?;
        planned.accept(&args.planning)?;
        planned.app.settings.limits.asked = args.max_cost;
        execute::note_unknown_costs(&planned, ui);
        return Ok(Exit::DONE);
    }
    planned.accept(&args.planning)?;
    if planned.plan.items.is_empty() {
        return nothing_to_do(&planned, args.json, ui);
    }
    let known = others::Known { runs: planned.store.runs()?, items: planned.store.items()? };
    others::refuse_live(&planned.app, &known, &planned.plan)?;
    let asked = (&planned.target.branch, &planned.plan);
    if others::ask_about_unfinished(&planned.app, &known, asked, args.yes, ui)? == Choice::Resume {
        return resume::go_on(planned.app, (args.jobs, args.max_cost), args.view(), ui);
    }
    if args.view() == View::Person {
        let frame = Frame { head: &headline, command: None, width: Some(ui.width()), color: Color::of(ui.err_color()) };
        ui.status(&plan::table(&planned.plan, &frame));
    }
    warn_uncommitted(&planned, ui)?;
    let options = Options {
        continues: None,
        scope: args.planning.scope.clone(),
        jobs: args.jobs,
        max_cost: args.max_cost,
        waves: args.waves,
        land: !args.no_land,
        agent: args.planning.agent.clone(),
        settled: BTreeMap::new(),
        view: args.view(),
    };
    execute::execute(planned, options, ui)
}

/// Says once that worktrees, which come from the target, will lack story files that were never committed there.
fn warn_uncommitted(planned: &Planned, ui: &mut Ui) -> Result<(), CommandError> {
    let Planned { app, target, plan, .. } = planned;
    let mut there: HashMap<&str, HashSet<String>> = HashMap::new();
    let mut lacking = Vec::new();
    for path in plan.items.iter().map(|item| item.item.path.as_str()) {
        let Some((folder, name)) = path.rsplit_once('/') else { continue };
        let names = match there.entry(folder) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(content::names_in(&app.repo, &target.tip, folder)?),
        };
        if !names.contains(name) {
            lacking.push(path);
        }
    }
    let Some(first) = lacking.first() else { return Ok(()) };
    let branch = target.branch.short();
    let (what, add) = match lacking.len() {
        1 => (format!("{first} is"), quoted(first)),
        count => {
            let folders: BTreeSet<&str> = lacking.iter().filter_map(|path| Some(path.rsplit_once('/')?.0)).collect();
            let folders = folders.into_iter().map(quoted).collect::<Vec<_>>().join(" ");
            (format!("{count} story files ({first}, ...) are"), folders)
        }
    };
    ui.warning(&format!("{what} not committed on {branch}: the worktrees of agents will lack that text"));
    ui.hint(&format!("on {branch}: git add -- {add} && git commit -m \"Add stories\" -- {add}"));
    Ok(())
}

impl StoriesArgs {
    fn view(&self) -> View {
        if self.json { View::Json } else { View::Person }
    }
}

/// Everything in scope is done: that is success.
fn nothing_to_do(planned: &Planned, json: bool, ui: &mut Ui) -> Result<Exit, CommandError> {
    let count = planned.plan.left_out.len();
    if count == 0 {
        say_nothing("nothing to do: there are no stories in the scope", json, ui)?;
    } else {
        let those = if count == 1 { "1 story".to_owned() } else { format!("{count} stories") };
        say_nothing(&format!("nothing to do: {those} in the scope, all done or left out"), json, ui)?;
        for left_out in &planned.plan.left_out {
            ui.detail(&format!("{}: {}", left_out.id, left_out.why));
        }
    }
    Ok(Exit::DONE)
}

/// Says that there is nothing to do. Where JSON was asked for, stdout stays empty: nothing happened.
pub(crate) fn say_nothing(sentence: &str, json: bool, ui: &mut Ui) -> Result<(), CommandError> {
    if json {
        ui.status(sentence);
        return Ok(());
    }
    ui.data(&format!("{sentence}\n"))
}
