//! Executes a plan: runtime, signals, reporter, engine, summary, exit code. Shared by `stories`, `resume` and `land`.
//! Must not plan.

use std::collections::{BTreeMap, BTreeSet};

use super::app::{self, App};
use super::args::Jobs;
use super::certify;
use super::checkpoints;
use super::error::CommandError;
use super::exit::Exit;
use super::outlast::outlast_gc;
use super::planning::Planned;
use super::ui::Ui;
use crate::adapters::agents::Registry;
use crate::adapters::elsewhere;
use crate::adapters::git::{behind, room};
use crate::adapters::ledger::checkpoint::Occasion;
use crate::adapters::pressure::{cores, memory_free};
use crate::adapters::process::signals;
use crate::adapters::runs::{self, RunLock};
use crate::adapters::stories;
use crate::domain::budget::dollars;
use crate::domain::event::{Failure, RunEvent};
use crate::domain::names::{ItemKey, RunId};
use crate::domain::plan::Plan;
use crate::domain::pressure::auto_jobs;
use crate::engine::dispatcher::{self, RunRequest};
use crate::engine::events::{Reporter, Summary};
use crate::engine::ports::{Host, Ledger};
use crate::engine::recovery;
use crate::engine::world::Decisions;
use crate::report::progress::{Bars, JsonLines, Lines};
use crate::report::summary;
use crate::report::text::Color;

/// How the progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// Bars on a terminal, else lines, on stderr; the summary on stdout.
    Person,
    /// One JSON object per happening on stdout.
    Json,
}

/// What is not in the plan.
pub(crate) struct Options {
    /// An unfinished run to go on with, or none for a new one.
    pub(crate) continues: Option<RunId>,
    /// Selectors as typed.
    pub(crate) scope: Vec<String>,
    /// Slots; `None` = from the settings.
    pub(crate) jobs: Option<Jobs>,
    /// What the run may cost by the command line, in millionths of a US dollar.
    pub(crate) max_cost: Option<u64>,
    /// Wave barrier.
    pub(crate) waves: bool,
    /// Whether approved items land.
    pub(crate) land: bool,
    /// Explicit `--agent`.
    pub(crate) agent: Option<String>,
    /// Items that failed earlier in the run and stay failed.
    pub(crate) settled: BTreeMap<ItemKey, Failure>,
    /// Display.
    pub(crate) view: View,
}

/// How a run ended, by which signal, and what it ran with.
type Ended = (Summary, Option<u8>, App);

/// Runs the plan to its end and shows the summary.
pub(crate) fn execute(mut planned: Planned, options: Options, ui: &mut Ui) -> Result<Exit, CommandError> {
    if planned.target.policy.checks_required && planned.target.policy.checks.is_empty() {
        let message = "the policy requires checks ([gates] checks = \"required\") and [checks] names none";
        return Err(CommandError::usage(message)
            .hint("name one in .orchestrate.toml and commit it: [checks] test = [\"make\", \"test\"]"));
    }
    room::require_room(&planned.app.repo).map_err(CommandError::invalid)?;
    planned.app.settings.limits.asked = options.max_cost;
    note_unknown_costs(&planned, ui);
    let runtime = app::runtime()?;
    let color = Color::of(ui.out_color());
    let view = options.view;
    let left_out = planned.plan.left_out.clone();
    certify::adopt(&planned.app.repo, &mut planned.app.ledger(), Some(&planned.target.branch))?;
    checkpoints::save(&planned.app, Occasion::Start, ui);
    let local = tokio::task::LocalSet::new();
    let (summary, signal, app) = local.block_on(&runtime, run(planned, options, ui))?;
    if view == View::Person {
        ui.data(&summary::render(&summary, &left_out, color))?;
    }
    let exit = exit_of(&summary, signal);
    // What the run landed is certified; what somebody else brought meanwhile is found out.
    let settled = certify::settle(&app, ui);
    checkpoints::save(&app, Occasion::End, ui);
    if signal.is_none() {
        local.block_on(&runtime, outlast_gc(&app, ui));
    }
    match settled {
        Ok(()) => Ok(exit),
        Err(error) => {
            ui.error(&error);
            Ok(exit.or_worse(error.exit()))
        }
    }
}

/// Finishes what a killed run left half done: landings without their record, checkouts that did not follow, worktrees that
/// stayed. Comes before the stories are read, for a checkout that was left half way lacks some of them.
pub(crate) fn recover(app: &App, ui: &mut Ui) -> Result<(), CommandError> {
    for folder in ["runs", "locks"] {
        runs::clear_dead(&app.repo.state_dir().join(folder));
    }
    super::emergency::recover(app, ui)?;
    for line in behind::catch_up(&app.repo)? {
        ui.status(&line);
    }
    let mut store = app.ledger();
    let states: Vec<_> = store.items()?.into_iter().filter(|(_, state)| recovery::is_pending(state)).collect();
    if states.is_empty() {
        return Ok(());
    }
    let registry = app.agents()?;
    let runtime = app::runtime()?;
    let local = tokio::task::LocalSet::new();
    let mended = local.block_on(&runtime, async {
        let ports = app.ports(registry, store)?;
        Ok::<_, CommandError>(recovery::reconcile(&ports, app.repo.root(), &states).await?)
    })?;
    for line in mended {
        ui.status(&line);
    }
    Ok(())
}

