//! Repositories with a true ledger: a real run up to the review, made once, then copied for each operation.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::copy;
use super::row::Setting;
use crate::project::Project;
use crate::support::{Ran, run};

/// `[protect] mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Stories,
    All,
}

impl Mode {
    pub const BOTH: [Self; 2] = [Self::Stories, Self::All];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Stories => "stories",
            Self::All => "all",
        }
    }
}

/// Story 1.1 in two commits.
const SCRIPT: &str = r#"
[[step]]
item = "1.1"
phase = "implementation"
do = [{ write = { path = "one.txt", text = "1\n" } }, { commit = "one" }, { write = { path = "more.txt", text = "2\n" } }, { commit = "more" }]
"#;

/// Notes what the hook is asked in the state "prepared", then asks the real one. In other states a veto has no effect.
const SPY: &str = r#"#!/bin/sh
[ "$1" = prepared ] || exit 0
asked=$(cat)
printf '%s\n' "$asked" | REAL "$@"
code=$?
printf '%s\nexit %s\n' "$asked" "$code" >> "$ROUTES_LOG"
exit $code
"#;

/// A prepared folder. Story 1.1 waits for its review, story 1.2 is approved and not landed, `topic` is a person's branch.
pub struct Fixture {
    project: Project,
    setting: Setting,
    /// Configuration that switches off every hook of ours, as git's variables.
    off: Vec<(String, String)>,
    /// Whether the hooks are configuration and not files.
    pub configured: bool,
}

/// A copy of a fixture, for one operation; gone when dropped.
pub struct Place {
    dir: tempfile::TempDir,
    setting: Setting,
}

impl Fixture {
    pub fn new(setting: Setting, mode: Mode) -> Self {
        let policy = format!("[review]\nby = \"human\"\n[protect]\nmode = \"{}\"", mode.word());
        let project = Project::new(SCRIPT, &policy);
        project.story("1.1", "One", "None").story("1.2", "Two", "None").commit();
        project.scratch.write("own.md", "a person's file\n");
        project.scratch.commit("own");
        to_review(&project);
        let mut fixture = Self { project, setting, off: Vec::new(), configured: false };
        fixture.off = fixture.switches(&fixture.repo());
        fixture.quietly(&fixture.repo(), "git branch topic && git switch -q topic && echo t > topic.txt && git add -A");
        fixture.quietly(&fixture.repo(), "git commit -q -m topic && git switch -q main && git repack -adq");
        fixture.quietly(
            &fixture.repo(),
            "rm -rf .git/hooks/*.sample .git/orchestrate/attempts .git/logs/refs/orchestrate",
        );
        let clone = "git clone -q -n . ../clone && git -C ../clone fetch -q origin 'refs/heads/*:refs/heads/*' -u";
        fixture.quietly(&fixture.repo(), clone);
        let place = fixture.repo().parent().unwrap().to_owned();
        match setting {
            Setting::Main => fixture.configured = fixture.spy(&fixture.repo()),
            Setting::Linked => {
                fixture.quietly(&fixture.repo(), "git switch -q -c elsewhere && git worktree add -q ../linked main");
                fixture.configured = fixture.spy(&place.join("linked"));
            }
            Setting::Bare => {
                let server = place.join("server.git");
                fixture.quietly(
                    &fixture.repo(),
                    "git init -q --bare -b main ../server.git && rm -rf ../server.git/hooks/*",
                );
                fixture.quietly(&fixture.repo(), "git push -q ../server.git 'refs/*:refs/*'");
                fixture.guard_server(&server);
                fixture.off = fixture.switches(&server);
                fixture.configured = fixture.spy(&server);
            }
        }
        fixture
    }

    fn repo(&self) -> PathBuf {
        self.project.scratch.root()
    }

    /// The hooks of a server.
    fn guard_server(&self, server: &Path) {
        let ran = run(self.project.scratch.orchestrate_command().args(["init", "--server"]).current_dir(server));
        assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    }

    /// What switches the hooks of a repository off.
    fn switches(&self, at: &Path) -> Vec<(String, String)> {
        let keys = run(self.project.scratch.command("git").current_dir(at).args([
            "config",
            "--name-only",
            "--get-regexp",
            "^hook\\..*\\.command$",
        ]));
        let enabled = keys.stdout.lines().map(|key| (key.replace(".command", ".enabled"), "false".to_owned()));
        let always = [("core.hooksPath", "/dev/null"), ("hook.spy.enabled", "false")];
        always.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().chain(enabled).collect()
    }

    /// Runs a line with hooks off, which must succeed.
    fn quietly(&self, at: &Path, line: &str) {
        let mut command = self.project.scratch.command("sh");
        command.current_dir(at).args(["-c", line]);
        let ran = run(without(&mut command, &self.off));
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
    }

