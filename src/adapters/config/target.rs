//! Which branch stories land on. Must not move or create one.

use super::FILE;
use crate::adapters::git::refs::{self, Head};
use crate::adapters::git::repo::Repo;
use crate::domain::names::{BranchRef, Oid};
use crate::engine::ports::PortError;

/// Key of git's configuration that `init` writes.
pub const CONFIG_KEY: &str = "orchestrate.target";

/// The target branch and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The branch.
    pub branch: BranchRef,
    /// Its tip.
    pub tip: Oid,
    /// Why this one, for people: `given by --target`.
    pub why: &'static str,
}

/// What the repository says that a choice can be made from; short branch names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Facts {
    flag: Option<String>,
    configured: Option<String>,
    origin: Option<String>,
    /// Those of `main` and `master` that exist.
    usual: Vec<&'static str>,
    head: Option<Head>,
}

/// Finds the target: `flag` > `orchestrate.target` > the branch of `origin/HEAD` > the only one of main and master > the
/// current branch. Detached, ambiguous, missing and unborn are errors that name the command that helps.
pub fn find(repo: &Repo, flag: Option<&str>) -> Result<Target, PortError> {
    let facts = gather(repo, flag)?;
    let (name, why) = choose(&facts)?;
    let branch = BranchRef::new(format!("refs/heads/{name}"));
    let tip = if refs::is_valid_name(branch.as_str()) { refs::tip(repo, branch.as_str())? } else { None };
    match tip {
        Some(tip) => Ok(Target { branch, tip, why }),
        None => Err(missing(&name, why, &facts)),
    }
}

fn gather(repo: &Repo, flag: Option<&str>) -> Result<Facts, PortError> {
    let short = |name: &str| name.strip_prefix("refs/heads/").unwrap_or(name).to_owned();
    let origin = refs::symbolic_target(repo, "refs/remotes/origin/HEAD")?;
    let mut usual = Vec::new();
    for name in ["main", "master"] {
        if refs::tip(repo, &format!("refs/heads/{name}"))?.is_some() {
            usual.push(name);
        }
    }
    Ok(Facts {
        flag: flag.map(short),
        configured: configured(repo).as_deref().map(short),
        origin: origin.as_deref().and_then(|name| name.strip_prefix("refs/remotes/origin/")).map(str::to_owned),
        usual,
        head: Some(refs::head_branch(repo)?),
    })
}

/// The value of `orchestrate.target` in git's configuration.
pub fn configured(repo: &Repo) -> Option<String> {
    let value = repo.gix().config_snapshot().string(CONFIG_KEY).map(|value| value.to_string());
    value.filter(|value| !value.is_empty())
}

/// Content of `.orchestrate.toml` in a commit; `None` when the commit has no such file.
pub fn policy_file(repo: &Repo, commit: &Oid) -> Result<Option<Vec<u8>>, PortError> {
    let failed = |error| PortError::new(format!("cannot read {FILE} of {}", commit.short())).because(error);
    let git = repo.gix();
    let tree = git.find_commit(repo.object_id(commit)?).and_then(|commit| commit.tree()).map_err(failed)?;
    let Some(entry) = tree.lookup_entry_by_path(FILE).map_err(failed)? else { return Ok(None) };
    if !entry.mode().is_blob() {
        return Err(PortError::new(format!("{FILE} of {} is not a regular file", commit.short())));
    }
    Ok(Some(entry.object().map_err(failed)?.detach().data))
}

fn choose(facts: &Facts) -> Result<(String, &'static str), PortError> {
    if let Some(name) = &facts.flag {
        return Ok((name.clone(), "given by --target"));
    }
    if let Some(name) = &facts.configured {
        return Ok((name.clone(), "git config orchestrate.target"));
    }
    if let Some(name) = &facts.origin {
        return Ok((name.clone(), "the branch of origin/HEAD"));
    }
    match (facts.usual.as_slice(), &facts.head) {
        ([name], _) => Ok(((*name).to_owned(), "the usual name")),
        ([_, _, ..], _) => Err(PortError::new("the target branch is not clear: both `main` and `master` exist")
            .hint("choose one: git config orchestrate.target main")),
        ([], Some(Head::Branch(branch) | Head::Unborn(branch))) => {
            Ok((branch.short().to_owned(), "the current branch"))
        }
        ([], Some(Head::Detached(_)) | None) => Err(PortError::new("the target branch is not clear: HEAD is detached")
            .hint("name it: git config orchestrate.target BRANCH, or --target BRANCH")),
    }
}

fn missing(name: &str, why: &str, facts: &Facts) -> PortError {
    let shown = name.escape_debug();
    if matches!(&facts.head, Some(Head::Unborn(branch)) if branch.short() == name) {
        return PortError::new(format!("branch `{shown}` has no commit yet"))
            .hint("make the first one: git commit --allow-empty -m \"first commit\"");
    }
    let error = PortError::new(format!("the target branch `{shown}` does not exist ({why})"));
    if why.contains("origin") {
        return error.hint(format!("make it: git branch {shown} origin/{shown}"));
    }
    let name_it = if facts.flag.is_some() { "--target BRANCH" } else { "git config orchestrate.target BRANCH" };
    error.hint(format!("see what there is with `git branch`, then: {name_it}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts { head: Some(Head::Branch(BranchRef::new("refs/heads/topic"))), ..Facts::default() }
    }

    #[test]
    fn sources_are_asked_in_order() {
        let some = |name: &str| Some(name.to_owned());
        let mut facts = facts();
        assert_eq!(choose(&facts).unwrap().0, "topic");
        facts.usual = vec!["master"];
        assert_eq!(choose(&facts).unwrap().0, "master");
        facts.usual = vec!["main", "master"];
        assert!(choose(&facts).unwrap_err().message.contains("both `main` and `master`"));
        facts.origin = some("trunk");
        assert_eq!(choose(&facts).unwrap().0, "trunk");
        facts.configured = some("dev");
        assert_eq!(choose(&facts).unwrap().0, "dev");
        facts.flag = some("release");
        assert_eq!(choose(&facts).unwrap().0, "release");
    }

    #[test]
    fn a_detached_head_without_a_usual_branch_is_an_error() {
        let detached = Facts { head: Some(Head::Detached(Oid::new("0".repeat(40)))), ..Facts::default() };
        assert!(choose(&detached).unwrap_err().message.contains("detached"));
    }
}
