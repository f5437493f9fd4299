//! The `hotfix` command: lands an emergency's small change without a review, lists such changes, and closes their
//! follow-ups. Must not decide what may land: that is the domain's rule.

use tokio::sync::watch;

use super::app::{self, App, Target};
use super::args::HotfixArgs;
use super::emergency;
use super::error::{CommandError, Kind};
use super::execute;
use super::exit::Exit;
use super::ui::Ui;
use crate::adapters::git::landing::GitLander;
use crate::adapters::git::{hotfix as survey, identity, refs};
use crate::adapters::ledger::store::Store;
use crate::adapters::process::executor::LocalExecutor;
use crate::adapters::process::{ancestry, signals};
use crate::domain::branch::BranchEvent;
use crate::domain::hotfix::{
    self, Checks, Conditions, Emergency, HotfixCandidate, HotfixRefusal, HotfixVerdict, Merge, Statement,
};
use crate::domain::names::{BranchRef, Oid, Principal};
use crate::engine::hotfix::{Bench, Checked, Landed, land, run_checks};
use crate::engine::ports::{AttemptLock, Cancel, Clock, Host, Lander, Ledger, Record};
use crate::report::hotfix::{self as report, Listed};
use crate::report::text::Color;

/// How often a hotfix is judged anew because the branch moved meanwhile.
const MOST_TRIES: u32 = 20;

/// Runs `git orchestrate hotfix`.
pub(crate) fn run(args: &HotfixArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    if args.list {
        return list(args, ui);
    }
    match &args.resolve {
        Some(id) => resolve(id, args, ui),
        None => Order::take(args, ui)?.perform(args, ui),
    }
}

fn list(args: &HotfixArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open()?;
    let listed = listed(&mut app.ledger())?;
    if args.json {
        ui.data(&report::list_json(&listed))?;
    } else {
        ui.data(&report::list(&listed, Color::of(ui.out_color())))?;
        if listed.iter().any(Listed::is_open) {
            ui.hint("when a follow-up is done: git orchestrate hotfix --resolve ID -m \"what was done\"");
        }
    }
    Ok(Exit::DONE)
}

/// Every hotfix of every branch, oldest first.
pub(crate) fn listed(store: &mut Store) -> Result<Vec<Listed>, CommandError> {
    let all = store.branches()?.into_iter().flat_map(|(branch, state)| {
        state.hotfixes.into_iter().map(move |record| Listed { branch: branch.clone(), record })
    });
    let mut all: Vec<Listed> = all.collect();
    all.sort_by_key(|listed| listed.record.at);
    Ok(all)
}

fn resolve(id: &str, args: &HotfixArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open_to_change()?;
    execute::recover(&app, ui)?;
    if let Some(attempt) = ancestry::marked_attempt() {
        let message = format!("this process belongs to an agent's attempt ({attempt}); a person closes a follow-up");
        return Err(CommandError::new(Kind::Gate, message));
    }
    let message = args.message.as_deref().unwrap_or_default().trim();
    if message.is_empty() {
        return Err(CommandError::usage("say what was done: -m MESSAGE"));
    }
    let mut store = app.ledger();
    let all = listed(&mut store)?;
    let Some(found) = all.iter().find(|listed| listed.is_open() && listed.record.hotfix.id == id) else {
        let open: Vec<&str> =
            all.iter().filter(|listed| listed.is_open()).map(|listed| listed.record.hotfix.id.as_str()).collect();
        let error = CommandError::usage(format!("there is no open hotfix {}", id.escape_debug()));
        return Err(match open.as_slice() {
            [] => error.hint("none is open; git orchestrate hotfix --list shows those that were"),
            open => error.hint(format!("open: {}", open.join(", "))),
        });
    };
    let by = Principal::Person(identity::email(&app.repo)?);
    let event = BranchEvent::HotfixResolved { id: id.to_owned(), by, message: message.to_owned() };
    store.append(&[Record::Branch { branch: found.branch.clone(), event, at: app.machine.now() }])?;
    ui.status(&format!("hotfix {id} is closed"));
    Ok(Exit::DONE)
}

/// A hotfix that somebody asks for.
struct Order {
    app: App,
    target: Target,
    source: BranchRef,
    by: Principal,
    lander: GitLander,
    _lock: Option<Box<dyn AttemptLock>>,
}

/// What the rule was asked about.
struct Judged {
    candidate: HotfixCandidate,
    verdict: HotfixVerdict,
}

impl Order {
    fn take(args: &HotfixArgs, ui: &mut Ui) -> Result<Self, CommandError> {
        let app = App::open_to_change()?;
        app.show_findings(ui)?;
        if !args.dry_run {
            execute::recover(&app, ui)?;
        }
        let lock = if args.dry_run { None } else { Some(emergency::lock(&app)?.map_err(|holder| busy(&holder))?) };
        let target = app.target(args.target.as_deref())?;
        let source = source(&app, args.branch.as_deref())?;
        if source == target.branch {
            let message = format!("a hotfix lands on {}; its commits are made on another branch", source.short());
            return Err(CommandError::usage(message).hint("git switch -c hotfix/NAME, and commit the fix there"));
        }
        let by = Principal::Person(identity::email(&app.repo).map_err(CommandError::invalid)?);
        let lander = GitLander::new(&app.repo);
        Ok(Self { app, target, source, by, lander, _lock: lock })
    }

