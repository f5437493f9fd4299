//! Which calls of git an agent is not allowed when it asks. Must not look at anything but the words and the facts.
//!
//! This finds honest mistakes. Whoever wants past it gets past it: a program of its own, a file written by hand, a client that
//! does not ask. What holds is the merge that only git-orchestrate makes.

use super::places::{Facts, Place};

/// Subcommands that read.
const READERS: [&str; 33] = [
    "annotate",
    "blame",
    "cat-file",
    "check-attr",
    "check-ignore",
    "check-ref-format",
    "cherry",
    "count-objects",
    "describe",
    "diff",
    "diff-files",
    "diff-index",
    "diff-tree",
    "for-each-ref",
    "fsck",
    "grep",
    "help",
    "log",
    "ls-files",
    "ls-remote",
    "ls-tree",
    "merge-base",
    "merge-tree",
    "name-rev",
    "range-diff",
    "rev-list",
    "rev-parse",
    "shortlog",
    "show",
    "show-ref",
    "status",
    "var",
    "version",
];

/// Subcommands that are never an agent's, with the reason.
const NEVER: [(&str, &str); 16] = [
    ("push", "pushing is not the agent's to do"),
    ("send-pack", "pushing is not the agent's to do"),
    ("update-ref", "it moves refs by hand"),
    ("gc", "it can throw away others' work"),
    ("prune", "it can throw away others' work"),
    ("prune-packed", "it can throw away others' work"),
    ("repack", "it can throw away others' work"),
    ("pack-refs", "it is the repository's housekeeping"),
    ("maintenance", "it is the repository's housekeeping"),
    ("filter-branch", "it rewrites history of others"),
    ("filter-repo", "it rewrites history of others"),
    ("fast-import", "it moves refs by hand"),
    ("replace", "it would show others another history"),
    ("receive-pack", "it moves refs by hand"),
    ("orchestrate", "an agent does not steer its own run"),
    ("daemon", "it outlives the work"),
];

/// How git's flag for going over everything is written; here it is only ever read.
const FORCED: &str = concat!("--", "force");

/// The same of making a branch.
const FORCED_CREATE: &str = concat!("--", "force-create");

/// Why a call of git is refused, `None` when it is not. `here` is where it would run.
pub(super) fn refused(args: &[String], here: &Place, facts: &Facts) -> Option<String> {
    let call = match Call::read(args, here, facts) {
        Ok(call) => call,
        Err(reason) => return Some(reason),
    };
    let name = call.name?;
    if name.contains(['$', super::words::UNKNOWN]) {
        return Some("what git is to do cannot be seen".to_owned());
    }
    if let Some((_, reason)) = NEVER.iter().find(|(never, _)| *never == name) {
        return Some(format!("git {name}: {reason}"));
    }
    if call.reads() {
        return None;
    }
    if facts.reviewer {
        return Some(format!("git {name}: a reviewer changes nothing"));
    }
    match call.place {
        // A repository of the agent's own.
        Place::Scratch => None,
        Place::Worktree(_) => by_name(name, call.args, facts).map(|reason| format!("git {name}: {reason}")),
        Place::Elsewhere | Place::Unseen => Some(format!("git {name}: it would work outside the worktree")),
    }
}

/// A call of git, taken apart.
struct Call<'a> {
    place: Place,
    name: Option<&'a str>,
    args: &'a [String],
}

impl<'a> Call<'a> {
    fn read(args: &'a [String], here: &Place, facts: &Facts) -> Result<Self, String> {
        let mut place = here.clone();
        let mut index = 0;
        while let Some(arg) = args.get(index).filter(|arg| arg.starts_with('-')) {
            let value = args.get(index + 1).map(String::as_str).unwrap_or_default();
            index += 1;
            match arg.as_str() {
                "-C" => place = place.go(value, facts),
                "-c" if runs_programs(value) => return Err(format!("git -c {value}: it changes what git runs")),
                "-c" => {}
                "--git-dir" | "--work-tree" | "--namespace" | "--exec-path" | "--config-env" | "--super-prefix" => {
                    place = Place::Elsewhere;
                }
                long if long.contains('=') => {
                    if ["--git-dir=", "--work-tree=", "--namespace=", "--exec-path=", "--config-env="]
                        .iter()
                        .any(|name| long.starts_with(name))
                    {
                        place = Place::Elsewhere;
                    }
                    continue;
                }
                _ => continue,
            }
            index += 1;
        }
        let name = args.get(index).map(String::as_str);
        Ok(Self { place, name, args: args.get(index + 1..).unwrap_or_default() })
    }

