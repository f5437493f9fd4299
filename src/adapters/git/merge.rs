//! Merges and comparisons of trees in memory. No program that the repository's configuration or attributes name is run, no
//! work tree or index of anybody is read. Must not move refs.

use std::collections::{BTreeMap, BTreeSet};

use gix::ObjectId;
use gix::bstr::BString;
use gix::diff::Rewrites;
use gix::diff::blob::{Algorithm, Diff, InternedInput};
use gix::diff::tree::Recorder;
use gix::diff::tree::recorder::Change;
use gix::merge::blob::builtin_driver::text;
use gix::merge::plumbing as merging;
use gix::merge::tree::{Conflict, Resolution, TreatAsUnresolved};
use gix::objs::tree::EntryMode;
use gix::worktree::stack::state::attributes::Source;

use super::commit::tree_of;
use super::repo::{git_error, oid};
use crate::engine::ports::{Merged, PortError};

/// Lines around a change that belong to it, as in git's diffs.
const CONTEXT: u32 = 3;

/// Bytes of a blob that are searched for a NUL to call it binary, as git does.
const PROBED: usize = 8_000;

/// Larger blobs are merged and compared as a whole.
const LARGE: u64 = 512 * 1024 * 1024;

/// Additions and deletions that are compared with each other for renames in a merge, as in git.
const RENAME_LIMIT: usize = 7_000;

/// Similarity from which a deletion and an addition are a rename, as in git.
const SIMILARITY: f32 = 0.5;

/// A line of a patch: its mark (space, `-`, `+`) and its bytes.
type Line = (u8, Vec<u8>);

/// A file before or after a change.
pub type Side = Option<(EntryMode, ObjectId)>;

/// What one path is changed from and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// Before; `None` when it is added.
    pub old: Side,
    /// After; `None` when it is deleted.
    pub new: Side,
}

/// Merges two commits. The objects of the result are written, not durably.
pub fn merge(git: &gix::Repository, base: ObjectId, head: ObjectId) -> Result<Merged, PortError> {
    let failed = |error| git_error(format!("cannot merge {base} and {head}"), error);
    let (mut renames, mut blobs) = caches(git, tree_of(git, base)?).map_err(failed)?;
    let graph_file = git.commit_graph_if_enabled().map_err(failed)?;
    let mut graph = git.revision_graph(graph_file.as_ref());
    let mut shorten = |id: &gix::oid| id.to_hex_with_len(7).to_string();
    let outcome = merging::commit(
        base,
        head,
        text::Labels::default(),
        &mut graph,
        &mut renames,
        &mut blobs,
        git,
        &mut shorten,
        merging::commit::Options { tree_merge: options(), ..Default::default() },
    );
    let mut outcome = outcome.map_err(failed)?.tree_merge;
    let conflicts = outcome.conflicts.iter().filter(|conflict| is_unresolved(conflict));
    let conflicts: Vec<&Conflict> = conflicts.collect();
    let paths: BTreeSet<String> = conflicts.iter().flat_map(|conflict| paths_of(conflict)).collect();
    if !conflicts.is_empty() {
        return Ok(Merged::Conflict { paths: paths.into_iter().collect() });
    }
    let tree = outcome.tree.write(|tree| git.write_object(tree).map(gix::Id::detach)).map_err(failed)?;
    Ok(Merged::Clean { tree: oid(tree) })
}

