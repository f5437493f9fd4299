//! The `sync` command: shares the ledger and the branches of unfinished stories with a remote. Must not overwrite anything on
//! either side, nor decide where two sides contradict each other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::app::App;
use super::args::SyncArgs;
use super::changes;
use super::checkpoints;
use super::error::CommandError;
use super::exit::Exit;
use super::item;
use super::ui::Ui;
use crate::adapters::config::target;
use crate::adapters::elsewhere;
use crate::adapters::git::remote::{self, MIRROR, Push, Pushed};
use crate::adapters::git::{commit, refs};
use crate::adapters::ledger::branches::STORY_BRANCHES;
use crate::adapters::ledger::bring::{Change, How, Wish, spoken};
use crate::adapters::ledger::checkpoint::Occasion;
use crate::adapters::ledger::join::Keep;
use crate::adapters::ledger::lineage::{Kind, RESCUE};
use crate::adapters::ledger::store::{ITEMS, RUNS, Store};
use crate::adapters::runs;
use crate::domain::diagnostic::escape_line;
use crate::domain::names::Oid;
use crate::engine::ports::{Ledger, PortError};

/// Everything of ours.
const OURS: &str = "refs/orchestrate/";

/// How often others may be faster before it is given up.
const TRIES: u32 = 5;

/// What both sides came to.
#[derive(Default)]
struct Outcome {
    changes: Vec<Change>,
    pushes: Vec<Push>,
}

/// Runs `git orchestrate sync`.
pub(crate) fn run(args: &SyncArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open_to_change()?;
    app.show_findings(ui)?;
    checkpoints::mend(&app, ui);
    let name = remote_name(&app, args)?;
    let desk = Desk { app: &app, remote: &name, args };
    let outcome = desk.share(ui)?;
    if !args.dry_run {
        checkpoints::save(&app, Occasion::Sync, ui);
    }
    if args.json {
        ui.data(&format!("{}\n", desk.in_json(&outcome)))?;
        return Ok(changes::exit(&outcome.changes));
    }
    let exit = changes::show(&outcome.changes, &name, args.dry_run, ui)?;
    for push in &outcome.pushes {
        let verb = if args.dry_run { "would be pushed" } else { "pushed" };
        ui.data(&format!("{}: {verb} at {}\n", spoken(&push.name), push.new.short()))?;
    }
    if outcome.pushes.is_empty() && !outcome.changes.iter().any(|change| change.how.moves()) && exit == Exit::DONE {
        ui.data(&format!("nothing to share: {name} and this repository have the same records\n"))?;
    }
    desk.hints(&outcome, ui)?;
    Ok(exit)
}

struct Desk<'a> {
    app: &'a App,
    remote: &'a str,
    args: &'a SyncArgs,
}

