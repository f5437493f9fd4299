//! Looks for tampering around everything an agent's processes do, and acts on what the rule of `domain::tamper` makes of it:
//! quarantine, pause, no more landings. Must not set back anything outside the ledger, nor blame without knowing.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::attempt::{Attempt, Halt, describe};
use crate::domain::event::FailureClass;
use crate::domain::names::{BranchRef, ItemKey, Oid};
use crate::domain::state::ItemState;
use crate::domain::tamper::{self, Finding, Measure, Words};
use crate::domain::workflow::Phase;

/// What the attempts of a run have seen. Cheap to clone; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Watch {
    seen: Rc<RefCell<Seen>>,
    /// One look at a time, so that everything is found once.
    turn: Rc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Seen {
    /// What git ran here at the last look.
    programs: Option<Words>,
    /// Value of the target up to which every commit is accounted for.
    target: Option<Oid>,
    /// Processes at work, by attempt.
    live: BTreeMap<ItemKey, u32>,
    /// Attempts that had a process at work since the last look.
    suspects: BTreeSet<ItemKey>,
    /// Branches that nothing of their attempt moves now.
    still: BTreeMap<ItemKey, (BranchRef, Oid)>,
    /// Why the run lands nothing any more.
    alarm: Option<String>,
    /// What our own git calls in a worktree would obey has changed.
    hostile: bool,
    /// Attempts to be quarantined, with what they did.
    condemned: BTreeMap<ItemKey, Vec<String>>,
    /// Attempts to be paused, with the reason.
    paused: BTreeMap<ItemKey, String>,
}

/// A process of an attempt is at work until this is dropped.
#[must_use]
pub(crate) struct AtWork {
    watch: Watch,
    key: ItemKey,
}

/// A branch keeps still until this is dropped.
#[must_use]
pub(crate) struct Still {
    watch: Watch,
    key: ItemKey,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let mut seen = self.watch.seen.borrow_mut();
        if let Some(count) = seen.live.get_mut(&self.key) {
            *count -= 1;
        }
        seen.live.retain(|_, count| *count > 0);
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        self.watch.seen.borrow_mut().still.remove(&self.key);
    }
}

impl Watch {
    /// Takes note that a process of an attempt starts.
    pub(crate) fn at_work(&self, key: &ItemKey) -> AtWork {
        let mut seen = self.seen.borrow_mut();
        *seen.live.entry(key.clone()).or_default() += 1;
        seen.suspects.insert(key.clone());
        AtWork { watch: self.clone(), key: key.clone() }
    }

    /// Takes note that nothing of an attempt moves its branch now.
    pub(crate) fn still(&self, key: &ItemKey, branch: BranchRef, tip: Oid) -> Still {
        self.seen.borrow_mut().still.insert(key.clone(), (branch, tip));
        Still { watch: self.clone(), key: key.clone() }
    }

    /// Takes note of a landing of ours.
    pub(crate) fn landed(&self, base: &Oid, tip: &Oid) {
        let mut seen = self.seen.borrow_mut();
        if seen.target.as_ref() == Some(base) {
            seen.target = Some(tip.clone());
        }
    }

    /// Why the run lands nothing any more.
    pub(crate) fn alarm(&self) -> Option<String> {
        self.seen.borrow().alarm.clone()
    }

    fn take_suspects(&self) -> BTreeSet<ItemKey> {
        let mut seen = self.seen.borrow_mut();
        let live = seen.live.keys().cloned().collect();
        std::mem::replace(&mut seen.suspects, live)
    }

    /// Takes note of what follows from a finding.
    fn act(&self, finding: &Finding, suspects: &BTreeSet<ItemKey>) {
        let mut seen = self.seen.borrow_mut();
        for measure in tamper::measures(finding, suspects) {
            match measure {
                Measure::Quarantine(key) => seen.condemned.entry(key).or_default().push(finding.to_string()),
                Measure::Pause(key) => {
                    seen.paused.entry(key).or_insert_with(|| finding.to_string());
                }
                Measure::StopLandings => {
                    seen.alarm.get_or_insert_with(|| stopped(finding));
                }
            }
        }
        if let Finding::Programs(changes) | Finding::Ties(changes) = finding {
            seen.hostile |= changes.iter().any(tamper::Change::would_run);
        }
    }
}

