//! A kill at any moment costs at most the minutes since the last event: real binary, real processes, `kill -9` and signals.
//! Must not assert durations.

use std::os::unix::fs::MetadataExt;

use crate::faults;
use crate::project::{Project, until};

/// A command that stays the first time it is run, for ever, and is done at once every further time. It notes in `overlap`
/// when the first one is still alive then.
const BLOCK: &str = r#"for earlier in 'DIR/blocked' 'DIR/before'; do
  if [ -e "$earlier" ] && grep -q . "/proc/$(cat "$earlier")/cmdline" 2>/dev/null; then : > 'DIR/overlap'; fi
done
if [ -e 'DIR/blocked' ]; then exit 0; fi
echo $$ > 'DIR/blocked.new'; mv 'DIR/blocked.new' 'DIR/blocked'; exec sleep 1000"#;

/// A project with two stories, the second after the first, whose run blocks where `script` and `policy` say: `BLOCK` is the
/// command, `AT` the file that says it is there.
pub fn blocked(script: &str, policy: &str) -> Project {
    let project = Project::new("", "");
    let dir = project.scratch.outside();
    let command = BLOCK.replace("DIR", dir.to_str().unwrap());
    let command = format!("[\"sh\", \"-c\", {}]", toml::Value::String(command));
    let at = format!("{:?}", project.meeting("blocked").to_str().unwrap());
    let script = script.replace("AT", &at);
    project.script(&script);
    let config = project.scratch.read(".orchestrate.toml");
    project.scratch.write(".orchestrate.toml", config + &policy.replace("BLOCK", &command));
    project.story("1.1", "First", "None").story("1.2", "Second", "1.1").commit();
    project
}

/// Starts the run, kills it where it blocks, and goes on.
fn killed_where_it_blocks(script: &str, policy: &str) -> Project {
    let project = blocked(script, policy);
    let live = project.start(&["stories"]);
    until("the block", || project.meeting("blocked").exists());
    live.kill();
    assert_survived(&project, &["1.1", "1.2"]);
    project
}

