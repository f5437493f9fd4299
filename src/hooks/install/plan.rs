//! What has to change so that git calls our hooks beside everybody else's. Must change nothing itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::change::{Change, quoted};
use super::layout::{self, DISPATCHER, INCLUDED, KNOWN, NEVER, USUAL, Whose};
use super::record::Record;
use super::setting::{HOOKS_PATH, PREVIOUS, Place, Setting, is_ours};
use crate::adapters::git::repo::{GitVersion, Repo};
use crate::engine::ports::PortError;
use crate::hooks::NAMES;

/// The first git that runs hooks named in its configuration.
pub const CONFIG_HOOKS: GitVersion = GitVersion { major: 2, minor: 54 };

/// The hook that git calls for every change of a ref, several times per command.
const OFTEN: &str = "reference-transaction";

/// How git gets to our hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Named in git's configuration; git runs them beside all others.
    Configured,
    /// A link and scripts in `.git/hooks`.
    Links,
    /// A folder of ours that every worktree's `core.hooksPath` leads to, and that chains to the hooks in effect before.
    Dispatchers,
}

/// What `init` would do about hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How git will get to our hooks.
    pub way: Way,
    /// What changes; empty when all is in place.
    pub changes: Vec<Change>,
    /// Folders whose hooks go on running behind ours.
    pub chained: Vec<PathBuf>,
    /// Why nothing can be installed; then there are no changes.
    pub blocked: Option<String>,
}

/// A worktree and what its configuration says.
pub(super) struct Seen {
    pub(super) place: Place,
    pub(super) paths: Vec<Setting>,
    /// The folder of hooks that git would use without us.
    pub(super) previous: PathBuf,
}

/// Looks at every worktree.
pub(super) fn look(repo: &Repo) -> Result<Vec<Seen>, PortError> {
    let ours = layout::dispatchers(repo);
    let seen = Place::all(repo)?.into_iter().map(|place| {
        let paths = place.hook_paths(repo)?;
        let previous = place.folder_without(repo, &paths, &ours);
        Ok(Seen { place, paths, previous })
    });
    seen.collect()
}

impl Seen {
    /// The worktree's own `core.hooksPath`.
    pub(super) fn own_path(&self) -> Option<&str> {
        let own = self.paths.iter().rfind(|found| found.scope == "worktree" && found.key == HOOKS_PATH);
        own.map(|found| found.value.as_str())
    }

    /// The `core.hooksPath` of the worktree's own that ours took the place of.
    pub(super) fn kept_path(&self) -> Option<&str> {
        self.paths.iter().rfind(|found| found.key == PREVIOUS).map(|found| found.value.as_str())
    }

    /// Whether the dispatchers are in effect here.
    pub(super) fn is_dispatched(&self, repo: &Repo) -> bool {
        self.own_path().is_some_and(|path| Path::new(path) == layout::dispatchers(repo))
    }
}

/// Plans the installation for this version of git; `program` is what the links lead to.
pub fn plan(repo: &Repo, program: &Path, git: GitVersion) -> Result<Plan, PortError> {
    let seen = look(repo)?;
    let way = choose(repo, &seen, git);
    let mut plan = Plan { way, changes: Vec::new(), chained: Vec::new(), blocked: None };
    match way {
        Way::Links => plan.changes = beside_others(repo, program),
        Way::Configured => plan.changes = configured(repo, &seen, program)?,
        Way::Dispatchers => {
            plan.blocked = blocked(&seen);
            if plan.blocked.is_none() {
                plan.changes = dispatched(repo, &seen, program)?;
                plan.chained = folders(&seen).into_iter().filter(|folder| folder.is_dir()).collect();
            }
        }
    }
    Ok(plan)
}

fn choose(repo: &Repo, seen: &[Seen], git: GitVersion) -> Way {
    let usual = repo.common_dir().join("hooks");
    let simple = |one: &Seen, name: &str| match layout::whose(repo, &one.previous, name) {
        Whose::Ours | Whose::Calling => true,
        Whose::Nobody | Whose::Gone | Whose::NotExecutable => one.previous == usual,
        Whose::Others => false,
    };
    if git >= CONFIG_HOOKS {
        Way::Configured
    } else if seen.iter().any(|one| one.is_dispatched(repo)) {
        Way::Dispatchers
    } else if seen.iter().all(|one| NAMES.iter().all(|name| simple(one, name))) {
        Way::Links
    } else {
        Way::Dispatchers
    }
}

