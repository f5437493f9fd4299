//! Commits, trees and files as they are, replace refs and attributes ignored. Objects that a push has not brought in yet are
//! read through `git cat-file`, because git's library does not know the quarantine. Must write nothing.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;

use gix::ObjectId;
use gix::objs::{CommitRef, CommitRefIter, Data, Find, Kind, TreeRefIter};

use super::shallow::Boundary;
use crate::adapters::git::cli;
use crate::adapters::git::repo::{Repo, git_error, oid};
use crate::domain::names::Oid;
use crate::engine::ports::PortError;

/// Where git says that the objects of a push lie while it is judged.
const QUARANTINE: [&str; 3] = ["GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH"];

/// Bytes of unpacked delta bases that are kept.
const DELTAS: usize = 32 * 1024 * 1024;

/// Bytes of whole objects that are kept.
const OBJECTS: usize = 16 * 1024 * 1024;

/// What matters of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitFacts {
    /// Its tree.
    pub tree: Oid,
    /// Its parents in order.
    pub parents: Vec<Oid>,
    /// Address of its author; the name where there is no address.
    pub author: String,
    /// Its message.
    pub message: Vec<u8>,
}

/// A file of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its id.
    pub id: Oid,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Reads objects and walks history.
pub struct History {
    repo: Repo,
    source: Source,
    commits: RefCell<HashMap<Oid, Rc<CommitFacts>>>,
}

struct Source {
    objects: Objects,
    end: Boundary,
}

enum Objects {
    Own(Box<gix::Repository>),
    Quarantine(RefCell<Batch>),
}

/// A running `git cat-file --batch`.
struct Batch {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

fn delta_cache() -> Box<gix::odb::cache::PackCache> {
    Box::new(gix::odb::pack::cache::lru::MemoryCappedHashmap::new(DELTAS))
}

impl History {
    /// Of the repository's own objects.
    pub fn of(repo: &Repo) -> Self {
        let mut git = repo.gix();
        // Neighbouring versions of a tree lie in one chain of deltas, and each is looked at from two sides.
        git.objects.set_pack_cache(delta_cache);
        git.object_cache_size_if_unset(OBJECTS);
        Self::from(repo, Objects::Own(Box::new(git)))
    }

    /// Of these and those that a push is about to bring in; only inside git's `pre-receive`.
    pub fn of_push(repo: &Repo) -> Result<Self, PortError> {
        Ok(Self::from(repo, Objects::Quarantine(RefCell::new(Batch::start(repo)?))))
    }

    fn from(repo: &Repo, objects: Objects) -> Self {
        let source = Source { objects, end: Boundary::of(repo) };
        Self { repo: repo.clone(), source, commits: RefCell::default() }
    }

    /// A commit; an error when it is not there or something else.
    pub fn commit(&self, commit: &Oid) -> Result<Rc<CommitFacts>, PortError> {
        if let Some(known) = self.commits.borrow().get(commit) {
            return Ok(known.clone());
        }
        let id = self.repo.object_id(commit)?;
        let (kind, data) = self.object(&id)?;
        if kind != Kind::Commit {
            return Err(PortError::new(format!("{} is no commit", commit.short())));
        }
        let facts = self.decode(&data, commit)?;
        let facts = Rc::new(facts);
        self.commits.borrow_mut().insert(commit.clone(), facts.clone());
        Ok(facts)
    }

    fn decode(&self, data: &[u8], commit: &Oid) -> Result<CommitFacts, PortError> {
        let failed = |error| git_error(format!("commit {} is damaged", commit.short()), error);
        let parsed = CommitRef::from_bytes(data, self.repo.object_hash()).map_err(failed)?;
        let author = parsed.author().map_err(failed)?;
        let address = if author.email.trim_ascii().is_empty() { author.name } else { author.email };
        Ok(CommitFacts {
            tree: oid(parsed.tree()),
            parents: parsed.parents().map(oid).collect(),
            author: String::from_utf8_lossy(address).trim().to_owned(),
            message: parsed.message.to_vec(),
        })
    }

    /// Whether the commit is here.
    pub fn has(&self, commit: &Oid) -> bool {
        self.commit(commit).is_ok()
    }