    fn perform(mut self, args: &HotfixArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
        for _ in 0..MOST_TRIES {
            let mut judged = self.judge(args, None)?;
            if let HotfixVerdict::Refused(refusals) = &judged.verdict {
                if !refusals.iter().all(HotfixRefusal::is_open_check) || args.dry_run {
                    return self.not_landed(&judged.candidate, refusals.clone(), args, ui);
                }
                if let Some(obstacle) = self.early_obstacle(&judged.candidate)? {
                    return Err(stands_in_the_way(&obstacle));
                }
                let checks = match self.check(&judged.candidate, ui)? {
                    Ok(checks) => checks,
                    Err(exit) => return Ok(exit),
                };
                judged = self.judge(args, Some(checks))?;
            }
            let emergency = match judged.verdict {
                HotfixVerdict::Granted(emergency) => emergency,
                // The branch or the hotfix moved while the checks ran.
                HotfixVerdict::Refused(refusals) if refusals.iter().all(HotfixRefusal::is_open_check) => continue,
                HotfixVerdict::Refused(refusals) => {
                    return self.not_landed(&judged.candidate, refusals, args, ui);
                }
            };
            if args.dry_run {
                return self.not_landed(&judged.candidate, Vec::new(), args, ui);
            }
            if let Some(exit) = self.land(emergency, args, ui)? {
                return Ok(exit);
            }
        }
        let message = format!("{} kept moving while the hotfix was landing", self.target.branch.short());
        Err(CommandError::operation(message).hint("try again"))
    }

    /// Asks the rule, about everything as it stands now.
    fn judge(&mut self, args: &HotfixArgs, ran: Option<Checks>) -> Result<Judged, CommandError> {
        let app = &self.app;
        self.target = app.target(args.target.as_deref())?;
        let base = &self.target.tip;
        let head = tip(app, &self.source)?;
        let mut store = app.ledger();
        let merge = survey::merge_of(&app.repo, base, &head)?;
        let change = survey::change(&app.repo, &self.source, (base, &head), &merge, &store.items()?)?;
        let said = |text: &Option<String>| text.clone().unwrap_or_default();
        let candidate = HotfixCandidate {
            base: base.clone(),
            head,
            merge,
            change,
            statement: Statement {
                emergency: said(&args.emergency),
                reason: said(&args.reason),
                follow_up: said(&args.follow_up),
            },
            by: self.by.clone(),
            attempt: ancestry::marked_attempt(),
            checks: if args.skip_checks { Checks::Skipped } else { ran.unwrap_or(Checks::Ran(Vec::new())) },
        };
        let record = store.branch(&self.target.branch)?;
        let verdict = hotfix::judge(&Conditions::of(&self.target.policy, &record), &candidate);
        Ok(Judged { candidate, verdict })
    }

    /// What a checkout has in the way, before anybody waits for checks.
    fn early_obstacle(&self, candidate: &HotfixCandidate) -> Result<Option<String>, CommandError> {
        let Merge::Clean(tree) = &candidate.merge else { return Ok(None) };
        let HotfixCandidate { base, head, .. } = candidate;
        let obstacle = app::runtime()?.block_on(async {
            let commit = self.lander.candidate(base, head, tree).await?;
            self.lander.obstacle(&self.target.branch, base, &commit).await
        });
        Ok(obstacle?)
    }

    /// Runs the checks of the policy on what would land; the exit code when a signal ended that.
    fn check(&self, candidate: &HotfixCandidate, ui: &mut Ui) -> Result<Result<Checks, Exit>, CommandError> {
        let Merge::Clean(tree) = &candidate.merge else { return Ok(Ok(Checks::Ran(Vec::new()))) };
        super::init::exclude_for_run(&self.app.repo, &self.app.settings.worktrees, ui)?;
        let checks = &self.target.policy.checks;
        ui.status(&format!("{} check(s) on the merge tree {}", checks.len(), tree.short()));
        let ids = (&candidate.base, &candidate.head, tree);
        let worktrees = self.app.worktrees();
        let executor = LocalExecutor::new(self.app.repo.state_dir(), self.app.supervisor());
        let executor = executor.hiding(self.app.secrets());
        let bench = Bench {
            lander: &self.lander,
            worktrees: &worktrees,
            executor: &executor,
            directory: emergency::directory(&self.app),
            attempt: emergency::attempt(&self.app),
            branch: self.source.short().to_owned(),
            grace_secs: self.app.settings.grace_secs,
        };
        let runtime = app::runtime()?;
        let (results, signal) = tokio::task::LocalSet::new().block_on(&runtime, async {
            let mut interrupts = signals::listen()?;
            let (cancel, asked) = watch::channel(Cancel::No);
            let forward = tokio::task::spawn_local(async move {
                while let Some(urgency) = interrupts.stream.recv().await {
                    cancel.send_replace(urgency);
                }
            });
            let results = run_checks(&bench, checks, ids, asked).await;
            forward.abort();
            Ok::<_, CommandError>((results?, interrupts.first.get()))
        })?;
        self.app.machine.sweep(&bench.attempt)?;
        if let Some(number) = signal {
            return Ok(Err(Exit::signal(number)));
        }
        for Checked { run, tail } in results.iter().filter(|checked| !checked.run.passed) {
            ui.problem(&format!("check `{}` {}", run.name, run.ended));
            ui.message(tail);
        }
        Ok(Ok(Checks::Ran(results.into_iter().map(|checked| checked.run).collect())))
    }

