//! Hermetic scratch repositories and the ways to run git and the binary in them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A scratch repository with its own HOME; gone when dropped.
pub struct Scratch {
    /// Holds `home/` and `repo/`.
    dir: tempfile::TempDir,
}

/// What a program printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Scratch {
    /// A repository on branch `main` with one commit.
    pub fn new() -> Self {
        let scratch = Self::unborn();
        scratch.write("README.md", "# Scratch\n");
        scratch.commit("first");
        scratch
    }

    /// A repository on branch `main` without a commit.
    pub fn unborn() -> Self {
        let scratch = Self::empty();
        let format = std::env::var("GIT_ORCHESTRATE_TEST_REF_FORMAT").ok();
        let format = format.map(|format| format!("--ref-format={format}"));
        let args = ["init", "-q", "-b", "main"].into_iter().chain(format.as_deref());
        scratch.git(&args.collect::<Vec<_>>());
        scratch
    }

    /// A folder that is no repository.
    pub fn empty() -> Self {
        let dir = tempfile::Builder::new().prefix("orchestrate-").tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("home")).unwrap();
        std::fs::create_dir_all(dir.path().join("repo")).unwrap();
        Self { dir }
    }

    /// Root of the work tree.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("repo").canonicalize().unwrap()
    }

    /// A folder outside the repository.
    pub fn outside(&self) -> PathBuf {
        self.dir.path().join("home").canonicalize().unwrap()
    }

    /// Writes a file below the root, parents included.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Reads a file below the root.
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.root().join(path)).unwrap()
    }

    /// Commits everything and returns the commit id.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git and returns its trimmed stdout; panics when it fails.
    pub fn git(&self, args: &[&str]) -> String {
        let ran = self.try_git(args);
        assert_eq!(ran.code, 0, "git {args:?}: {}{}", ran.stdout, ran.stderr);
        ran.stdout.trim_end().to_owned()
    }

    /// Runs git.
    pub fn try_git(&self, args: &[&str]) -> Ran {
        run(self.command("git").args(args))
    }

    /// Runs `git-orchestrate` with stdin closed.
    pub fn orchestrate(&self, args: &[&str]) -> Ran {
        run(self.orchestrate_command().args(args))
    }

    /// A `git-orchestrate` command to be refined.
    pub fn orchestrate_command(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_git-orchestrate"))
    }

    /// A command in the root with a hermetic environment.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let home = self.outside();
        let mut command = Command::new(program.as_ref());
        command.current_dir(self.root()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("GIT_") || name.starts_with("ORCHESTRATE") || name.starts_with("XDG_") {
                command.env_remove(name);
            }
        }
        command
            .env("HOME", &home)
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "Ada")
            .env("GIT_AUTHOR_EMAIL", "ada@example.org")
            .env("GIT_COMMITTER_NAME", "Ada")
            .env("GIT_COMMITTER_EMAIL", "ada@example.org")
            .env("NO_COLOR", "1")
            // Numbers that agents write down are then those that tests see; tests of namespaces ask for one.
            .env("GIT_ORCHESTRATE_PID_NAMESPACE", "off")
            .env("LC_ALL", "C.UTF-8");
        if let Some(path) = path_with_test_git() {
            command.env("PATH", path);
        }
        command
    }
}

/// `PATH` with the folder of another git in front, where `GIT_ORCHESTRATE_TEST_GIT` names one.
fn path_with_test_git() -> Option<std::ffi::OsString> {
    let folder = PathBuf::from(std::env::var_os("GIT_ORCHESTRATE_TEST_GIT")?);
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&path))).ok()
}

/// Runs a prepared command to its end.
pub fn run(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().unwrap();
    Ran {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

/// The scripted agent built beside the tests.
pub fn scripted_agent() -> PathBuf {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_git-orchestrate"));
    let agent = binary.parent().unwrap().join("examples").join("scripted-agent");
    assert!(agent.is_file(), "{} is missing; `cargo test` builds it", agent.display());
    agent
}

/// The third-party corpus beside the project, where it is present.
pub fn corpus() -> Option<PathBuf> {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    if corpus.is_dir() {
        return Some(corpus);
    }
    eprintln!("skipped: no corpus at {}", corpus.display());
    None
}
