//! The table, part one: operations that would bring unreviewed work of story 1.1 to main.

use super::row::Outcome::{Allowed as A, NotSeen as N, Refused as R};
use super::row::{Row, Watch, group};

pub fn rows() -> Vec<Row> {
    let mut rows = group("Merging and pulling an unreviewed story", merging());
    rows.extend(group("Commits, rebase, cherry-pick, am", replaying()));
    rows.extend(group("Moving the branch itself", moving()));
    rows.extend(group("Fetch and push", transfer()));
    rows.extend(group("Stories under another name, and approvals that are not enough", disguised()));
    rows.extend(group("Content of a story as a commit of one's own", copied()));
    rows.extend(group("Around the hooks", around()));
    rows
}

fn merging() -> Vec<Row> {
    vec![
        Row::new("git merge --ff-only story/1.1-one").is(R, R),
        Row::new("git merge --no-verify story/1.1-one").is(R, R),
        Row::new("git merge --no-ff -m m story/1.1-one").is(R, R),
        Row::new("git merge --no-ff --no-verify -m m story/1.1-one").is(R, R),
        Row::new("git merge -m m story/1.1-one").diverged().titled("`git merge story/1.1-one`, diverged").is(R, R),
        Row::new("git merge --no-verify -s ours -m m story/1.1-one").is(R, R),
        Row::new("git merge --no-ff -m m story/1.1-one~1")
            .titled("part of a story: `git merge story/1.1-one~1`")
            .is(R, R),
        Row::new("git merge -m m topic story/1.1-one").titled("octopus: `git merge topic story/1.1-one`").is(R, R),
        Row::new("git pull --ff-only . story/1.1-one").is(R, R),
        Row::new("git pull --no-rebase . story/1.1-one").diverged().is(R, R),
        Row::new("git pull --no-rebase --no-verify . story/1.1-one").diverged().is(R, R),
        Row::new("git pull --rebase . story/1.1-one").diverged().is(R, R),
        Row::new("git pull ../clone story/1.1-one").is(R, R),
    ]
}

fn replaying() -> Vec<Row> {
    let stack = "git switch -q -c stack && echo k > k.txt && git add k.txt && git commit -q -m k";
    vec![
        Row::new("git commit --allow-empty -m 'more' -m 'Story: 1.1'")
            .titled("`git commit` with the trailer `Story: 1.1`")
            .is(R, R),
        Row::new("git commit --no-verify --allow-empty -m 'more' -m 'Story: 1.1'")
            .titled("`git commit --no-verify` with the trailer `Story: 1.1`")
            .is(R, R),
        Row::new("git commit --amend -m 'more' -m 'Story: 1.1'")
            .titled("`git commit --amend` that adds the trailer `Story: 1.1`")
            .diverged()
            .is(R, R),
        Row::new("git rebase story/1.1-one").titled("`git rebase story/1.1-one` on main, a fast-forward").is(R, R),
        Row::new("git rebase story/1.1-one").titled("`git rebase story/1.1-one` on main, diverged").diverged().is(R, R),
        Row::new("git rebase --no-verify story/1.1-one").diverged().is(R, R),
        Row::new("git rebase --apply story/1.1-one").diverged().is(R, R),
        Row::new("git rebase -i story/1.1-one").diverged().is(R, R),
        Row::new("git rebase --update-refs story/1.1-one")
            .titled("`git rebase --update-refs story/1.1-one` of a branch on top of main")
            .diverged()
            .after(stack)
            .is(R, R),
        Row::new("git cherry-pick --ff story/1.1-one~1").is(R, R),
        Row::new("git cherry-pick story/1.1-one~1").diverged().is(R, R),
        Row::new("git cherry-pick main..story/1.1-one").diverged().is(R, R),
        Row::new("git format-patch --stdout main..story/1.1-one > ../p && git am ../p")
            .titled("`git format-patch` and `git am`")
            .diverged()
            .is(R, R),
        Row::new("git format-patch --stdout main..story/1.1-one > ../p && git am --no-verify ../p")
            .titled("`git format-patch` and `git am --no-verify`")
            .diverged()
            .is(R, R),
        Row::new("git replay --advance main main..story/1.1-one > ../p && git update-ref --stdin < ../p")
            .titled("`git replay --advance main main..story/1.1-one`, applied")
            .away()
            .since(44)
            .everywhere(R, R),
        Row::new(
            "FILTER_BRANCH_SQUELCH_WARNING=1 git filter-branch -f --parent-filter \
             \"cat; printf ' -p %s' $(git rev-parse story/1.1-one)\" main~1..main",
        )
        .titled("`git filter-branch` that makes the story a parent of main's tip")
        .mute()
        .everywhere(R, R),
    ]
}

