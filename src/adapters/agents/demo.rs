//! The built-in agent, so that everything can be seen at work without an account: it writes a small file for each acceptance
//! criterion, and as a reviewer reads the diff and sends back work that misses one. Must not be fooled by what the story says
//! about reviews: story text is only ever compared.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Output;

use thiserror::Error;

use super::super::process::spawn;
use crate::domain::event::Finding;
use crate::domain::prompt;
use crate::domain::source::story;

/// What the agent was started with: the variables of the agent contract.
#[derive(Clone, Debug)]
pub struct DemoAgent {
    /// `ORCHESTRATE_ITEM`.
    pub item: String,
    /// `ORCHESTRATE_ITEM_FILE`.
    pub item_file: PathBuf,
    /// `ORCHESTRATE_PHASE`.
    pub phase: String,
    /// `ORCHESTRATE_BASE`.
    pub base: String,
    /// `ORCHESTRATE_RESULT`.
    pub result: PathBuf,
    /// The worktree: the working directory.
    pub worktree: PathBuf,
    /// The prompt.
    pub prompt: String,
}

/// Why the agent gave up.
#[derive(Debug, Error)]
pub enum DemoError {
    /// It was not started by git-orchestrate.
    #[error("{0} is not set; this command is started by git-orchestrate itself")]
    Unset(&'static str),
    /// A file.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// git.
    #[error("git {what} failed: {text}")]
    Git {
        /// Subcommand.
        what: String,
        /// Its stderr.
        text: String,
    },
}

/// Entry point of the hidden subcommand: environment and stdin of this process in, exit code out.
pub fn main(input: &mut dyn Read, out: &mut dyn Write) -> i32 {
    let ended = DemoAgent::from_environment(input).and_then(|agent| agent.run());
    let (code, text) = match ended {
        Ok(text) => (0, text),
        Err(error) => (1, format!("failed: {error}")),
    };
    // Nobody may be reading; the work is done either way.
    let _ = writeln!(out, "demo: {text}");
    code
}

impl DemoAgent {
    fn from_environment(input: &mut dyn Read) -> Result<Self, DemoError> {
        let variable = |name: &'static str| std::env::var_os(name).ok_or(DemoError::Unset(name));
        let text = |value: OsString| value.to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes).map_err(|source| DemoError::File { path: "stdin".to_owned(), source })?;
        Ok(Self {
            item: variable("ORCHESTRATE_ITEM").map(text)?,
            item_file: variable("ORCHESTRATE_ITEM_FILE")?.into(),
            phase: variable("ORCHESTRATE_PHASE").map(text)?,
            base: variable("ORCHESTRATE_BASE").map(text)?,
            result: variable("ORCHESTRATE_RESULT")?.into(),
            worktree: variable("ORCHESTRATE_WORKTREE")?.into(),
            prompt: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }

    /// Does what the phase asks for; the line says what was done.
    pub fn run(&self) -> Result<String, DemoError> {
        if self.phase == "review" {
            return self.review();
        }
        let mut done = Vec::new();
        if let Some(target) = prompt::conflict_target(&self.prompt) {
            self.merge(target)?;
            done.push(format!("merged {target}"));
        }
        let written = self.write_criteria()? + self.answer()?;
        if self.commit()? {
            done.push(format!("committed {written} files"));
        }
        Ok(if done.is_empty() { "nothing to do".to_owned() } else { done.join(", ") })
    }

    /// Brings every criterion's file to what it should be; returns how many had to be written.
    fn write_criteria(&self) -> Result<usize, DemoError> {
        let mut written = 0;
        for (path, criterion) in self.wanted()? {
            let content =
                format!("# Story {}\n\nThis file stands for the acceptance criterion:\n\n> {criterion}\n", self.item);
            let full = self.worktree.join(&path);
            if fs::read_to_string(&full).is_ok_and(|text| text.contains(&criterion)) {
                continue;
            }
            write_file(&full, content.as_bytes())?;
            written += 1;
        }
        Ok(written)
    }

    /// Answers the findings of a review, so that there is something to look at even where the criteria were met.
    fn answer(&self) -> Result<usize, DemoError> {
        let findings = match self.phase.as_str() {
            "review-response" => prompt::block_content(&self.prompt, "FINDINGS").unwrap_or_default(),
            _ => return Ok(0),
        };
        let text = format!("# Answers to the review of story {}\n\n{findings}\n", self.item);
        write_file(&self.worktree.join(self.folder()).join("answers.md"), text.as_bytes())?;
        Ok(1)
    }

    fn merge(&self, target: &str) -> Result<(), DemoError> {
        // Both sides of a conflict are kept, as far as git's union driver can; what is left is taken as it lies there.
        let merge = ["-c", "merge.default=union", "merge", "--quiet", "--no-edit", "--end-of-options", target];
        if self.git(&merge)?.status.success() {
            return Ok(());
        }
        self.must(&["add", "--all"])?;
        self.must(&["commit", "--quiet", "--no-edit"]).map(drop)
    }

    fn commit(&self) -> Result<bool, DemoError> {
        let folder = self.folder();
        if !self.worktree.join(&folder).exists() {
            return Ok(false);
        }
        self.must(&["add", "--", &folder])?;
        if self.git(&["diff", "--cached", "--quiet", "--no-ext-diff"])?.status.success() {
            return Ok(false);
        }
        let message = match self.phase.as_str() {
            "review-response" => format!("{}: answer the review", self.item),
            _ => format!("{}: meet the acceptance criteria", self.item),
        };
        self.must(&["commit", "--quiet", "-m", &message])?;
        Ok(true)
    }

    fn review(&self) -> Result<String, DemoError> {
        let range = format!("{}...HEAD", self.base);
        let diff =
            self.must(&["diff", "--text", "--no-color", "--no-ext-diff", "--no-renames", "-U0", &range, "--"])?;
        let diff = String::from_utf8_lossy(&diff.stdout);
        let added = added_lines(&diff);
        let mut findings = Vec::new();
        for (index, (path, criterion)) in self.wanted()?.into_iter().enumerate() {
            if !added.values().any(|text| text.contains(&criterion)) {
                let text = format!("criterion {} is not covered by any added text: {criterion}", index + 1);
                findings.push(Finding { path, line: 1, text });
            }
        }
        let verdict = if findings.is_empty() { "approve" } else { "request-changes" };
        let answer = serde_json::json!({ "version": 1, "verdict": verdict, "findings": findings });
        write_file(&self.result, answer.to_string().as_bytes())?;
        Ok(format!("{verdict}, {} findings", findings.len()))
    }

    /// File and text of every criterion; the title's where a story has none.
    fn wanted(&self) -> Result<Vec<(String, String)>, DemoError> {
        let bytes = fs::read(&self.item_file).map_err(|source| file_error(&self.item_file, source))?;
        let name = |(index, text): (usize, String)| (format!("{}/criterion-{}.md", self.folder(), index + 1), text);
        Ok(criteria(&self.item, &bytes).into_iter().enumerate().map(name).collect())
    }

    fn folder(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
        format!("demo/{}", self.item.chars().map(plain).collect::<String>())
    }

    fn git(&self, args: &[&str]) -> Result<Output, DemoError> {
        let mut git = spawn::command("git");
        git.current_dir(&self.worktree).args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"]).args(args);
        git.output().map_err(|source| DemoError::File { path: "git".to_owned(), source })
    }

    fn must(&self, args: &[&str]) -> Result<Output, DemoError> {
        let output = self.git(args)?;
        if output.status.success() {
            return Ok(output);
        }
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(DemoError::Git { what: args.first().copied().unwrap_or_default().to_owned(), text })
    }
}

fn file_error(path: &Path, source: io::Error) -> DemoError {
    DemoError::File { path: path.display().to_string(), source }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), DemoError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).and_then(|()| fs::write(path, bytes)).map_err(|source| file_error(path, source))
}