async fn run(planned: Planned, options: Options, ui: &mut Ui) -> Result<Ended, CommandError> {
    let Planned { app, target, registry, store, plan, reviewer, more_reviewers, prompts, roles, .. } = planned;
    let run = options.continues.clone().unwrap_or_else(|| app.machine.run_id());
    let _lock = RunLock::take(&app.repo.state_dir(), &run)?;
    elsewhere::take(&app.repo, &run);
    super::init::exclude_for_run(&app.repo, &app.settings.worktrees, ui)?;
    let jobs = match options.jobs.or(app.settings.jobs.map(Jobs::Count)) {
        Some(Jobs::Count(jobs)) => jobs,
        Some(Jobs::Auto) | None => auto_jobs(cores(), memory_free(), footprint(&registry, &plan)),
    };
    let mut bytes = BTreeMap::new();
    for item in &plan.items {
        bytes.insert(item.key.clone(), stories::read(app.repo.root(), &item.item.path)?);
    }
    let interrupts = signals::listen()?;
    let ports = app.ports(registry, store)?;
    let host = app.machine.describe();
    let opening = match &options.continues {
        Some(_) => RunEvent::Resumed { host },
        None => RunEvent::Started {
            scope: options.scope,
            target: target.branch.clone(),
            base: target.tip.clone(),
            policy: target.policy.version.clone(),
            items: plan.keys(),
            jobs,
            waves: options.waves,
            land: options.land,
            agent: options.agent,
            host,
        },
    };
    let decisions = Decisions {
        run,
        target: target.branch,
        base: target.tip,
        policy: target.policy,
        settings: app.settings.clone(),
        root: app.repo.root().to_owned(),
        reviewer,
        more_reviewers,
        roles,
        prompts,
        jobs,
        waves: options.waves,
        land: options.land,
    };
    let request = RunRequest {
        ports,
        decisions,
        plan: plan.items,
        stories: bytes,
        opening,
        settled: options.settled,
        reporter: reporter(options.view, ui),
        interrupts: interrupts.stream,
    };
    let summary = dispatcher::run(request).await?;
    Ok((summary, interrupts.first.get(), app))
}

fn reporter(view: View, ui: &Ui) -> Box<dyn Reporter> {
    match view {
        View::Json => Box::new(JsonLines::new(Box::new(std::io::stdout()))),
        View::Person if ui.loudness() == super::ui::Loudness::Quiet => Box::new(Lines::new(Box::new(std::io::sink()))),
        View::Person if ui.can_draw() => {
            let stopped = signals::stops();
            let look = Box::new(move || super::ui::look(&stopped));
            Box::new(Bars::new(Box::new(std::io::stderr()), look, Color::of(ui.err_color())))
        }
        View::Person => Box::new(Lines::new(Box::new(std::io::stderr()))),
    }
}

/// Memory of the largest of the plan's agents, in MiB.
fn footprint(registry: &Registry, plan: &Plan) -> u32 {
    let adapters = plan.items.iter().filter_map(|item| registry.adapter(&item.assignment.adapter));
    adapters.map(|adapter| adapter.footprint_mb).max().unwrap_or(0)
}

/// A cap on what clients do not report is one on estimates: that is said before anything starts.
pub(crate) fn note_unknown_costs(planned: &Planned, ui: &mut Ui) {
    let limits = &planned.app.settings.limits;
    let caps = limits.in_force();
    let authors = planned.plan.items.iter().map(|item| item.assignment.adapter.as_str());
    let names: BTreeSet<&str> = authors.chain([planned.reviewer.adapter.as_str()]).collect();
    for (name, adapter) in names.into_iter().filter_map(|name| Some((name, planned.registry.adapter(name)?))) {
        if caps.micro_usd.is_some() && !adapter.parser.tells_cost() {
            let each = dollars(limits.guess().micro_usd);
            ui.warning(&format!(
                "agent {name} does not report what it costs: each of its sessions counts as {each} USD \
                 ([limits] session_cost); [limits] max_agent_minutes limits it for certain"
            ));
        }
        if caps.tokens.is_some() && !adapter.parser.tells_tokens() {
            let each = limits.guess().tokens;
            ui.warning(&format!("agent {name} does not report its tokens: each of its sessions counts as {each}"));
        }
    }
}

/// 128+n > 4 > 5 > 0.
fn exit_of(summary: &Summary, signal: Option<u8>) -> Exit {
    let totals = &summary.totals;
    match signal {
        Some(number) if summary.stopped => Exit::signal(number),
        Some(_) | None if totals.failed + totals.blocked > 0 => Exit::INCOMPLETE,
        Some(_) | None if totals.waiting > 0 => Exit::PAUSED,
        Some(_) | None if totals.unfinished > 0 => Exit::INCOMPLETE,
        Some(_) | None => Exit::DONE,
    }
}