fn moving() -> Vec<Row> {
    let to_story = "$(git rev-parse story/1.1-one)";
    let stdin = |name: &str, commands: &str, more: &str| {
        Row::new(&format!("printf '{commands}' {more} | git update-ref --stdin")).titled(name)
    };
    vec![
        Row::new("git reset --hard story/1.1-one").is(R, R),
        Row::new("git reset --soft story/1.1-one").is(R, R),
        Row::new("git reset --keep story/1.1-one").is(R, R),
        Row::new("git update-ref refs/heads/main story/1.1-one").everywhere(R, R),
        Row::new("git update-ref refs/heads/main story/1.1-one main")
            .titled("`git update-ref refs/heads/main story/1.1-one main`, the old value said")
            .everywhere(R, R),
        Row::new("git update-ref --no-deref refs/heads/main story/1.1-one").everywhere(R, R),
        Row::new("git update-ref HEAD story/1.1-one").everywhere(R, R),
        stdin("`git update-ref --stdin`: update", "update refs/heads/main %s\\n", to_story).everywhere(R, R),
        stdin(
            "`git update-ref --stdin`: start, update, prepare, commit",
            "start\\nupdate refs/heads/main %s\\nprepare\\ncommit\\n",
            to_story,
        )
        .everywhere(R, R),
        stdin(
            "`git update-ref --stdin`: main among other refs",
            "create refs/heads/other %s\\nupdate refs/heads/main %s\\n",
            &format!("{to_story} {to_story}"),
        )
        .everywhere(R, R),
        Row::new(
            "printf 'symref-update refs/heads/main refs/heads/story/1.1-one\\n' | git update-ref --no-deref --stdin",
        )
        .titled("`git update-ref --stdin`: symref-update")
        .away()
        .since(46)
        .everywhere(R, R),
        Row::new("git update-ref -d refs/heads/main").everywhere(R, R),
        stdin("`git update-ref --stdin`: delete", "delete refs/heads/main\\n", "").everywhere(R, R),
        Row::new("git branch -f main story/1.1-one").away().everywhere(R, R),
        Row::new("git branch -D main").away().everywhere(R, R),
        Row::new("git branch -M story/1.1-one main").away().everywhere(R, R),
        Row::new("git branch -C story/1.1-one main").away().everywhere(N, N),
        Row::new("git branch -M main other").titled("`git branch -M main other`: main goes away").is(R, R).bare(R, R),
        Row::new("git checkout -B main story/1.1-one").away().is(R, R),
        Row::new("git switch -C main story/1.1-one").away().is(R, R),
        Row::new("git worktree add -B main ../other story/1.1-one").away().everywhere(R, R),
        Row::new("git symbolic-ref refs/heads/main refs/heads/story/1.1-one").away().everywhere(R, R),
        Row::new("git update-ref refs/heads/alias story/1.1-one")
            .titled("`git update-ref` through a symbolic ref that leads to main")
            .after("git symbolic-ref refs/heads/alias refs/heads/main")
            .everywhere(R, R),
        Row::new(
            "printf 'reset refs/heads/main\\nfrom %s\\n\\n' $(git rev-parse story/1.1-one) | git fast-import --quiet",
        )
        .titled("`git fast-import`")
        .away()
        .everywhere(R, R),
        Row::new("git reflog delete --rewrite --updateref main@{0}")
            .titled("`git reflog delete --updateref`, where main had been at the story once")
            .after("git config core.logAllRefUpdates always")
            .away()
            .after("old=$(git rev-parse main) && git update-ref refs/heads/main story/1.1-one")
            .after("git update-ref refs/heads/main $old")
            .everywhere(N, N),
    ]
}