/// Added text of each file of a diff without context.
fn added_lines(diff: &str) -> BTreeMap<&str, String> {
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    let (mut path, mut header) = ("", true);
    for line in diff.lines() {
        if line.starts_with("diff --git ") {
            (path, header) = (line, true);
        } else if line.starts_with("@@ ") {
            header = false;
        } else if let (false, Some(text)) = (header, line.strip_prefix('+')) {
            let added = files.entry(path).or_default();
            added.push_str(text);
            added.push('\n');
        }
    }
    files
}

/// First lines of the acceptance criteria; the title where there are none, the id where there is neither.
fn criteria(id: &str, story: &[u8]) -> Vec<String> {
    // The agent's copy may have any name; this one never keeps it from being read as a story.
    let Some(item) = story::parse("story.md", story).item.or_else(|| story::parse("1.1.md", story).item) else {
        return vec![id.to_owned()];
    };
    if !item.criteria.is_empty() {
        return item.criteria.into_iter().map(|criterion| criterion.text).collect();
    }
    vec![if item.title.is_empty() { id.to_owned() } else { item.title }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criteria_are_the_story_s_own_else_its_title_else_its_id() {
        let story = b"# Story 1.1: Title\n\n## Acceptance Criteria\n\n1. First\n2. [ ] Second\n\n## Tasks\n- no\n";
        assert_eq!(criteria("1.1", story), ["First", "Second"]);
        assert_eq!(criteria("1.2", b"# Story 1.2: Only a title\n\n## Story\n\nAs a user.\n"), ["Only a title"]);
        assert_eq!(criteria("1.3", b"# Plain heading\n\nStatus: Ready\n"), ["Plain heading"]);
        assert_eq!(criteria("1.3", b""), ["1.3"]);
    }

    #[test]
    fn only_added_text_counts_as_coverage() {
        let diff = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old criterion\n+new text\n";
        let added = added_lines(diff);
        assert_eq!(added.values().map(String::as_str).collect::<Vec<_>>(), ["new text\n"]);
    }
}
