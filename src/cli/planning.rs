//! From arguments to a plan: reads stories and ledger, resolves the scope, asks about prerequisites. Shared by `stories`,
//! `plan`, `resume` and `land`. Must not start anything.

use std::collections::BTreeMap;

use super::app::{self, App, Target};
use super::args::Planning;
use super::error::CommandError;
use super::ui::Ui;
use crate::adapters::agents::{self, Registry};
use crate::adapters::ledger::store::Store;
use crate::adapters::stories;
use crate::domain::assign::{self, Choices, MANIFESTS};
use crate::domain::diagnostic::{Diagnostic, Severity};
use crate::domain::graph;
use crate::domain::id::ItemId;
use crate::domain::item::WorkItem;
use crate::domain::names::ItemKey;
use crate::domain::plan::{self, Assignment, Plan, PlanRequest};
use crate::domain::scope::{Scope, Selection};
use crate::domain::settings::Missing;
use crate::domain::state::ItemState;
use crate::engine::ports::Ledger;

/// A plan with everything needed to show or run it.
pub(crate) struct Planned {
    pub(crate) app: App,
    pub(crate) target: Target,
    pub(crate) registry: Registry,
    pub(crate) store: Store,
    pub(crate) states: BTreeMap<ItemKey, ItemState>,
    pub(crate) plan: Plan,
    pub(crate) reviewer: Assignment,
}

impl Planned {
    /// Plans as asked; findings are shown on stderr, errors end the command with nothing started.
    pub(crate) fn make(app: App, asked: &Planning, ui: &mut Ui) -> Result<Self, CommandError> {
        app.show_findings(ui)?;
        let target = app.target(asked.target.as_deref())?;
        app.require_same_policy(&target, asked.policy_from_target)?;
        let registry = app.agents()?;
        let mut store = app.ledger();
        let states = store.items()?;
        let loaded = stories::load(app.repo.root(), &app.settings.story_roots)?;
        if !loaded.present {
            return Err(no_stories(&app));
        }
        let scope = Scope::parse(&asked.scope).map_err(|findings: Vec<Diagnostic>| refused(&findings, ui))?;
        let missing = asked.missing.unwrap_or(app.settings.missing);
        let mut findings = loaded.diagnostics;
        let made = if app::has_errors(&findings) {
            // The plan of the readable stories would mislead; their own findings are shown all the same.
            None
        } else {
            let selection = scope.select(&loaded.items).map_err(|findings: Vec<Diagnostic>| refused(&findings, ui))?;
            let agents = Agents::of(&app, &registry);
            let (items, target) = (&loaded.items, &target);
            let context = Context { app: &app, asked, agents, states: &states, items, target };
            Some(context.plan(&selection, missing, ui)?)
        };
        if let Some((plan, _)) = &made {
            findings.extend(plan.diagnostics.iter().cloned());
        }
        app::show(&findings, ui);
        reject(&findings, asked)?;
        let (plan, reviewer) =
            made.ok_or_else(|| CommandError::usage("nothing was started, because of the errors above"))?;
        Ok(Self { app, target, registry, store, states, plan, reviewer })
    }

    /// First line of every plan: target and policy.
    pub(crate) fn headline(&self) -> String {
        let target = &self.target;
        format!("target {} at {}, {}", target.branch.short(), target.tip.short(), target.policy_source)
    }
}

struct Context<'a> {
    app: &'a App,
    asked: &'a Planning,
    agents: Agents,
    target: &'a Target,
    states: &'a BTreeMap<ItemKey, ItemState>,
    items: &'a [WorkItem],
}

