//! Finds out whether git still gets to our hooks in every worktree, and if not, why. Must change nothing.

use std::path::{Path, PathBuf};

use super::change::quoted;
use super::layout::{self, Whose};
use super::plan::{self, CONFIG_HOOKS, Seen, is_off};
use super::setting::{HOOKS_PATH, Setting};
use crate::adapters::gate::reader::Reader;
use crate::adapters::git::repo::{GitVersion, Repo};
use crate::engine::ports::PortError;
use crate::hooks::{NAMES, server_hooks};

/// The command that repairs what we can repair ourselves.
pub const REPAIR: &str = "git orchestrate doctor --fix";

/// What is the matter with a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// `init` was never run here.
    NotInstalled,
    /// It was installed and is gone.
    Removed,
    /// A switch in the configuration turns it off.
    Disabled,
    /// It is there, but git passes it over.
    NotExecutable,
    /// Git looks for hooks elsewhere.
    Shadowed,
    /// The program it leads to is gone.
    ProgramGone,
    /// Another program's hook stands in its place.
    Replaced,
    /// This git knows nothing of the way it was installed in.
    GitTooOld,
    /// A hook of somebody else does not run because of ours.
    Unchained,
}

impl Problem {
    /// One word, also in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotInstalled => "not-installed",
            Self::Removed => "removed",
            Self::Disabled => "disabled",
            Self::NotExecutable => "not-executable",
            Self::Shadowed => "shadowed",
            Self::ProgramGone => "program-gone",
            Self::Replaced => "replaced",
            Self::GitTooOld => "git-too-old",
            Self::Unchained => "unchained",
        }
    }

    /// Whether the gate is open because of it.
    pub fn opens_the_gate(self) -> bool {
        self != Self::Unchained
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What sort of thing.
    pub problem: Problem,
    /// What was found, and where.
    pub detail: String,
    /// The command that helps.
    pub repair: String,
    /// The hooks it is about.
    pub hooks: Vec<String>,
    /// Tops of the worktrees where it is so.
    pub worktrees: Vec<PathBuf>,
}

/// The cause found for one hook in one worktree.
struct Cause {
    problem: Problem,
    detail: String,
    repair: String,
}

/// What one worktree's configuration and folders say.
struct Ward<'a> {
    repo: &'a Repo,
    seen: &'a Seen,
    git: GitVersion,
    folder: PathBuf,
    settings: Vec<Setting>,
    /// Whether the configuration includes our hooks, but for another place on disk.
    moved: bool,
}

/// Everything that keeps git from our hooks, and everything that our hooks keep git from.
pub fn examine(repo: &Repo, git: GitVersion) -> Result<Vec<Finding>, PortError> {
    if repo.is_bare() {
        return Ok(of_server(repo).into_iter().collect());
    }
    let all = plan::look(repo)?;
    let moved = !plan::includes(repo)?.is_empty() && git >= CONFIG_HOOKS;
    let mut findings: Vec<Finding> = Vec::new();
    for seen in &all {
        let settings = seen.place.settings(repo, r"^hook\.", false)?;
        let folder = seen.place.folder_in_effect(repo, &seen.paths);
        let ward = Ward { repo, seen, git, folder, settings, moved };
        for name in NAMES {
            if let Some(cause) = ward.cause(name) {
                add(&mut findings, cause, name, &seen.place.top);
            }
        }
        for name in ward.unchained() {
            let detail = format!("{} was added later and does not run", seen.previous.join(name).display());
            add(&mut findings, cause(Problem::Unchained, detail), name, &seen.place.top);
        }
    }
    Ok(findings)
}

/// Whether a bare repository judges what is pushed to it. The hooks of people's repositories are of no use there.
fn of_server(repo: &Repo) -> Option<Finding> {
    let missing = server_hooks::missing(repo);
    let server = Reader::of(repo).is_server();
    if server && missing.is_empty() {
        return None;
    }
    let detail = "this bare repository does not judge what is pushed to it";
    Some(Finding {
        problem: if server { Problem::Removed } else { Problem::NotInstalled },
        detail: detail.to_owned(),
        repair: "git orchestrate init --server".to_owned(),
        hooks: missing.into_iter().map(str::to_owned).collect(),
        worktrees: vec![repo.root().to_owned()],
    })
}

fn add(findings: &mut Vec<Finding>, cause: Cause, name: &str, top: &Path) {
    let at = findings.iter().position(|found| found.problem == cause.problem && found.detail == cause.detail);
    let at = at.unwrap_or_else(|| {
        let Cause { problem, detail, repair } = cause;
        findings.push(Finding { problem, detail, repair, hooks: Vec::new(), worktrees: Vec::new() });
        findings.len() - 1
    });
    let found = &mut findings[at];
    if !found.hooks.iter().any(|hook| hook == name) {
        found.hooks.push(name.to_owned());
    }
    if !found.worktrees.iter().any(|worktree| worktree == top) {
        found.worktrees.push(top.to_owned());
    }
}

fn cause(problem: Problem, detail: impl Into<String>) -> Cause {
    Cause { problem, detail: detail.into(), repair: REPAIR.to_owned() }
}

