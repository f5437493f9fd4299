//! The `doctor` command: what is wrong with the gate, the record and what killed processes left, and the command that repairs
//! it. Must change nothing without `--fix`.

mod health;

use std::path::Path;

use serde_json::json;

use health::Finding;

use super::args::DoctorArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::init::hooks;
use super::ui::Ui;
use crate::adapters::git::repo::{Repo, check_git_version};
use crate::domain::diagnostic::escape_line;
use crate::hooks::install::examine::{Finding as HookFinding, Problem, REPAIR as FIX, examine};
use crate::report::text::json_safe;

/// Runs `git orchestrate doctor`.
pub(crate) fn run(args: &DoctorArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let repo = Repo::discover(Path::new(".")).map_err(CommandError::invalid)?;
    let git = check_git_version().map_err(CommandError::invalid)?;
    let waiting = ui.waiting("examining", None);
    let mut findings = examine(&repo, git)?;
    if args.fix {
        for line in health::fix(&repo)? {
            ui.status(&escape_line(&line));
        }
    }
    // What a server lacks is `init --server`'s to install: its `doctor` names it.
    if args.fix
        && !repo.is_bare()
        && findings.iter().any(|found| found.repair == FIX || found.problem == Problem::NotInstalled)
    {
        repair(&repo, ui)?;
        findings = examine(&repo, git)?;
    }
    let open = findings.iter().any(|found| found.problem.opens_the_gate());
    let others = health::examine(&repo)?;
    drop(waiting);
    let serious = others.iter().any(|found| found.serious);
    if args.json {
        let findings: Vec<_> = findings.iter().map(in_json).chain(others.iter().map(other_in_json)).collect();
        let report = json!({ "version": 1, "gitVersion": git.to_string(), "gateInForce": !open, "findings": findings });
        ui.data(&format!(
            "{}
",
            json_safe(&report.to_string())
        ))?;
    } else {
        if findings.is_empty() {
            ui.data("the gate is in force: git reaches the hooks in every worktree\n")?;
        }
        let lines: String = findings.iter().map(|found| line(&repo, found)).collect();
        ui.data(&(lines + &others.iter().map(other_line).collect::<String>()))?;
    }
    let exit = if open { Exit::REFUSED } else { Exit::DONE };
    Ok(if serious { exit.or_worse(Exit::FAILED) } else { exit })
}

fn repair(repo: &Repo, ui: &mut Ui) -> Result<(), CommandError> {
    let plan = hooks::planned(repo)?;
    if let Some(why) = &plan.blocked {
        return Err(CommandError::operation(format!("no hook can be installed: {why}")).hint("upgrade git to 2.54"));
    }
    let record = hooks::record(repo)?;
    for change in &plan.changes {
        ui.status(&change.shown(repo.root()));
    }
    hooks::install(repo, &plan, ui)?;
    Ok(record.finish(repo)?)
}

/// `shadowed: core.hooksPath is ... [reference-transaction, pre-push]; repair: git orchestrate doctor --fix`.
fn line(repo: &Repo, found: &HookFinding) -> String {
    let place = match found.worktrees.as_slice() {
        [only] if only == repo.root() => String::new(),
        [only] => format!(" in {}", only.display()),
        several => format!(" in {} worktrees", several.len()),
    };
    let hooks = found.hooks.join(", ");
    let text = format!("{}: {} [{hooks}]{place}; repair: {}", found.problem.word(), found.detail, found.repair);
    format!("{}\n", escape_line(&text))
}

fn other_line(found: &Finding) -> String {
    format!("{}\n", escape_line(&format!("{}: {}; repair: {}", found.problem, found.detail, found.repair)))
}

fn other_in_json(found: &Finding) -> serde_json::Value {
    json!({
        "area": found.area,
        "problem": found.problem,
        "detail": found.detail,
        "repair": found.repair,
        "opensTheGate": false,
    })
}

fn in_json(found: &HookFinding) -> serde_json::Value {
    json!({
        "area": "hooks",
        "problem": found.problem.word(),
        "detail": found.detail,
        "repair": found.repair,
        "opensTheGate": found.problem.opens_the_gate(),
        "hooks": found.hooks,
        "worktrees": found.worktrees.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
    })
}