/// What is missing in the repository's own folder: a link under the name that is called for every change of a ref, scripts
/// under the others, which hook managers read.
fn beside_others(repo: &Repo, program: &Path) -> Vec<Change> {
    let folder = repo.common_dir().join("hooks");
    let main = layout::main_program(program);
    let change = |name: &&str| {
        let path = folder.join(name);
        let change = if *name == OFTEN {
            Change::Link { path, program: program.to_owned() }
        } else {
            Change::Script { path, program: main.clone() }
        };
        let whose = layout::whose(repo, &folder, name);
        let free = whose == Whose::Nobody || layout::program_of(&folder.join(name)).is_some();
        (free && !change.is_made()).then_some(change)
    };
    NAMES.iter().filter_map(change).collect()
}

/// Links in the folder of our own that are missing, or lead to another place of the program.
fn own_links(repo: &Repo, program: &Path) -> Vec<Change> {
    let folder = layout::own(repo);
    let link = |name: &&str| Change::Link { path: folder.join(name), program: program.to_owned() };
    NAMES.iter().map(link).filter(|change| !change.is_made()).collect()
}

/// Our links and scripts in the repository's own folder, for when git gets to us another way. A hook manager may have moved
/// one aside.
pub(super) fn without_links(repo: &Repo) -> Vec<Change> {
    let folder = repo.common_dir().join("hooks");
    let names = NAMES.iter().flat_map(|name| [(*name).to_owned(), format!("{name}.legacy")]);
    let paths = names.map(|name| folder.join(name)).filter(|path| layout::program_of(path).is_some());
    paths.map(|path| Change::Remove { path }).collect()
}

fn configured(repo: &Repo, seen: &[Seen], program: &Path) -> Result<Vec<Change>, PortError> {
    let mut changes = own_links(repo, program);
    let (path, text) = (repo.common_dir().join(INCLUDED), included(repo));
    if std::fs::read_to_string(&path).ok().as_deref() != Some(text.as_str()) {
        changes.push(Change::Write { path, text, executable: false });
    }
    let file = repo.common_dir().join("config");
    let there = includes(repo)?;
    let wanted = wanted_includes(repo);
    let missing = wanted.iter().filter(|key| !there.contains(key));
    let set = |key: &String| Change::Set { file: file.clone(), key: key.clone(), value: INCLUDED.to_owned() };
    changes.extend(missing.map(set));
    let stale = there.iter().filter(|key| !wanted.contains(key));
    changes.extend(stale.map(|key| Change::Unset { file: file.clone(), key: key.clone() }));
    changes.extend(enabled_again(repo, seen)?);
    if seen.iter().any(|one| one.is_dispatched(repo)) {
        changes.extend(without_dispatchers(repo, seen, Record::load(repo)?.as_ref())?);
    }
    changes.extend(without_links(repo));
    Ok(changes)
}

/// The configuration file that names our hooks. It is included by the repository's place on disk: where the repository was
/// moved or is mounted elsewhere, git would else stop at every change of a ref for want of a program.
fn included(repo: &Repo) -> String {
    let mut text =
        "# Written by `git orchestrate init`; taken away by `git orchestrate init --uninstall`.\n".to_owned();
    for name in NAMES {
        let command = quoted(&layout::own(repo).join(name).to_string_lossy());
        let command = command.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        text.push_str(&format!("[hook \"orchestrate-{name}\"]\n\tevent = {name}\n\tcommand = \"{command}\"\n"));
    }
    text
}

