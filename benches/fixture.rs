//! Scratch repositories and generated stories. Must not measure.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A scratch folder with a home of its own; gone when dropped.
pub struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    /// An empty repository on `main`.
    pub fn repository() -> Self {
        let scratch = Self { folder: tempfile::Builder::new().prefix("orchestrate-bench-").tempdir().unwrap() };
        std::fs::create_dir_all(scratch.outside()).unwrap();
        std::fs::create_dir_all(scratch.root()).unwrap();
        scratch.git(&["init", "-q", "-b", "main"]);
        scratch
    }

    /// The work tree.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    /// A folder outside the repository.
    pub fn outside(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Writes a file of the work tree.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs git; returns what it printed.
    pub fn git(&self, args: &[&str]) -> String {
        let output = self.command("git").args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Commits everything.
    pub fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "Files"]);
    }

    /// `git-orchestrate`.
    pub fn orchestrate(&self, args: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_git-orchestrate"));
        command.args(args).stderr(std::process::Stdio::null());
        command
    }

    /// A program in the work tree, away from the user's configuration.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("GIT_") || name.starts_with("ORCHESTRATE") || name.starts_with("XDG_") {
                command.env_remove(name);
            }
        }
        command.current_dir(self.root()).env("HOME", self.outside()).env("LC_ALL", "C.UTF-8");
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Ada").env(format!("GIT_{who}_EMAIL"), "ada@example.org");
        }
        command
    }
}

/// A file of `benches/`.
pub fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches").join(name)
}

/// Id of the n-th story: a hundred to an epic.
pub fn id(number: usize) -> String {
    format!("{}.{}", number / 100 + 1, number % 100 + 1)
}

/// Text of the n-th story, about `size` bytes, depending on the stories `before`.
pub fn story(number: usize, before: &[usize], size: usize) -> String {
    let mut needed: Vec<String> = before.iter().map(|number| id(*number)).collect();
    if needed.is_empty() {
        needed.push("None".to_owned());
    }
    let mut text = format!(
        "# Story {}: Keep ledger page number {number}\n\n**Status**: Not Started\n**Dependencies**: {}\n\n## Story\n\n\
         As a clerk, I want page {number} kept, so that nothing on it is lost.\n\n## Acceptance Criteria\n\n\
         1. The page is kept.\n2. It can be read again.\n\n## Dev Notes\n\n",
        id(number),
        needed.join(", ")
    );
    let mut line = 0;
    while text.len() < size {
        line += 1;
        writeln!(
            text,
            "- Note {line}: a page has a number, a date and a sum; `pages/page.rs` reads it, tests cover it."
        )
        .unwrap();
    }
    text
}

/// Writes `count` stories of `size` bytes into `docs/stories`, each but the first ones with three edges.
pub fn write_stories(scratch: &Scratch, count: usize, size: usize) {
    for number in 0..count {
        let before: Vec<usize> = [1, 7, 31].iter().filter_map(|back| number.checked_sub(*back)).collect();
        scratch.write(&format!("docs/stories/{}.page-{number}.md", id(number)), &story(number, &before, size));
    }
}
