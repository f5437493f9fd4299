//! The composition root: opens the repository, resolves configuration and policy, makes the real adapters and hands them to
//! the engine. Must not decide anything of the domain itself.

use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use super::error::CommandError;
use super::ui::Ui;
use crate::adapters::agents::{AgentPlace, RealAgents, Registry};
use crate::adapters::config::{self, Sources, prompts::Texts};
use crate::adapters::gate::guard::GitGuard;
use crate::adapters::git::content;
use crate::adapters::git::fingerprint::GitSurroundings;
use crate::adapters::git::landing::GitLander;
use crate::adapters::git::mend;
use crate::adapters::git::refs::RefWriter;
use crate::adapters::git::repo::{self, Repo};
use crate::adapters::git::room;
use crate::adapters::git::worktree::GitWorktrees;
use crate::adapters::guarded;
use crate::adapters::host::Machine;
use crate::adapters::ledger::memory::Memory;
use crate::adapters::ledger::store::Store;
use crate::adapters::process::executor::LocalExecutor;
use crate::adapters::process::secrets;
use crate::adapters::process::supervisor::Supervisor;
use crate::domain::diagnostic::{Diagnostic, Severity};
use crate::domain::names::{BranchRef, Oid};
use crate::domain::policy::Policy;
use crate::domain::redact::{Redactor, Secret, is_particular};
use crate::domain::settings::Settings;
use crate::engine::recorder::Recorder;
use crate::engine::world::Ports;
use crate::report::diagnostics;

/// Where a work tree's policy file lies.
pub(crate) const POLICY_FILE: &str = config::FILE;

/// An opened repository with its configuration.
pub(crate) struct App {
    pub(crate) repo: Repo,
    pub(crate) settings: Settings,
    pub(crate) machine: Machine,
    /// The one child that writes refs.
    writer: Arc<Mutex<RefWriter>>,
    /// What its ledgers remember together.
    memory: Memory,
    pub(crate) findings: Vec<Diagnostic>,
    /// Takes secrets out of what is recorded.
    pub(crate) redactor: Redactor,
    /// Content of the work tree's policy file.
    pub(crate) file: Option<Vec<u8>>,
}

/// The protected branch and its policy.
pub(crate) struct Target {
    pub(crate) branch: BranchRef,
    pub(crate) tip: Oid,
    pub(crate) policy: Policy,
    /// Where the policy comes from, for the first line of the output.
    pub(crate) policy_source: String,
}

impl App {
    /// Opens the repository around the current directory for a command that only reads.
    pub(crate) fn open() -> Result<Self, CommandError> {
        repo::check_git_version().map_err(CommandError::invalid)?;
        let here = std::env::current_dir()
            .map_err(|error| CommandError::usage(format!("cannot tell the current directory: {error}")))?;
        let repo = Repo::discover(&here).map_err(CommandError::invalid)?;
        let config::Loaded { settings, mut diagnostics, repository_file } = config::load(&Sources::of(repo.root()));
        diagnostics.extend(refresh_guarded(&repo, false));
        let machine = Machine::new(repo.state_dir());
        let writer = Arc::new(Mutex::new(RefWriter::new(&repo)));
        let redactor = Redactor::new(secrets::of_environment(&settings.redact_values_of));
        Ok(Self {
            redactor,
            repo,
            settings,
            machine,
            writer,
            memory: Memory::default(),
            findings: diagnostics,
            file: repository_file,
        })
    }

    /// Opens the repository for a command that changes something: not from inside an attempt's worktree.
    pub(crate) fn open_to_change() -> Result<Self, CommandError> {
        let mut app = Self::open()?;
        app.repo.require_work_tree().map_err(CommandError::invalid)?;
        let here = std::env::current_dir().unwrap_or_default();
        let worktrees = app.repo.root().join(&app.settings.worktrees);
        let inside = here.canonicalize().is_ok_and(|here| here.starts_with(&worktrees));
        if inside {
            let message = "this is the worktree of a story; only commands that read work here";
            return Err(CommandError::usage(message).hint(format!("cd {}", app.repo.root().display())));
        }
        room::require_writable(&app.repo).map_err(CommandError::invalid)?;
        app.findings.extend(refresh_guarded(&app.repo, true));
        let mended = mend::mend(&app.repo);
        app.findings.extend(mended.done.into_iter().map(|done| Diagnostic::warning("mended", done)));
        app.findings.extend(mended.left.into_iter().map(|left| Diagnostic::warning("locked", left)));
        Ok(app)
    }

