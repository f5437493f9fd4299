//! The table, part two: people's own work on main, and work that the gate has let through.

use super::row::Outcome::{Allowed as A, Refused as R};
use super::row::{Row, group};

pub fn rows() -> Vec<Row> {
    let mut rows = group("People's own commits on main", own());
    rows.extend(group("Approved work", approved()));
    rows
}

fn own() -> Vec<Row> {
    vec![
        Row::new("git commit --allow-empty -m mine").is(A, R),
        Row::new("git commit --amend -m mine").is(A, R),
        Row::new("git merge --ff-only topic").is(A, R),
        Row::new("git merge --no-ff -m m topic").is(A, R),
        Row::new("git merge --squash topic && git commit -m mine").is(A, R),
        Row::new("git pull . topic").is(A, R),
        Row::new("git pull --rebase . topic").diverged().is(A, R),
        Row::new("git rebase topic").diverged().is(A, R),
        Row::new("git cherry-pick topic").is(A, R),
        Row::new("git cherry-pick topic").titled("`git cherry-pick topic`, diverged").diverged().is(A, R),
        Row::new("git revert --no-edit HEAD").is(A, R),
        Row::new("git format-patch -1 --stdout topic > ../p && git am ../p").diverged().is(A, R),
        Row::new("git reset --hard HEAD~1").is(A, R),
        Row::new("git update-ref refs/heads/main topic").everywhere(A, R),
        Row::new("git branch -f main topic").away().everywhere(A, R),
        Row::new("git checkout -B main topic").away().is(A, R),
        Row::new("git fetch . topic:main").away().everywhere(A, R),
        Row::new("git push . topic:main").away().everywhere(A, R),
        Row::new("git -C ../clone push \"$HERE\" topic:main")
            .titled("`git push` of one's own commits from a clone without hooks")
            .away()
            .everywhere(A, R),
    ]
}

fn approved() -> Vec<Row> {
    vec![
        Row::new("\"$ORCHESTRATE\" land 1.2").titled("`git orchestrate land 1.2`").by_own_writer().is(A, A),
        Row::new("git merge --ff-only story/1.2-two").titled("an approved story merged by hand, fast-forward").is(A, A),
        Row::new("git merge --no-ff -m m story/1.2-two").titled("an approved story merged by hand, `--no-ff`").is(A, A),
        Row::new("git merge --no-ff --no-verify -m m story/1.2-two")
            .titled("an approved story merged by hand, `--no-ff --no-verify`")
            .is(A, A),
        Row::new("git update-ref refs/heads/main story/1.2-two")
            .titled("`git update-ref` to an approved story")
            .everywhere(A, A),
        Row::new("git -C ../clone push \"$HERE\" story/1.2-two:main")
            .titled("`git push` of an approved story from a clone without hooks")
            .away()
            .everywhere(A, A),
    ]
}