/// Whether two changes agree in paths, modes and text: equal blobs, or equal lines with their context, wherever they stand.
/// Stricter than git's patch id in that white space counts.
pub fn same_change(
    git: &gix::Repository,
    from: (ObjectId, ObjectId),
    to: (ObjectId, ObjectId),
) -> Result<bool, PortError> {
    let (one, two) = (changes(git, from.0, from.1)?, changes(git, to.0, to.1)?);
    if one == two {
        return Ok(true);
    }
    if one.len() != two.len() {
        return Ok(false);
    }
    for ((path, one), (other_path, two)) in one.iter().zip(&two) {
        let modes = |change: &FileChange| (change.old.map(|side| side.0), change.new.map(|side| side.0));
        if path != other_path || modes(one) != modes(two) {
            return Ok(false);
        }
        if one != two && !same_text(git, one, two)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The files that differ between two trees (or the trees of two commits), without renames.
pub fn changes(
    git: &gix::Repository,
    from: ObjectId,
    to: ObjectId,
) -> Result<BTreeMap<BString, FileChange>, PortError> {
    let found = all_changes(git, from, to)?;
    Ok(found.into_iter().filter_map(|change| file_change(&change)).fold(BTreeMap::new(), |mut all, (path, change)| {
        // A directory that becomes a file, or the other way round, shows as two changes of one path at most.
        let known = all.entry(path).or_insert(FileChange { old: None, new: None });
        known.old = known.old.or(change.old);
        known.new = known.new.or(change.new);
        all
    }))
}

/// Ids of every tree and blob that `to` has and `from` has not at the same path.
pub fn new_objects(git: &gix::Repository, from: ObjectId, to: ObjectId) -> Result<BTreeSet<ObjectId>, PortError> {
    let root = tree_of(git, to)?;
    let added = all_changes(git, from, to)?.into_iter().filter_map(|change| match change {
        Change::Addition { entry_mode, oid, .. } | Change::Modification { entry_mode, oid, .. } => {
            (!entry_mode.is_commit()).then_some(oid)
        }
        Change::Deletion { .. } => None,
    });
    Ok(added.chain([root]).collect())
}

fn all_changes(git: &gix::Repository, from: ObjectId, to: ObjectId) -> Result<Vec<Change>, PortError> {
    let failed = |error| git_error(format!("cannot compare {from} and {to}"), error);
    let (old, new) = (tree_of(git, from)?, tree_of(git, to)?);
    if old == new {
        return Ok(Vec::new());
    }
    let (old, new) = (git.find_tree(old).map_err(failed)?, git.find_tree(new).map_err(failed)?);
    let mut recorder = Recorder::default();
    let compared = gix::diff::tree(
        gix::objs::TreeRefIter::from_bytes(&old.data, old.id.kind()),
        gix::objs::TreeRefIter::from_bytes(&new.data, new.id.kind()),
        gix::diff::tree::State::default(),
        &git.objects,
        &mut recorder,
    );
    compared.map_err(|error| PortError::new(format!("cannot compare {from} and {to}")).because(error))?;
    Ok(recorder.records)
}

fn file_change(change: &Change) -> Option<(BString, FileChange)> {
    let file = |mode: EntryMode, id: ObjectId| (!mode.is_tree()).then_some((mode, id));
    let (path, change) = match change {
        Change::Addition { entry_mode, oid, path, .. } => {
            (path, FileChange { old: None, new: file(*entry_mode, *oid) })
        }
        Change::Deletion { entry_mode, oid, path, .. } => {
            (path, FileChange { old: file(*entry_mode, *oid), new: None })
        }
        Change::Modification { previous_entry_mode, previous_oid, entry_mode, oid, path } => {
            (path, FileChange { old: file(*previous_entry_mode, *previous_oid), new: file(*entry_mode, *oid) })
        }
    };
    (change.old.is_some() || change.new.is_some()).then(|| (path.clone(), change))
}

/// Caches for rename detection and content merges that know no driver program. Attributes come from the target alone.
fn caches(
    git: &gix::Repository,
    attributes: ObjectId,
) -> Result<(gix::diff::blob::Platform, gix::merge::blob::Platform), gix::Error> {
    let index = git.index_from_tree(&attributes)?;
    let stack = || git.attributes_only(&index, Source::IdMapping).map(gix::AttributeStack::detach);
    let filter = || {
        let options = gix::filter::plumbing::pipeline::Options::default();
        gix::filter::plumbing::Pipeline::new(gix::command::Context::default(), git.object_hash(), options)
    };
    let renames = gix::diff::blob::Platform::new(
        gix::diff::blob::platform::Options {
            algorithm: Some(Algorithm::Histogram),
            skip_internal_diff_if_external_is_configured: false,
        },
        gix::diff::blob::Pipeline::new(
            gix::diff::blob::pipeline::WorktreeRoots::default(),
            filter(),
            Vec::new(),
            gix::diff::blob::pipeline::Options { large_file_threshold_bytes: LARGE, ..Default::default() },
        ),
        gix::diff::blob::pipeline::Mode::ToGit,
        stack()?,
    );
    let blobs = gix::merge::blob::Platform::new(
        gix::merge::blob::Pipeline::new(
            gix::merge::blob::pipeline::WorktreeRoots::default(),
            filter(),
            gix::merge::blob::pipeline::Options { large_file_threshold_bytes: LARGE },
        ),
        gix::merge::blob::pipeline::Mode::ToGit,
        stack()?,
        Vec::new(),
        gix::merge::blob::platform::Options { default_driver: None },
    );
    Ok((renames, blobs))
}

/// Git's defaults, whatever the configuration says: the same commits merge to the same tree everywhere.
fn options() -> merging::tree::Options {
    merging::tree::Options {
        rewrites: Some(Rewrites {
            copies: None,
            percentage: Some(SIMILARITY),
            limit: RENAME_LIMIT,
            track_empty: false,
        }),
        blob_merge: gix::merge::blob::platform::merge::Options {
            is_virtual_ancestor: false,
            resolve_binary_with: None,
            text: text::Options { diff_algorithm: Algorithm::Histogram, conflict: text::Conflict::default() },
        },
        ..Default::default()
    }
}

/// What git calls a conflict. A file that follows a renamed directory is one too: git asks by default.
fn is_unresolved(conflict: &Conflict) -> bool {
    let moved = matches!(conflict.resolution, Ok(Resolution::SourceLocationAffectedByRename { .. }));
    moved || conflict.is_unresolved(TreatAsUnresolved::git())
}

/// The files of a conflict: where each side has it, and where it would go.
fn paths_of(conflict: &Conflict) -> Vec<String> {
    let (ours, theirs) = conflict.changes_in_resolution();
    let sides = [ours, theirs].into_iter().filter(|change| !change.entry_mode().is_tree());
    let mut paths: Vec<String> = sides.map(|change| change.location().to_string()).collect();
    if let Ok(Resolution::SourceLocationAffectedByRename { final_location }) = &conflict.resolution {
        paths.push(final_location.to_string());
    }
    paths
}

/// Whether two changes of a file are the same lines with their context, wherever they stand; never for what is no text.
pub fn same_text(git: &gix::Repository, one: &FileChange, two: &FileChange) -> Result<bool, PortError> {
    let Some(one) = text_of(git, one)? else { return Ok(false) };
    let Some(two) = text_of(git, two)? else { return Ok(false) };
    Ok(one == two)
}

/// How many lines a change of a file adds and removes; `None` when it is no text. Attributes have no say.
pub fn changed_lines(git: &gix::Repository, change: &FileChange) -> Result<Option<u32>, PortError> {
    let (Some(old), Some(new)) = (content(git, change.old)?, content(git, change.new)?) else { return Ok(None) };
    if is_binary(&old) || is_binary(&new) {
        return Ok(None);
    }
    let lines = gix::diff::blob::sources::byte_lines;
    let input = InternedInput::new(lines(&old), lines(&new));
    let diff = Diff::compute(Algorithm::Myers, &input);
    Ok(Some(diff.count_additions().saturating_add(diff.count_removals())))
}

fn is_binary(bytes: &[u8]) -> bool {
    bytes.iter().take(PROBED).any(|byte| *byte == 0)
}

/// The changed lines of a file with their context, without line numbers; `None` when it is no text.
fn text_of(git: &gix::Repository, change: &FileChange) -> Result<Option<Vec<Line>>, PortError> {
    let (Some(old), Some(new)) = (content(git, change.old)?, content(git, change.new)?) else { return Ok(None) };
    if is_binary(&old) || is_binary(&new) {
        return Ok(None);
    }
    Ok(Some(patch(&old, &new)))
}

/// Content of one side; `None` for a submodule.
fn content(git: &gix::Repository, side: Side) -> Result<Option<Vec<u8>>, PortError> {
    let Some((mode, id)) = side else { return Ok(Some(Vec::new())) };
    if !mode.is_blob_or_symlink() {
        return Ok(None);
    }
    let blob = git.find_blob(id).map_err(|error| git_error(format!("cannot read {id}"), error))?;
    Ok(Some(blob.detach().data))
}

fn patch(old: &[u8], new: &[u8]) -> Vec<Line> {
    let input =
        InternedInput::new(gix::diff::blob::sources::byte_lines(old), gix::diff::blob::sources::byte_lines(new));
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let last = u32::try_from(input.before.len()).unwrap_or(u32::MAX);
    let mut lines = Vec::new();
    let mut printed = 0;
    let mut push = |mark: u8, tokens: &[gix::diff::blob::Token]| {
        lines.extend(tokens.iter().map(|token| (mark, input.interner[*token].to_vec())));
    };
    let at = |number: u32| number as usize;
    let mut pending: Option<u32> = None;
    for hunk in diff.hunks() {
        if let Some(end) = pending {
            let stop = end.saturating_add(CONTEXT).min(hunk.before.start);
            push(b' ', &input.before[at(printed)..at(stop)]);
            printed = stop;
        }
        let start = hunk.before.start.saturating_sub(CONTEXT).max(printed);
        push(b' ', &input.before[at(start)..at(hunk.before.start)]);
        push(b'-', &input.before[at(hunk.before.start)..at(hunk.before.end)]);
        push(b'+', &input.after[at(hunk.after.start)..at(hunk.after.end)]);
        printed = hunk.before.end;
        pending = Some(hunk.before.end);
    }
    if let Some(end) = pending {
        push(b' ', &input.before[at(printed)..at(end.saturating_add(CONTEXT).min(last))]);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: &[Line]) -> String {
        let bytes = lines.iter().flat_map(|(mark, line)| std::iter::once(*mark).chain(line.iter().copied()));
        String::from_utf8(bytes.collect()).unwrap()
    }

    fn counted(to: u32) -> String {
        (1..=to).fold(String::new(), |text, n| text + &n.to_string() + "\n")
    }

    #[test]
    fn a_patch_has_three_lines_of_context_and_no_line_numbers() {
        let old = counted(20);
        let new = old.replace("10\n", "ten\n");
        let moved = format!("0\n0\n{old}");
        let moved_new = format!("0\n0\n{new}");
        let one = patch(old.as_bytes(), new.as_bytes());
        assert_eq!(shown(&one), " 7\n 8\n 9\n-10\n+ten\n 11\n 12\n 13\n");
        assert_eq!(one, patch(moved.as_bytes(), moved_new.as_bytes()));
        let near = old.replace("12\n", "twelve\n");
        let near_new = new.replace("12\n", "twelve\n");
        assert_ne!(one, patch(near.as_bytes(), near_new.as_bytes()));
    }

    #[test]
    fn hunks_that_touch_share_their_context_once() {
        let old = counted(12);
        let new = old.replace("2\n", "two\n").replace("1two", "12").replace("6\n", "six\n");
        assert_eq!(shown(&patch(old.as_bytes(), new.as_bytes())), " 1\n-2\n+two\n 3\n 4\n 5\n-6\n+six\n 7\n 8\n 9\n");
        assert_eq!(shown(&patch(b"", b"a\nb")), "+a\n+b");
    }
}