/// Why landings have stopped, and what helps.
fn stopped(finding: &Finding) -> String {
    let helps = match finding {
        Finding::Breach { branch, commits } => {
            let oldest = commits.last().map_or("", Oid::short);
            format!("look at them: git log -p {oldest}^..{}", branch.short())
        }
        Finding::Programs(_) => "undo what is not yours".to_owned(),
        Finding::Ledger(_) | Finding::Sibling { .. } | Finding::Ties(_) => "find out who did it".to_owned(),
    };
    format!("landings have stopped: {finding}; {helps}, then: git orchestrate resume")
}

impl Attempt {
    /// Runs something of an agent's, looking before and after it. What happened before is nobody's of this attempt.
    pub(crate) async fn watched<T>(&mut self, phase: Phase, work: impl Future<Output = T>) -> Result<T, Halt> {
        let ties = self.ties(phase)?;
        self.look(phase).await?;
        let known = self.reviews().await?;
        let watch = self.track.world.watch.clone();
        let at_work = watch.at_work(&self.track.key);
        let done = work.await;
        // First: with the worktree tied elsewhere, git is not to be asked about it.
        let tied = self.ties(phase)?;
        let changes = tamper::changes(&ties, &tied);
        // A worktree that is gone is tied to nothing; whoever asks for it next says so.
        if !tied.is_empty() && !changes.is_empty() {
            let finding = Finding::Ties(changes);
            self.tell_of(&finding);
            watch.act(&finding, &BTreeSet::from([self.track.key.clone()]));
        }
        let looked = self.look(phase).await;
        drop(at_work);
        looked?;
        let reviews = self.reviews().await?;
        if phase != Phase::Review && reviews > known {
            self.reviews_while_writing = reviews;
        }
        Ok(done)
    }

    /// How many reviews the ledger holds of this item.
    async fn reviews(&self) -> Result<usize, Halt> {
        let state = self.track.world.ports.recorder.item(&self.track.key).await?;
        Ok(state.map_or(0, |state| state.reviews.len()))
    }

    fn ties(&self, phase: Phase) -> Result<Words, Halt> {
        self.track.world.ports.surroundings.ties(&self.spec).map_err(Halt::internal(phase))
    }

    /// Looks at everything that no agent may touch, takes the measures that follow, and ends this attempt when they are
    /// against it.
    pub(crate) async fn look(&mut self, phase: Phase) -> Result<(), Halt> {
        let watch = self.track.world.watch.clone();
        let turn = watch.turn.clone();
        let turn = turn.lock().await;
        let suspects = watch.take_suspects();
        for finding in self.find(phase, &suspects).await? {
            self.tell_of(&finding);
            if let Finding::Sibling { victim, expected, found, .. } = &finding {
                self.keep_both(victim, expected, found.as_ref(), phase).await?;
            }
            watch.act(&finding, &suspects);
        }
        drop(turn);
        self.submit_to(&watch, phase).await
    }

    /// What was found holds for this attempt too.
    async fn submit_to(&mut self, watch: &Watch, phase: Phase) -> Result<(), Halt> {
        let (condemned, paused, hostile) = {
            let mut seen = watch.seen.borrow_mut();
            let key = &self.track.key;
            (seen.condemned.remove(key), seen.paused.remove(key), seen.hostile)
        };
        if let Some(deeds) = condemned {
            return Err(self.quarantine(&deeds.join("; "), hostile, phase).await);
        }
        if let Some(reason) = paused {
            return Err(Halt::Wait(format!(
                "{reason}; both tips are kept; look at them, then: git orchestrate resume"
            )));
        }
        match watch.alarm().filter(|_| hostile) {
            Some(alarm) => Err(Halt::Wait(alarm)),
            None => Ok(()),
        }
    }

    fn tell_of(&self, finding: &Finding) {
        self.track.tell(format!("tampering: {finding}"));
    }

    async fn find(&mut self, phase: Phase, suspects: &BTreeSet<ItemKey>) -> Result<Vec<Finding>, Halt> {
        let restored = self.track.world.ports.recorder.audit().await?;
        let mut findings: Vec<Finding> = restored.into_iter().map(Finding::Ledger).collect();
        findings.extend(self.find_breach(phase).await?);
        findings.extend(self.find_programs(phase)?);
        findings.extend(self.find_siblings(phase, suspects).await?);
        Ok(findings)
    }