    fn reads(&self) -> bool {
        let name = self.name.unwrap_or_default();
        let first = self.args.iter().map(String::as_str).find(|arg| !arg.starts_with('-'));
        let has = |flags: &[&str]| self.args.iter().any(|arg| flags.contains(&arg.as_str()));
        let writes_a_file = self.args.iter().any(|arg| arg.starts_with("--output") || arg == "--ext-diff");
        match name {
            _ if writes_a_file => false,
            "branch" | "tag" => {
                first.is_none_or(|_| has(&["-l", "--list", "--contains", "--merged", "--no-merged", "--points-at"]))
                    && !has(&["-d", "-D", "-f", "-m", "-M", "--delete", FORCED, "--move"])
            }
            "config" => config_reads(self.args),
            "worktree" => first == Some("list"),
            "stash" => matches!(first, Some("list" | "show")),
            "reflog" => !matches!(first, Some("expire" | "delete" | "drop" | "write")),
            "notes" => matches!(first, None | Some("list" | "show")),
            "remote" => matches!(first, None | Some("show" | "get-url")),
            "submodule" => matches!(first, None | Some("status" | "summary")),
            "bisect" => matches!(first, Some("log" | "view")),
            "symbolic-ref" => {
                self.args.iter().filter(|arg| !arg.starts_with('-')).count() == 1 && !has(&["-d", "--delete"])
            }
            name => READERS.contains(&name),
        }
    }
}

fn config_reads(args: &[String]) -> bool {
    let has = |flags: &[&str]| args.iter().any(|arg| flags.contains(&arg.as_str()));
    if has(&[
        "--unset",
        "--unset-all",
        "--add",
        "--replace-all",
        "--rename-section",
        "--remove-section",
        "-e",
        "--edit",
    ]) {
        return false;
    }
    let plain: Vec<&str> = args.iter().map(String::as_str).filter(|arg| !arg.starts_with('-')).collect();
    match plain.first() {
        Some(&("get" | "list")) => true,
        Some(&("set" | "unset" | "rename-section" | "remove-section" | "edit")) => false,
        Some(_) => plain.len() == 1 || has(&["--get", "--get-all", "--get-regexp", "--get-urlmatch"]),
        None => true,
    }
}

/// Whether a `-c name=value` makes git run something else, or leaves something out that it would run.
fn runs_programs(setting: &str) -> bool {
    let name = setting.split('=').next().unwrap_or_default().to_ascii_lowercase();
    let keys = ["core.hookspath", "core.fsmonitor", "core.sshcommand", "core.worktree", "core.gitproxy", "core.bare"];
    let sections = ["alias.", "hook.", "include.", "includeif.", "filter.", "url."];
    name.contains('$') || keys.contains(&name.as_str()) || sections.iter().any(|section| name.starts_with(section))
}