impl Desk<'_> {
    /// Fetches, takes over, pushes; again from the beginning when somebody else pushed meanwhile.
    fn share(&self, ui: &mut Ui) -> Result<Outcome, CommandError> {
        let mut first: Option<Outcome> = None;
        for _ in 0..TRIES {
            let theirs = remote::refs(&self.app.repo, self.remote, &["refs/orchestrate/*", "refs/heads/story/*"])?;
            remote::fetch(&self.app.repo, self.remote, &[(OURS, ""), (STORY_BRANCHES, "branches/")])?;
            // Not while git may ask for a passphrase on the same terminal.
            let waiting = ui.waiting("comparing records", None);
            let outcome = self.take_over(&theirs)?;
            drop(waiting);
            let mut all = first.take().unwrap_or_default();
            merge(&mut all.changes, outcome.changes);
            all.pushes = outcome.pushes;
            if self.args.dry_run || all.pushes.is_empty() {
                return Ok(all);
            }
            match remote::push(&self.app.repo, self.remote, &all.pushes)? {
                Pushed::Done => return Ok(all),
                Pushed::Raced => first = Some(all),
            }
        }
        Err(CommandError::operation(format!("{} changed {TRIES} times while it was synced", self.remote))
            .hint("what was fetched and joined here stays; try again"))
    }

    fn take_over(&self, theirs: &BTreeMap<String, Oid>) -> Result<Outcome, CommandError> {
        let repo = &self.app.repo;
        let mut store = self.app.ledger();
        let is_record = |name: &str| name.starts_with(OURS) && !name.starts_with(RESCUE);
        let offered = theirs.iter().filter(|(name, _)| is_record(name));
        let offered: BTreeMap<String, Oid> = offered.map(|(name, oid)| (name.clone(), oid.clone())).collect();
        let wish = self.wish(&mut store)?;
        let mut changes = if self.args.dry_run {
            store.weigh(&repo.gix(), &offered, &wish)?.changes
        } else {
            store.bring(&offered, &wish)?
        };
        let moved = changes.iter().filter(|change| change.how.moves());
        for run in moved.filter_map(|change| change.name.strip_prefix(RUNS)).filter(|_| !self.args.dry_run) {
            elsewhere::note(repo, run)?;
        }
        let unfinished = unfinished(&mut store)?;
        let branches = theirs.iter().filter(|(name, _)| unfinished.contains(*name));
        let branches = branches.map(|(name, oid)| (name.clone(), oid.clone())).collect();
        changes.extend(if self.args.dry_run {
            store.weigh_branches(&repo.gix(), &branches)?
        } else {
            store.bring_branches(&branches)?
        });
        let pushes = self.pushes(theirs, &unfinished, &changes)?;
        Ok(Outcome { changes, pushes })
    }

    /// What a process here works on stays, and what a person decided.
    fn wish(&self, store: &mut Store) -> Result<Wish, CommandError> {
        let items = store.items()?;
        let mut wish = Wish::default();
        wish.held.extend(self.app.machine.held(items.keys()).into_iter().map(|key| format!("{ITEMS}{key}")));
        let live = runs::live(&self.app.repo.state_dir()).into_iter();
        wish.held.extend(live.map(|live| format!("{RUNS}{}", live.run)));
        for (ids, keep) in [(&self.args.ours, Keep::Ours), (&self.args.theirs, Keep::Theirs)] {
            for id in ids {
                let name =
                    if id.starts_with(OURS) { id.clone() } else { format!("{ITEMS}{}", item::find(id, &items)?) };
                wish.keep.insert(name, keep);
            }
        }
        Ok(wish)
    }

    /// Refs that the remote lacks, or has an older value of. What was only weighed counts as it would be.
    fn pushes(
        &self,
        theirs: &BTreeMap<String, Oid>,
        unfinished: &BTreeSet<String>,
        changes: &[Change],
    ) -> Result<Vec<Push>, CommandError> {
        let repo = &self.app.repo;
        let git = repo.gix();
        let mut ours: BTreeMap<String, Oid> = refs::list(repo, OURS)?.into_iter().collect();
        ours.retain(|name, _| !name.starts_with(RESCUE) && Kind::of(name) != Kind::Unknown);
        let stories = refs::list(repo, STORY_BRANCHES)?.into_iter();
        ours.extend(stories.filter(|(name, _)| unfinished.contains(name)));
        let joined = |name: &str| {
            changes
                .iter()
                .find(|change| change.name == name)
                .is_some_and(|change| self.args.dry_run && matches!(change.how, How::Joined(_)))
        };
        let mut pushes = Vec::new();
        for (name, new) in ours {
            let lease = theirs.get(&name).cloned();
            let newer = match &lease {
                None => true,
                Some(old) if *old == new => false,
                Some(_) if joined(&name) => true,
                Some(old) => {
                    let (old, new) = (repo.object_id(old)?, repo.object_id(&new)?);
                    git.has_object(old) && commit::contains(&git, new, old)?
                }
            };
            if newer {
                pushes.push(Push { name, lease, new });
            }
        }
        Ok(pushes)
    }

    /// What a person has to do: decide, pull, push.
    fn hints(&self, outcome: &Outcome, ui: &mut Ui) -> Result<(), CommandError> {
        for change in &outcome.changes {
            match &change.how {
                How::Contradicts(_) => self.show_both(change, ui)?,
                How::Behind(branch) => ui.hint(&format!(
                    "bring {} up to date first: git pull {} {}; then git orchestrate sync",
                    branch.short(),
                    self.remote,
                    branch.short()
                )),
                _ => {}
            }
        }
        let Ok(target) = target::find(&self.app.repo, None) else { return Ok(()) };
        let tracked = format!("refs/remotes/{}/{}", self.remote, target.branch.short());
        if let Some(there) = refs::tip(&self.app.repo, &tracked)?.filter(|there| *there != target.tip) {
            let git = self.app.repo.gix();
            let (here, there) = (self.app.repo.object_id(&target.tip)?, self.app.repo.object_id(&there)?);
            if commit::contains(&git, here, there)? {
                let branch = target.branch.short();
                ui.hint(&format!("what landed is not pushed with the records: git push {} {branch}", self.remote));
            }
        }
        Ok(())
    }

    fn show_both(&self, change: &Change, ui: &mut Ui) -> Result<(), CommandError> {
        let git = self.app.repo.gix();
        let subject = |oid: &Oid| -> Result<String, PortError> {
            let id = self.app.repo.object_id(oid)?;
            let said = git.find_commit(id).ok().and_then(|found| found.message_raw().map(ToString::to_string).ok());
            Ok(said.and_then(|text| text.lines().next().map(escape_line)).unwrap_or_default())
        };
        if let Some(ours) = &change.ours {
            ui.message(&format!("  here:  {} {}\n", ours.short(), subject(ours)?));
        }
        let theirs = &change.theirs;
        ui.message(&format!("  there: {} {}\n", theirs.short(), subject(theirs)?));
        if Kind::of(&change.name) == Kind::Unknown {
            ui.hint(&format!("merge the branch by hand: git log --all --graph {}", MIRROR.to_owned() + self.remote));
            return Ok(());
        }
        let id = change.name.strip_prefix(ITEMS).unwrap_or(&change.name);
        let command = format!("git orchestrate sync {}", self.remote);
        ui.hint(&format!(
            "decide which stands, the other stays reachable: {command} --ours {id}, or {command} --theirs {id}"
        ));
        Ok(())
    }

    fn in_json(&self, outcome: &Outcome) -> serde_json::Value {
        let change = |change: &Change| {
            let (how, detail) = described(&change.how);
            json!({ "ref": change.name, "how": how, "detail": detail, "ours": change.ours, "theirs": change.theirs })
        };
        let pushed: Vec<_> = outcome.pushes.iter().map(|push| json!({ "ref": push.name, "oid": push.new })).collect();
        json!({
            "version": 1,
            "remote": self.remote,
            "dryRun": self.args.dry_run,
            "changes": outcome.changes.iter().map(change).collect::<Vec<_>>(),
            "pushed": pushed,
        })
    }
}

