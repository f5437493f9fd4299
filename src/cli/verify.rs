//! The `verify` command: proves how each commit of the protected branches came. Changes nothing, but for `--acknowledge`.
//! Must stay thin: parse, call, render, exit code.

use super::app::App;
use super::args::VerifyArgs;
use super::certify;
use super::error::{CommandError, Kind};
use super::exit::Exit;
use super::ui::{Loudness, Ui};
use crate::adapters::gate::certify as gate;
use crate::adapters::gate::proof::{self, Wanted};
use crate::adapters::gate::reader::Reader;
use crate::adapters::git::identity;
use crate::adapters::process::ancestry;
use crate::domain::branch::BranchEvent;
use crate::domain::names::{BranchRef, Principal};
use crate::engine::ports::{Clock, Ledger, Record};
use crate::report::text::Color;
use crate::report::verify;

/// Runs `git orchestrate verify`.
pub(crate) fn run(args: &VerifyArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    if args.acknowledge {
        return acknowledge(args, ui);
    }
    let app = App::open()?;
    let waiting = ui.waiting("looking at commits:", None);
    let reader = Reader::of(&app.repo).telling(waiting.counter());
    let wanted = Wanted { range: args.range.clone(), all: args.all, full: args.full };
    let mut proofs = Vec::new();
    for branch in branches(&reader, args)? {
        proofs.extend(proof::prove(&reader, &branch, &wanted).map_err(CommandError::from)?);
    }
    drop(waiting);
    let commits = args.commits || ui.loudness() == Loudness::Verbose;
    let text = if args.json {
        verify::json(&proofs, commits)
    } else {
        verify::text(&proofs, commits, Color::of(ui.out_color()))
    };
    ui.data(&text)?;
    let sound = proofs.iter().all(|proof| proof.breaches.is_empty());
    Ok(if sound { Exit::DONE } else { Exit::REFUSED })
}

/// The branches that are asked about; an error when there is nothing to prove, for a check that checks nothing must not pass.
fn branches(reader: &Reader, args: &VerifyArgs) -> Result<Vec<BranchRef>, CommandError> {
    let mut adopted = gate::adopted(reader)?;
    if let Some(name) = &args.branch {
        adopted.retain(|branch| branch.short() == name || branch.as_str() == name);
        if adopted.is_empty() {
            return Err(CommandError::usage(format!("nothing is recorded of a branch `{name}`")).hint(HOW_TO_ADOPT));
        }
    } else if args.range.is_some() && adopted.len() > 1 {
        adopted = target_only(reader, adopted)?;
    }
    if adopted.is_empty() {
        return Err(CommandError::usage("no branch is watched yet: nothing can be proven").hint(HOW_TO_ADOPT));
    }
    Ok(adopted)
}

/// How a branch comes under watch.
const HOW_TO_ADOPT: &str =
    "git orchestrate init, or the first run, begins it; it covers the target and [protect] branches";

/// A range is about one branch: the target, unless another is named.
fn target_only(reader: &Reader, adopted: Vec<BranchRef>) -> Result<Vec<BranchRef>, CommandError> {
    let mut target = Vec::new();
    for branch in adopted {
        if reader.is_target(branch.as_str())? {
            target.push(branch);
        }
    }
    Ok(target)
}

/// Records that a person looked at every open breach.
fn acknowledge(args: &VerifyArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open_to_change()?;
    if let Some(attempt) = ancestry::marked_attempt() {
        let message =
            format!("this process belongs to an agent's attempt ({attempt}); a breach is a person's to judge");
        return Err(CommandError::new(Kind::Gate, message));
    }
    let message = args.message.as_deref().unwrap_or_default().trim().to_owned();
    if message.is_empty() {
        return Err(CommandError::usage("say what you found: --acknowledge -m MESSAGE"));
    }
    let by = Principal::Person(identity::email(&app.repo)?);
    let mut count = 0;
    for branch in branches(&Reader::of(&app.repo), args)? {
        // Breaches and landings by hand are written down first, so that none of them is passed over.
        certify::settle_branch(&app, &branch, ui)?;
        let Some(found) = gate::examine(&Reader::of(&app.repo), &branch)?.filter(|found| !found.is_sound()) else {
            continue;
        };
        if !found.merged.is_empty() || !found.breaches.is_empty() {
            let message = format!("{} is being worked on; nothing was acknowledged", branch.short());
            return Err(CommandError::operation(message).hint("try again when no run is going on"));
        }
        let event = BranchEvent::Acknowledged { tip: found.tip.clone(), by: by.clone(), message: message.clone() };
        app.ledger().append(&[Record::Branch { branch: branch.clone(), event, at: app.machine.now() }])?;
        count += found.record.breaches.len();
        for breach in &found.record.breaches {
            ui.status(&format!("acknowledged on {}: {}, {}", branch.short(), breach.commit.short(), breach.reason));
        }
    }
    if count == 0 {
        ui.status("no breach is open: nothing to acknowledge");
    }
    Ok(Exit::DONE)
}