/// Keys that include the file for the main worktree and for the linked ones.
fn wanted_includes(repo: &Repo) -> [String; 2] {
    let common = repo.common_dir().to_string_lossy().into_owned();
    let mut pattern = String::new();
    for letter in common.chars() {
        if "*?[\\".contains(letter) {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    [format!("includeif.gitdir:{pattern}.path"), format!("includeif.gitdir:{pattern}/worktrees/.path")]
}

/// Keys of the repository's configuration that include our file.
pub(super) fn includes(repo: &Repo) -> Result<Vec<String>, PortError> {
    let main = Place { git_dir: repo.common_dir().to_owned(), top: repo.root().to_owned() };
    let found = main.settings(repo, r"^includeif\.", false)?;
    Ok(found.into_iter().filter(|one| one.scope == "local" && one.value == INCLUDED).map(|one| one.key).collect())
}

/// Switches in the repository's own configuration that turn our hooks off.
fn enabled_again(repo: &Repo, seen: &[Seen]) -> Result<Vec<Change>, PortError> {
    let mut changes = Vec::new();
    for one in seen {
        let files = [repo.common_dir().join("config"), one.place.config()];
        for found in one.place.settings(repo, r"^hook\..*\.enabled$", false)? {
            let change = Change::Unset { file: PathBuf::from(&found.origin), key: found.key.clone() };
            let ours = NAMES.iter().any(|name| switch_of(&found.key, name));
            if ours
                && is_off(&found.value)
                && files.iter().any(|file| *file == Path::new(&found.origin))
                && !changes.contains(&change)
            {
                changes.push(change);
            }
        }
    }
    Ok(changes)
}

/// Whether a key is `hook.<x>.enabled` of our hook or of its event.
pub(super) fn switch_of(key: &str, name: &str) -> bool {
    key == format!("hook.{name}.enabled") || key == format!("hook.orchestrate-{name}.enabled")
}

/// Whether git reads a value as false.
pub(super) fn is_off(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "false" | "no" | "off" | "0" | "")
}

/// Folders of hooks that were in effect before.
fn folders(seen: &[Seen]) -> BTreeSet<PathBuf> {
    seen.iter().map(|one| one.previous.clone()).collect()
}

fn blocked(seen: &[Seen]) -> Option<String> {
    let paths = folders(seen).into_iter().flat_map(|folder| NEVER.map(|name| folder.join(name)));
    let found = paths.into_iter().find(|path| layout::executable(path))?;
    Some(format!(
        "{} cannot be chained: git behaves differently as soon as a hook of that name exists",
        found.display()
    ))
}

/// Names that get a dispatcher: what is there, and what hook managers install later.
pub(super) fn dispatcher_names(seen: &[Seen]) -> BTreeSet<&'static str> {
    let folders = folders(seen);
    let there = KNOWN.into_iter().filter(|name| folders.iter().any(|folder| layout::executable(&folder.join(name))));
    NAMES.into_iter().chain(USUAL).chain(there).collect()
}