    /// Lands it; `None` when it has to be judged again.
    fn land(&self, emergency: Emergency, args: &HotfixArgs, ui: &mut Ui) -> Result<Option<Exit>, CommandError> {
        let branch = &self.target.branch;
        let mut store = self.app.ledger();
        let landing = land(&mut store, &self.lander, branch, emergency, self.app.machine.now());
        match app::runtime()?.block_on(landing)? {
            Landed::BranchMoved => Ok(None),
            Landed::Obstacle(obstacle) => Err(stands_in_the_way(&obstacle)),
            Landed::Locked(lock) => {
                Err(CommandError::operation(format!("nothing was moved: {lock}"))
                    .hint("try again when the lock is gone"))
            }
            Landed::Done(hotfix, stays) => {
                if args.json {
                    ui.data(&report::landed_json(branch, &hotfix))?;
                }
                let (id, lines) = (&hotfix.id, report::lines(hotfix.lines));
                ui.status(&format!("{id} landed on {} as {}: {lines}, no review", branch.short(), hotfix.tip.short()));
                if let Some(why) = stays {
                    ui.warning(&format!("a checkout did not follow: {why}"));
                }
                ui.hint(&format!("when the follow-up is done: git orchestrate hotfix --resolve {id} -m \"...\""));
                Ok(Some(Exit::DONE))
            }
        }
    }

    /// Says everything that stands against it; for a dry run also that nothing does.
    fn not_landed(
        &self,
        candidate: &HotfixCandidate,
        refusals: Vec<HotfixRefusal>,
        args: &HotfixArgs,
        ui: &mut Ui,
    ) -> Result<Exit, CommandError> {
        // Checks that did not run only because of the rest are no reason of their own.
        let (to_run, refusals): (Vec<_>, Vec<_>) = refusals.into_iter().partition(HotfixRefusal::is_open_check);
        let (branch, source) = (self.target.branch.short(), self.source.short());
        if args.json {
            ui.data(&report::not_landed_json(&self.target.branch, candidate.change.lines, &refusals))?;
        }
        if !refusals.is_empty() {
            let reasons: Vec<String> = refusals.iter().map(|refusal| format!("  - {}", refusal.reason())).collect();
            let message =
                format!("{source} may not land on {branch} as a hotfix; nothing was moved\n{}", reasons.join("\n"));
            let hint = "a change that can wait lands by review: git orchestrate stories";
            return Err(CommandError::new(Kind::Gate, message).hint(hint));
        }
        if let Some(obstacle) = self.early_obstacle(candidate)? {
            return Err(stands_in_the_way(&obstacle));
        }
        if !args.json {
            let lines = report::lines(candidate.change.lines);
            let checks = match to_run.len() {
                0 => String::new(),
                count => format!(", after {count} check(s)"),
            };
            ui.data(&format!("{source} would land on {branch} as a hotfix of {lines}{checks}\n"))?;
        }
        Ok(Exit::DONE)
    }
}

fn busy(holder: &str) -> CommandError {
    CommandError::operation(format!("another hotfix is landing: {holder}")).hint("wait for it, then try again")
}

fn stands_in_the_way(obstacle: &str) -> CommandError {
    CommandError::operation(format!("nothing was moved: {obstacle}"))
        .hint("commit it or put it aside (git stash), then try again")
}

/// The branch with the fix: the one named, else the one checked out here.
fn source(app: &App, asked: Option<&str>) -> Result<BranchRef, CommandError> {
    let Some(name) = asked else {
        let here = std::env::current_dir().and_then(|here| here.canonicalize()).unwrap_or_default();
        let branch = survey::current_branch(&app.repo, &here).map_err(CommandError::invalid)?;
        let error = || CommandError::usage("HEAD is on no branch").hint("git orchestrate hotfix BRANCH ...");
        return branch.ok_or_else(error);
    };
    let branch = BranchRef::new(format!("refs/heads/{}", name.strip_prefix("refs/heads/").unwrap_or(name)));
    tip(app, &branch)?;
    Ok(branch)
}

fn tip(app: &App, branch: &BranchRef) -> Result<Oid, CommandError> {
    let valid = refs::is_valid_name(branch.as_str());
    let tip = if valid { refs::tip(&app.repo, branch.as_str())? } else { None };
    tip.ok_or_else(|| {
        CommandError::usage(format!("there is no branch {}", branch.short().escape_debug()))
            .hint("see what there is: git branch")
    })
}