impl Context<'_> {
    /// Plans, asking on a terminal about prerequisites outside the scope.
    fn plan(&self, selection: &Selection, missing: Missing, ui: &mut Ui) -> Result<(Plan, Assignment), CommandError> {
        let plan = self.build(selection, missing)?;
        if missing != Missing::Ask || plan.outside.is_empty() || !ui.is_interactive() {
            return Ok((plan, self.reviewer()?));
        }
        let outside = &plan.outside[0];
        let question = format!(
            "story {} depends on story {}, which is not in the scope ({} such prerequisite(s) in all)",
            outside.story,
            outside.prerequisite,
            plan.outside.len()
        );
        let expand = format!("expand the scope to include {}", outside.prerequisite);
        let skip = format!("skip story {} for now", outside.story);
        match ui.choose(&question, &[&expand, &skip, "cancel"]) {
            Some(0) => Ok((self.build(selection, Missing::Expand)?, self.reviewer()?)),
            Some(1) => Ok((self.build(selection, Missing::Skip)?, self.reviewer()?)),
            Some(_) | None => Err(CommandError::usage("cancelled; nothing was started")),
        }
    }

    fn build(&self, selection: &Selection, missing: Missing) -> Result<Plan, CommandError> {
        let done = plan::done_items(self.items, self.states);
        let assume_done = self.assume_done(selection)?;
        let choices = self.agents.choices(self.app, self.asked);
        Ok(graph::build(&PlanRequest {
            items: self.items,
            selected: &selection.ids,
            everything: selection.everything,
            selectors: &self.asked.scope,
            done: &done,
            assume_done: &assume_done,
            undeclared: self.app.settings.undeclared,
            missing,
            assign: &|item| assign::assign(item, &choices),
        }))
    }

    fn assume_done(&self, selection: &Selection) -> Result<Vec<ItemId>, CommandError> {
        if self.asked.settled {
            // What is outside was done, or taken for done, when the run was planned.
            let outside = self.items.iter().filter(|item| !selection.ids.contains(&item.id));
            return Ok(outside.map(|item| item.id.clone()).collect());
        }
        let parse = |text: &String| {
            ItemId::parse(text).ok_or_else(|| CommandError::usage(format!("--assume-done: `{text}` is not a story id")))
        };
        self.asked.assume_done.iter().map(parse).collect()
    }

    /// Role and adapter of the reviewing session.
    fn reviewer(&self) -> Result<Assignment, CommandError> {
        let choices = self.agents.choices(self.app, self.asked);
        assign::assign_role(&self.target.policy.reviewer_role, &choices).map_err(|finding| app::invalid(&[*finding]))
    }
}

/// What there is to choose agents from.
struct Agents {
    adapters: Vec<String>,
    installed: Vec<String>,
    roles: Vec<String>,
    manifest: Option<(&'static str, &'static str)>,
}

impl Agents {
    fn of(app: &App, registry: &Registry) -> Self {
        let root = app.repo.root();
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        Self {
            adapters: owned(registry.names()),
            installed: owned(registry.installed(root)),
            roles: agents::roles::defined(root),
            manifest: MANIFESTS.into_iter().find(|(file, _)| root.join(file).is_file()),
        }
    }

    fn choices<'a>(&'a self, app: &'a App, asked: &'a Planning) -> Choices<'a> {
        Choices {
            settings: &app.settings,
            explicit: asked.agent.as_deref(),
            adapters: &self.adapters,
            installed: &self.installed,
            roles: &self.roles,
            manifest: self.manifest,
        }
    }
}

fn reject(findings: &[Diagnostic], asked: &Planning) -> Result<(), CommandError> {
    app::reject_shown(findings)?;
    if asked.strict && findings.iter().any(|finding| finding.severity == Severity::Warning) {
        return Err(CommandError::usage("nothing was started, because of the warnings above and --strict"));
    }
    Ok(())
}

fn refused(findings: &[Diagnostic], ui: &mut Ui) -> CommandError {
    app::show(findings, ui);
    CommandError::usage("nothing was started, because of the errors above")
}

fn no_stories(app: &App) -> CommandError {
    let roots = app.settings.story_roots.join(", ");
    CommandError::usage(format!("there are no stories: {roots} does not exist in {}", app.repo.root().display()))
        .hint("git orchestrate init offers an example story; other folders: [stories] roots in .orchestrate.toml")
}