fn transfer() -> Vec<Row> {
    let from_clone = |options: &str, what: &str| Row::new(&format!("git -C ../clone push {options} \"$HERE\" {what}"));
    let ahead = "git -C ../clone update-ref refs/heads/main refs/heads/story/1.1-one";
    vec![
        Row::new("git fetch . story/1.1-one:main").away().everywhere(R, R),
        Row::new("git fetch . +story/1.1-one:main").away().everywhere(R, R),
        Row::new("git fetch --atomic . story/1.1-one:main").away().everywhere(R, R),
        Row::new("git fetch --update-head-ok . story/1.1-one:main").everywhere(R, R),
        Row::new("git bundle create -q ../b story/1.1-one && git fetch ../b story/1.1-one:main")
            .titled("`git fetch` from a bundle")
            .away()
            .everywhere(R, R),
        Row::new("git fetch ../clone 'refs/heads/*:refs/heads/*'")
            .titled("`git fetch` with a refspec onto all branches")
            .after(ahead)
            .away()
            .everywhere(R, R),
        Row::new("git push . story/1.1-one:main").away().everywhere(R, R),
        Row::new("git push --no-verify . story/1.1-one:main").away().everywhere(R, R),
        from_clone("", "story/1.1-one:main").titled("`git push` from a clone without hooks").away().everywhere(R, R),
        from_clone("--no-verify", "story/1.1-one:main")
            .titled("`git push --no-verify` from a clone without hooks")
            .away()
            .everywhere(R, R),
        from_clone("--force", "story/1.1-one:main")
            .titled("`git push --force` from a clone without hooks")
            .away()
            .everywhere(R, R),
        from_clone("--atomic", "story/1.1-one:main topic:another")
            .titled("`git push --atomic` from a clone without hooks")
            .away()
            .everywhere(R, R),
        from_clone("--delete", "main")
            .titled("`git push --delete main` from a clone without hooks")
            .after("git config receive.denyDeleteCurrent ignore")
            .away()
            .everywhere(R, R),
        from_clone("--mirror", "")
            .titled("`git push --mirror` from a clone that knows no ledger")
            .after(ahead)
            .after("git config receive.denyDeleteCurrent ignore && git config receive.denyCurrentBranch ignore")
            .away()
            .watching(Watch::Both)
            .everywhere(R, R),
        from_clone("", "story/1.1-one:main")
            .titled("`git push` into a checked-out main (`receive.denyCurrentBranch=updateInstead`)")
            .after("git config receive.denyCurrentBranch updateInstead")
            .is(R, R),
    ]
}

fn disguised() -> Vec<Row> {
    vec![
        Row::new("git merge -m m mine")
            .titled("the story branch renamed, then merged")
            .after("git branch -q -m story/1.1-one mine")
            .is(R, R),
        Row::new("git merge -m m $(cat ../p)")
            .titled("the story branch deleted, its commit merged")
            .after("git rev-parse story/1.1-one > ../p && git branch -q -D story/1.1-one")
            .is(R, R),
        Row::new("git merge -m m topic")
            .titled("a feature branch into which the story was merged")
            .after("git switch -q topic && git merge -q -m m story/1.1-one && git switch -q main")
            .is(R, R),
        Row::new("git merge -m m story/1.1-one")
            .titled("the story branch rebased by hand")
            .diverged()
            .after("git rebase -q main story/1.1-one && git switch -q main")
            .is(R, R),
        Row::new("git update-ref refs/heads/main story/1.1-one")
            .titled("`git update-ref`, where a landing of that tree was forged from the story's record")
            .after("git update-ref refs/orchestrate/landings/$(git rev-parse story/1.1-one^{tree}) refs/orchestrate/items/1.1")
            .everywhere(R, R),
        Row::new("git update-ref refs/heads/main story/1.1-one")
            .titled("`git update-ref`, where the record of the approved story was copied to another one's name")
            .after("git update-ref refs/orchestrate/items/9.9 refs/orchestrate/items/1.2")
            .everywhere(R, R),
        Row::new("git merge --no-ff -m m story/1.2-two")
            .titled("an approved story with a commit made after the approval")
            .after("git switch -q story/1.2-two && git commit -q --allow-empty -m late && git switch -q main")
            .is(R, R),
        Row::new("git merge --no-ff -m m story/1.2-two^{}")
            .titled("an approved story after main has moved")
            .diverged()
            .is(R, R),
        Row::new("git merge --no-ff --no-commit story/1.2-two && echo x >> README.md && git commit -q -a -m m")
            .titled("an approved story, merged with other content")
            .is(R, R),
    ]
}

