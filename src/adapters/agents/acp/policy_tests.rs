//! Tests of the policy: tables of what is refused and what is not.

use super::*;

fn facts(reviewer: bool) -> Facts {
    Facts {
        reviewer,
        worktree: "/home/u/repo/.worktrees/1.1".to_owned(),
        root: "/home/u/repo".to_owned(),
        git_common_dir: "/home/u/repo/.git".to_owned(),
        branch: "story/1.1-a".to_owned(),
        branches: ["main", "story/1.1-a", "story/1.2-b"].map(str::to_owned).into(),
        result: "/home/u/repo/.git/orchestrate/attempts/x/answer/result.json".to_owned(),
        scratch: vec!["/tmp".to_owned()],
    }
}

fn execute(command: &str, reviewer: bool) -> Option<String> {
    let asked = Asked { kind: "execute".to_owned(), command: Some(command.to_owned()), ..Asked::default() };
    refused(&asked, &facts(reviewer))
}

#[test]
fn an_author_works_in_its_worktree() {
    for command in [
        "git status && git diff",
        "git add -A && git commit -m 'story: push the button --no-verify'",
        "git commit -am \"one\"",
        "git commit -m -n",
        "git commit --no-edit --amend",
        "git commit -m 'two' -- -n",
        "git commit -F - <<'EOF'\ngit push --no-verify\nEOF",
        "git merge main",
        "git merge --no-edit -n main",
        "git rebase main",
        "git checkout -- src/a.rs",
        "git checkout main -- src/a.rs",
        "git checkout src/a.rs",
        "git checkout story/1.1-a",
        "git fetch origin && git fetch https://example.org/x.git main",
        "git fetch git@example.org:x/y.git",
        "git branch --list 'x*' && git branch",
        "git branch new-one",
        "git tag -l && git config --get user.name && git config user.name && git config list",
        "git worktree list",
        "git stash && git stash pop",
        "git reset --hard HEAD~1",
        "echo 'git push' && grep -rn 'git push' . && printf git push",
        "cargo test 2>&1 | tail -5 > out.txt",
        "cat > src/a.rs <<'EOF'\nfn main() {}\nEOF",
        "rm -rf target && mkdir -p a/b && touch a/b/c",
        "cp /etc/hosts fixtures/hosts",
        "mkdir -p /tmp/x && cd /tmp/x && git init && git commit --allow-empty -m x && git checkout -b y",
        "cd src && git add .",
        "./run.sh --no-verify-ssl",
        "npm run push",
        "for f in a b; do touch $f; done",
        "timeout 5 git status",
        "bash -lc 'git status && cargo build'",
        "echo it's open",
        "git log --oneline main..HEAD | head",
        "echo x > /dev/null",
        "cd \"$ORCHESTRATE_WORKTREE\" && git commit -m x",
        "cd /home/u/repo/.worktrees/1.1/src && git add a.rs",
        "git -C src add a.rs",
        "git show HEAD:a > b",
        "cd /home/u/repo && git log",
        "",
    ] {
        assert_eq!(execute(command, false), None, "{command}");
    }
}

#[test]
fn an_author_is_refused_what_is_not_its_own() {
    for command in [
        "git commit --no-verify -m x",
        "git commit --no-ver -m x",
        "git commit -n -m x",
        "git commit -anm x",
        "git commit -m x -n",
        "git merge --no-verify main",
        "git am -n x.patch",
        "git push",
        "git push origin HEAD:main",
        "cargo test && git push --force",
        "true; git push",
        "(git push)",
        "if true; then git push; fi",
        "FOO=1 git push",
        "env FOO=1 git push",
        "timeout 5 git push",
        "xargs git push < list",
        "sh -c 'git push'",
        "bash -lc \"cd x && git push\"",
        "env bash -c 'git push'",
        "bash <<'EOF'\ngit push\nEOF",
        "echo git push | sh",
        "eval 'git push'",
        "echo $(git push)",
        "echo \"`git push`\"",
        "cat <<EOF\n$(git push)\nEOF",
        "/usr/bin/git push",
        "g'i't pu\"sh\"",
        "git -c user.name=x push",
        "git --no-pager push",
        "$GIT push",
        "git $COMMAND",
        "git update-ref refs/heads/main HEAD",
        "git branch -f main HEAD",
        "git branch -D story/1.2-b",
        "git branch -m other",
        "git checkout main",
        "git checkout -B main",
        "git checkout -b other",
        "git switch main",
        "git switch -c other",
        "git switch --detach HEAD",
        "git checkout HEAD~3",
        "git rebase main story/1.2-b",
        "git symbolic-ref HEAD refs/heads/main",
        "git worktree add ../x",
        "git worktree remove ../1.2",
        "git config core.hooksPath /dev/null",
        "git config --global user.name x",
        "git config set alias.p push",
        "git -c core.hooksPath= commit -m x",
        "git -c alias.x=push x",
        "git --config-env=core.hooksPath=X commit -m x",
        "git gc",
        "git prune",
        "git reflog expire --all --expire=now",
        "git repack -ad",
        "git fetch origin main:main",
        "git fetch . HEAD:refs/heads/main",
        "git remote set-url origin x",
        "git tag -d v1",
        "git orchestrate review 1.1 --approve",
        "cd /home/u/repo && git merge story/1.1-a",
        "cd ../.. && git merge story/1.1-a",
        "cd .. && cd .. && git commit -m x",
        "git -C /home/u/repo merge story/1.1-a",
        "git -C ../.. commit -m x",
        "git --git-dir=/home/u/repo/.git commit -m x",
        "git --git-dir /home/u/repo/.git branch x",
        "GIT_DIR=/home/u/repo/.git git commit -m x",
        "HUSKY=0 git commit -m x",
        "export GIT_CONFIG_COUNT=1",
        "echo x > /home/u/repo/README.md",
        "echo x > ../../README.md",
        "echo x >> ~/.bashrc",
        "rm -rf /home/u/repo/.git/hooks",
        "chmod -x /home/u/repo/.git/hooks/pre-commit",
        "mv a.txt ../b.txt",
        "cp a.txt /home/u/repo/a.txt",
        "echo x | tee /home/u/other",
        "dd if=/dev/zero of=/home/u/x",
        "git push 'open",
        "git commit --no-verify -m \"open",
    ] {
        assert!(execute(command, false).is_some(), "{command}");
    }
}

