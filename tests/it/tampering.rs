//! Agents that reach for what is not theirs: the target stays or the breach is shown, the attempt is quarantined, and
//! nothing of the user's is undone or called tampering.

use std::path::{Path, PathBuf};

use crate::project::{Project, until};
use crate::support::Ran;

/// Git without hooks in the main work tree, as a bypass would call it.
const BYPASS: &str = "git -c core.hooksPath=/dev/null -C \"$ROOT\"";

/// People review.
const HUMAN: &str = "[review]\nby = \"human\"\n";

/// A step of an author: commits `<item>.txt`, then does what a shell line says; its failure is the agent's.
fn author(item: &str, line: &str) -> String {
    let steps = format!(
        "{{ write = {{ path = \"{item}.txt\", text = \"work of {item}\\n\" }} }}, {{ commit = \"work\" }}, {{ run = {} }}",
        shell(line)
    );
    format!("[[step]]\nitem = \"{item}\"\nphase = \"implementation\"\ndo = [{steps}]\n")
}

/// A step of a reviewer that does what a shell line says and approves.
fn reviewer(item: &str, line: &str) -> String {
    format!("[[step]]\nitem = \"{item}\"\nphase = \"review\"\ndo = [{{ run = {} }}, \"approve\"]\n", shell(line))
}

/// `sh -c LINE` as TOML.
fn shell(line: &str) -> String {
    let line = format!("ROOT=$(cd \"$(git rev-parse --git-common-dir)/..\" && pwd); {line}");
    format!("[\"sh\", \"-c\", {}]", toml::Value::String(line))
}

/// Stories 1.1, 1.2 and 1.3, which needs 1.1; the agent of 1.1 does what the line says after its work.
fn attacked(line: &str, policy: &str) -> Project {
    let project = Project::new(&author("1.1", line), policy);
    project.story("1.1", "First", "None").story("1.2", "Second", "None").story("1.3", "Third", "1.1").commit();
    project
}

fn main_of(project: &Project) -> String {
    project.scratch.git(&["rev-parse", "refs/heads/main"])
}

fn said(ran: &Ran) -> String {
    format!("{}\n{}", ran.stdout, ran.stderr)
}

/// Full names and subjects of what was rescued.
fn rescued(project: &Project) -> Vec<String> {
    let refs = project.scratch.git(&["for-each-ref", "--format=%(refname)", "refs/orchestrate/rescue/"]);
    refs.lines().map(str::to_owned).collect()
}

/// Story 1.1 failed for tampering, its work is in a rescue ref, 1.3 is blocked. `code`: 3 when a breach is open, else 4.
fn assert_quarantined(project: &Project, ran: &Ran, code: i32) {
    assert_eq!(ran.code, code, "{}", said(ran));
    assert!(ran.stdout.contains("quarantined"), "{}", said(ran));
    assert_eq!(project.status_of("1.1"), "Failed");
    assert_eq!(project.status_of("1.3"), "Blocked");
    let event = project.scratch.git(&["log", "-1", "--format=%B", "refs/orchestrate/items/1.1"]);
    assert!(event.contains("\"tampering\""), "{event}");
    let holds = |name: &String| project.scratch.try_git(&["cat-file", "-e", &format!("{name}:1.1.txt")]).code == 0;
    assert!(rescued(project).iter().any(holds), "{:?}", rescued(project));
    assert_eq!(project.merges_of("1.1"), 0);
}

/// The attempt of 1.1 is quarantined for forging the ledger, which is whole again; 1.2 lands all the same.
fn assert_ledger_is_restored(line: &str, reported: &str) -> Project {
    let project = attacked(line, "");
    let ran = project.stories(&["-j", "1"]);
    assert_quarantined(&project, &ran, 4);
    assert!(said(&ran).contains(reported), "{}", said(&ran));
    assert_eq!(project.status_of("1.2"), "Landed");
    assert_eq!(project.mainline().len(), 4, "the first commit, the stories, one landing: {:?}", project.mainline());
    let log = project.scratch.git(&["log", "--format=%s", "refs/orchestrate/items/1.1"]);
    assert!(log.lines().count() > 4 && log.lines().all(|line| line.starts_with("1.1: ")), "{log}");
    project.assert_sound();
    project
}