/// The hook knows stories by ancestry and trailer; equal content is for `pre-push` and `verify`.
fn copied() -> Vec<Row> {
    let rows = vec![
        Row::new("git merge --squash story/1.1-one && git commit -m mine").is(A, R),
        Row::new("git merge --squash story/1.1-one && git commit --no-verify -m mine").is(A, R),
        Row::new("git cherry-pick --no-commit main..story/1.1-one && git commit -m mine").is(A, R),
        Row::new("git checkout story/1.1-one -- . && git commit -m mine").is(A, R),
        Row::new("git diff main story/1.1-one | git apply --index && git commit -m mine").is(A, R),
        Row::new("git update-ref refs/heads/main $(git commit-tree -p main -m mine story/1.1-one^{tree})")
            .titled("`git commit-tree` of the story's tree and `git update-ref`")
            .everywhere(A, R),
    ];
    rows.into_iter().map(|row| Row { copies: true, ..row }).collect()
}

fn around() -> Vec<Row> {
    let merge = "git merge --no-verify story/1.1-one";
    vec![
        Row::new("git -c core.hooksPath=/dev/null merge story/1.1-one").is(N, N).config_hooks(R),
        Row::new(&format!("GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.hooksPath GIT_CONFIG_VALUE_0=/dev/null {merge}"))
            .titled("`GIT_CONFIG_COUNT` that sets `core.hooksPath`")
            .is(N, N)
            .config_hooks(R),
        Row::new("git -c core.hooksPath=/dev/null update-ref refs/heads/main story/1.1-one")
            .everywhere(N, N)
            .config_hooks(R),
        Row::new(&format!(
            "git $(git config --name-only --get-regexp '^hook\\..*\\.command$' | sed 's/^/-c /; s/command$/enabled=false/') {}",
            "merge --no-verify story/1.1-one"
        ))
        .titled("`-c hook.<name>.enabled=false`, which git knows from 2.54 on")
        .is(R, R)
        .config_hooks(N),
        Row::new(&format!("git config core.hooksPath /dev/null && {merge}"))
            .titled("`git config core.hooksPath /dev/null`, then a merge")
            .is(N, N)
            .config_hooks(R),
        Row::new(&format!("rm -rf \"$(git rev-parse --git-path hooks)\" && {merge}"))
            .titled("the hooks deleted, then a merge")
            .is(N, N)
            .config_hooks(R),
        Row::new("git rev-parse story/1.1-one > \"$(git rev-parse --git-common-dir)/refs/heads/main\"")
            .titled("the file `.git/refs/heads/main` written by hand, or by a program with its own git (libgit2, dulwich, gix)")
            .everywhere(N, N),
        Row::new("ORCHESTRATE_ATTEMPT=a-1 git commit --allow-empty -m mine")
            .titled("an agent's process commits on main")
            .is(R, R),
        Row::new("ORCHESTRATE_ATTEMPT=a-1 git update-ref refs/heads/main topic")
            .titled("an agent's process moves main to anything")
            .everywhere(R, R),
    ]
}
