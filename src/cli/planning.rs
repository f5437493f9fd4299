//! From arguments to a plan: reads stories and ledger, resolves the scope, asks about prerequisites. Shared by `stories`,
//! `plan`, `resume` and `land`. Must not start anything.

use std::collections::{BTreeMap, HashSet};

use super::app::{self, App, Target};
use super::args::Planning;
use super::error::CommandError;
use super::ui::Ui;
use crate::adapters::agents::{self, Registry};
use crate::adapters::elsewhere;
use crate::adapters::ledger::store::Store;
use crate::adapters::stories;
use crate::domain::assign::{self, Choices, MANIFESTS};
use crate::domain::diagnostic::{Diagnostic, Severity};
use crate::domain::graph;
use crate::domain::id::ItemId;
use crate::domain::item::WorkItem;
use crate::domain::names::{ItemKey, RunId};
use crate::domain::plan::{self, Assignment, LeftOut, Plan, PlanRequest};
use crate::domain::policy::ReviewBy;
use crate::domain::prompt::template::Prompts;
use crate::domain::role::RoleFile;
use crate::domain::run_state::RunState;
use crate::domain::scope::{Scope, Selection};
use crate::domain::settings::Missing;
use crate::domain::source::story;
use crate::domain::state::ItemState;
use crate::engine::ports::Ledger;

const BECAUSE_OF_ERRORS: &str = "nothing was started, because of the errors above";

/// A plan with everything needed to show or run it.
pub(crate) struct Planned {
    pub(crate) app: App,
    pub(crate) target: Target,
    pub(crate) registry: Registry,
    pub(crate) store: Store,
    pub(crate) plan: Plan,
    pub(crate) reviewer: Assignment,
    /// Who else reviews, where the policy wants several.
    pub(crate) more_reviewers: Vec<Assignment>,
    /// What agents are told.
    pub(crate) prompts: Prompts,
    /// The roles that the repository defines, by name.
    pub(crate) roles: BTreeMap<String, RoleFile>,
}

impl Planned {
    /// Plans as asked; findings are shown on stderr, errors end the command with nothing started.
    pub(crate) fn make(app: App, asked: &Planning, ui: &mut Ui) -> Result<Self, CommandError> {
        let planned = Self::survey(app, asked, ui)?;
        planned.accept(asked)?;
        Ok(planned)
    }

    /// Like [`Planned::make`], but the plan of what can be read comes back in spite of errors, to be shown and not to be run:
    /// [`Planned::accept`] decides.
    pub(crate) fn survey(app: App, asked: &Planning, ui: &mut Ui) -> Result<Self, CommandError> {
        app.show_findings(ui)?;
        let target = app.target(asked.target.as_deref())?;
        app.require_same_policy(&target, asked.policy_from_target)?;
        let registry = app.agents()?;
        let mut store = app.ledger();
        let states = store.items()?;
        let waiting = ui.waiting("reading stories", None);
        let loaded = stories::load(app.repo.root(), &app.settings.story_roots).map_err(CommandError::invalid)?;
        drop(waiting);
        if !loaded.present {
            return Err(no_stories(&app));
        }
        let chosen = Scope::parse(&asked.scope).and_then(|scope| scope.select(&loaded.items));
        let mut findings = loaded.diagnostics;
        let selection = chosen.map_err(|wrong| {
            findings.extend(wrong);
            app::show(&findings, ui);
            CommandError::usage(BECAUSE_OF_ERRORS)
        })?;
        let roles = agents::roles::committed(&app.repo, &target.tip)?;
        let agents = Agents::of(&app, &registry, &roles);
        let roles = roles.into_iter().map(|role| (role.name.clone(), role)).collect();
        let unread = unread(&loaded.items, &findings);
        let context =
            Context { app: &app, asked, agents, states: &states, items: &loaded.items, unread, target: &target };
        // A person is asked about the scope only when the answer could lead to a start.
        let may_ask = !app::has_errors(&findings);
        let mut plan = context.plan(&selection, may_ask, ui)?;
        let reviewer = context.reviewer().unwrap_or_else(|finding| {
            let why = finding.message.clone();
            if plan.diagnostics.iter().all(|known| known.message != why) {
                plan.diagnostics.push(*finding);
            }
            let role = target.policy.reviewer_role.clone();
            Assignment { role, adapter: "none".to_owned(), fallbacks: Vec::new(), why }
        });
        plan.diagnostics.extend(context.unknown_roles());
        let more_reviewers = context.more_reviewers(&reviewer).unwrap_or_else(|finding| {
            plan.diagnostics.push(*finding);
            Vec::new()
        });
        let prompts = match app.prompts(&target) {
            Ok(texts) => texts.prompts,
            Err(wrong) => {
                plan.diagnostics.extend(wrong);
                Prompts::default()
            }
        };
        leave_to_others(&app, &states, &store.runs()?, &mut plan);
        join(&mut findings, std::mem::take(&mut plan.diagnostics));
        app::show(&findings, ui);
        plan.diagnostics = findings;
        Ok(Self { app, target, registry, store, plan, reviewer, more_reviewers, prompts, roles })
    }