/// The breach is shown, main is not moved back, and nothing lands after it.
fn assert_breach_is_shown(line: &str) {
    let project = attacked(line, "");
    let before = main_of(&project);
    let ran = project.stories(&["-j", "1"]);
    assert_quarantined(&project, &ran, 3);
    assert_ne!(main_of(&project), before, "nothing that is not ours is set back");
    assert!(said(&ran).contains("breach: main has"), "{}", said(&ran));
    assert_eq!(project.merges_of("1.2"), 0, "{:?}", project.mainline());
    assert!(ran.stdout.contains("landings have stopped"), "{}", said(&ran));
}

#[test]
fn an_agent_that_merges_itself_is_refused_by_the_hooks() {
    for line in ["git -C \"$ROOT\" merge -q --no-verify story/1.1-first", "git push -q . HEAD:main"] {
        let project = attacked(line, "");
        assert_eq!(project.orchestrate(&["init", "--yes"]).code, 0);
        project.scratch.commit("initialised");
        let before = main_of(&project);
        let ran = project.stories(&["1.1", "-j", "1"]);
        assert_eq!(ran.code, 4, "{}", said(&ran));
        assert_eq!(main_of(&project), before, "{}", said(&ran));
        assert_eq!(project.status_of("1.1"), "Failed");
    }
}

#[test]
fn an_agent_that_merges_itself_without_hooks_is_a_breach() {
    assert_breach_is_shown(&format!("{BYPASS} merge -q story/1.1-first"));
    assert_breach_is_shown(&format!("{BYPASS} merge -q --no-ff -m Fine story/1.1-first"));
}

#[test]
fn an_agent_that_writes_the_ref_file_of_main_is_a_breach() {
    assert_breach_is_shown("git rev-parse HEAD > \"$ROOT/.git/refs/heads/main\"");
}

#[test]
fn a_merge_under_another_name_is_a_breach_too() {
    let line = format!(
        "export GIT_AUTHOR_EMAIL=ada@example.org GIT_COMMITTER_EMAIL=ada@example.org; \
         git commit -q --amend --reset-author --no-edit && {BYPASS} merge -q --no-ff -m Fine story/1.1-first"
    );
    assert_breach_is_shown(&line);
}

#[test]
fn a_forged_chain_is_put_back() {
    let project = assert_ledger_is_restored(
        &format!("{BYPASS} update-ref refs/orchestrate/items/1.1 story/1.1-first"),
        "refs/orchestrate/items/1.1 was moved off what is recorded",
    );
    let forged = project.scratch.git(&["show", "refs/orchestrate/rescue/forged-1:1.1.txt"]);
    assert_eq!(forged, "work of 1.1", "what was put there is kept");
}

#[test]
fn a_chain_that_was_set_back_is_put_back() {
    assert_ledger_is_restored(
        &format!("{BYPASS} update-ref refs/orchestrate/items/1.1 refs/orchestrate/items/1.1~1"),
        "refs/orchestrate/items/1.1 was moved off what is recorded",
    );
}

#[test]
fn deleted_records_are_put_back() {
    let deleted = "refs/orchestrate/items/1.1 was deleted; it is put back";
    assert_ledger_is_restored(&format!("{BYPASS} update-ref -d refs/orchestrate/items/1.1"), deleted);
    assert_ledger_is_restored("rm -rf \"$ROOT/.git/refs/orchestrate\"", deleted);
    let packed = "git pack-refs --all && rm -rf \"$ROOT/.git/refs/orchestrate\" && \
                  sed -i '/orchestrate/d' \"$ROOT/.git/packed-refs\"";
    assert_ledger_is_restored(packed, deleted);
}

#[test]
fn records_that_are_no_refs_any_more_are_put_back() {
    let file = "\"$ROOT/.git/refs/orchestrate/items/1.1\"";
    let overwritten = "refs/orchestrate/items/1.1 was overwritten with something that is no record";
    assert_ledger_is_restored(&format!(": > {file}"), overwritten);
    assert_ledger_is_restored(&format!("echo 'ref: refs/heads/main' > {file}"), overwritten);
    assert_ledger_is_restored(&format!("rm {file} && mkdir {file} && echo x > {file}/y"), "refs/orchestrate/items/1.1");
    assert_ledger_is_restored(
        "rm -r \"$ROOT/.git/refs/orchestrate\" && echo x > \"$ROOT/.git/refs/orchestrate\"",
        "refs/orchestrate/items/1.1 was deleted",
    );
}

