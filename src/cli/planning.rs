//! From arguments to a plan: reads stories and ledger, resolves the scope, asks about prerequisites. Shared by `stories`,
//! `plan`, `resume` and `land`. Must not start anything.

use std::collections::BTreeMap;

use super::app::{self, App, Target};
use super::args::Planning;
use super::error::CommandError;
use super::ui::Ui;
use crate::adapters::agents::Registry;
use crate::adapters::ledger::store::Store;
use crate::adapters::stories;
use crate::domain::assign::{self, Choices};
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
    pub(crate) items: Vec<WorkItem>,
    pub(crate) plan: Plan,
    pub(crate) reviewer: Assignment,
}

impl Planned {
    /// Plans as asked; findings are shown on stderr, errors end the command with nothing started.
    pub(crate) fn make(mut app: App, asked: &Planning, ui: &mut Ui) -> Result<Self, CommandError> {
        app.show_findings(ui)?;
        if let Some(agent) = &asked.agent {
            app.settings.agent = Some(agent.clone());
            app.settings.roles.clear();
        }
        let target = app.target(asked.target.as_deref())?;
        app.require_same_policy(&target, asked.policy_from_target)?;
        let registry = app.agents()?;
        let mut store = app.ledger();
        let states = store.items()?;
        let loaded = stories::load(app.repo.root(), &app.settings.story_roots)?;
        if !loaded.present {
            return Err(no_stories(&app));
        }
        let scope = Scope::parse(&asked.scope).map_err(|findings| refused(&findings, ui))?;
        let missing = asked.missing.unwrap_or(app.settings.missing);
        let mut findings = loaded.diagnostics;
        let made = if app::has_errors(&findings) {
            // The plan of the readable stories would mislead; their own findings are shown all the same.
            None
        } else {
            let selection = scope.select(&loaded.items).map_err(|findings| refused(&findings, ui))?;
            let context = Context { app: &app, asked, registry: &registry, states: &states, items: &loaded.items };
            Some(context.plan(&selection, missing, ui)?)
        };
        if let Some((plan, _)) = &made {
            findings.extend(plan.diagnostics.iter().cloned());
        }
        app::show(&findings, ui);
        reject(&findings, asked)?;
        let (plan, reviewer) =
            made.ok_or_else(|| CommandError::usage("nothing was started, because of the errors above"))?;
        Ok(Self { app, target, registry, store, states, items: loaded.items, plan, reviewer })
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
    registry: &'a Registry,
    states: &'a BTreeMap<ItemKey, ItemState>,
    items: &'a [WorkItem],
}

impl Context<'_> {
    /// Plans, asking on a terminal about prerequisites outside the scope.
    fn plan(
        &self,
        selection: &Selection,
        missing: Missing,
        ui: &mut Ui,
    ) -> Result<(Plan, Assignment), CommandError> {
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
        let assume_done = self.assume_done()?;
        let installed = self.registry.installed(self.app.repo.root());
        let names = self.registry.names();
        let choices = Choices { settings: &self.app.settings, adapters: &names, installed: &installed };
        Ok(graph::build(&PlanRequest {
            items: self.items,
            selected: &selection.ids,
            everything: selection.everything,
            selectors: &self.asked.scope,
            done: &done,
            assume_done: &assume_done,
            undeclared: self.app.settings.undeclared,
            missing,
            assign: &|item| assign::assign(item, &choices).map_err(Box::new),
        }))
    }

    fn assume_done(&self) -> Result<Vec<ItemId>, CommandError> {
        let parse = |text: &String| {
            ItemId::parse(text).ok_or_else(|| CommandError::usage(format!("--assume-done: `{text}` is not a story id")))
        };
        self.asked.assume_done.iter().map(parse).collect()
    }

    /// Role and adapter of the reviewing session.
    fn reviewer(&self) -> Result<Assignment, CommandError> {
        let target = self.app.target(self.asked.target.as_deref())?;
        let installed = self.registry.installed(self.app.repo.root());
        let names = self.registry.names();
        let choices = Choices { settings: &self.app.settings, adapters: &names, installed: &installed };
        assign::assign_role(&target.policy.reviewer_role, &choices).map_err(|finding| app::invalid(&[finding]))
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
