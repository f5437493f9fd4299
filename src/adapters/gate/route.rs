//! How a commit seems to have come onto a branch, or to have left it: a guess from the branch's reflog, for people. Anybody
//! who writes a ref may write its reflog, so nothing is ever decided by it.

use crate::adapters::git::cli;
use crate::adapters::git::commit::contains;
use crate::adapters::git::repo::Repo;
use crate::domain::names::{BranchRef, Oid};
use crate::engine::ports::PortError;

/// Most entries that are looked at, newest first.
const MOST: usize = 200;

/// Longest text of an entry that is shown, in characters.
const SHOWN: usize = 100;

/// One move on record.
struct Entry {
    to: Oid,
    text: String,
}

/// A sentence without a period; empty when the reflog cannot be read.
pub fn guess(repo: &Repo, branch: &BranchRef, tip: &Oid, commit: &Oid) -> String {
    tell(repo, branch, tip, commit).unwrap_or_default()
}

fn tell(repo: &Repo, branch: &BranchRef, tip: &Oid, commit: &Oid) -> Result<String, PortError> {
    let entries = entries(repo, branch)?;
    if entries.is_empty() {
        return Ok("unknown: the branch has no reflog".to_owned());
    }
    let git = repo.gix();
    let has = |at: &Oid| contains(&git, repo.object_id(at)?, repo.object_id(commit)?);
    let there = has(tip)?;
    // The oldest entry of the newest stretch in which the commit is there, or is gone.
    let stretch = entries.iter().take_while(|entry| has(&entry.to).unwrap_or(!there) == there);
    Ok(match stretch.last() {
        Some(entry) => named(&entry.text),
        None => "no reflog entry: written without git".to_owned(),
    })
}

/// What git writes into reflogs, in words.
fn named(text: &str) -> String {
    let word = text.split([':', ' ']).next().unwrap_or_default();
    let what = match word {
        "" => return "an update by another program, or by git update-ref".to_owned(),
        "merge" | "commit" | "pull" | "push" | "reset" | "rebase" | "cherry-pick" | "revert" | "am" | "fetch"
        | "branch" | "checkout" | "clone" => format!("git {word}"),
        _ => "an update by another program".to_owned(),
    };
    let shown: String = text.chars().take(SHOWN).collect();
    format!("{what} (reflog: {shown})")
}

fn entries(repo: &Repo, branch: &BranchRef) -> Result<Vec<Entry>, PortError> {
    let mut log = cli::git(repo);
    log.args(["log", "--walk-reflogs", "--format=%H %gs", "-n"]).arg(MOST.to_string());
    log.arg("--end-of-options").arg(branch.as_str()).arg("--");
    let printed = cli::run(&mut log)?;
    let text = String::from_utf8_lossy(&printed).into_owned();
    let entry = |line: &str| {
        let (to, text) = line.split_once(' ').unwrap_or((line, ""));
        Entry { to: Oid::new(to), text: text.trim().to_owned() }
    };
    Ok(text.lines().map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn a_route_names_the_command_where_git_says_it() {
        assert_eq!(named("merge story/1.1: Fast-forward"), "git merge (reflog: merge story/1.1: Fast-forward)");
        assert_eq!(named("reset: moving to x"), "git reset (reflog: reset: moving to x)");
        assert!(named("").contains("git update-ref"));
        assert!(named("jj import").starts_with("an update by another program (reflog: jj import"));
    }
}