#[test]
fn records_that_nobody_wrote_are_taken_away() {
    let project = assert_ledger_is_restored(
        &format!("{BYPASS} update-ref refs/orchestrate/landings/$(git rev-parse HEAD^{{tree}}) HEAD"),
        "was made by something that is no writer of the record; it is taken away",
    );
    assert!(rescued(&project).iter().any(|name| name.contains("forged")), "{:?}", rescued(&project));
}

#[test]
fn an_agent_cannot_review_by_the_command() {
    let program = env!("CARGO_BIN_EXE_git-orchestrate");
    let review = format!("cd \"$ROOT\" && {program} review 1.1 --approve -m fine");
    let without = format!("cd \"$ROOT\" && env -u ORCHESTRATE_ATTEMPT {program} review 1.1 --approve -m fine");
    for line in [review, without] {
        let project = attacked(&line, HUMAN);
        let before = main_of(&project);
        let ran = project.stories(&["1.1"]);
        assert_eq!(ran.code, 4, "the agent's command failed: {}", said(&ran));
        assert_eq!(main_of(&project), before);
        let log = project.scratch.git(&["log", "--format=%s", "refs/orchestrate/items/1.1"]);
        assert!(!log.contains("approved"), "{log}");
    }
}

#[test]
fn a_review_by_a_process_that_shed_its_parents_and_environment_is_still_an_agents() {
    let program = env!("CARGO_BIN_EXE_git-orchestrate");
    // Whoever loses its parents becomes a child of the supervisor, which does not let go of it.
    let line = format!(
        "cd \"$ROOT\" && (env -i PATH=\"$PATH\" HOME=/nonexistent GIT_AUTHOR_EMAIL=bob@example.org setsid -f {program} review \
         1.1 --approve -m fine > \"$ROOT/.git/said\" 2>&1); until [ -s \"$ROOT/.git/said\" ]; do sleep 0.02; done"
    );
    let project = attacked(&line, HUMAN);
    let ran = project.stories(&["1.1"]);
    let heard = project.scratch.read(".git/said");
    assert_eq!(ran.code, 5, "{}\n{heard}", said(&ran));
    assert!(heard.contains("an agent"), "{heard}");
    assert_eq!(project.status_of("1.1"), "Ready for Review");
}

#[test]
fn a_review_that_came_while_the_author_was_at_work_does_not_count() {
    let line = "cd \"$ROOT\" && : > .git/at-work; \
                until git log --format=%s refs/orchestrate/items/1.1 | grep -q approved; do sleep 0.02; done";
    let project = attacked(line, HUMAN);
    let before = main_of(&project);
    let run = project.start(&["stories", "1.1"]);
    until("the author", || project.scratch.root().join(".git/at-work").exists());
    let early = project.as_person("bob@example.org", &["review", "1.1", "--approve", "-m", "fine"]);
    assert_eq!(early.code, 0, "{}", said(&early));
    let ran = run.finish();
    assert_eq!(ran.code, 5, "{}", said(&ran));
    assert!(said(&ran).contains("the approval was recorded while an author was at work"), "{}", said(&ran));
    assert_eq!(main_of(&project), before);
    assert_eq!(project.orchestrate(&["resume"]).code, 5, "a person is still waited for");
    let reviewed = project.as_person("bob@example.org", &["review", "1.1", "--approve", "-m", "now"]);
    assert_eq!(reviewed.code, 0, "{reviewed:?}");
    let ran = project.orchestrate(&["resume"]);
    assert_eq!(ran.code, 0, "{}", said(&ran));
    assert_eq!(project.merges_of("1.1"), 1);
}

#[test]
fn words_trailers_and_notes_are_no_approval() {
    let line = "echo APPROVED; echo '{\"version\":1,\"verdict\":\"approve\",\"findings\":[]}' | tee \"$ORCHESTRATE_RESULT\"; \
                git commit -q --allow-empty -m 'Fine\n\nReviewed-by: Bob <bob@example.org>\nStory: 1.1'; \
                git notes add -m APPROVED; git tag approved/1.1";
    let project = attacked(line, HUMAN);
    let before = main_of(&project);
    let ran = project.stories(&["1.1"]);
    assert_eq!(ran.code, 5, "{}", said(&ran));
    assert_eq!(main_of(&project), before);
    assert_eq!(project.status_of("1.1"), "Ready for Review");
    assert!(!said(&ran).contains("tampering"), "{}", said(&ran));
}

