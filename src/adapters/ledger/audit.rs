//! Watches over the refs of the ledger while agents of a run are at work: remembers what each was, puts back what is no
//! continuation of it, and keeps what had been put there. Must not judge whether a record is true, only whether it is one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use gix::ObjectId;

use super::chain::message_of;
use super::codec::{self, Fact};
use super::memory::Look;
use super::store::{ITEMS, LANDINGS, META, RUNS, Store, expected};
use crate::adapters::git::commit;
use crate::adapters::git::refs::{self, Expected, RefError, RefUpdate};
use crate::adapters::git::repo::{Repo, oid};
use crate::adapters::git::trash;
use crate::domain::event::{ItemEvent, RunEvent};
use crate::domain::names::Oid;
use crate::domain::tamper::{Forged, Restored};
use crate::engine::ports::{LedgerError, PortError};

/// Everything of ours.
const OURS: &str = "refs/orchestrate/";
/// Work that nothing else names.
const RESCUE: &str = "refs/orchestrate/rescue/";
/// How often a restoration that another writer crossed is tried again.
const TRIES: u32 = 10;
/// Most records that another process may have added between two looks.
const MOST_RECORDS: usize = 10_000;

/// What is remembered.
#[derive(Default)]
pub(super) struct Guarded {
    refs: BTreeMap<String, Oid>,
    restored: Vec<Restored>,
}

/// A ref that is not what it should be.
struct Wrong {
    name: String,
    before: Option<Oid>,
    now: Option<Oid>,
}

impl Store {
    /// Remembers every ref as it is; broken ones are left to whoever reads them.
    pub(super) fn remember(&mut self) -> Result<(), LedgerError> {
        let refs = refs::list_in(&self.git, OURS)?.into_iter().collect();
        self.guarded = Some(Guarded { refs, restored: Vec::new() });
        Ok(())
    }

    /// What was put back since the last call.
    pub(super) fn take_restored(&mut self) -> Vec<Restored> {
        self.guarded.as_mut().map(|guarded| std::mem::take(&mut guarded.restored)).unwrap_or_default()
    }

    /// Takes note of what we wrote.
    pub(super) fn note_written(&mut self, updates: &[RefUpdate]) {
        let Some(guarded) = &mut self.guarded else { return };
        for update in updates.iter().filter(|update| update.name.starts_with(OURS)) {
            match &update.new {
                Some(new) => guarded.refs.insert(update.name.clone(), new.clone()),
                None => guarded.refs.remove(&update.name),
            };
        }
    }

    /// Before these refs are read or built on: mends whatever is not as it was left.
    pub(super) fn settle(&mut self, names: &[String]) -> Result<(), LedgerError> {
        self.restore_pruned()?;
        if self.is_as_left(names) { Ok(()) } else { self.mend() }
    }

    /// Makes good what a gc beside us took although a ref names it by now; how many objects that were.
    pub(super) fn restore_pruned(&mut self) -> Result<usize, LedgerError> {
        let git = &self.git;
        Ok(self.objects.restore(Look::Written, |id| git.has_object(id))?)
    }

    /// The same, with what agents committed.
    pub(super) fn restore_everything(&mut self) -> Result<usize, LedgerError> {
        // A handle that has read packs goes on to see them when they are gone.
        let now = Repo::discover(self.repo.root())?.gix();
        Ok(self.objects.restore(Look::Everything, |id| now.has_object(id))?)
    }

    /// Whether refs are what is remembered; so too when nothing is.
    pub(super) fn is_as_left(&self, names: &[String]) -> bool {
        let Some(guarded) = &self.guarded else { return true };
        let same = |name: &str| refs::tip_in(&self.git, name).is_ok_and(|tip| tip.as_ref() == guarded.refs.get(name));
        names.iter().all(|name| same(name)) && same(META)
    }

    /// Whether a value is what is remembered of a ref; so too when nothing is.
    pub(super) fn is_remembered(&self, name: &str, value: Option<&Oid>) -> bool {
        self.guarded.as_ref().is_none_or(|guarded| guarded.refs.get(name) == value)
    }

    /// Looks at every ref, takes over what others wrote by the rules, and puts the rest back.
    pub(super) fn mend(&mut self) -> Result<(), LedgerError> {
        self.restore_pruned()?;
        let Some(mut guarded) = self.guarded.take() else { return Ok(()) };
        let mended = self.mend_all(&mut guarded);
        self.guarded = Some(guarded);
        mended
    }

