//! The table, part three: what must never be refused, in any mode.

use super::row::Outcome::Allowed as A;
use super::row::{Row, Watch, group};

pub fn rows() -> Vec<Row> {
    let mut rows = group("Housekeeping", everywhere());
    rows.extend(group("Everyday work beside main", beside()));
    rows.into_iter().map(Row::still).collect()
}

/// Also where the ledger's refs are loose, packed, or some of each.
fn everywhere() -> Vec<Row> {
    let packed = "git pack-refs --all";
    let mixed = "git update-ref refs/orchestrate/items/1.1 refs/orchestrate/items/1.1~1 && \
                 git update-ref refs/heads/topic topic~1";
    let keeping = [
        "git gc -q",
        "git gc -q --prune=now",
        "git pack-refs --all",
        "git pack-refs --all --no-prune",
        "git maintenance run --quiet",
        "git maintenance run --quiet --task=pack-refs",
        "git maintenance run --quiet --task=gc --task=loose-objects",
        "git repack -a -d -q",
        "git reflog expire --all --expire=now",
        "git prune",
        "git fsck",
    ];
    let mut rows = Vec::new();
    for line in keeping {
        rows.push(Row::new(line));
    }
    for line in ["git gc -q", "git pack-refs --all", "git maintenance run --quiet"] {
        rows.push(Row::new(line).after(packed).titled(format!("`{line}`, all refs packed")));
        rows.push(Row::new(line).after(packed).after(mixed).titled(format!("`{line}`, refs packed and moved since")));
    }
    rows.extend([
        Row::new("git fetch --prune ../clone 'refs/heads/*:refs/remotes/clone/*'")
            .after("git update-ref refs/remotes/clone/gone main"),
        Row::new("git fetch ../clone 'refs/orchestrate/*:refs/orchestrate-remote/clone/*'"),
        Row::new("git update-ref refs/heads/main main").titled("`git update-ref` of main to the value it has"),
        Row::new("git update-ref refs/orchestrate/items/1.1 refs/orchestrate/items/1.1")
            .titled("`git update-ref` of the ledger to the value it has"),
        Row::new("git push ../peer.git main story/1.1-one topic")
            .titled("`git push` of story branches and main to another repository")
            .after("git init -q --bare ../peer.git"),
        Row::new("git push ../peer.git 'refs/orchestrate/*:refs/orchestrate/*'")
            .titled("`git push` of the ledger to a peer that has none")
            .after("git init -q --bare ../peer.git"),
        Row::new("git tag v1 && git tag -a -m v2 v2 && git tag -d v1"),
        Row::new("git notes add -m note && git notes remove"),
        Row::new("git branch feature topic && git branch -m feature other && git branch -D other"),
        Row::new("git branch -D story/1.1-one").titled("`git branch -D` of a story branch"),
    ]);
    rows.into_iter().map(|row| row.everywhere(A, A).watching(Watch::Both)).collect()
}

fn beside() -> Vec<Row> {
    let commit = "echo w > w.txt && git add w.txt && git commit -q -m w";
    let rows = vec![
        Row::new("echo x >> README.md && git stash && git stash pop && git stash && git stash drop"),
        Row::new("git worktree add ../other story/1.1-one && git worktree remove ../other"),
        Row::new("git worktree add -b feature ../other main && git worktree remove ../other"),
        Row::new("git switch -q -c feature && git switch -q main"),
        Row::new(&format!("git switch -q story/1.1-one && {commit} && git commit -q --amend -m again"))
            .titled("commits on a story branch, amended"),
        Row::new("git rebase main story/1.1-one").diverged(),
        Row::new("git switch -q story/1.1-one && git reset -q --hard HEAD~1"),
        Row::new("git switch -q story/1.1-one && git merge -q -m m main").diverged(),
        Row::new(&format!("git switch -q topic && {commit} && git commit -q --amend -m again"))
            .titled("commits on one's own feature branch, amended"),
        Row::new("git switch -q topic && git merge -q -m m story/1.1-one")
            .titled("a story merged into one's own feature branch"),
        Row::new("git switch -q topic && git rebase -q main && git reset -q --hard HEAD~1").diverged(),
        Row::new("git switch -q topic && git cherry-pick story/1.1-one~1 && git revert --no-edit HEAD")
            .titled("cherry-pick and revert on one's own feature branch"),
        Row::new("git checkout -q -B feature story/1.1-one"),
        Row::new("git switch -q --detach && git commit -q --allow-empty -m loose")
            .titled("a commit on a detached HEAD"),
        Row::new("git bisect start main main~1 && git bisect reset"),
        Row::new("git merge --no-ff --no-commit topic && git merge --abort"),
        Row::new("ORCHESTRATE_ATTEMPT=a-1 git -C ../other commit -q --allow-empty -m work")
            .titled("an agent commits on its story branch")
            .after("git worktree add -q ../other story/1.1-one"),
    ];
    rows.into_iter().map(|row| row.is(A, A).watching(Watch::Both)).collect()
}