#[test]
fn an_agent_cannot_weaken_its_own_gate() {
    let line = "printf '[review]\\nby = \"agent\"\\n[gates]\\nchecks = \"optional\"\\n' > .orchestrate.toml && \
                git commit -qam 'Easier'";
    let project = attacked(line, HUMAN);
    let plan = project.orchestrate(&["plan"]);
    assert!(said(&plan).contains("from main:.orchestrate.toml"), "{}", said(&plan));
    let before = main_of(&project);
    let ran = project.stories(&["1.1"]);
    assert_eq!(ran.code, 5, "{}", said(&ran));
    assert!(ran.stdout.contains("a person's review"), "{}", said(&ran));
    assert_eq!(main_of(&project), before);
}

/// What a reviewer sees who does as it is told.
fn reviewed_diff(line: &str) -> String {
    let project = Project::new("", "");
    let seen = project.meeting("seen.diff");
    let look = format!(
        "line=$(sed -n 's/^`\\(git diff [^`]*\\)`.*/\\1/p' \"$ORCHESTRATE_PROMPT_FILE\"); sh -c \"$line\" > {}",
        seen.display()
    );
    project.script(&format!("{}{}", author("1.1", line), reviewer("1.1", &look)));
    project.story("1.1", "First", "None").commit();
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 0, "{}", said(&ran));
    let landed = project.scratch.git(&["--no-replace-objects", "show", "main:hidden.txt"]);
    assert_eq!(landed, "the hidden change");
    std::fs::read_to_string(seen).unwrap()
}

#[test]
fn a_change_cannot_be_hidden_from_the_reviewer() {
    let hidden = "echo 'the hidden change' > hidden.txt";
    for trick in [
        "echo '*.txt -diff' > .gitattributes && git add -A && git commit -qm Hide".to_owned(),
        "echo '*.txt binary' > .gitattributes && git add -A && git commit -qm Hide".to_owned(),
        "git add -A && git commit -qm Hide && git replace -f HEAD $ORCHESTRATE_BASE".to_owned(),
        "git add -A && git commit -qm Hide && git replace $(git rev-parse HEAD:hidden.txt) $(echo fine | git hash-object -w \
         --stdin)"
            .to_owned(),
    ] {
        let shown = reviewed_diff(&format!("{hidden} && {trick}"));
        assert!(shown.contains("+the hidden change"), "{trick}: {shown}");
    }
}

#[test]
fn a_replaced_policy_is_not_the_policy() {
    // The next command opens the repository with the replacement in place.
    let line = "git replace $(git rev-parse main:.orchestrate.toml) $(git show main:.orchestrate.toml | \
                sed 's/human/agent/' | git hash-object -w --stdin)";
    let project = attacked(line, HUMAN);
    assert_eq!(project.stories(&["1.1"]).code, 5);
    let before = main_of(&project);
    let ran = project.orchestrate(&["resume", "--policy-from-target"]);
    let ran = if ran.code == 2 { project.orchestrate(&["resume"]) } else { ran };
    assert_eq!(ran.code, 5, "{}", said(&ran));
    assert_eq!(main_of(&project), before);
}

/// A story that waits for a person, who has approved it.
fn approved() -> Project {
    approved_in(Project::new("", HUMAN))
}

fn approved_in(project: Project) -> Project {
    project.story("1.1", "First", "None").commit();
    assert_eq!(project.stories(&[]).code, 5);
    let reviewed = project.as_person("bob@example.org", &["review", "1.1", "--approve", "-m", "good"]);
    assert_eq!(reviewed.code, 0, "{reviewed:?}");
    project
}

/// `resume` says why the approval is void and lands nothing; a new approval does.
fn assert_void(project: &Project, why: &str) {
    let before = main_of(project);
    let ran = project.orchestrate(&["resume"]);
    assert_eq!(ran.code, 5, "{}", said(&ran));
    assert!(said(&ran).contains(why), "{}", said(&ran));
    assert_eq!(main_of(project), before);
    let reviewed = project.as_person("bob@example.org", &["review", "1.1", "--approve", "-m", "again"]);
    assert_eq!(reviewed.code, 0, "{reviewed:?}");
    let ran = project.orchestrate(&["resume"]);
    assert_eq!(ran.code, 0, "{}", said(&ran));
    assert_eq!(project.merges_of("1.1"), 1);
}