/// What is refused inside the worktree.
fn by_name(name: &str, args: &[String], facts: &Facts) -> Option<String> {
    if skips_hooks(name, args) {
        return Some("the hooks are not to be left out".to_owned());
    }
    let text = |reason: &str| Some(reason.to_owned());
    let has = |flags: &[&str]| args.iter().any(|arg| flags.contains(&arg.as_str()));
    match name {
        "branch" if branch_moves(args) => text("it moves, renames or deletes a branch"),
        "tag" if has(&["-d", "-f", "--delete", FORCED]) => text("it moves or deletes a tag"),
        "checkout" | "switch" => leaves_branch(args, facts),
        "rebase" if plain(args).nth(1).is_some() => text("it would leave the story's branch"),
        "symbolic-ref" => text("it would leave the story's branch"),
        "worktree" => text("worktrees are git-orchestrate's"),
        "config" => text("it changes the configuration of the whole repository"),
        "remote" => text("it changes the configuration of the whole repository"),
        "reflog" => text("it can throw away others' work"),
        "stash" if has(&["clear"]) => text("it can throw away others' work"),
        "notes" if has(&["prune"]) => text("it can throw away others' work"),
        "fetch" | "pull" => args.iter().skip(1).any(|arg| writes_ref(arg)).then(|| "it writes branches".to_owned()),
        "bisect" => text("it would leave the story's branch"),
        _ => None,
    }
}

fn plain(args: &[String]) -> impl Iterator<Item = &str> {
    args.iter().map(String::as_str).filter(|arg| !arg.starts_with('-'))
}

/// `--no-verify` in any of git's abbreviations, and `-n` where that is what it means, also among joined letters.
fn skips_hooks(name: &str, args: &[String]) -> bool {
    let before_paths = || args.iter().take_while(|arg| *arg != "--");
    let long = |arg: &String| arg.len() > "--no-v".len() && "--no-verify".starts_with(arg.as_str());
    // `--no-v` is short for it where there is no `--no-verbose`; in doubt it is taken for it.
    if before_paths().any(|arg| long(arg) || arg == "--no-v") {
        return true;
    }
    if name == "am" && before_paths().any(|arg| arg == "-n") {
        return true;
    }
    if name == "commit" {
        let mut value = false;
        return before_paths().any(|arg| {
            if std::mem::take(&mut value) {
                return false;
            }
            let letters = arg.strip_prefix('-').filter(|letters| !letters.starts_with('-')).unwrap_or_default();
            let until = letters.find(['m', 'F', 'C', 'c', 't', 'S', 'u']);
            value = until.is_some_and(|at| at + 1 == letters.len() && !letters.ends_with(['S', 'u']))
                || ["--message", "--file", "--author", "--date", "--template", "--trailer", "--fixup", "--squash"]
                    .contains(&arg.as_str());
            letters[..until.unwrap_or(letters.len())].contains('n')
        });
    }
    false
}

fn branch_moves(args: &[String]) -> bool {
    let long = [FORCED, "--delete", "--move", "--copy", "--edit-description", "--set-upstream-to", "--unset-upstream"];
    args.iter().any(|arg| {
        let letters = arg.strip_prefix('-').filter(|letters| !letters.starts_with('-')).unwrap_or_default();
        letters.contains(['d', 'D', 'f', 'm', 'M', 'c', 'C', 'u']) || long.iter().any(|name| arg.starts_with(name))
    })
}

/// Checking out anything but files, or but the branch one is on.
fn leaves_branch(args: &[String], facts: &Facts) -> Option<String> {
    let flags = ["-b", "-B", "-c", "-C", "--orphan", "--detach", "-d", "--create", FORCED_CREATE, "-"];
    if args.iter().any(|arg| flags.contains(&arg.as_str()) || arg.starts_with("--orphan=")) {
        return Some("it would leave the story's branch".to_owned());
    }
    let first = plain(args).next()?;
    let short = first.strip_prefix("refs/heads/").unwrap_or(first);
    let only = plain(args).count() == 1 && !args.iter().any(|arg| arg == "--");
    let other =
        facts.branches.iter().any(|branch| branch == short) || first.starts_with("refs/") || first.starts_with("HEAD");
    (only && other && short != facts.branch).then(|| format!("{short} is not the story's branch"))
}

/// A refspec that writes a branch or any ref but those of remotes.
fn writes_ref(arg: &str) -> bool {
    if arg.contains("://") || arg.split('/').next().is_some_and(|host| host.contains('@')) {
        return false;
    }
    arg.split_once(':').is_some_and(|(_, to)| !to.is_empty() && !to.starts_with("refs/remotes/"))
}