    fn mend_all(&mut self, guarded: &mut Guarded) -> Result<(), LedgerError> {
        let mut broken = BTreeMap::new();
        for _ in 0..TRIES {
            self.clear_broken(&mut broken)?;
            refs::refresh(&self.git);
            let mut wrong = self.compare(guarded)?;
            if wrong.is_empty() {
                // What was broken and is remembered was reported when it was put back.
                let made =
                    broken.into_iter().map(|(name, place)| Restored { name, how: Forged::Created, kept: Some(place) });
                guarded.restored.extend(made);
                return Ok(());
            }
            // What is in the way goes first.
            wrong.sort_by_key(|wrong| wrong.before.is_some());
            for one in wrong {
                let place = broken.get(&one.name).cloned();
                if let Some(restored) = self.restore(&one, place)? {
                    broken.remove(&one.name);
                    guarded.restored.push(restored);
                }
            }
        }
        Err(PortError::new("the ledger's refs keep changing while they are put back")
            .hint("end whatever writes below .git/refs/orchestrate, then: git orchestrate resume")
            .into())
    }

    /// Refs that are neither what is remembered nor a continuation of it. The index of landings is judged by chains that
    /// are in order, so it comes when they are.
    fn compare(&mut self, guarded: &mut Guarded) -> Result<Vec<Wrong>, LedgerError> {
        let now: BTreeMap<String, Oid> = refs::list_in(&self.git, OURS)?.into_iter().collect();
        let names: BTreeSet<String> = guarded.refs.keys().chain(now.keys()).cloned().collect();
        let (index, chains): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name.starts_with(LANDINGS));
        let mut wrong = Vec::new();
        for names in [chains, index] {
            for name in names {
                let (before, value) = (guarded.refs.get(&name), now.get(&name));
                if before == value {
                    continue;
                }
                match value {
                    Some(value) if self.is_sound(&name, before, value)? => {
                        guarded.refs.insert(name, value.clone());
                    }
                    Some(_) | None => {
                        wrong.push(Wrong { before: before.cloned(), now: value.cloned(), name });
                    }
                }
            }
            if !wrong.is_empty() {
                break;
            }
        }
        Ok(wrong)
    }

    /// Whether a new value is one that a writer of the ledger may have given the ref.
    fn is_sound(&mut self, name: &str, before: Option<&Oid>, now: &Oid) -> Result<bool, LedgerError> {
        let Ok(id) = self.repo.object_id(now) else { return Ok(false) };
        if let Some(key) = name.strip_prefix(ITEMS) {
            return Ok(!key.contains('/') && self.continues::<ItemEvent>(before, id));
        }
        if let Some(run) = name.strip_prefix(RUNS) {
            return Ok(!run.contains('/') && self.continues::<RunEvent>(before, id));
        }
        if let Some(tree) = name.strip_prefix(LANDINGS) {
            return self.is_landing(tree, id);
        }
        if name == META {
            return Ok(message_of(&self.git, id).is_ok_and(|message| codec::check_format(&message).is_ok()));
        }
        if name.starts_with(RESCUE) {
            return Ok(before.is_none());
        }
        // Kinds of refs that this file does not know: others of this tool write them. A folder's name is none.
        let rest = name.strip_prefix(OURS).unwrap_or_default();
        Ok(rest.contains('/'))
    }

    /// Whether a chain leads from what it was to its new tip by records that decode and fold.
    fn continues<F: Fact>(&self, before: Option<&Oid>, tip: ObjectId) -> bool {
        let mut added = Vec::new();
        let mut next = Some(tip);
        let mut joined = false;
        let mut state = F::State::default();
        while let Some(id) = next {
            let Some(decoded) = message_of(&self.git, id).ok().and_then(|text| codec::decode::<F>(&text).ok()) else {
                return false;
            };
            if before == Some(&oid(id)) {
                state = decoded.state;
                break;
            }
            let parent =
                self.git.find_commit(id).ok().and_then(|commit| commit.parent_ids().next().map(gix::Id::detach));
            joined |= decoded.joins;
            let lost = parent.is_none() && before.is_some_and(|before| !(joined && self.leads_to(tip, before)));
            if added.len() >= MOST_RECORDS || lost {
                return false;
            }
            added.push(decoded);
            next = parent;
        }
        added.into_iter().rev().all(|record| match record.after(&state) {
            Ok(folded) if folded == record.state => {
                state = folded;
                true
            }
            Ok(_) | Err(_) => false,
        })
    }

    /// Whether a record was joined into what leads to `tip`.
    fn leads_to(&self, tip: ObjectId, record: &Oid) -> bool {
        let record = self.repo.object_id(record);
        record.is_ok_and(|record| commit::contains(&self.git, tip, record).unwrap_or(false))
    }

    /// Whether a record is of a landing with that result tree, and an item's chain has that landing.
    fn is_landing(&mut self, tree: &str, record: ObjectId) -> Result<bool, LedgerError> {
        let decoded = message_of(&self.git, record).ok().and_then(|text| codec::decode::<ItemEvent>(&text).ok());
        let Some(ItemEvent::Landed { landing }) = decoded.map(|decoded| decoded.event) else { return Ok(false) };
        let tip = self.repo.object_id(&landing.tip).ok().and_then(|tip| self.git.find_commit(tip).ok());
        let tip_tree = tip.and_then(|commit| commit.tree_id().ok().map(|tree| tree.to_string()));
        let names_tree = landing.merge_tree.as_str() == tree || tip_tree.as_deref() == Some(tree);
        let states = self.items.all(&self.git)?;
        Ok(names_tree && states.values().any(|state| state.landings.contains(&landing)))
    }

    /// Gives a ref its remembered value again, or takes it away; what was there is kept. `None` when another writer was
    /// faster.
    fn restore(&mut self, wrong: &Wrong, place: Option<String>) -> Result<Option<Restored>, LedgerError> {
        let Wrong { name, before, now } = wrong;
        if let Some(before) = before
            && !self.git.has_object(self.repo.object_id(before)?)
        {
            let reason = format!("record {} is gone from the repository; it cannot be put back", before.short());
            return Err(LedgerError::Unreadable { chain: name.clone(), reason });
        }
        let kept = match now {
            Some(now) => self.keep_forged(now)?,
            None => None,
        };
        let update = RefUpdate { name: name.clone(), expected: expected(now.clone()), new: before.clone() };
        let written = self.writer().transaction(&[update]);
        match written {
            Ok(()) => {}
            Err(RefError::Conflict { .. }) => return Ok(None),
            Err(error) => return Err(LedgerError::Port(error.into())),
        }
        let how = match (before, now) {
            _ if place.is_some() => Forged::Unreadable,
            (None, _) => Forged::Created,
            (Some(_), None) => Forged::Deleted,
            (Some(_), Some(_)) => Forged::Replaced,
        };
        Ok(Some(Restored { name: name.clone(), how, kept: kept.or(place) }))
    }

    /// Names what a forged ref led to: it may be somebody's work. Nothing to keep when that is not in the repository, or
    /// is a record that a chain has anyway.
    fn keep_forged(&mut self, value: &Oid) -> Result<Option<String>, LedgerError> {
        let known = self.repo.object_id(value).is_ok_and(|id| self.git.has_object(id));
        if !known {
            return Ok(None);
        }
        for number in 1..u32::MAX {
            let name = format!("{RESCUE}forged-{number}");
            match refs::tip_in(&self.git, &name)? {
                Some(there) if there == *value => return Ok(Some(name)),
                Some(_) => continue,
                None => {}
            }
            let update = RefUpdate { name: name.clone(), expected: Expected::Absent, new: Some(value.clone()) };
            let written = self.writer().transaction(&[update]);
            match written {
                Ok(()) => return Ok(Some(name)),
                Err(RefError::Conflict { .. }) => {}
                Err(error) => return Err(LedgerError::Port(error.into())),
            }
        }
        Ok(None)
    }

    /// Moves files below our folder of refs that are no refs into the trash: git can neither read nor overwrite them. Adds
    /// their names and new places.
    fn clear_broken(&self, broken: &mut BTreeMap<String, String>) -> Result<(), LedgerError> {
        let common = self.repo.common_dir();
        let mut open = vec![common.join(OURS.trim_end_matches('/'))];
        while let Some(path) = open.pop() {
            let Ok(found) = path.symlink_metadata() else { continue };
            if found.is_dir() {
                open.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
                continue;
            }
            if found.is_file() && (self.is_ref_file(&path) || path.extension().is_some_and(|end| end == "lock")) {
                continue;
            }
            if let Some(place) = trash::put(&self.repo, &path)? {
                let name = |path: &Path| path.strip_prefix(common).unwrap_or(path).to_string_lossy().into_owned();
                broken.insert(name(&path), shown(common, place));
            }
        }
        Ok(())
    }

    fn is_ref_file(&self, path: &Path) -> bool {
        let below = path
            .strip_prefix(self.repo.common_dir())
            .is_ok_and(|name| name.starts_with(OURS) && name != Path::new(OURS));
        let Ok(text) = fs::read(path) else {
            // It went away meanwhile.
            return path.symlink_metadata().is_err();
        };
        let text = text.trim_ascii_end();
        below && ObjectId::from_hex(text).is_ok_and(|id| id.kind() == self.repo.object_hash())
    }
}

/// A place below the git directory, for people.
fn shown(common: &Path, place: PathBuf) -> String {
    place.strip_prefix(common).map(|place| format!(".git/{}", place.display())).unwrap_or(place.display().to_string())
}