/// Branches of stories that are not done.
fn unfinished(store: &mut Store) -> Result<BTreeSet<String>, CommandError> {
    let items = store.items()?;
    let open = items.values().filter(|state| !state.is_done()).filter_map(|state| state.attempt.as_ref());
    let branches = open.map(|attempt| attempt.branch.as_str().to_owned());
    // A record from elsewhere names what it likes.
    Ok(branches.filter(|name| name.starts_with(STORY_BRANCHES) && refs::is_valid_name(name)).collect())
}

/// The first round tells what moved, the last one what stays.
fn merge(all: &mut Vec<Change>, round: Vec<Change>) {
    for change in round {
        match all.iter_mut().find(|known| known.name == change.name) {
            Some(known) if known.how.moves() && !change.how.moves() && change.how != How::Held => {}
            Some(known) => *known = change,
            None => all.push(change),
        }
    }
}

fn described(how: &How) -> (&'static str, Option<String>) {
    match how {
        How::Same => ("same", None),
        How::Created => ("created", None),
        How::Forwarded => ("forwarded", None),
        How::Joined(joined) => ("joined", Some(joined.to_string())),
        How::Overwritten(kept) => ("overwritten", Some(kept.clone())),
        How::Newer => ("newer-here", None),
        How::Held => ("held-here", None),
        How::Behind(branch) => ("behind", Some(branch.to_string())),
        How::Contradicts(why) => ("contradicts", Some(why.clone())),
        How::Unreadable(why) => ("unreadable", Some(why.clone())),
    }
}

/// The remote that was asked for, else the one that the target follows, else origin.
fn remote_name(app: &App, args: &SyncArgs) -> Result<String, CommandError> {
    let known = remote::names(&app.repo)?;
    let followed = || {
        let target = target::find(&app.repo, None).ok()?;
        remote::upstream(&app.repo, target.branch.short())
    };
    let wanted = args.remote.clone().or_else(followed).unwrap_or_else(|| "origin".to_owned());
    if known.contains(&wanted) && refs::is_valid_name(&format!("{MIRROR}{wanted}/x")) {
        return Ok(wanted);
    }
    let message = match known.as_slice() {
        [] => format!("there is no remote `{}` to share the record with", wanted.escape_debug()),
        known => format!("no remote `{}`; known: {}", wanted.escape_debug(), known.join(", ")),
    };
    Err(CommandError::usage(message).hint(format!("git remote add {} URL", wanted.escape_debug())))
}