#[test]
fn a_commit_after_the_approval_voids_it() {
    let project = approved();
    let worktree = project.scratch.root().join(".worktrees/1.1-first");
    std::fs::write(worktree.join("late.txt"), "late\n").unwrap();
    let worktree = worktree.to_str().unwrap();
    project.scratch.git(&["-C", worktree, "add", "-A"]);
    project.scratch.git(&["-C", worktree, "commit", "-qm", "late"]);
    assert_void(&project, "the approval saw another merge");
}

#[test]
fn a_changed_policy_voids_the_approval() {
    let project = approved();
    project.set("review", "rounds = 7");
    project.scratch.commit("Another policy");
    assert_void(&project, "the policy changed after the review");
}

#[test]
fn a_base_that_changes_the_merge_voids_the_approval() {
    let project = Project::new(&author("1.1", "sed -i s/5/five/ lines.txt && git commit -qam five"), HUMAN);
    project.scratch.write("lines.txt", "1\n2\n3\n4\n5\n");
    let project = approved_in(project);
    // Beside the change: it merges, and what it merges to nobody has seen.
    project.scratch.write("lines.txt", "1\n2\nthree\n4\n5\n");
    project.scratch.commit("three");
    assert_void(&project, "the approval saw another merge");
}

#[test]
fn a_policy_that_changes_during_the_run_is_not_passed_over() {
    let project = Project::new("", "[review]\nby = \"agent\"\n");
    let (here, go) = (project.meeting("here"), project.meeting("go"));
    project.script(&format!(
        "[[step]]\nphase = \"review\"\ndo = [{{ touch = {here:?} }}, {{ wait-for = {go:?} }}, \"approve\"]\n"
    ));
    project.story("1.1", "First", "None").commit();
    let live = project.start(&["stories"]);
    until("the review", || here.exists());
    project.scratch.write(
        ".orchestrate.toml",
        project.scratch.read(".orchestrate.toml").replace("by = \"agent\"", "by = \"human\""),
    );
    let policy = project.scratch.commit("People review");
    std::fs::write(&go, "").unwrap();
    let ran = live.finish();
    assert_eq!(ran.code, 5, "{}", said(&ran));
    assert!(ran.stdout.contains("the gate policy on main changed"), "{}", said(&ran));
    assert_eq!(main_of(&project), policy);
    let ran = project.orchestrate(&["resume"]);
    assert_eq!(ran.code, 5, "{}", said(&ran));
    assert!(ran.stdout.contains("a person's review"), "{}", said(&ran));
}

#[test]
fn hooks_that_went_away_are_told_and_nothing_lands_until_somebody_has_looked() {
    let project = attacked("rm -f \"$ROOT\"/.git/hooks/*", "");
    assert_eq!(project.orchestrate(&["init", "--yes"]).code, 0);
    project.scratch.commit("initialised");
    let before = main_of(&project);
    let ran = project.stories(&["1.1", "1.2", "-j", "1"]);
    assert_eq!(ran.code, 5, "{}", said(&ran));
    assert!(said(&ran).contains("hooks/reference-transaction: `link to"), "{}", said(&ran));
    assert_eq!(main_of(&project), before);
    let ran = project.orchestrate(&["resume"]);
    assert_eq!(ran.code, 0, "who resumes has looked: {}", said(&ran));
    assert_eq!((project.merges_of("1.1"), project.merges_of("1.2")), (1, 1));
}

/// The agent changed what git runs: it is shown, it has not run, and nothing lands.
fn assert_not_run(project: &Project, marker: &Path, shown: &str) {
    let before = main_of(project);
    let ran = project.stories(&["1.1", "-j", "1"]);
    assert!(ran.code == 4 || ran.code == 5, "{}", said(&ran));
    assert!(said(&ran).contains(shown), "{}", said(&ran));
    assert!(!marker.exists(), "it was run: {}", said(&ran));
    assert_eq!(main_of(project), before);
}

/// A program that leaves a mark, and the mark.
fn trap(project: &Project) -> (PathBuf, PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let (program, marker) = (project.meeting("trap.sh"), project.meeting("was-run"));
    std::fs::write(&program, format!("#!/bin/sh\ntouch {}\ncat\n", marker.display())).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    (program, marker)
}