    /// Commits reachable from `tips` and from none of `hidden`, each with its parents.
    pub fn between(&self, tips: &[Oid], hidden: &[Oid]) -> Result<BTreeMap<Oid, Vec<Oid>>, PortError> {
        let ids = |oids: &[Oid]| oids.iter().map(|oid| self.repo.object_id(oid)).collect::<Result<Vec<_>, _>>();
        let failed = |error| git_error("cannot walk the history", error);
        let walk = gix::traverse::commit::Simple::new(ids(tips)?, &self.source).hide(ids(hidden)?).map_err(failed)?;
        let mut found = BTreeMap::new();
        for info in walk {
            let info = info.map_err(failed)?;
            found.insert(oid(info.id), info.parent_ids.iter().map(oid).collect());
        }
        Ok(found)
    }

    /// How many commits are reachable from `tips` and from none of `hidden`.
    pub fn count(&self, tips: &[Oid], hidden: &[Oid]) -> Result<usize, PortError> {
        let ids = |oids: &[Oid]| oids.iter().map(|oid| self.repo.object_id(oid)).collect::<Result<Vec<_>, _>>();
        let failed = |error| git_error("cannot walk the history", error);
        let walk = gix::traverse::commit::Simple::new(ids(tips)?, &self.source).hide(ids(hidden)?).map_err(failed)?;
        let mut count = 0;
        for info in walk {
            info.map_err(failed)?;
            count += 1;
        }
        Ok(count)
    }

    /// A reader for a long walk that sees each commit about once.
    pub(super) fn walk(&self) -> Walk<'_> {
        let mut git = self.repo.gix();
        git.objects.set_pack_cache(delta_cache);
        // Git's file knows nothing of where a shallow clone ends.
        let whole = self.source.end.is_empty();
        let graph = git.commit_graph_if_enabled().ok().flatten().filter(|_| whole);
        Walk { history: self, git, graph, buffer: Vec::new() }
    }

    /// The file at `path` in a tree; `None` when there is no regular file.
    pub fn file(&self, tree: &Oid, path: &str) -> Result<Option<Blob>, PortError> {
        let Some(id) = self.file_id(tree, path)? else { return Ok(None) };
        let bytes = self.blob(&id)?;
        Ok(Some(Blob { id, bytes }))
    }