    /// Refuses a plan with errors, or with warnings under `--strict`; they were shown already.
    pub(crate) fn accept(&self, asked: &Planning) -> Result<(), CommandError> {
        app::reject_shown(&self.plan.diagnostics)?;
        let mut findings = self.app.findings.iter().chain(&self.plan.diagnostics);
        if asked.strict && findings.any(|finding| finding.severity == Severity::Warning) {
            return Err(CommandError::usage("nothing was started, because of the warnings above and --strict"));
        }
        Ok(())
    }

    /// First line of every plan: target and policy.
    pub(crate) fn headline(&self) -> String {
        let target = &self.target;
        let line = format!("target {} at {}, {}", target.branch.short(), target.tip.short(), target.policy_source);
        if self.reviewer.fallbacks.is_empty() || target.policy.review_by != ReviewBy::Agent {
            return line;
        }
        let chain = self.reviewer.chain().join(", then ");
        format!("{line}; reviews by {chain}, before them whoever of these wrote none of the change")
    }
}

struct Context<'a> {
    app: &'a App,
    asked: &'a Planning,
    agents: Agents,
    target: &'a Target,
    states: &'a BTreeMap<ItemKey, ItemState>,
    items: &'a [WorkItem],
    unread: Vec<ItemId>,
}

impl Context<'_> {
    /// Plans, asking on a terminal about prerequisites outside the scope.
    fn plan(&self, selection: &Selection, may_ask: bool, ui: &mut Ui) -> Result<Plan, CommandError> {
        let missing = self.asked.missing.unwrap_or(self.app.settings.missing);
        let plan = self.build(selection, missing)?;
        if missing != Missing::Ask || plan.outside.is_empty() || !may_ask || !ui.is_interactive() {
            return Ok(plan);
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
            Some(0) => self.build(selection, Missing::Expand),
            Some(1) => self.build(selection, Missing::Skip),
            Some(_) | None => Err(CommandError::usage("cancelled; nothing was started")),
        }
    }

    fn build(&self, selection: &Selection, missing: Missing) -> Result<Plan, CommandError> {
        let done = plan::done_items(self.items, self.states);
        let assume_done = self.assume_done(selection)?;
        let choices = self.agents.choices(self.app, self.asked);
        let typed = typed(self.asked);
        Ok(graph::build(&PlanRequest {
            items: self.items,
            selected: &selection.ids,
            everything: selection.everything,
            selectors: &typed,
            done: &done,
            assume_done: &assume_done,
            unread: &self.unread,
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
    fn reviewer(&self) -> Result<Assignment, Box<Diagnostic>> {
        let choices = self.agents.choices(self.app, self.asked);
        assign::assign_role(&self.target.policy.reviewer_role, &choices)
    }

    /// Roles that the configuration names and nobody defines.
    fn unknown_roles(&self) -> Vec<Diagnostic> {
        let choices = self.agents.choices(self.app, self.asked);
        assign::unknown_roles(&self.target.policy.reviewer_role, &choices)
    }

    /// Roles and adapters of further reviewing sessions.
    fn more_reviewers(&self, first: &Assignment) -> Result<Vec<Assignment>, Box<Diagnostic>> {
        let policy = &self.target.policy;
        if policy.review_by == ReviewBy::Human {
            return Ok(Vec::new());
        }
        assign::more_reviewers(first, policy.reviewers, &self.agents.choices(self.app, self.asked))
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
    fn of(app: &App, registry: &Registry, roles: &[RoleFile]) -> Self {
        let root = app.repo.root();
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        Self {
            adapters: owned(registry.names()),
            installed: owned(registry.installed(root)),
            roles: roles.iter().map(|role| role.name.clone()).collect(),
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

/// Takes out what another machine works on, and what waits for that.
fn leave_to_others(
    app: &App,
    states: &BTreeMap<ItemKey, ItemState>,
    runs: &BTreeMap<RunId, RunState>,
    plan: &mut Plan,
) {
    let mut gone: HashSet<ItemId> = HashSet::new();
    let mut left = Vec::new();
    for item in &plan.items {
        let id = &item.item.id;
        let run = states.get(&item.key).and_then(|state| elsewhere::holder(&app.repo, state));
        let needs = item.prerequisites.iter().find(|needed| gone.contains(&needed.id));
        let why = match (run, needs) {
            (Some(run), _) => {
                let host = runs.get(run).map_or("another machine", |state| state.host.as_str());
                format!("held by {host}, run {run}; git orchestrate retry {id} takes it over")
            }
            (None, Some(needed)) => format!("waits for {}, which another machine works on", needed.id),
            (None, None) => continue,
        };
        gone.insert(id.clone());
        left.push(LeftOut { id: id.clone(), why });
    }
    // Most plans share nothing with anybody.
    if left.is_empty() {
        return;
    }
    plan.items.retain(|item| !gone.contains(&item.item.id));
    plan.left_out.extend(left);
    plan.left_out.sort_by(|a, b| a.id.cmp(&b.id));
}

/// Adds what planning found. Where both say that a story declares nothing, the plan knows the order that follows.
fn join(findings: &mut Vec<Diagnostic>, planned: Vec<Diagnostic>) {
    let about = |finding: &Diagnostic| finding.place.as_ref().map(|place| (finding.code, place.path.clone()));
    let undeclared = planned.iter().filter(|finding| finding.code == "undeclared-dependencies");
    let said: HashSet<_> = undeclared.filter_map(about).collect();
    findings.retain(|finding| about(finding).is_none_or(|about| !said.contains(&about)));
    findings.extend(planned);
    findings.sort_by_key(|finding| finding.severity);
}

/// Ids of the files that gave no story because of an error.
fn unread(items: &[WorkItem], findings: &[Diagnostic]) -> Vec<ItemId> {
    let read: HashSet<&str> = items.iter().map(|item| item.path.as_str()).collect();
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    let paths = errors.filter_map(|finding| finding.place.as_ref()).map(|place| place.path.as_str());
    paths.filter(|path| !read.contains(path)).filter_map(story::named_id).collect()
}

/// What a person typed after `stories` or `plan`, but `--missing`.
pub(crate) fn typed(asked: &Planning) -> Vec<String> {
    let mut words = asked.scope.clone();
    let mut option = |name: &str, value: Option<&String>| {
        words.extend(value.into_iter().flat_map(|value| [name.to_owned(), value.clone()]));
    };
    option("--agent", asked.agent.as_ref());
    option("--target", asked.target.as_ref());
    for id in &asked.assume_done {
        option("--assume-done", Some(id));
    }
    let flags = [("--strict", asked.strict), ("--policy-from-target", asked.policy_from_target)];
    words.extend(flags.iter().filter(|(_, set)| *set).map(|(name, _)| (*name).to_owned()));
    words
}

fn no_stories(app: &App) -> CommandError {
    let roots = app.settings.story_roots.join(", ");
    CommandError::usage(format!("there are no stories: {roots} does not exist in {}", app.repo.root().display()))
        .hint("git orchestrate init offers an example story; other folders: [stories] roots in .orchestrate.toml")
}
