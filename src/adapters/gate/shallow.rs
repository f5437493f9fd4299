//! Where the history of a shallow clone ends: commits whose parents are not here and are not missed. Must write nothing.

use std::collections::HashSet;

use gix::ObjectId;

use crate::adapters::git::repo::Repo;

/// The first commits of a shallow clone; of any other repository, none.
#[derive(Clone, Debug, Default)]
pub(super) struct Boundary(HashSet<ObjectId>);

impl Boundary {
    /// As git has it on file. A list that cannot be read is none: then a missing parent is an error that names it.
    pub(super) fn of(repo: &Repo) -> Self {
        let commits = repo.gix().shallow_commits().ok().flatten();
        Self(commits.map(|commits| commits.iter().copied().collect()).unwrap_or_default())
    }

    /// Whether there is such an end.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the parents out of a commit at the end, as git reads it.
    pub(super) fn cut(&self, id: &gix::oid, commit: &mut Vec<u8>) {
        if self.0.contains(id) {
            *commit = without_parents(commit);
        }
    }
}

fn without_parents(commit: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(commit.len());
    let mut in_head = true;
    for line in commit.split_inclusive(|byte| *byte == b'\n') {
        in_head &= line != b"\n";
        if !(in_head && line.starts_with(b"parent ")) {
            kept.extend_from_slice(line);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_parents_in_the_head_of_a_commit_are_taken_out() {
        let commit = b"tree 1\nparent 2\nparent 3\nauthor a\n\nparent of all\nparent 4\n";
        assert_eq!(without_parents(commit), b"tree 1\nauthor a\n\nparent of all\nparent 4\n");
    }
}
