//! What every command that may write does first: looks at the protected branches, records what a person landed by hand,
//! certifies what is sound, and stops at a breach. Must not judge: `adapters::gate` and the domain do.

use super::app::App;
use super::checkpoints;
use super::error::{CommandError, Kind};
use super::ui::Ui;
use crate::adapters::gate::certify::{self, Found};
use crate::adapters::gate::proof;
use crate::adapters::gate::reader::Reader;
use crate::adapters::git::repo::Repo;
use crate::adapters::git::{commit, follow, identity, landing};
use crate::adapters::host::Machine;
use crate::adapters::ledger::store::Store;
use crate::domain::bookkeep::{Rewrite, review_lines};
use crate::domain::branch::BranchEvent;
use crate::domain::event::{ItemEvent, Landing};
use crate::domain::gate::{self, MergePermit, WriteBack};
use crate::domain::names::{AttemptId, BranchRef, ItemKey, Oid, Principal, Timestamp};
use crate::domain::state::ItemState;
use crate::engine::ports::{Bookkeeping, Clock, Host, Ledger, LedgerError, PortError, Record};
use crate::report::status::Watched;
use crate::report::text::Color;
use crate::report::verify;

/// Puts protected branches under watch, from where they are now; those that are watched already stay as they are. `also`:
/// a branch that stories land on without being protected by the policy.
pub(crate) fn adopt(repo: &Repo, store: &mut Store, also: Option<&BranchRef>) -> Result<Vec<BranchRef>, CommandError> {
    let reader = Reader::of(repo);
    let mut branches = certify::protected(&reader)?;
    if let Some(also) = also.filter(|also| !branches.contains(also)) {
        branches.push(also.clone());
    }
    let by = identity::email(repo).map_or(Principal::Tool, Principal::Person);
    let at = Machine::new(repo.state_dir()).now();
    let mut adopted = Vec::new();
    for branch in branches {
        let (None, Some(tip)) = (reader.branch(&branch)?.adopted, reader.standing(branch.as_str())?) else { continue };
        let event = BranchEvent::Adopted { tip, by: by.clone() };
        match store.append(&[Record::Branch { branch: branch.clone(), event, at }]) {
            Ok(()) => adopted.push(branch),
            // Another process was faster.
            Err(LedgerError::Rejected(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(adopted)
}

/// Brings the records of all watched branches up to date. An error (3) as long as a breach is open on any of them.
pub(crate) fn settle(app: &App, ui: &mut Ui) -> Result<(), CommandError> {
    checkpoints::mend(app, ui);
    let mut stopped = Vec::new();
    for branch in certify::adopted(&Reader::of(&app.repo))? {
        if let Some(found) = settle_branch(app, &branch, ui)?.filter(|found| !found.is_sound()) {
            stopped.push(found);
        }
    }
    let Some(first) = stopped.first() else { return Ok(()) };
    let reader = Reader::of(&app.repo);
    for found in &stopped {
        let open = proof::open(&reader, &found.branch, &found.tip, &found.record, found.breaches.clone())?;
        ui.message(&verify::breaches(found.branch.short(), &open, Color::of(ui.err_color())));
    }
    let branch = first.branch.short();
    let message = format!("nothing lands: {branch} holds, or has lost, something that no reviewed landing explains");
    Err(CommandError::new(Kind::Gate, message)
        .hint(format!("look at it with git orchestrate verify; {} lets landings go on", verify::ACKNOWLEDGE)))
}

/// The same for commands that land nothing: a breach is said, and the command goes on.
pub(crate) fn settle_and_go_on(app: &App, ui: &mut Ui) -> Result<(), CommandError> {
    match settle(app, ui) {
        Err(error) if error.kind == Kind::Gate => {
            ui.warning(&error.message);
            error.hint.iter().for_each(|hint| ui.hint(hint));
            Ok(())
        }
        other => other,
    }
}

/// Where the watched branches stand. Compares tips; counts only where they differ.
pub(crate) fn watched(app: &App) -> Result<Vec<Watched>, PortError> {
    let reader = Reader::of(&app.repo);
    let mut watched = Vec::new();
    for branch in certify::adopted(&reader)? {
        let (record, Some(tip)) = (reader.branch(&branch)?, reader.standing(branch.as_str())?) else { continue };
        let certified: Vec<Oid> = record.certified.into_iter().filter(|oid| reader.history().has(oid)).collect();
        let uncertified = match certified.as_slice() {
            [certified] if *certified == tip => 0,
            hidden => reader.history().count(std::slice::from_ref(&tip), hidden)?,
        };
        let certified = certified.into_iter().next();
        watched.push(Watched { branch, tip, certified, uncertified, breaches: record.breaches });
    }
    Ok(watched)
}

/// Says what is open without writing anything.
pub(crate) fn warn(app: &App, ui: &mut Ui) -> Result<(), CommandError> {
    let reader = Reader::of(&app.repo);
    for branch in certify::adopted(&reader)? {
        let Some(found) = certify::examine(&reader, &branch)? else { continue };
        let all = found.record.breaches.len() + found.breaches.len();
        if let Some(first) = found.record.breaches.iter().chain(&found.breaches).next() {
            ui.warning(&certify::sentence(&branch, first, all));
        }
    }
    Ok(())
}

/// Looks at one branch and records what was found. `None` when nobody can look: there is no such branch, or its policy cannot
/// be read, which planning says better.
pub(crate) fn settle_branch(app: &App, branch: &BranchRef, ui: &mut Ui) -> Result<Option<Found>, CommandError> {
    let reader = Reader::of(&app.repo);
    if reader.policy().is_err() {
        return Ok(None);
    }
    let Some(found) = certify::examine(&reader, branch)? else { return Ok(None) };
    let mut desk = Desk { app, reader: &reader, store: app.ledger(), branch, tip: found.tip.clone() };
    let mut all_recorded = true;
    for (key, landing) in &found.merged {
        all_recorded &= desk.record(key, landing, found.is_sound(), ui)?;
    }
    let at = app.machine.now();
    let record = |event| Record::Branch { branch: branch.clone(), event, at };
    let breached = found.breaches.iter().map(|breach| record(BranchEvent::Breached { breach: breach.clone() }));
    let mut records: Vec<Record> = breached.collect();
    if found.is_sound() && all_recorded && found.record.certified.as_ref() != Some(&desk.tip) {
        records.push(record(BranchEvent::Certified { tip: desk.tip.clone() }));
    }
    match desk.store.append(&records) {
        // Another process found a breach meanwhile: the next look sees it.
        Ok(()) | Err(LedgerError::Rejected(_)) => Ok(Some(found)),
        Err(error) => Err(error.into()),
    }
}

/// Where landings by hand are written down.
struct Desk<'a> {
    app: &'a App,
    reader: &'a Reader,
    store: Store,
    branch: &'a BranchRef,
    /// Tip of the branch, our own write-backs included.
    tip: Oid,
}

/// A landing by hand that is to be written down.
struct ByHand<'a> {
    key: &'a ItemKey,
    /// The item, `opening` included.
    state: ItemState,
    attempt: AttemptId,
    /// What comes first: an attempt that ended cannot land, so another one goes on with what it left.
    opening: Option<ItemEvent>,
    /// The landing without a write-back.
    landing: Landing,
}

impl Desk<'_> {
    /// Records a change that was approved and that a person merged. `false` when another process works on the story.
    fn record(&mut self, key: &ItemKey, landing: &Landing, keep: bool, ui: &mut Ui) -> Result<bool, CommandError> {
        let Some(state) = self.store.item(key)? else { return Ok(false) };
        let Some(attempt) = state.attempt.as_ref().map(|attempt| attempt.id.clone()) else { return Ok(false) };
        let Ok(_lock) = self.app.machine.lock(key, &attempt)? else {
            ui.detail(&format!("story {key} was merged by hand; the run that works on it records that"));
            return Ok(false);
        };
        let Some(state) = self.store.item(key)?.filter(|state| !state.is_done()) else { return Ok(true) };
        // A landing of ours that happened and was not recorded is recovery's.
        if state.intended.as_ref() == Some(landing) && self.is_here(&landing.tip)? {
            return Ok(true);
        }
        let landing = Landing { tip: landing.merge.clone(), ..landing.clone() };
        let by_hand = self.opened(key, state, attempt, landing)?;
        let written = keep && self.write_back(&by_hand, ui)?;
        if !written {
            let landed = ItemEvent::Landed { landing: by_hand.landing.clone() };
            self.append(&by_hand, [by_hand.intended(&by_hand.landing), landed])?;
        }
        let merge = by_hand.landing.merge.short();
        ui.status(&format!("story {key}: merged by hand as {merge}, as it was approved; recorded as landed"));
        Ok(true)
    }

    fn append(&mut self, by_hand: &ByHand<'_>, events: impl IntoIterator<Item = ItemEvent>) -> Result<(), LedgerError> {
        let all = by_hand.opening.iter().cloned().chain(events);
        let records: Vec<Record> = all.map(|event| self.of_item(by_hand.key, event)).collect();
        self.store.append(&records)
    }

    fn of_item(&self, key: &ItemKey, event: ItemEvent) -> Record {
        Record::Item { key: key.clone(), event, at: self.app.machine.now(), artefacts: Vec::new() }
    }

    fn is_here(&self, commit: &Oid) -> Result<bool, PortError> {
        let repo = &self.app.repo;
        commit::contains(&repo.gix(), repo.object_id(&self.tip)?, repo.object_id(commit)?)
    }

    fn opened<'k>(
        &self,
        key: &'k ItemKey,
        state: ItemState,
        last: AttemptId,
        landing: Landing,
    ) -> Result<ByHand<'k>, CommandError> {
        let (Some(attempt), true) = (&state.attempt, state.outcome.is_some()) else {
            return Ok(ByHand { key, state, attempt: last, opening: None, landing });
        };
        let next = self.app.machine.attempt_id();
        let event = ItemEvent::AttemptStarted {
            attempt: next.clone(),
            continues: Some(last),
            run: attempt.run.clone(),
            title: state.title.clone(),
            path: state.path.clone(),
            agent: attempt.agent.clone(),
            role: attempt.role.clone(),
            branch: attempt.branch.clone(),
            worktree: attempt.worktree.clone(),
            target: attempt.target.clone(),
            base: attempt.base.clone(),
            policy: attempt.policy.clone(),
            story: attempt.story.clone(),
        };
        let state = state.apply(&event, self.app.machine.now());
        let state = state.map_err(|error| CommandError::operation(format!("story {key}: {error}")))?;
        Ok(ByHand { key, state, attempt: next, opening: Some(event), landing })
    }

    /// Writes status and review lines on top of the branch and records the landing with it. `false` when that cannot be: then
    /// the file stays as it is.
    fn write_back(&mut self, by_hand: &ByHand<'_>, ui: &mut Ui) -> Result<bool, CommandError> {
        let (repo, at) = (&self.app.repo, self.app.machine.now());
        let (key, path) = (by_hand.key, &by_hand.state.path);
        if !self.app.settings.write_back {
            return Ok(false);
        }
        let record = self.store.record(key)?.map(|record| record.to_string()).unwrap_or_default();
        let kept = Bookkeeping {
            path: path.clone(),
            message: format!("Record story {key} as done\n\nStory: {key}\nOrchestrate-Record: {record}\n"),
            review_lines: review_lines(&by_hand.state.reviews),
        };
        let Some(commit) = landing::write_back(repo, &self.tip, &kept, at)? else { return Ok(false) };
        if let Some(obstacle) = follow::obstacle(repo, self.branch, &self.tip, &commit)? {
            ui.warning(&format!("{path} is not marked as done: {obstacle}"));
            return Ok(false);
        }
        if self.move_branch(by_hand, &commit, at, ui)? {
            if let Err(error) = follow::follow(repo, self.branch, &self.tip, &commit) {
                ui.warning(&format!("{path} is marked as done, but a checkout did not follow: {error}"));
            }
            self.tip = commit;
        }
        Ok(true)
    }

    /// Write-ahead, then the move and the landing in one transaction. `false` when the branch moved meanwhile or somebody holds
    /// its lock: the landing is recorded without its write-back.
    fn move_branch(
        &mut self,
        by_hand: &ByHand<'_>,
        commit: &Oid,
        at: Timestamp,
        ui: &mut Ui,
    ) -> Result<bool, CommandError> {
        let landing = Landing { tip: commit.clone(), ..by_hand.landing.clone() };
        let intended = by_hand.intended(&landing);
        let state = by_hand.state.apply(&intended, at).map_err(LedgerError::from)?;
        self.append(by_hand, [intended])?;
        let proof = self.candidate(commit)?.and_then(|candidate| gate::judge_write_back(&state, &candidate));
        let Some(proof) = proof else {
            let message = format!("the write-back of story {} is not what it should be", by_hand.key);
            return Err(CommandError::new(Kind::Internal, message));
        };
        match self.store.land(MergePermit::bookkeeping(proof), by_hand.key, &landing, at) {
            Ok(()) => Ok(true),
            Err(error @ (LedgerError::TargetMoved { .. } | LedgerError::Locked(_))) => {
                if let LedgerError::Locked(locked) = &error {
                    let helps = locked.hint.as_deref().unwrap_or_default();
                    ui.warning(&format!("{} is not marked as done: {locked} ({helps})", by_hand.state.path));
                }
                let landed = ItemEvent::Landed { landing: by_hand.landing.clone() };
                let events = [by_hand.intended(&by_hand.landing), landed].map(|event| self.of_item(by_hand.key, event));
                self.store.append(&events)?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The facts of a write-back, read from its commit.
    fn candidate(&self, commit: &Oid) -> Result<Option<WriteBack>, PortError> {
        let history = self.reader.history();
        let (before, tree) = (history.commit(&self.tip)?.tree.clone(), history.commit(commit)?.tree.clone());
        let Some(path) = history.only_change(&before, &tree)? else { return Ok(None) };
        let (Some(old), Some(new)) = (history.file(&before, &path)?, history.file(&tree, &path)?) else {
            return Ok(None);
        };
        let rewrite = Rewrite { path, before: old.bytes, after: new.bytes };
        Ok(Some(WriteBack { base: self.tip.clone(), tree, rewrite }))
    }
}

impl ByHand<'_> {
    fn intended(&self, landing: &Landing) -> ItemEvent {
        ItemEvent::LandingIntended { attempt: self.attempt.clone(), landing: landing.clone() }
    }
}
