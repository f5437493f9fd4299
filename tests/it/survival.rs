//! A kill at any moment costs at most the minutes since the last event: real binary, real processes, `kill -9` and signals.
//! Must not assert durations.

use std::os::unix::fs::MetadataExt;

use nix::sys::signal::Signal;

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
fn blocked(script: &str, policy: &str) -> Project {
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
fn killed_in_issue() {
    killed_where_it_blocks("", &by_command("issue"));
}

#[test]
fn killed_in_branch() {
    killed_where_it_blocks("", &by_command("branch"));
}

#[test]
fn killed_in_research() {
    killed_where_it_blocks("", &by_command("research"));
}

#[test]
fn killed_in_the_authors_session_before_any_work() {
    killed_where_it_blocks(
        "[[step]]\nphase = \"implementation\"\nitem = \"1.1\"\nnth = 1\ndo = [{ touch = AT }, \"hang\"]\n",
        "",
    );
}

#[test]
fn killed_in_the_authors_session_after_it_committed() {
    let project = killed_where_it_blocks(
        "[[step]]\nphase = \"implementation\"\nitem = \"1.1\"\nnth = 1\n\
         do = [{ write = { path = \"first.txt\", text = \"first\" } }, { commit = \"half of it\" }, { touch = AT }, \"hang\"]\n",
        "",
    );
    assert_eq!(project.scratch.git(&["show", "main:first.txt"]), "first");
    let subjects = project.scratch.git(&["log", "--format=%s", "main"]);
    assert_eq!(subjects.lines().filter(|line| *line == "half of it").count(), 1, "{subjects}");
}

#[test]
fn killed_in_the_authors_session_with_work_left_uncommitted() {
    let project = killed_where_it_blocks(
        "[[step]]\nphase = \"implementation\"\nitem = \"1.1\"\nnth = 1\n\
         do = [{ write = { path = \"left.txt\", text = \"left\" } }, { touch = AT }, \"hang\"]\n",
        "",
    );
    assert_eq!(project.scratch.git(&["show", "main:left.txt"]), "left");
}

#[test]
fn killed_in_the_authors_session_that_left_a_daemon() {
    // The agent has a child in a session of its own by then; neither may be there when the next one works.
    killed_where_it_blocks(
        "[[step]]\nphase = \"implementation\"\nitem = \"1.1\"\nnth = 1\ndo = [{ daemon = AT }, \"hang\"]\n",
        "",
    );
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
fn killed_in_documentation() {
    killed_where_it_blocks("", &by_command("documentation"));
}

#[test]
fn killed_in_pull_request() {
    killed_where_it_blocks("", &by_command("pull-request"));
}

#[test]
fn killed_in_review() {
    let project = killed_where_it_blocks(
        "[[step]]\nphase = \"review\"\nitem = \"1.1\"\nnth = 1\ndo = [{ touch = AT }, \"hang\"]\n",
        "",
    );
    let sessions = project.journal().iter().filter(|line| line["phase"] == "implementation").count();
    assert_eq!(sessions, 2, "the author's work is not done again");
}

#[test]
fn killed_in_review_after_the_verdict_was_written() {
    // What the reviewer left is a file of a session that never ended: it is reviewed again.
    let project = killed_where_it_blocks(
        "[[step]]\nphase = \"review\"\nitem = \"1.1\"\nnth = 1\ndo = [\"approve\", { touch = AT }, \"hang\"]\n",
        "",
    );
    let reviews = project.journal().iter().filter(|line| line["phase"] == "review").count();
    assert_eq!(reviews, 3);
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
fn killed_in_settings() {
    killed_where_it_blocks("", &by_command("settings"));
}

#[test]
fn killed_in_readiness() {
    killed_where_it_blocks("", &by_command("readiness"));
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

#[test]
fn killed_in_reflection() {
    killed_where_it_blocks("", &by_command("reflection"));
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
fn a_landing_that_was_intended_and_did_not_happen_happens_once() {
    let (project, base) = killed_after_landing();
    forget_last_record(&project, "1.1");
    project.scratch.git(&["reset", "-q", "--hard", &base]);
    assert_eq!(project.merges_of("1.1"), 0);
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
fn killed_after_each_number_of_events() {
    const MOST: usize = 18;
    let project = Project::new("", "[checks]\nfine = [\"true\"]\n");
    let ids: Vec<String> = (1..=MOST).map(|number| format!("1.{number}")).collect();
    for id in &ids {
        project.story(id, &format!("Story {id}").replace('.', " "), "None");
    }
    project.commit();
    for (number, id) in (1..).zip(&ids) {
        let chain = project.scratch.root().join(format!(".git/refs/orchestrate/items/{id}"));
        let mut live = project.start(&["stories", id]);
        let mut seen = String::new();
        until("so many events", || {
            let tip = std::fs::read_to_string(&chain).unwrap_or_default();
            if tip.is_empty() || tip == seen {
                return live.is_over();
            }
            let count = project.scratch.git(&["rev-list", "--count", tip.trim()]);
            seen = tip;
            count.parse::<usize>().unwrap() >= number
        });
        live.kill();
        let ran = project.orchestrate(&["resume"]);
        assert_eq!(ran.code, 0, "after {number} events: {}\n{}", ran.stdout, ran.stderr);
        assert_eq!(project.merges_of(id), 1, "after {number} events: {:?}", project.mainline());
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert_complete(&project, &ids);
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

/// A small generator of numbers (xorshift): the same seed, the same kills.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[test]
fn killed_twelve_times_at_any_moment() {
    let given = std::env::var("SURVIVAL_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = given.unwrap_or_else(|| u64::from(std::process::id()).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    eprintln!("SURVIVAL_SEED={seed}");
    let mut numbers = Numbers(seed);
    let project = Project::new("", "[checks]\nfine = [\"sleep\", \"0.05\"]\n");
    project.story("1.1", "First", "None").story("1.2", "Second", "1.1").story("1.3", "Third", "1.1");
    project.story("1.4", "Fourth", "1.2, 1.3").story("2.1", "Other", "None").story("2.2", "Last", "2.1").commit();
    let ids = ["1.1", "1.2", "1.3", "1.4", "2.1", "2.2"];
    let mut unfinished = false;
    for kill in 0..12 {
        let live = project.start(if unfinished { &["resume"] } else { &["stories", "-j", "3"] });
        // No synchronisation: the moment is meant to be any.
        std::thread::sleep(std::time::Duration::from_millis(20 + numbers.below(400)));
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
}

#[test]
fn a_second_run_leaves_live_stories_alone_and_takes_the_others() {
    let project =
        blocked("[[step]]\nitem = \"1.1\"\nphase = \"implementation\"\ndo = [{ touch = AT }, { wait-for = GO }]\n", "");
    let go = project.meeting("go");
    let script = std::fs::read_to_string(project.script_path()).unwrap();
    let steps = script.replace(
        "{ wait-for = GO }",
        &format!("{{ wait-for = {:?} }}, {{ write = {{ path = \"1.1.txt\", text = \"x\" }} }}", go.to_str().unwrap()),
    );
    std::fs::write(project.script_path(), steps).unwrap();
    project.story("2.1", "Other", "None").commit();
    let live = project.start(&["stories", "1.1-1.2"]);
    let pid = live.pid().to_string();
    until("the block", || project.meeting("blocked").exists());
    let ran = project.stories(&["1.1", "2.1"]);
    assert_eq!(ran.code, 4, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("another process works on it") && ran.stdout.contains(&pid), "{}", ran.stdout);
    assert_eq!(project.merges_of("2.1"), 1, "what nobody works on is done");
    assert_eq!(project.merges_of("1.1"), 0);
    let refused = project.orchestrate(&["resume"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.stderr.contains(&pid), "the holder is named: {}", refused.stderr);
    std::fs::write(go, "").unwrap();
    let ran = live.finish();
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(project.journal().iter().filter(|line| line["item"] == "1.1").count(), 2, "one author, one reviewer");
    assert_complete(&project, &["1.1", "1.2", "2.1"]);
}

/// A run whose author hangs with work in its hands.
fn hanging(how: &str, grace: &str) -> (Project, crate::project::Live) {
    let step = format!(
        "[[step]]\nphase = \"implementation\"\nitem = \"1.1\"\nnth = 1\n\
         do = [{{ write = {{ path = \"left.txt\", text = \"left\" }} }}, {{ touch = AT }}, \"{how}\"]\n"
    );
    let project = blocked(&step, "");
    project.set("agents", &format!("grace = \"{grace}\""));
    project.commit();
    let live = project.start(&["stories"]);
    until("the author's work", || project.meeting("blocked").exists());
    (project, live)
}

/// The work is kept, nothing runs, and `resume` ends it.
fn assert_stopped(project: &Project) {
    assert_eq!(project.status_of("1.1"), "Stopped");
    assert_eq!(project.merges_of("1.1"), 0);
    assert_eq!(project.scratch.read(".worktrees/1.1-first/left.txt"), "left");
    project.assert_sound();
    assert_eq!(project.own_locks(), Vec::<std::path::PathBuf>::new());
    assert_survived(project, &["1.1", "1.2"]);
    assert_eq!(project.scratch.git(&["show", "main:left.txt"]), "left");
}

#[test]
fn the_first_ctrl_c_asks_and_exits_with_130() {
    let (project, live) = hanging("hang", "1h");
    live.signal(Signal::SIGINT);
    let ran = live.finish();
    assert_eq!(ran.code, 130, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("git orchestrate resume"), "the next step is named: {}", ran.stdout);
    assert_stopped(&project);
}

#[test]
fn sigterm_exits_with_143() {
    let (project, live) = hanging("hang", "1h");
    live.signal(Signal::SIGTERM);
    assert_eq!(live.finish().code, 143);
    assert_stopped(&project);
}

#[test]
fn an_agent_that_ignores_the_first_ctrl_c_is_killed_by_the_second() {
    let (project, mut live) = hanging("hang-ignoring-term", "1h");
    // The log says when the agent has blocked the signals.
    let logs = project.scratch.root().join(".git/orchestrate");
    until("the agent ignores signals", || says(&logs, "ignoring"));
    let before = live.stderr().lines().count();
    live.signal(Signal::SIGINT);
    until("the first Ctrl-C is heard", || live.stderr().lines().skip(before).any(|line| line.contains("stopping")));
    assert!(!live.is_over(), "the grace is an hour");
    live.signal(Signal::SIGINT);
    let ran = live.finish();
    assert_eq!(ran.code, 130, "{}\n{}", ran.stdout, ran.stderr);
    assert_stopped(&project);
}

/// Whether a file below the folder says a word.
fn says(folder: &std::path::Path, word: &str) -> bool {
    std::fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            says(&path, word)
        } else {
            std::fs::read_to_string(path).is_ok_and(|text| text.contains(word))
        }
    })
}

#[test]
fn an_agent_that_ignores_the_request_is_killed_after_the_grace() {
    let (project, live) = hanging("hang-ignoring-term", "1s");
    live.signal(Signal::SIGINT);
    assert_eq!(live.finish().code, 130);
    assert_stopped(&project);
}

#[test]
fn stop_asks_a_live_run_to_end() {
    let (project, live) = hanging("hang", "1h");
    let asked = project.orchestrate(&["stop"]);
    assert_eq!(asked.code, 0, "{asked:?}");
    assert_eq!(live.finish().code, 130);
    assert_stopped(&project);
}