    /// The id of the file at `path` in a tree; `None` when there is no regular file.
    pub fn file_id(&self, tree: &Oid, path: &str) -> Result<Option<Oid>, PortError> {
        let mut at = self.repo.object_id(tree)?;
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            let Some((is_tree, is_blob, id)) = self.entry(&at, part)? else { return Ok(None) };
            match parts.peek() {
                Some(_) if is_tree => at = id,
                None if is_blob => return Ok(Some(oid(id))),
                Some(_) | None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Content of a blob.
    pub fn blob(&self, blob: &Oid) -> Result<Vec<u8>, PortError> {
        Ok(self.object(&self.repo.object_id(blob)?)?.1)
    }

    fn entry(&self, tree: &ObjectId, name: &str) -> Result<Option<(bool, bool, ObjectId)>, PortError> {
        let (_, data) = self.object(tree)?;
        for entry in TreeRefIter::from_bytes(&data, self.repo.object_hash()) {
            let entry = entry.map_err(|error| git_error(format!("tree {tree} is damaged"), error))?;
            if entry.filename == name.as_bytes() {
                return Ok(Some((entry.mode.is_tree(), entry.mode.is_blob(), entry.oid.to_owned())));
            }
        }
        Ok(None)
    }

    /// The one path whose content differs between two trees, when it is the only difference and a regular file in both, with
    /// the same mode.
    pub fn only_change(&self, before: &Oid, after: &Oid) -> Result<Option<String>, PortError> {
        let (mut old, mut new) = (self.repo.object_id(before)?, self.repo.object_id(after)?);
        let mut path: Vec<String> = Vec::new();
        loop {
            let Some((name, one, two, is_tree)) = self.differing_entry(&old, &new)? else { return Ok(None) };
            path.push(name);
            if !is_tree {
                return Ok(Some(path.join("/")));
            }
            (old, new) = (one, two);
        }
    }

    fn differing_entry(
        &self,
        old: &ObjectId,
        new: &ObjectId,
    ) -> Result<Option<(String, ObjectId, ObjectId, bool)>, PortError> {
        let ((_, old), (_, new)) = (self.object(old)?, self.object(new)?);
        let hash = self.repo.object_hash();
        let damaged = |error| git_error("a tree is damaged", error);
        let read = |data| TreeRefIter::from_bytes(data, hash).collect::<Result<Vec<_>, _>>();
        let (old, new) = (read(&old).map_err(damaged)?, read(&new).map_err(damaged)?);
        let mut found = None;
        if old.len() != new.len() {
            return Ok(None);
        }
        for (one, two) in old.iter().zip(&new) {
            if one == two {
                continue;
            }
            let same = one.filename == two.filename && one.mode == two.mode;
            if found.is_some() || !same || !(one.mode.is_tree() || one.mode.is_blob()) {
                return Ok(None);
            }
            let Ok(name) = std::str::from_utf8(one.filename) else { return Ok(None) };
            found = Some((name.to_owned(), one.oid.to_owned(), two.oid.to_owned(), one.mode.is_tree()));
        }
        Ok(found)
    }

    /// Lines added and removed between two commits, at least one per file; `None` when something changes that lines do not
    /// count: what is binary, a mode, a submodule.
    pub fn changed_lines(&self, before: &Oid, after: &Oid) -> Result<Option<u32>, PortError> {
        let mut command = quarantined(&self.repo);
        command.args(["diff-tree", "-r", "--raw", "--numstat", "--no-renames", "--no-ext-diff", "--no-textconv"]);
        command.args(["--end-of-options", before.as_str(), after.as_str()]);
        let listed = cli::run(&mut command)?;
        let lines = String::from_utf8_lossy(&listed).lines().map(counted).collect::<Option<Vec<u32>>>();
        Ok(lines.map(|lines| lines.iter().fold(0_u32, |sum, lines| sum.saturating_add(*lines))))
    }

    fn object(&self, id: &ObjectId) -> Result<(Kind, Vec<u8>), PortError> {
        let mut buffer = Vec::new();
        let failed = |error| git_error(format!("cannot read object {id}"), error);
        let kind = match (&self.source).try_find(id, &mut buffer).map_err(failed)? {
            Some(data) => data.kind,
            None => return Err(PortError::new(format!("object {id} is not in the repository"))),
        };
        Ok((kind, buffer))
    }
}

/// Reads commits one after the other into one buffer and keeps none of them; of the repository's own objects only.
pub(super) struct Walk<'a> {
    history: &'a History,
    git: gix::Repository,
    /// Parents without unpacking commits, where git has written them down.
    graph: Option<gix::commitgraph::Graph>,
    buffer: Vec<u8>,
}

impl Walk<'_> {
    /// What matters of a commit, and its parents.
    pub(super) fn commit(&mut self, commit: &ObjectId) -> Result<(CommitFacts, Vec<ObjectId>), PortError> {
        self.read(commit)?;
        let parents = CommitRefIter::from_bytes(&self.buffer, self.history.repo.object_hash()).parent_ids().collect();
        Ok((self.history.decode(&self.buffer, &oid(commit))?, parents))
    }

    /// The parents of a commit, by git's commit-graph file where it has them: good enough for counting, not for proving.
    pub(super) fn parents(&mut self, commit: &ObjectId) -> Result<Vec<ObjectId>, PortError> {
        if let Some((graph, known)) = self.graph.as_ref().and_then(|graph| Some((graph, graph.commit_by_id(commit)?)))
            && let Ok(parents) =
                known.iter_parents().map(|at| Ok::<_, ()>(graph.id_at(at.map_err(drop)?).to_owned())).collect()
        {
            return Ok(parents);
        }
        self.read(commit)?;
        Ok(CommitRefIter::from_bytes(&self.buffer, self.history.repo.object_hash()).parent_ids().collect())
    }

    fn read(&mut self, commit: &ObjectId) -> Result<(), PortError> {
        let failed = |error| git_error(format!("cannot read object {commit}"), error);
        match self.git.objects.try_find(commit, &mut self.buffer).map_err(failed)?.map(|data| data.kind) {
            Some(Kind::Commit) => {
                self.history.source.end.cut(commit, &mut self.buffer);
                Ok(())
            }
            Some(_) => Err(PortError::new(format!("{commit} is no commit"))),
            None => Err(PortError::new(format!("object {commit} is not in the repository"))),
        }
    }
}