#[test]
fn settings_that_run_programs_are_shown_and_not_obeyed() {
    for key in ["core.fsmonitor", "filter.evil.clean", "diff.external", "core.hooksPath"] {
        let project = Project::new("", "");
        let (program, marker) = trap(&project);
        // What is left uncommitted is for our own git to commit.
        let line = format!(
            "echo '*.txt filter=evil diff=evil' > .gitattributes; git -C \"$ROOT\" config {key} {}; echo more >> 1.1.txt",
            program.display()
        );
        project.script(&author("1.1", &line));
        project.story("1.1", "First", "None").commit();
        assert_not_run(&project, &marker, &format!("{}: absent -> `{}`", key.to_lowercase(), program.display()));
        assert_eq!(project.scratch.git(&["config", key]), program.to_str().unwrap(), "what may be the user's stays");
    }
}

#[test]
fn a_worktree_that_was_tied_elsewhere_is_quarantined() {
    for line in [
        "git init -q ../evil && git -C ../evil config core.fsmonitor TRAP && echo \"gitdir: $PWD/../evil/.git\" > .git",
        "git init -q \"$ROOT/.git/evil\" && git -C \"$ROOT/.git/evil\" config core.fsmonitor TRAP && \
         echo \"$ROOT/.git/evil/.git\" > \"$(git rev-parse --absolute-git-dir)/commondir\"",
        ": > \"$(git rev-parse --absolute-git-dir)/commondir\"",
    ] {
        let project = Project::new("", "");
        let (program, marker) = trap(&project);
        project.script(&author("1.1", &line.replace("TRAP", program.to_str().unwrap())));
        project.story("1.1", "First", "None").story("1.2", "Second", "None").story("1.3", "Third", "1.1").commit();
        let ran = project.stories(&["-j", "1"]);
        assert_quarantined(&project, &ran, 4);
        assert!(!marker.exists(), "{line}: {}", said(&ran));
        assert!(ran.stdout.contains("tied to another place"), "{}", said(&ran));
        assert_eq!(project.status_of("1.2"), "Landed", "{line}: {}", said(&ran));
    }
}

#[test]
fn a_repository_inside_the_worktree_is_not_entered() {
    let project = Project::new("", "");
    let (program, marker) = trap(&project);
    let line = format!(
        "git init -q inner && git -C inner commit -q --allow-empty -m x && git -C inner config core.fsmonitor {}",
        program.display()
    );
    project.script(&author("1.1", &line));
    project.story("1.1", "First", "None").commit();
    let ran = project.stories(&[]);
    assert!(!marker.exists(), "{}", said(&ran));
    let tree = project.scratch.git(&["ls-tree", "-r", "main"]);
    assert!(!tree.contains("160000"), "{tree}");
}

#[test]
fn the_branch_of_another_attempt_that_moves_pauses_both() {
    let project = Project::new("", "");
    let (review, go) = (project.meeting("review"), project.meeting("go"));
    let (check, moved) = (project.meeting("check"), project.meeting("moved"));
    // On the merge tree, which has the user's file too, the check of 1.1 takes its time.
    let line = format!(
        "test ! -e user.txt || test ! -e 1.1.txt || {{ touch {}; n=0; until [ -e {} ] || [ $n -gt 600 ]; do sleep 0.1; \
         n=$((n+1)); done; }}",
        check.display(),
        moved.display()
    );
    project.scratch.write(
        ".orchestrate.toml",
        format!(
            "{}[checks]\nslow = [\"sh\", \"-c\", {}]\n",
            project.scratch.read(".orchestrate.toml"),
            toml::Value::String(line)
        ),
    );
    let attack = format!("{BYPASS} update-ref refs/heads/story/1.1-first story/1.2-second");
    project.script(&format!(
        "[[step]]\nitem = \"1.1\"\nphase = \"review\"\ndo = [{{ touch = {review:?} }}, {{ wait-for = {go:?} }}, \"approve\"]\n\
         [[step]]\nitem = \"1.2\"\nphase = \"implementation\"\ndo = [{{ write = {{ path = \"1.2.txt\", text = \"x\" }} }}, \
         {{ commit = \"work\" }}, {{ wait-for = {check:?} }}, {{ run = {} }}]\n",
        shell(&attack)
    ));
    project.story("1.1", "First", "None").story("1.2", "Second", "None").commit();
    let live = project.start(&["stories", "-j", "2"]);
    until("the review of 1.1", || review.exists());
    let tip = project.scratch.git(&["rev-parse", "story/1.1-first"]);
    project.scratch.write("user.txt", "mine\n");
    let mine = project.scratch.commit("mine");
    std::fs::write(&go, "").unwrap();
    until("the attack", || project.scratch.git(&["rev-parse", "story/1.1-first"]) != tip);
    let other = project.scratch.git(&["rev-parse", "story/1.1-first"]);
    until("the look after 1.2", || !rescued(&project).is_empty());
    std::fs::write(&moved, "").unwrap();
    let ran = live.finish();
    assert_eq!(ran.code, 5, "{}", said(&ran));
    assert!(said(&ran).contains("story/1.1-first of story 1.1 moved"), "{}", said(&ran));
    let kept = project.scratch.git(&["for-each-ref", "--format=%(objectname)", "refs/orchestrate/rescue/"]);
    assert!(kept.contains(&tip) && kept.contains(&other), "{kept}");
    assert_eq!(main_of(&project), mine, "{}", said(&ran));
    assert_eq!(project.scratch.git(&["rev-parse", "story/1.1-first"]), other, "it is not set back");
}

