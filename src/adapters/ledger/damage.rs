//! Finds refs of the ledger that cannot be believed, or that a checkpoint knows better, and gives them the newest value that
//! can be proven. What they had is kept aside. Must not change a chain that is in order.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use gix::ObjectId;

use super::bring::Wish;
use super::checkpoint;
use super::lineage::{self, Damage, Kind, RESCUE};
use super::store::{Store, expected};
use crate::adapters::git::refs::{self, Expected, RefUpdate};
use crate::adapters::git::remote::MIRROR;
use crate::adapters::git::repo::Repo;
use crate::adapters::git::{bundle, cli, commit, trash};
use crate::domain::names::Oid;
use crate::engine::ports::{LedgerError, PortError};

/// Everything of ours.
const OURS: &str = "refs/orchestrate/";

/// What is the matter with a ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matter {
    /// Its file holds no object id.
    Unreadable,
    /// It leads to a record that is missing or makes no sense.
    Broken,
    /// A newer version wrote it.
    Newer,
    /// A checkpoint has it and the repository has not.
    Lost,
    /// A checkpoint has events that it lacks.
    Rewound,
}

/// A ref that something is the matter with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Full name.
    pub name: String,
    /// What.
    pub matter: Matter,
    /// The same for people.
    pub detail: String,
    /// What it leads to, where it leads anywhere.
    value: Option<Oid>,
}

/// Where a sound value was found.
struct Cure {
    tip: Oid,
    records: usize,
    from: String,
    /// A bundle with its objects.
    bundle: Option<PathBuf>,
}

impl Matter {
    /// One word, also in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable-ref",
            Self::Broken => "broken-chain",
            Self::Newer => "newer-format",
            Self::Lost => "lost-chain",
            Self::Rewound => "rewound-chain",
        }
    }
}

/// Everything that is the matter with the refs of the ledger. Reads all of it.
pub fn examine(repo: &Repo) -> Result<Vec<Damaged>, PortError> {
    let git = repo.gix();
    let listed = listed(repo)?;
    let mut found = Vec::new();
    for name in unreadable(repo, &listed) {
        let detail = format!("{name} holds no object id");
        found.push(Damaged { name, matter: Matter::Unreadable, detail, value: None });
    }
    for (name, value) in &listed {
        let checked = match repo.object_id(value) {
            Ok(id) if Kind::of(name) != Kind::Unknown => lineage::check(&git, name, id),
            // Names that this version does not know are somebody's.
            Ok(_) | Err(_) => Ok(()),
        };
        let matter = match &checked {
            Ok(()) => continue,
            Err(Damage::Newer(_)) => Matter::Newer,
            Err(Damage::Broken { .. }) => Matter::Broken,
        };
        let detail = format!("{name}: {}", checked.err().map(|damage| damage.to_string()).unwrap_or_default());
        found.push(Damaged { name: name.clone(), matter, detail, value: Some(value.clone()) });
    }
    let known: BTreeSet<String> = found.iter().map(|damaged| damaged.name.clone()).collect();
    found.extend(behind_checkpoint(repo, &listed, &known)?);
    Ok(found)
}

/// Gives a ref the newest sound value that is known and says what was done; `None` when nothing could be.
pub fn repair(store: &mut Store, repo: &Repo, damaged: &Damaged) -> Result<Option<String>, LedgerError> {
    match damaged.matter {
        Matter::Newer => Ok(None),
        Matter::Lost | Matter::Rewound => take_from_checkpoint(store, repo, damaged),
        Matter::Unreadable | Matter::Broken => replace(store, repo, damaged),
    }
}

/// Refs of ours as git sees them; it leaves out those that hold no object id.
fn listed(repo: &Repo) -> Result<BTreeMap<String, Oid>, PortError> {
    let mut command = cli::git(repo);
    command.args(["for-each-ref", "--format=%(objectname) %(refname)", OURS]);
    let said = cli::run(&mut command)?;
    let text = String::from_utf8_lossy(&said).into_owned();
    let read = |line: &str| line.split_once(' ').map(|(oid, name)| (name.to_owned(), Oid::new(oid)));
    Ok(text.lines().filter_map(read).collect())
}