/// One `resume` ends it, the next finds nothing to do, and everything is as after a run that nobody disturbed.
pub fn assert_survived(project: &Project, ids: &[&str]) {
    let ran = project.orchestrate(&["resume"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_complete(project, ids);
}

pub fn assert_complete(project: &Project, ids: &[&str]) {
    let statuses = project.statuses();
    for id in ids {
        assert_eq!(project.merges_of(id), 1, "{id}: {:?}", project.mainline());
        assert!(statuses.iter().any(|(story, status)| story == id && status == "Landed"), "{id}: {statuses:?}");
        let log = diary(project, id);
        assert_eq!(log.matches("landed on").count(), 1, "{log}");
    }
    let main = project.scratch.git(&["rev-parse", "main"]);
    let again = project.orchestrate(&["resume"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.stdout.contains("nothing to resume"), "{again:?}");
    assert_eq!(project.scratch.git(&["rev-parse", "main"]), main);
    project.assert_tidy();
    project.assert_one_at_a_time();
    assert!(!project.meeting("overlap").exists(), "the first command was still at work when the second began");
    assert_eq!(project.own_locks(), Vec::<std::path::PathBuf>::new());
}

/// A policy that gives the phase to the command that blocks.
fn by_command(phase: &str) -> String {
    format!("[workflow.{phase}]\nby = \"command\"\ncommands = [BLOCK]\n")
}

#[test]
fn killed_in_setup() {
    killed_where_it_blocks("", "[worktrees]\nsetup = [BLOCK]\n");
}

#[test]
fn killed_in_each_phase_that_commands_perform() {
    const PHASES: [&str; 7] =
        ["issue", "branch", "documentation", "pull-request", "settings", "readiness", "reflection"];
    let project = Project::new("", "");
    let dir = project.scratch.outside();
    let mut policy = project.scratch.read(".orchestrate.toml");
    for phase in PHASES {
        // Each stays the first time.
        let block = BLOCK.replace("DIR/blocked", &format!("DIR/{phase}")).replace("DIR", dir.to_str().unwrap());
        let command = format!("[\"sh\", \"-c\", {}]", toml::Value::String(block));
        policy += &by_command(phase).replace("BLOCK", &command);
    }
    project.scratch.write(".orchestrate.toml", policy);
    project.story("1.1", "First", "None").commit();
    for (command, phase) in std::iter::once("stories").chain(std::iter::repeat("resume")).zip(PHASES) {
        let live = project.start(&[command]);
        until(phase, || project.meeting(phase).exists());
        live.kill();
    }
    assert_survived(&project, &["1.1"]);
    let sessions = project.journal().iter().filter(|line| line["phase"] == "implementation").count();
    assert_eq!(sessions, 1, "no work is done again");
}

#[test]
fn killed_in_the_authors_session_whose_client_can_go_on() {
    // It has committed, left work uncommitted and a child in a session of its own; neither process may be there when the next
    // one works, and that one goes on with the client's session.
    let project = killed_where_it_blocks(
        "[[step]]\nphase = \"implementation\"\nitem = \"1.1\"\nnth = 1\n\
         do = [{ write = { path = \"first.txt\", text = \"first\" } }, { commit = \"half of it\" }, { print = \"begun\" }, \
         { write = { path = \"left.txt\", text = \"left\" } }, { daemon = AT }, \"hang\"]\n",
        "resume_args = [\"--again\"]\n",
    );
    assert_eq!(project.scratch.git(&["show", "main:first.txt"]), "first");
    assert_eq!(project.scratch.git(&["show", "main:left.txt"]), "left");
    let subjects = project.scratch.git(&["log", "--format=%s", "main"]);
    assert_eq!(subjects.lines().filter(|line| *line == "half of it").count(), 1, "{subjects}");
    let journal = project.journal();
    let authors: Vec<_> = journal.iter().filter(|line| line["item"] == "1.1" && line["phase"] != "review").collect();
    assert_eq!(authors.len(), 2);
    assert_eq!(authors[0]["session"], authors[1]["session"], "the same session");
    assert_ne!(authors[0]["attempt"], authors[1]["attempt"], "another attempt");
    faults::note("F06", "orchestrator killed, agent and daemon alive", "fenced: one agent at a time, same session");
    faults::note("F11", "killed while the agent writes", "work kept, attempt continued");
}

#[test]
fn killed_in_the_authors_session_while_its_git_held_locks() {
    let locks = "lock=$(git rev-parse --absolute-git-dir)/index.lock && : > \\\"$lock\\\" && : > \\\"${lock%index.lock}HEAD.lock\\\"";
    killed_where_it_blocks(
        &format!(
            "[[step]]\nphase = \"implementation\"\nitem = \"1.1\"\nnth = 1\n\
             do = [{{ write = {{ path = \"left.txt\", text = \"left\" }} }}, {{ run = [\"sh\", \"-c\", \"{locks}\"] }}, {{ touch = AT }}, \"hang\"]\n"
        ),
        "",
    );
}

#[test]
fn what_was_taken_for_done_is_not_run_after_a_kill() {
    let step = "[[step]]\nphase = \"implementation\"\nitem = \"1.2\"\nnth = 1\ndo = [{ touch = AT }, \"hang\"]\n";
    let project = blocked(step, "");
    let live = project.start(&["stories", "1.2", "--assume-done", "1.1"]);
    until("the block", || project.meeting("blocked").exists());
    live.kill();
    assert_survived(&project, &["1.2"]);
    assert_eq!(project.status_of("1.1"), "Not Started");
    assert!(project.journal().iter().all(|line| line["item"] == "1.2"));
}

#[test]
fn killed_in_testing() {
    let project = blocked("", "[checks]\nslow = BLOCK\n");
    let live = project.start(&["stories"]);
    until("the block", || project.meeting("blocked").exists());
    let is_record = |line: &str| line.contains("implementation") && !line.contains("begins");
    until("the record of the author's work", || diary(&project, "1.1").lines().any(is_record));
    live.kill();
    assert_survived(&project, &["1.1", "1.2"]);
    let sessions = project.journal().iter().filter(|line| line["phase"] == "implementation").count();
    assert_eq!(sessions, 2, "the author's work is not done again");
}

#[test]
fn killed_in_testing_again_and_again() {
    // An attempt that goes on begins with the check: its mark must be recorded before the process that carries it exists.
    let project = blocked("", "[checks]\nslow = BLOCK\n");
    for attempt in ["stories", "resume", "resume", "resume", "resume"] {
        let live = project.start(&[attempt]);
        until("the block", || project.meeting("blocked").exists());
        live.kill();
        // It stays the next time as well, and says whether the one before is still there.
        std::fs::rename(project.meeting("blocked"), project.meeting("before")).unwrap();
    }
    std::fs::rename(project.meeting("before"), project.meeting("blocked")).unwrap();
    assert_survived(&project, &["1.1", "1.2"]);
}

/// The chain of an item as git shows it.
fn diary(project: &Project, id: &str) -> String {
    project.scratch.try_git(&["log", "--format=%s", &format!("refs/orchestrate/items/{id}")]).stdout
}

#[test]
fn killed_in_review_after_the_verdict_was_written() {
    // What the reviewer left is a file of a session that never ended: it is reviewed again.
    let project = killed_where_it_blocks(
        "[[step]]\nphase = \"review\"\nitem = \"1.1\"\nnth = 1\ndo = [\"approve\", { touch = AT }, \"hang\"]\n",
        "",
    );
    let count = |phase: &str| project.journal().iter().filter(|line| line["phase"] == phase).count();
    assert_eq!(count("review"), 3);
    assert_eq!(count("implementation"), 2, "the author's work is not done again");
}

#[test]
fn killed_in_review_response() {
    let project = killed_where_it_blocks(
        "[[step]]\nphase = \"review\"\nitem = \"1.1\"\nnth = 1\ndo = [{ request-changes = { path = \"1.1.txt\", text = \"more\" } }]\n\
         [[step]]\nphase = \"review-response\"\nitem = \"1.1\"\nnth = 1\ndo = [{ touch = AT }, \"hang\"]\n",
        "",
    );
    let phases: Vec<_> = project.journal().iter().filter(|line| line["item"] == "1.1").cloned().collect();
    let phases: Vec<_> = phases.iter().map(|line| line["phase"].as_str().unwrap().to_owned()).collect();
    assert_eq!(phases, ["implementation", "review", "review-response", "review-response", "review"]);
}

#[test]
fn killed_in_the_checks_of_the_merged_tree() {
    // The first story moves the target while the second one is under way, so its merge is another tree than its head. The
    // check stays only where both files are.
    let project = Project::new("", "");
    let dir = project.scratch.outside();
    let command = format!("[ -e 1.1.txt ] && [ -e 2.1.txt ] || exit 0\n{BLOCK}").replace("DIR", dir.to_str().unwrap());
    let check = format!("[checks]\nboth = [\"sh\", \"-c\", {}]\n", toml::Value::String(command));
    let config = project.scratch.read(".orchestrate.toml");
    project.scratch.write(".orchestrate.toml", config + &check);
    let barrier = format!("{{ barrier = {{ dir = {:?}, count = 2 }} }}", project.meeting("barrier").to_str().unwrap());
    let mut script = String::new();
    for id in ["1.1", "2.1"] {
        script.push_str(&format!(
            "[[step]]\nitem = \"{id}\"\nphase = \"implementation\"\n\
             do = [{barrier}, {{ write = {{ path = \"{id}.txt\", text = \"x\" }} }}, {{ commit = \"w\" }}]\n"
        ));
    }
    project.script(&script);
    project.story("1.1", "First", "None").story("2.1", "Second", "None").commit();
    let live = project.start(&["stories", "-j", "2"]);
    until("the check of the merged tree", || project.meeting("blocked").exists());
    live.kill();
    assert_survived(&project, &["1.1", "2.1"]);
}

/// A run that is killed in phase 13 of story 1.1: landed, recorded, checkout brought along. Returns the target's tip before.
fn killed_after_landing() -> (Project, String) {
    let project = blocked("", &by_command("reflection"));
    let base = project.scratch.git(&["rev-parse", "main"]);
    let live = project.start(&["stories"]);
    until("the block", || project.meeting("blocked").exists());
    live.kill();
    assert_eq!(project.merges_of("1.1"), 1);
    (project, base)
}

/// Takes the newest record of an item away, as if it had never been written.
fn forget_last_record(project: &Project, id: &str) {
    let name = format!("refs/orchestrate/items/{id}");
    project.scratch.git(&["update-ref", &name, &format!("{name}^")]);
}

#[test]
fn a_checkout_that_did_not_follow_the_landing_is_brought_along() {
    let (project, base) = killed_after_landing();
    project.scratch.git(&["read-tree", "--reset", "-u", &base]);
    assert_ne!(project.scratch.git(&["status", "--porcelain"]), "");
    assert_survived(&project, &["1.1", "1.2"]);
}

#[test]
fn a_checkout_that_was_left_half_way_is_brought_along() {
    // Files of the landing are there, the index knows nothing of them, and its lock is the killed process's.
    let (project, base) = killed_after_landing();
    project.scratch.git(&["read-tree", "--reset", "-u", &base]);
    for path in ["1.1.txt", "docs/stories/1.1.first.md"] {
        project.scratch.write(path, project.scratch.git(&["show", &format!("main:{path}")]) + "\n");
    }
    leave_index_lock(&project);
    assert_survived(&project, &["1.1", "1.2"]);
}

/// An index lock as a killed process of ours leaves it.
fn leave_index_lock(project: &Project) {
    let git = project.scratch.root().join(".git");
    std::fs::write(git.join("index.lock"), "half an index").unwrap();
    let about = std::fs::metadata(git.join("index.lock")).unwrap();
    let mark = format!("{} {}", about.dev(), about.ino());
    std::fs::create_dir_all(git.join("orchestrate/index-locks")).unwrap();
    std::fs::write(git.join("orchestrate/index-locks/dead"), mark).unwrap();
}

#[test]
fn a_checkout_whose_files_were_being_written_is_brought_along() {
    // The old story file is gone already and the new one not there yet; the new file has its first byte.
    let (project, base) = killed_after_landing();
    project.scratch.git(&["read-tree", "--reset", "-u", &base]);
    std::fs::remove_file(project.scratch.root().join("docs/stories/1.1.first.md")).unwrap();
    project.scratch.write("1.1.txt", &project.scratch.git(&["show", "main:1.1.txt"])[..1]);
    leave_index_lock(&project);
    assert_survived(&project, &["1.1", "1.2"]);
}

#[test]
fn a_file_of_a_persons_own_is_not_taken_for_one_that_was_being_written() {
    let (project, base) = killed_after_landing();
    project.scratch.git(&["read-tree", "--reset", "-u", &base]);
    project.scratch.write("1.1.txt", "mine, and nothing the landing writes\n");
    leave_index_lock(&project);
    let ran = project.orchestrate(&["resume"]);
    assert!(ran.stderr.contains("1.1.txt"), "it is named: {ran:?}");
    assert_eq!(project.scratch.read("1.1.txt"), "mine, and nothing the landing writes\n");
}

#[test]
fn a_landing_that_is_not_recorded_is_proved_by_the_branch() {
    let (project, base) = killed_after_landing();
    forget_last_record(&project, "1.1");
    project.scratch.git(&["read-tree", "--reset", "-u", &base]);
    assert_survived(&project, &["1.1", "1.2"]);
}

#[test]
fn edits_made_after_a_killed_landing_are_kept() {
    let (project, base) = killed_after_landing();
    project.scratch.git(&["read-tree", "--reset", "-u", &base]);
    project.scratch.write("1.1.txt", "mine\n");
    let ran = project.orchestrate(&["resume"]);
    assert_eq!(project.scratch.read("1.1.txt"), "mine\n", "{ran:?}");
    assert!(ran.stderr.contains("1.1.txt"), "it is said what is in the way: {ran:?}");
    assert_eq!(project.merges_of("1.1"), 1);
}

#[test]
fn locks_of_killed_processes_are_cleared_by_the_next_run() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").commit();
    for name in ["runs/20260101T000000-abcdef.lock", "locks/9.9.lock"] {
        let path = project.scratch.root().join(".git/orchestrate").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "1").unwrap();
    }
    assert_eq!(project.stories(&[]).code, 0);
    assert_eq!(project.own_locks(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn killed_twelve_times_at_any_moment() {
    killed_twelve_times();
}

pub fn killed_twelve_times() {
    let seed = faults::seed();
    let mut dice = faults::Dice::new(seed);
    let project = Project::new("", "[checks]\nfine = [\"sleep\", \"0.05\"]\n");
    project.story("1.1", "First", "None").story("1.2", "Second", "1.1").story("1.3", "Third", "1.1");
    project.story("1.4", "Fourth", "1.2, 1.3").story("2.1", "Other", "None").story("2.2", "Last", "2.1").commit();
    let ids = ["1.1", "1.2", "1.3", "1.4", "2.1", "2.2"];
    let mut unfinished = false;
    for kill in 0..12 {
        let live = project.start(if unfinished { &["resume"] } else { &["stories", "-j", "3"] });
        // No synchronisation: the moment is meant to be any.
        std::thread::sleep(std::time::Duration::from_millis(20 + dice.below(400)));
        live.kill();
        let runs = project.scratch.git(&["for-each-ref", "--format=%(contents:subject)", "refs/orchestrate/runs/"]);
        unfinished = runs.lines().last().is_some_and(|line| !line.contains("finished"));
        // An agent that nobody has ended yet may be writing an object that the look is just too early for.
        let sound = || project.scratch.try_git(&["fsck", "--strict", "--no-dangling"]).code == 0;
        until(&format!("a sound repository after kill {kill}"), sound);
    }
    let ran = project.orchestrate(&["resume"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_complete(&project, &ids);
    for id in ids {
        // Every commit that an agent made before a kill is part of what landed.
        let written = project.scratch.git(&["log", "--format=%s", "main", "--", &format!("{id}.txt")]);
        let called = project.journal().iter().filter(|line| line["item"] == id && line["phase"] != "review").count();
        assert!(written.lines().count() <= called && !written.is_empty(), "{id}: {written}");
    }
    faults::note("F05", &format!("12 kills at any moment, seed {seed}"), "each landed once");
}

#[test]
fn a_story_that_waits_is_not_retried_and_what_it_waits_for_is_said() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").commit();
    let ran = project.stories(&["--no-land"]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    let before = project.scratch.git(&["for-each-ref"]);
    let ran = project.orchestrate(&["retry", "1.1"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let waits = "story 1.1 has not failed, it waits: approved; `git orchestrate land 1.1` lands it";
    assert!(ran.stderr.contains(waits), "{}", ran.stderr);
    assert_eq!(project.scratch.git(&["for-each-ref"]), before);
    assert_eq!(project.orchestrate(&["land", "1.1"]).code, 0);
    assert_eq!(project.merges_of("1.1"), 1);
}