#[test]
fn a_reviewer_only_reads_and_answers() {
    for command in [
        "git diff main...HEAD",
        "git log --oneline | head -20",
        "git show HEAD:src/a.rs | sed -n '1,20p'",
        "cat src/a.rs; ls -la; rg push src",
        "find . -name '*.rs' | sort | uniq -c",
        "cd src && git blame a.rs",
        "echo '{\"version\":1}' > \"$ORCHESTRATE_RESULT\"",
        "cat > ${ORCHESTRATE_RESULT} <<'EOF'\n{\"version\":1,\"verdict\":\"approve\",\"findings\":[]}\nEOF",
        "echo '{}' | tee $ORCHESTRATE_RESULT",
        "bash -lc 'git diff --stat'",
        "jq . \"$ORCHESTRATE_RESULT\"",
    ] {
        assert_eq!(execute(command, true), None, "{command}");
    }
    for command in [
        "git commit --allow-empty -m x",
        "git checkout -- a",
        "git diff --output=x",
        "git stash",
        "echo x > a.txt",
        "cat > src/a.rs <<'EOF'\nx\nEOF",
        "rm a.txt",
        "cargo test",
        "sed -i s/a/b/ a.txt",
        "sed -n 'w x' a.txt",
        "find . -delete",
        "find . -exec rm {} +",
        "sort -o a b",
        "./script.sh",
        "sh script.sh",
        "python3 -c 'open(\"x\",\"w\")'",
        "git config a.b c",
        "git push",
        "echo 'open",
        "$X a",
        "git branch new-one",
        "git tag v1",
    ] {
        assert!(execute(command, true).is_some(), "{command}");
    }
}

#[test]
fn files_are_judged_by_where_they_are() {
    let asked = |kind: &str, paths: &[&str], reviewer| {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        refused(&Asked { kind: kind.to_owned(), paths, ..Asked::default() }, &facts(reviewer)).is_some()
    };
    for (kind, path, author, reviewer) in [
        ("edit", "src/a.rs", false, true),
        ("edit", "/home/u/repo/.worktrees/1.1/a.rs", false, true),
        ("edit", "/home/u/repo/.worktrees/1.1/../1.2/a.rs", true, true),
        ("edit", "/home/u/repo/.worktrees/1.10/a.rs", true, true),
        ("edit", "/home/u/repo/.git/hooks/pre-commit", true, true),
        ("edit", "/home/u/repo/.git/orchestrate/attempts/x/answer/result.json", false, false),
        ("delete", "/home/u/repo/README.md", true, true),
        ("edit", "/tmp/notes.md", false, false),
        ("edit", "~/.bashrc", true, true),
        ("read", "/etc/passwd", false, false),
        ("search", "/", false, false),
        ("other", "/x", false, true),
        ("switch_mode", "", false, true),
        ("", "", false, true),
    ] {
        assert_eq!((asked(kind, &[path], false), asked(kind, &[path], true)), (author, reviewer), "{kind} {path}");
    }
    assert_eq!((asked("edit", &[], false), asked("edit", &[], true)), (false, true));
    assert!(asked("edit", &["a.rs", "/home/u/x"], false), "one of several is enough");
}

#[test]
fn a_repository_among_temporary_files_is_no_scratch() {
    let mut facts = facts(false);
    facts.root = "/tmp/repo".to_owned();
    facts.git_common_dir = "/tmp/repo/.git".to_owned();
    facts.worktree = "/tmp/repo/.worktrees/1.1".to_owned();
    let command = |text: &str| {
        refused(&Asked { kind: "execute".to_owned(), command: Some(text.to_owned()), ..Asked::default() }, &facts)
    };
    assert!(command("echo x > /tmp/repo/README.md").is_some());
    assert!(command("cd /tmp/repo && git merge story/1.1-a").is_some());
    assert_eq!(command("echo x > /tmp/other"), None);
    assert_eq!(command("echo x > a"), None);
}