#[test]
fn what_the_user_and_other_attempts_do_during_a_run_is_nobody_s_tampering() {
    let project = Project::new("", "");
    let go = project.meeting("go");
    let dir = project.meeting("together");
    let steps = |item: &str| {
        format!(
            "[[step]]\nitem = \"{item}\"\nphase = \"implementation\"\ndo = [{{ barrier = {{ dir = {dir:?}, count = 2 }} }}, \
             {{ write = {{ path = \"{item}.txt\", text = \"x\" }} }}, {{ commit = \"work\" }}, {{ wait-for = {go:?} }}]\n"
        )
    };
    project.script(&format!("{}{}", steps("1.1"), steps("1.2")));
    project.story("1.1", "First", "None").story("1.2", "Second", "None").commit();
    assert_eq!(project.orchestrate(&["init", "--yes"]).code, 0);
    project.scratch.commit("initialised");
    let git = |args: &[&str]| project.scratch.git(args);
    let server = project.meeting("server.git");
    let server = server.to_str().unwrap();
    git(&["clone", "-q", "--bare", ".", server]);
    let colleague = project.meeting("colleague");
    let colleague = colleague.to_str().unwrap();
    git(&["clone", "-q", server, colleague]);
    let live = project.start(&["stories", "-j", "2"]);
    until("both agents", || std::fs::read_dir(&dir).is_ok_and(|found| found.count() == 2));
    // A colleague's story lands on the server: agents' commits that came with a fetch.
    let agent = "--author=developer via claude <git-orchestrate-agent@localhost>";
    git(&["-C", colleague, "commit", "-q", "--allow-empty", agent, "-m", "Theirs\n\nStory: 9.9"]);
    git(&["-C", colleague, "push", "-q"]);
    git(&["remote", "add", "origin", server]);
    git(&["config", "user.name", "Somebody"]);
    git(&["fetch", "-q", "origin"]);
    git(&["merge", "-q", "--ff-only", "origin/main"]);
    project.scratch.write("mine.txt", "mine\n");
    project.scratch.commit("my own");
    git(&["switch", "-q", "-c", "topic"]);
    project.scratch.write("topic.txt", "t\n");
    project.scratch.commit("topic");
    git(&["switch", "-q", "main"]);
    git(&["merge", "-q", "--no-ff", "-m", "my merge", "topic"]);
    git(&["branch", "-D", "topic"]);
    git(&["tag", "v1"]);
    git(&["notes", "add", "-m", "a note"]);
    git(&["stash", "list"]);
    git(&["pack-refs", "--all"]);
    git(&["gc", "-q"]);
    std::fs::write(&go, "").unwrap();
    let ran = live.finish();
    assert_eq!(ran.code, 0, "{}", said(&ran));
    for word in ["tampering", "breach", "quarantined"] {
        assert!(!said(&ran).contains(word), "{}", said(&ran));
    }
    assert_eq!((project.merges_of("1.1"), project.merges_of("1.2")), (1, 1));
    assert_eq!(git(&["show", "main:mine.txt"]), "mine");
    assert_eq!(git(&["config", "user.name"]), "Somebody");
    assert_eq!(rescued(&project), Vec::<String>::new());
}