fn dispatched(repo: &Repo, seen: &[Seen], program: &Path) -> Result<Vec<Change>, PortError> {
    let folder = layout::dispatchers(repo);
    let mut changes = own_links(repo, program);
    changes.extend(strangers(repo));
    for name in dispatcher_names(seen) {
        let path = folder.join(name);
        let chained = seen.iter().any(|one| layout::executable(&one.previous.join(name)));
        if name == OFTEN && !chained {
            // Called for every change of a ref: no shell in between while nobody else wants to be called.
            if path.read_link().ok().as_deref() != Some(program) {
                changes.extend(is_dispatcher(&path).then(|| Change::Remove { path: path.clone() }));
                changes.push(Change::Link { path, program: program.to_owned() });
            }
        } else if !is_dispatcher(&path) {
            changes.push(Change::Write { path, text: DISPATCHER.to_owned(), executable: true });
        }
    }
    changes.extend(worktree_config(repo, &seen[0])?);
    for one in seen.iter().filter(|one| !one.is_dispatched(repo)) {
        let set = |key: &str, value: &str| Change::Set {
            file: one.place.config(),
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let kept = one.own_path().filter(|path| !is_ours(path, &folder));
        changes.extend(kept.map(|path| set("orchestrate.previousHooksPath", path)));
        changes.push(set("core.hooksPath", &folder.to_string_lossy()));
    }
    changes.extend(without_links(repo));
    Ok(changes)
}

fn is_dispatcher(path: &Path) -> bool {
    !path.is_symlink() && layout::executable(path) && std::fs::read_to_string(path).is_ok_and(|text| text == DISPATCHER)
}

/// Turns configuration per worktree on. The main worktree's own keys move into its file first, as git's manual asks.
fn worktree_config(repo: &Repo, main: &Seen) -> Result<Vec<Change>, PortError> {
    let found = main.place.settings(repo, r"^(extensions\.worktreeconfig|core\.bare|core\.worktree)$", false)?;
    let file = repo.common_dir().join("config");
    let local: Vec<&Setting> = found.iter().filter(|one| one.scope == "local").collect();
    if local.iter().any(|one| one.key == "extensions.worktreeconfig" && !is_off(&one.value)) {
        return Ok(Vec::new());
    }
    let moves = |one: &&&Setting| one.key == "core.worktree" || one.key == "core.bare" && !is_off(&one.value);
    let moved: Vec<&&Setting> = local.iter().filter(moves).collect();
    let copy =
        |one: &&&Setting| Change::Set { file: main.place.config(), key: one.key.clone(), value: one.value.clone() };
    let mut changes: Vec<Change> = moved.iter().map(copy).collect();
    let (key, value) = ("extensions.worktreeConfig".to_owned(), "true".to_owned());
    changes.push(Change::Set { file: file.clone(), key, value });
    changes.extend(moved.iter().map(|one| Change::Unset { file: file.clone(), key: one.key.clone() }));
    Ok(changes)
}

/// Takes the dispatchers out of effect key by key, and away.
pub(super) fn without_dispatchers(
    repo: &Repo,
    seen: &[Seen],
    record: Option<&Record>,
) -> Result<Vec<Change>, PortError> {
    let mut changes = Vec::new();
    for one in seen.iter().filter(|one| one.is_dispatched(repo)) {
        let file = one.place.config();
        let unset = |key: &str| Change::Unset { file: file.clone(), key: key.to_owned() };
        match one.kept_path() {
            Some(path) => {
                let (key, value) = ("core.hooksPath".to_owned(), path.to_owned());
                changes.push(Change::Set { file: file.clone(), key, value });
                changes.push(unset("orchestrate.previousHooksPath"));
            }
            None => changes.push(unset("core.hooksPath")),
        }
    }
    if record.is_some_and(|record| !record.had_worktree_config) && !others_need_it(repo, seen)? {
        changes.extend(without_worktree_config(repo, seen)?);
    }
    let had = |file: &Path| record.is_some_and(|record| record.had(file));
    let files = seen.iter().map(|one| one.place.config()).filter(|file| file.is_file() && !had(file));
    changes.extend(files.map(|path| Change::Prune { path }));
    changes.extend(strangers(repo));
    changes.extend(emptied(&layout::dispatchers(repo)));
    Ok(changes)
}

/// Whether somebody keeps settings of their own per worktree.
fn others_need_it(repo: &Repo, seen: &[Seen]) -> Result<bool, PortError> {
    const OURS: [&str; 4] = [HOOKS_PATH, PREVIOUS, "core.bare", "core.worktree"];
    for one in seen {
        let found = one.place.settings(repo, ".", false)?;
        let kept = one.kept_path().is_some();
        if kept || found.iter().any(|one| one.scope == "worktree" && !OURS.contains(&one.key.as_str())) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn without_worktree_config(repo: &Repo, seen: &[Seen]) -> Result<Vec<Change>, PortError> {
    let (main, file) = (&seen[0].place, repo.common_dir().join("config"));
    let found = main.settings(repo, r"^core\.(bare|worktree)$", false)?;
    let moved: Vec<Setting> = found.into_iter().filter(|one| one.scope == "worktree").collect();
    let back = |one: &Setting| Change::Set { file: file.clone(), key: one.key.clone(), value: one.value.clone() };
    let mut changes: Vec<Change> = moved.iter().map(back).collect();
    changes.push(Change::Unset { file: file.clone(), key: "extensions.worktreeConfig".to_owned() });
    changes.extend(moved.iter().map(|one| Change::Unset { file: main.config(), key: one.key.clone() }));
    Ok(changes)
}

/// Hooks that lefthook or prek put into the folder of dispatchers, because core.hooksPath leads there: they go to the
/// repository's own folder, where the dispatchers find them.
fn strangers(repo: &Repo) -> Vec<Change> {
    let hooks = repo.common_dir().join("hooks");
    let paths = files(&layout::dispatchers(repo)).into_iter().filter(|path| !is_ours_file(path));
    let moved = paths.filter_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let same =
            std::fs::read(hooks.join(&name)).is_ok_and(|there| std::fs::read(&path).is_ok_and(|here| here == there));
        if same {
            return Some(Change::Remove { path });
        }
        let numbered = (1..100).map(|number| format!("{name}.{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).map(|name| hooks.join(name));
        let to = free.into_iter().find(|path| path.symlink_metadata().is_err())?;
        Some(Change::Move { from: path, to })
    });
    moved.collect()
}

fn is_ours_file(path: &Path) -> bool {
    layout::program_of(path).is_some() || std::fs::read_to_string(path).is_ok_and(|text| text == DISPATCHER)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// Removes our files of a folder of ours, and it.
pub(super) fn emptied(folder: &Path) -> Vec<Change> {
    let ours = files(folder).into_iter().filter(|path| is_ours_file(path));
    let changes = ours.map(|path| Change::Remove { path });
    changes.chain(folder.is_dir().then(|| Change::Prune { path: folder.to_owned() })).collect()
}