/// Changed lines in a line of git's: `:<old mode> <new mode> ...` holds none, `<added>\t<removed>\t<path>` does.
fn counted(line: &str) -> Option<u32> {
    const SUBMODULE: &str = "160000";
    const NOTHING: &str = "000000";
    if let Some(raw) = line.strip_prefix(':') {
        let mut modes = raw.split(' ');
        let (old, new) = (modes.next()?, modes.next()?);
        let comes_or_goes = [old, new].contains(&NOTHING);
        return ((old == new || comes_or_goes) && ![old, new].contains(&SUBMODULE)).then_some(0);
    }
    let mut numbers = line.splitn(3, '\t').map(|number| number.parse::<u32>().ok());
    let (added, removed) = (numbers.next()??, numbers.next()??);
    Some(added.saturating_add(removed).max(1))
}

/// The git program, with the objects of a push where there is one.
#[expect(clippy::disallowed_methods, reason = "git says by variables where the objects of a push lie")]
fn quarantined(repo: &Repo) -> Command {
    let mut command = cli::git(repo);
    for name in QUARANTINE {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

impl Find for &Source {
    fn try_find<'a>(&self, id: &gix::oid, buffer: &'a mut Vec<u8>) -> Result<Option<Data<'a>>, gix::Error> {
        let kind = match &self.objects {
            Objects::Own(git) => git.objects.try_find(id, buffer)?.map(|data| data.kind),
            Objects::Quarantine(batch) => batch.borrow_mut().read(id, buffer).map_err(gix::Error::from_error)?,
        };
        if kind == Some(Kind::Commit) {
            self.end.cut(id, buffer);
        }
        Ok(kind.map(|kind| Data::new(buffer, kind, id.kind())))
    }
}

impl Batch {
    fn start(repo: &Repo) -> Result<Self, PortError> {
        let mut command = quarantined(repo);
        command.args(["cat-file", "--batch"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let failed = || PortError::new("git cat-file cannot be started");
        let mut child = command.spawn().map_err(|error| failed().because(error))?;
        let stdin = Some(child.stdin.take().ok_or_else(failed)?);
        let stdout = BufReader::new(child.stdout.take().ok_or_else(failed)?);
        Ok(Self { child, stdin, stdout })
    }

    /// `<id> <kind> <size>`, the content and a newline; or `<id> missing`.
    fn read(&mut self, id: &gix::oid, buffer: &mut Vec<u8>) -> std::io::Result<Option<Kind>> {
        let ended = || std::io::Error::other("git cat-file ended");
        let stdin = self.stdin.as_mut().ok_or_else(ended)?;
        writeln!(stdin, "{id}")?;
        stdin.flush()?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        let mut fields = line.split_ascii_whitespace().skip(1);
        let kind = match fields.next() {
            Some("missing") => return Ok(None),
            Some("commit") => Kind::Commit,
            Some("tree") => Kind::Tree,
            Some("blob") => Kind::Blob,
            Some("tag") => Kind::Tag,
            Some(_) | None => return Err(ended()),
        };
        let size: u64 = fields.next().and_then(|size| size.parse().ok()).ok_or_else(ended)?;
        buffer.clear();
        (&mut self.stdout).take(size).read_to_end(buffer)?;
        let mut newline = [0];
        self.stdout.read_exact(&mut newline)?;
        Ok(Some(kind))
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.stdin.take());
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn lines_are_counted_and_what_has_none_is_no_number() {
        for (line, lines) in [
            ("3\t4\ta b.txt", Some(7)),
            ("0\t0\tempty.txt", Some(1)),
            ("-\t-\timage.png", None),
            (":100644 100644 aaa bbb M\ta.txt", Some(0)),
            (":000000 100755 000 bbb A\ta.sh", Some(0)),
            (":100644 100755 aaa aaa M\ta.sh", None),
            (":000000 160000 000 bbb A\tsub", None),
            ("", None),
        ] {
            assert_eq!(counted(line), lines, "{line}");
        }
    }
}