    /// Finds the target branch and reads its policy.
    pub(crate) fn target(&self, asked: Option<&str>) -> Result<Target, CommandError> {
        let config::target::Target { branch, tip, .. } =
            config::target::find(&self.repo, asked).map_err(CommandError::invalid)?;
        let file = content::file_at(&self.repo, &tip, POLICY_FILE)?;
        let name = format!("{}:{POLICY_FILE}", branch.short());
        let (policy, findings) = config::policy(&name, file.as_deref());
        reject(&findings)?;
        let policy_source = match file {
            Some(_) => format!("policy {} from {name}", policy.version),
            None if self.file.is_some() => {
                format!("built-in policy ({POLICY_FILE} is not committed on {})", branch.short())
            }
            None => {
                format!("built-in policy (no {POLICY_FILE} on {}; `git orchestrate init` writes one)", branch.short())
            }
        };
        Ok(Target { branch, tip, policy, policy_source })
    }

    /// The texts of prompts, as the target's tip and the user have them.
    pub(crate) fn prompts(&self, target: &Target) -> Result<Texts, Vec<Diagnostic>> {
        let committed = |path: &str| content::file_at(&self.repo, &target.tip, path).ok().flatten();
        let user = Sources::of(self.repo.root()).prompts;
        config::prompts::read(committed, target.branch.short(), user.as_deref())
    }

    /// Refuses to run when the work tree's policy differs from the target's, unless the target's was asked for.
    pub(crate) fn require_same_policy(&self, target: &Target, from_target: bool) -> Result<(), CommandError> {
        let Some(file) = self.file.as_deref().filter(|_| !from_target) else { return Ok(()) };
        let (mine, findings) = config::policy(POLICY_FILE, Some(file));
        reject(&findings)?;
        let differences = config::differences(&mine, &target.policy);
        if differences.is_empty() {
            return Ok(());
        }
        let message = format!(
            "the gate policy in {POLICY_FILE} differs from the one on {}: {}",
            target.branch.short(),
            differences.join(", ")
        );
        Err(CommandError::usage(message).hint(format!(
            "on branch {}: git add {POLICY_FILE} && git commit -m \"Set the gate policy\" -- {POLICY_FILE}; \
             to go by the committed policy this once: --policy-from-target",
            target.branch.short()
        )))
    }