impl Ward<'_> {
    /// Why git does not get to a hook here; `None` when it does.
    fn cause(&self, name: &str) -> Option<Cause> {
        let whose = layout::whose(self.repo, &self.folder, name);
        if whose.works() {
            return None;
        }
        let configured = self.setting(&format!("hook.orchestrate-{name}.command"));
        if let Some(command) = configured {
            if self.git >= CONFIG_HOOKS {
                return self.configured(name, command);
            }
            if whose == Whose::Nobody {
                let detail = format!("git {} ignores hooks that its configuration names", self.git);
                return Some(cause(Problem::GitTooOld, detail));
            }
        }
        Some(self.in_folder(name, whose))
    }

    /// The same with a git that reads the hook's name in its configuration.
    fn configured(&self, name: &str, command: &Setting) -> Option<Cause> {
        let switches = [format!("hook.{name}.enabled"), format!("hook.orchestrate-{name}.enabled")];
        let mut off = switches.iter().filter_map(|key| self.setting(key)).filter(|found| is_off(&found.value));
        if let Some(off) = off.next() {
            return Some(disabled(off));
        }
        // An empty value takes back all events before it.
        let key = format!("hook.orchestrate-{name}.event");
        let events = self.settings.iter().filter(|found| found.key == key);
        let listed = events
            .fold(false, |listed, event| if event.value.is_empty() { false } else { listed || event.value == name });
        if !listed {
            return Some(cause(Problem::Disabled, format!("{key} no longer names {name}")));
        }
        let own = layout::own(self.repo);
        if command.value != quoted(&own.join(name).to_string_lossy()) {
            let detail = format!("{} is {} in {}", command.key, command.value, command.origin);
            return Some(Cause { repair: unset(command), ..cause(Problem::Replaced, detail) });
        }
        match layout::whose(self.repo, &own, name) {
            Whose::Ours | Whose::Calling => None,
            other => Some(Self::file(&own.join(name), other)),
        }
    }

    /// Why the file that git would run is not ours.
    fn in_folder(&self, name: &str, whose: Whose) -> Cause {
        if let Some(override_by) = self.override_by() {
            let detail =
                format!("core.hooksPath is {} ({}, {})", override_by.value, override_by.scope, override_by.origin);
            let here = cause(Problem::Shadowed, detail);
            return match override_by.scope.as_str() {
                "command" => {
                    Cause { repair: "run git without -c core.hooksPath and GIT_CONFIG_COUNT".to_owned(), ..here }
                }
                _ => here,
            };
        }
        if whose == Whose::Nobody && self.moved {
            return cause(
                Problem::Removed,
                "the repository was moved, and its configuration names hooks at the old place",
            );
        }
        if whose == Whose::Nobody && !self.was_installed() {
            return Cause {
                repair: "git orchestrate init".to_owned(),
                ..cause(Problem::NotInstalled, "no hook is installed")
            };
        }
        Self::file(&self.folder.join(name), whose)
    }

    /// What is wrong with a file that should be our hook.
    fn file(path: &Path, whose: Whose) -> Cause {
        let shown = path.display();
        match whose {
            Whose::Gone => {
                cause(Problem::ProgramGone, format!("{} leads nowhere: the program is gone", Self::shown(path)))
            }
            Whose::NotExecutable if layout::program_of(path).is_some() => {
                cause(Problem::NotExecutable, format!("{} or that program cannot be run", Self::shown(path)))
            }
            Whose::NotExecutable => Cause {
                repair: format!("chmod +x {}", quoted(&path.to_string_lossy())),
                ..cause(Problem::NotExecutable, format!("{shown} cannot be run"))
            },
            Whose::Others => cause(Problem::Replaced, format!("{shown} is another program's hook")),
            Whose::Nobody | Whose::Ours | Whose::Calling => {
                cause(Problem::Removed, format!("missing in {}", path.parent().unwrap_or(path).display()))
            }
        }
    }

    /// Links and scripts of ours are told of by folder and program, so that one line serves all of them.
    fn shown(path: &Path) -> String {
        let folder = path.parent().unwrap_or(path).display();
        format!("what leads from {folder} to {}", layout::program_of(path).unwrap_or_default().display())
    }

    /// The setting that leads git away from the folder that our hooks are in.
    fn override_by(&self) -> Option<&Setting> {
        let last = self.seen.paths.iter().rfind(|found| found.key == HOOKS_PATH)?;
        let ours = [layout::dispatchers(self.repo), self.repo.common_dir().join("hooks")];
        (!ours.contains(&self.folder)).then_some(last)
    }

    /// Whether anything of ours is in place.
    fn was_installed(&self) -> bool {
        super::record::path(self.repo).exists()
            || NAMES.iter().any(|name| layout::whose(self.repo, &self.folder, name) != Whose::Nobody)
    }

    fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().rfind(|found| found.key == key)
    }

    /// Other programs' hooks that git would run without us.
    fn unchained(&self) -> Vec<&'static str> {
        if self.folder != layout::dispatchers(self.repo) {
            return Vec::new();
        }
        let there = |name: &&str| layout::executable(&self.seen.previous.join(name));
        let forwards = |name: &&str| {
            let path = self.folder.join(name);
            !path.is_symlink() && layout::executable(&path)
        };
        let known = layout::KNOWN.into_iter().chain(layout::NEVER);
        known.filter(|name| there(name) && !forwards(name)).collect()
    }
}

fn disabled(off: &Setting) -> Cause {
    let detail = format!("{} is {} ({}, {})", off.key, off.value, off.scope, off.origin);
    let repair = match off.scope.as_str() {
        "local" | "worktree" => REPAIR.to_owned(),
        _ => unset(off),
    };
    Cause { repair, ..cause(Problem::Disabled, detail) }
}

/// The command that takes a setting away.
fn unset(setting: &Setting) -> String {
    match setting.scope.as_str() {
        "command" => format!("run git without -c {} and GIT_CONFIG_COUNT", setting.key),
        _ => format!("git config --file {} --unset-all {}", quoted(&setting.origin), quoted(&setting.key)),
    }
}