/// Files below our folder of refs that git cannot read.
fn unreadable(repo: &Repo, listed: &BTreeMap<String, Oid>) -> Vec<String> {
    let common = repo.common_dir();
    let mut open = vec![common.join(OURS)];
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
                continue;
            }
            let lock = path.extension().is_some_and(|end| end == "lock");
            let name = path.strip_prefix(common).unwrap_or(&path).to_string_lossy().into_owned();
            if !lock && (!listed.contains_key(&name) || !is_id(repo, &path)) {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

fn is_id(repo: &Repo, path: &Path) -> bool {
    // One that went away meanwhile is none of ours to judge.
    let Ok(text) = fs::read(path) else { return path.symlink_metadata().is_err() };
    ObjectId::from_hex(text.trim_ascii_end()).is_ok_and(|id| id.kind() == repo.object_hash())
}

/// Chains that lack events which the newest checkpoint has.
fn behind_checkpoint(
    repo: &Repo,
    listed: &BTreeMap<String, Oid>,
    known: &BTreeSet<String>,
) -> Result<Vec<Damaged>, PortError> {
    let Some((file, head)) = checkpoint::newest(repo) else { return Ok(Vec::new()) };
    let git = repo.gix();
    let mut found = Vec::new();
    for (name, kept) in head.refs.into_iter().filter(|(name, _)| !known.contains(name)) {
        let from = file.display();
        let chain = matches!(Kind::of(&name), Kind::Item | Kind::Run | Kind::Branch);
        match listed.get(&name) {
            None => {
                let detail = format!("{name} is gone; checkpoint {from} has it");
                found.push(Damaged { name, matter: Matter::Lost, detail, value: None });
            }
            Some(value) if chain && *value != kept => {
                let (here, there) = (repo.object_id(value)?, repo.object_id(&kept)?);
                if !git.has_object(there) || !commit::contains(&git, here, there)? {
                    let detail = format!("{name} at {} lacks events that checkpoint {from} has", value.short());
                    found.push(Damaged { name, matter: Matter::Rewound, detail, value: Some(value.clone()) });
                }
            }
            Some(_) => {}
        }
    }
    Ok(found)
}

fn take_from_checkpoint(store: &mut Store, repo: &Repo, damaged: &Damaged) -> Result<Option<String>, LedgerError> {
    let Some((file, tip)) = checkpoint::known(repo, &damaged.name).into_iter().next() else { return Ok(None) };
    bundle::unpack(repo, &file)?;
    let changes = store.bring(&BTreeMap::from([(damaged.name.clone(), tip)]), &Wish::default())?;
    let moved = changes.iter().any(|change| change.how.moves());
    Ok(moved.then(|| format!("{} is brought forward from checkpoint {}", damaged.name, file.display())))
}

/// Sets aside what a ref has and gives it the best value that is known.
fn replace(store: &mut Store, repo: &Repo, damaged: &Damaged) -> Result<Option<String>, LedgerError> {
    let name = &damaged.name;
    let mut aside = String::new();
    if damaged.matter == Matter::Unreadable
        && let Some(place) = trash::put(repo, &repo.common_dir().join(name))?
    {
        aside = format!("; its file is kept as {}", place.display());
    }
    let current = listed(repo)?.remove(name);
    let cure = best(repo, name, current.as_ref());
    if let Some(bundle) = cure.as_ref().and_then(|cure| cure.bundle.as_ref()) {
        bundle::unpack(repo, bundle)?;
    }
    let new = cure.as_ref().map(|cure| cure.tip.clone());
    let mut updates = Vec::new();
    if let Some(old) = current.as_ref().filter(|old| Some(*old) != new.as_ref()) {
        let id = repo.object_id(old)?;
        if repo.gix().find_commit(id).is_ok() {
            let short = name.rsplit('/').next().unwrap_or(name);
            let rescue = format!("{RESCUE}broken-{short}-{}", old.short());
            aside += &format!("; what it was is kept as {rescue}");
            updates.push(RefUpdate { name: rescue, expected: Expected::Any, new: Some(old.clone()) });
        } else {
            aside += &format!("; it led to {old}, which is gone");
        }
    }
    if current != new {
        updates.push(RefUpdate { name: name.clone(), expected: expected(current), new });
    }
    if !updates.is_empty() {
        let mut writer = store.writer();
        writer.transaction(&updates).map_err(PortError::from)?;
    }
    Ok(Some(match cure {
        Some(cure) => format!("{name} has {} sound records again, from {}{aside}", cure.records, cure.from),
        None => format!("{name} is taken away: no sound record of it is known anywhere{aside}"),
    }))
}

/// The sound value with the most records: further back in the chain, in a checkpoint, in what a remote had.
fn best(repo: &Repo, name: &str, current: Option<&Oid>) -> Option<Cure> {
    let git = repo.gix();
    let mut cures = Vec::new();
    let below = current.and_then(|value| repo.object_id(value).ok()).and_then(|id| lineage::last_good(&git, name, id));
    cures.extend(below.map(|tip| (tip, "the records before it".to_owned(), None)));
    for (remote, tip) in mirrored(repo, name) {
        cures.push((tip, format!("what {remote} had at the last sync"), None));
    }
    for (file, tip) in checkpoint::known(repo, name) {
        let from = format!("checkpoint {}", file.display());
        cures.push((tip, from, Some(file)));
    }
    let mut best: Option<Cure> = None;
    for (tip, from, bundle) in cures {
        let Some(records) = records(repo, name, &tip, bundle.as_deref()) else { continue };
        if best.as_ref().is_none_or(|best| records > best.records) {
            best = Some(Cure { tip, records, from, bundle });
        }
    }
    best
}

/// How many records lead to a sound value; `None` when it is not sound.
fn records(repo: &Repo, name: &str, tip: &Oid, bundle: Option<&Path>) -> Option<usize> {
    let (_folder, looked_at) = bundle::quarantine(repo).ok()?;
    if let Some(bundle) = bundle {
        bundle::unpack(&looked_at, bundle).ok()?;
    }
    let git = looked_at.gix();
    let id = repo.object_id(tip).ok()?;
    lineage::check(&git, name, id).ok()?;
    let mut count = 0;
    let mut next = Some(id);
    while let Some(id) = next {
        count += 1;
        next = git.find_commit(id).ok()?.parent_ids().next().map(gix::Id::detach);
    }
    Some(count)
}

/// Values of a ref of ours in what was last fetched from remotes.
fn mirrored(repo: &Repo, name: &str) -> Vec<(String, Oid)> {
    let part = name.strip_prefix(OURS).unwrap_or(name);
    let all = refs::list(repo, MIRROR).unwrap_or_default().into_iter();
    let of = |(mirror, tip): (String, Oid)| {
        let remote = mirror.strip_prefix(MIRROR)?.strip_suffix(part)?.strip_suffix('/')?.to_owned();
        Some((remote, tip))
    };
    all.filter_map(of).collect()
}