    /// Commits on the target that came by no landing since the last look.
    async fn find_breach(&self, phase: Phase) -> Result<Option<Finding>, Halt> {
        let world = &self.track.world;
        let (lander, target) = (&world.ports.lander, &world.decisions.target);
        let before = world.watch.seen.borrow().target.clone().unwrap_or_else(|| world.decisions.base.clone());
        let Some(now) = lander.tip(target).await.map_err(Halt::internal(phase))? else { return Ok(None) };
        let mut finding = None;
        if now != before {
            let gained = lander.gained(&before, &now).await.map_err(Halt::internal(phase))?;
            let items = world.ports.recorder.items().await?;
            let mut lines = BTreeSet::new();
            if gained.iter().any(|commit| commit.parents.len() > 1) {
                for state in items.values() {
                    lines.extend(self.line_of(state, &before, phase).await?);
                }
            }
            let commits = tamper::uncovered(&gained, items.values(), &lines);
            finding = (!commits.is_empty()).then(|| Finding::Breach { branch: target.clone(), commits });
        }
        world.watch.seen.borrow_mut().target = Some(now);
        Ok(finding)
    }

    /// The commits that a story added itself.
    async fn line_of(&self, state: &ItemState, before: &Oid, phase: Phase) -> Result<BTreeSet<Oid>, Halt> {
        let lander = &self.track.world.ports.lander;
        let Some(attempt) = state.attempt.as_ref().filter(|_| !state.is_done()) else { return Ok(BTreeSet::new()) };
        let Some(tip) = lander.tip(&attempt.branch).await.map_err(Halt::internal(phase))? else {
            return Ok(BTreeSet::new());
        };
        let commits = lander.gained(before, &tip).await.map_err(Halt::internal(phase))?;
        Ok(tamper::line(&commits, &tip, &attempt.base))
    }

    fn find_programs(&self, phase: Phase) -> Result<Option<Finding>, Halt> {
        let now = self.track.world.ports.surroundings.programs().map_err(Halt::internal(phase))?;
        let before = self.track.world.watch.seen.borrow_mut().programs.replace(now.clone());
        let changes = before.map(|before| tamper::changes(&before, &now)).unwrap_or_default();
        Ok((!changes.is_empty()).then_some(Finding::Programs(changes)))
    }

    /// Branches of other attempts that moved while nothing of theirs was at work. With no agent at work it was the user.
    async fn find_siblings(&self, phase: Phase, suspects: &BTreeSet<ItemKey>) -> Result<Vec<Finding>, Halt> {
        let world = &self.track.world;
        let mut findings = Vec::new();
        let still = world.watch.seen.borrow().still.clone();
        for (victim, (branch, expected)) in still {
            let strangers = suspects.iter().any(|suspect| *suspect != victim);
            if victim == self.track.key || !strangers {
                continue;
            }
            let found = world.ports.lander.tip(&branch).await.map_err(Halt::internal(phase))?;
            if found.as_ref() != Some(&expected) {
                world.watch.seen.borrow_mut().still.remove(&victim);
                findings.push(Finding::Sibling { victim, branch, expected, found });
            }
        }
        Ok(findings)
    }

    async fn keep_both(&self, victim: &ItemKey, expected: &Oid, found: Option<&Oid>, phase: Phase) -> Result<(), Halt> {
        let worktrees = &self.track.world.ports.worktrees;
        let mut tips = vec![expected.clone()];
        tips.extend(found.cloned());
        for tip in tips {
            let kept = worktrees.keep(victim.as_str(), &tip).await.map_err(Halt::internal(phase))?;
            self.track.tell(format!("{} is kept in {kept}", tip.short()));
        }
        Ok(())
    }

    /// Takes the attempt out: its work is kept, its worktree goes, its story fails.
    async fn quarantine(&mut self, deeds: &str, hostile: bool, phase: Phase) -> Halt {
        let kept = match self.rescue(hostile).await {
            Ok(Some(rescue)) => format!("its work is kept in {rescue}"),
            Ok(None) => "it left no work of its own".to_owned(),
            Err(error) => format!("its worktree stays as it is: {}", describe(&error)),
        };
        Halt::fail(FailureClass::Tampering, phase, format!("quarantined: {deeds}; {kept}"))
    }

    async fn rescue(&mut self, hostile: bool) -> Result<Option<String>, super::ports::PortError> {
        let ports = self.track.world.ports.clone();
        if hostile {
            // Committing what lies there would run what was planted.
            let Some(tip) = ports.lander.tip(&self.spec.branch).await? else { return Ok(None) };
            return ports.worktrees.keep(self.track.key.as_str(), &tip).await.map(Some);
        }
        let start = self.spec.start.clone();
        let retired = ports.worktrees.retire(&self.spec, Some(&start)).await?;
        self.prepared = None;
        Ok(retired.rescue)
    }
}