    /// Values that must not leave: of our environment, and of the variables that the settings name.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        secrets::of_environment(&self.settings.redact_values_of)
    }

    /// Values that refuse a commit: those the settings name, and of the others those that no file holds by chance.
    fn refused_in_commits(&self) -> Redactor {
        let named = &self.settings.redact_values_of;
        let secrets = self.secrets().into_iter();
        Redactor::new(secrets.filter(|secret| named.contains(&secret.name) || is_particular(&secret.value)))
    }

    /// Opens the ledger.
    pub(crate) fn ledger(&self) -> Store {
        let store = Store::with_writer(&self.repo, self.writer.clone()).remembering(self.memory.clone());
        store.hiding(self.redactor.clone())
    }

    /// The agents that are known here.
    pub(crate) fn agents(&self) -> Result<Registry, CommandError> {
        Registry::load(&self.settings).map_err(|findings| invalid(&findings))
    }

    /// The real ports. Must be called inside a `LocalSet`.
    pub(crate) fn ports(&self, registry: Registry, ledger: Store) -> Result<Ports, CommandError> {
        let program = std::env::current_exe()
            .map_err(|error| CommandError::operation(format!("cannot tell where this program lies: {error}")))?;
        let place = AgentPlace {
            state_dir: self.repo.state_dir(),
            root: self.repo.root().to_owned(),
            git_common_dir: self.repo.common_dir().to_owned(),
            program,
            secrets: self.secrets(),
            supervisor: self.supervisor(),
        };
        let machine = Rc::new(self.machine.clone());
        Ok(Ports {
            recorder: Recorder::start(Box::new(ledger)),
            worktrees: Rc::new(self.worktrees()),
            lander: Rc::new(GitLander::new(&self.repo).hiding(self.refused_in_commits())),
            guard: Rc::new(GitGuard::new(&self.repo)),
            executor: Rc::new(
                LocalExecutor::new(self.repo.state_dir(), place.supervisor.clone()).hiding(self.secrets()),
            ),
            agents: Rc::new(RealAgents::new(Arc::new(registry), place)),
            clock: machine.clone(),
            host: machine,
            surroundings: Rc::new(GitSurroundings::new(&self.repo)),
        })
    }

    /// Who watches over agents and commands.
    pub(crate) fn supervisor(&self) -> Supervisor {
        Supervisor::of_this_program(self.settings.pid_namespace)
    }

    /// Worktrees of this repository.
    pub(crate) fn worktrees(&self) -> GitWorktrees {
        GitWorktrees::new(&self.repo, self.writer.clone())
    }

    /// Shows what reading the configuration found; errors end the command.
    pub(crate) fn show_findings(&self, ui: &mut Ui) -> Result<(), CommandError> {
        ui.hide(self.redactor.clone());
        show(&self.findings, ui);
        reject_shown(&self.findings)
    }

    /// A path for people: relative to the root where it lies below.
    pub(crate) fn shown<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(self.repo.root()).unwrap_or(path).display()
    }
}

/// Tells the hook filter what is guarded. Without that it guards what it did before, or every branch: a warning, no error.
fn refresh_guarded(repo: &Repo, make: bool) -> Option<Diagnostic> {
    let error = guarded::refresh(repo, make).err()?;
    let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
    Some(Diagnostic::warning("guarded", format!("the names of guarded branches are not up to date: {error}{cause}")))
}

/// The one runtime of a command: this thread, timers and processes.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| CommandError::operation("cannot start the runtime").because(&error))
}

/// Renders findings on stderr: errors and warnings, information with `--verbose`.
pub(crate) fn show(findings: &[Diagnostic], ui: &mut Ui) {
    let wanted = match ui.loudness() {
        super::ui::Loudness::Verbose => Severity::Info,
        super::ui::Loudness::Quiet | super::ui::Loudness::Normal => Severity::Warning,
    };
    let shown: Vec<Diagnostic> = findings.iter().filter(|finding| finding.severity <= wanted).cloned().collect();
    if !shown.is_empty() {
        let color = ui.err_color();
        ui.message(&diagnostics::render_all(&shown, color));
    }
}

/// Whether any finding is an error.
pub(crate) fn has_errors(findings: &[Diagnostic]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// Ends the command after errors that were shown already.
pub(crate) fn reject_shown(findings: &[Diagnostic]) -> Result<(), CommandError> {
    if has_errors(findings) {
        return Err(CommandError::usage("nothing was started, because of the errors above"));
    }
    Ok(())
}

/// Ends the command with findings that are shown as part of the error.
fn reject(findings: &[Diagnostic]) -> Result<(), CommandError> {
    if has_errors(findings) { Err(invalid(findings)) } else { Ok(()) }
}

/// An error made of findings.
pub(crate) fn invalid(findings: &[Diagnostic]) -> CommandError {
    let errors: Vec<Diagnostic> =
        findings.iter().filter(|finding| finding.severity == Severity::Error).cloned().collect();
    if let ([only], true) = (errors.as_slice(), errors.iter().all(|error| error.place.is_none())) {
        let error = CommandError::usage(&only.message);
        return CommandError { hint: only.hint.clone(), ..error };
    }
    CommandError::usage(format!("invalid input\n{}", diagnostics::render(&errors, false)))
}