    /// Puts the spy before the hook; where hooks are configuration, beside it. Says whether they are.
    fn spy(&self, at: &Path) -> bool {
        let git = |args: &[&str]| run(self.project.scratch.command("git").current_dir(at).args(args));
        let hooks = git(&["rev-parse", "--path-format=absolute", "--git-path", "hooks"]).stdout;
        // Not asked for as a whole: git would answer with the program that the link leads to.
        let hook = Path::new(hooks.trim_end()).join("reference-transaction");
        assert!(hook.starts_with(self.repo().parent().unwrap()), "{} lies elsewhere", hook.display());
        let real = Path::new(hooks.trim_end()).parent().unwrap().join("spied").join("reference-transaction");
        std::fs::create_dir_all(real.parent().unwrap()).unwrap();
        let configured = hook.symlink_metadata().is_err();
        let spy = if configured { real.clone() } else { hook.clone() };
        let asks = if configured {
            "true".to_owned()
        } else {
            std::fs::rename(&hook, &real).unwrap();
            format!("'{}'", real.display())
        };
        std::fs::write(&spy, SPY.replace("REAL", &asks)).unwrap();
        std::fs::set_permissions(&spy, std::fs::Permissions::from_mode(0o755)).unwrap();
        if configured {
            for (key, value) in [("command", spy.to_str().unwrap()), ("event", "reference-transaction")] {
                assert_eq!(git(&["config", &format!("hook.spy.{key}"), value]).code, 0);
            }
        }
        configured
    }

    /// A copy to try one operation in.
    pub fn copy(&self, with_clone: bool) -> Place {
        let dir = tempfile::Builder::new().prefix("orchestrate-route-").tempdir().unwrap();
        let place = Place { dir, setting: self.setting };
        let (from, to) = (self.repo().parent().unwrap().to_owned(), place.root());
        std::fs::create_dir_all(to.join("home")).unwrap();
        let mut parts = match self.setting {
            Setting::Main => vec!["repo"],
            Setting::Linked => vec!["repo", "linked"],
            Setting::Bare => vec!["server.git"],
        };
        parts.extend(with_clone.then_some("clone"));
        for part in parts {
            copy::tree(&from.join(part), &to.join(part), (&from, &to));
        }
        place
    }

    /// A line of shell in a place.
    fn line(&self, place: &Place, line: &str) -> Command {
        let here = place.here();
        let mut command = self.project.scratch.command("sh");
        command.args(["-c", line]).current_dir(&here).env("HERE", &here);
        command.env("HOME", place.root().join("home")).env("ROUTES_LOG", place.log());
        command.env("ORCHESTRATE", env!("CARGO_BIN_EXE_git-orchestrate"));
        command.env("GIT_EDITOR", "true").env("GIT_SEQUENCE_EDITOR", "true").env("GIT_MERGE_AUTOEDIT", "no");
        command
    }

    /// Runs a line with hooks off; what it printed when it failed.
    pub fn prepare(&self, place: &Place, line: &str) -> Result<(), String> {
        if line == "true" {
            return Ok(());
        }
        let ran = run(without(&mut self.line(place, line), &self.off));
        if ran.code == 0 { Ok(()) } else { Err(format!("before it: {line}: {ran:?}")) }
    }

    /// Runs a line.
    pub fn run(&self, place: &Place, line: &str) -> Ran {
        run(&mut self.line(place, line))
    }

    /// Takes every hook out of a place.
    pub fn disarm(&self, place: &Place) {
        let files = "rm -rf \"$(git rev-parse --git-path hooks)\"/* \"$(git rev-parse --git-common-dir)/orchestrate/hooks.config\"";
        let ran = self.run(place, &format!("{files} && {{ git config --remove-section hook.spy; true; }}"));
        assert_eq!(ran.code, 0, "{ran:?}");
    }

    /// Refs and their values.
    pub fn refs(&self, place: &Place) -> Vec<(String, String)> {
        let mut git = self.project.scratch.command("git");
        let ran =
            run(git.current_dir(place.here()).args(["for-each-ref", "--format=%(refname) %(objectname)%(symref)"]));
        let pair = |line: &str| line.split_once(' ').map(|(name, value)| (name.to_owned(), value.to_owned()));
        ran.stdout.lines().filter_map(pair).collect()
    }
}

impl Place {
    fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    /// Where the operation runs.
    pub fn here(&self) -> PathBuf {
        self.root().join(match self.setting {
            Setting::Main => "repo",
            Setting::Linked => "linked",
            Setting::Bare => "server.git",
        })
    }

    fn log(&self) -> PathBuf {
        self.root().join("asked")
    }

    /// The refs that the hook was asked about in the state "prepared".
    pub fn asked(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let fields = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        fields.filter(|fields| fields.len() == 3).map(|fields| fields[2].to_owned()).collect()
    }

    /// Whether the hook said no.
    pub fn vetoed(&self) -> bool {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        text.lines().any(|line| line.strip_prefix("exit ").is_some_and(|code| code != "0"))
    }
}

/// `init` and a run up to the review; story 1.2 approved by somebody else and through all phases but the landing.
fn to_review(project: &Project) {
    let as_bob = |args: &[&str]| project.as_person("bob@example.org", args);
    for (ran, code) in [
        (project.orchestrate(&["init", "--yes"]), 0),
        (project.stories(&[]), 5),
        (as_bob(&["review", "1.2", "--approve", "-m", "good"]), 0),
        (project.stories(&["1.2", "--no-land"]), 5),
    ] {
        assert_eq!(ran.code, code, "{}\n{}", ran.stdout, ran.stderr);
    }
    for name in ["1.1-one", "1.2-two"] {
        project.scratch.git(&["worktree", "remove", "-f", "-f", &format!(".worktrees/{name}")]);
    }
}

/// Adds configuration by git's variables.
fn without<'a>(command: &'a mut Command, off: &[(String, String)]) -> &'a mut Command {
    command.env("GIT_CONFIG_COUNT", off.len().to_string());
    for (at, (key, value)) in off.iter().enumerate() {
        command.env(format!("GIT_CONFIG_KEY_{at}"), key).env(format!("GIT_CONFIG_VALUE_{at}"), value);
    }
    command
}
