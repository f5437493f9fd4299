//! Backup and restore, checkpoints, and `sync` between two clones of one repository: nothing is lost, and nothing that is
//! newer is overwritten.

use std::path::{Path, PathBuf};

use crate::project::Project;
use crate::support::{Ran, Scratch, run};

/// A step that writes a file and commits it.
pub const WORK: &str = "[[step]]\nphase = \"implementation\"\nitem = \"1.1\"\n\
    do = [{ write = { path = \"first.txt\", text = \"first\" } }, { commit = \"first\" }]\n\
    [[step]]\nphase = \"implementation\"\nitem = \"1.2\"\n\
    do = [{ write = { path = \"second.txt\", text = \"second\" } }, { commit = \"second\" }]\n";

/// Stories 1.1 and 1.2, the second after the first.
pub fn two_stories() -> Project {
    let project = Project::new(WORK, "");
    project.story("1.1", "First", "None").story("1.2", "Second", "1.1").commit();
    project
}

/// Every ref of the record with its value.
pub fn records(scratch: &Scratch) -> String {
    scratch.git(&["for-each-ref", "--format=%(refname) %(objectname)", "refs/orchestrate/"])
}

/// A clone of the project in a place of its own.
struct Clone {
    root: PathBuf,
}

impl Clone {
    fn of(project: &Project, from: &str, name: &str) -> Self {
        let root = project.scratch.outside().join(name);
        project.scratch.git(&["clone", "-q", from, root.to_str().unwrap()]);
        Self { root }
    }

    fn run(&self, project: &Project, program: &Path, args: &[&str]) -> Ran {
        run(project.scratch.command(program).current_dir(&self.root).args(args))
    }

    fn git(&self, project: &Project, args: &[&str]) -> String {
        let ran = self.run(project, Path::new("git"), args);
        assert_eq!(ran.code, 0, "git {args:?}: {ran:?}");
        ran.stdout.trim_end().to_owned()
    }

    fn orchestrate(&self, project: &Project, args: &[&str]) -> Ran {
        self.run(project, Path::new(env!("CARGO_BIN_EXE_git-orchestrate")), args)
    }

    fn done(&self, project: &Project, args: &[&str]) -> Ran {
        let ran = self.orchestrate(project, args);
        assert_eq!(ran.code, 0, "{args:?}\n{}\n{}", ran.stdout, ran.stderr);
        ran
    }
}

fn done(project: &Project, args: &[&str]) -> Ran {
    let ran = project.orchestrate(args);
    assert_eq!(ran.code, 0, "{args:?}\n{}\n{}", ran.stdout, ran.stderr);
    ran
}

/// A project with a bare repository as `origin`, and a clone of that.
fn shared() -> (Project, Clone) {
    let project = two_stories();
    let bare = project.scratch.outside().join("origin.git");
    let bare = bare.to_str().unwrap();
    project.scratch.git(&["init", "-q", "--bare", "-b", "main", bare]);
    project.scratch.git(&["remote", "add", "origin", bare]);
    project.scratch.git(&["push", "-q", "-u", "origin", "main"]);
    let clone = Clone::of(&project, bare, "clone");
    (project, clone)
}

#[test]
fn work_begun_in_one_clone_is_gone_on_with_and_verified_in_another() {
    let (project, clone) = shared();
    done(&project, &["stories", "1.1"]);
    let ran = done(&project, &["sync"]);
    assert!(ran.stdout.contains("story 1.1: pushed at "), "{ran:?}");
    assert!(ran.stderr.contains("git push origin main"), "{ran:?}");
    // The records come before what they tell of: nothing here may look taken back.
    let early = clone.orchestrate(&project, &["sync"]);
    assert_eq!(early.code, 1, "{early:?}");
    assert!(early.stdout.contains("branch main here lacks what"), "{early:?}");
    assert!(early.stderr.contains("git pull origin main"), "{early:?}");
    project.scratch.git(&["push", "-q", "origin", "main"]);
    clone.git(&project, &["pull", "-q", "origin", "main"]);
    clone.done(&project, &["sync"]);
    let log = clone.git(&project, &["log", "--format=%s", "refs/orchestrate/items/1.1"]);
    assert_eq!(log, project.scratch.git(&["log", "--format=%s", "refs/orchestrate/items/1.1"]));
    clone.done(&project, &["verify"]);
    clone.done(&project, &["stories"]);
    assert_eq!(clone.git(&project, &["show", "main:second.txt"]), "second");
    clone.done(&project, &["sync"]);
    clone.git(&project, &["push", "-q", "origin", "main"]);
    project.scratch.git(&["pull", "-q", "origin", "main"]);
    done(&project, &["sync"]);
    assert_eq!(project.status_of("1.2"), "Landed");
    assert_eq!(project.merges_of("1.1") + project.merges_of("1.2"), 2);
    done(&project, &["verify"]);
    project.assert_sound();
    let again = done(&project, &["sync"]);
    assert!(again.stdout.contains("nothing to share"), "{again:?}");
}

/// What the two sides hold of the record, the format marks and the index left out: each side keeps its own.
fn chains(records: &str) -> Vec<String> {
    let chain = |line: &&str| ["items/", "runs/", "certified/"].iter().any(|kind| line.contains(kind));
    records.lines().filter(chain).map(str::to_owned).collect()
}

#[test]
fn what_both_sides_recorded_of_one_thing_is_joined_and_what_contradicts_is_shown() {
    let (project, clone) = shared();
    done(&project, &["init", "--yes"]);
    clone.done(&project, &["init", "--yes"]);
    done(&project, &["sync"]);
    let ran = clone.done(&project, &["sync"]);
    assert!(ran.stdout.contains("record of branch main: ") && ran.stdout.contains(" are joined in "), "{ran:?}");
    done(&project, &["sync"]);
    let theirs = || clone.git(&project, &["for-each-ref", "--format=%(refname) %(objectname)", "refs/orchestrate/"]);
    assert_eq!(chains(&records(&project.scratch)), chains(&theirs()));
    let joined = project.scratch.git(&["log", "-1", "--format=%p", "refs/orchestrate/certified/main"]);
    assert_eq!(joined.split(' ').count(), 2, "both histories stay reachable");

    // The same story landed here and there.
    done(&project, &["stories", "1.1"]);
    clone.done(&project, &["stories", "1.1"]);
    done(&project, &["sync"]);
    let (here, there) = (records(&project.scratch), theirs());
    let ran = clone.orchestrate(&project, &["sync"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("story 1.1: stays at ") && ran.stdout.contains("it landed twice"), "{ran:?}");
    assert!(ran.stderr.contains("  here:  ") && ran.stderr.contains("  there: "), "{ran:?}");
    assert!(ran.stderr.contains("git orchestrate sync origin --ours 1.1"), "{ran:?}");
    let item = |records: &str| records.lines().find(|line| line.contains("/items/1.1 ")).unwrap().to_owned();
    assert_eq!(item(&there), item(&theirs()));
    let bare = |project: &Project| project.scratch.git(&["ls-remote", "origin", "refs/orchestrate/items/1.1"]);
    assert!(bare(&project).starts_with(item(&here).split(' ').next_back().unwrap()), "{}", bare(&project));
    crate::faults::note("F54", "one story landed on two machines", "both shown, nothing overwritten");

    let decided = clone.orchestrate(&project, &["sync", "--ours", "1.1"]);
    assert!(decided.stdout.contains("story 1.1: pushed at "), "{decided:?}");
    let tip = clone.git(&project, &["rev-parse", "refs/orchestrate/items/1.1"]);
    for side in [&here, &there] {
        let old = item(side).split(' ').next_back().unwrap().to_owned();
        clone.git(&project, &["merge-base", "--is-ancestor", &old, &tip]);
    }
    let back: serde_json::Value = serde_json::from_str(&project.orchestrate(&["sync", "--json"]).stdout).unwrap();
    assert_eq!(back["version"], 1);
    let changes = back["changes"].as_array().unwrap();
    let item = changes.iter().find(|change| change["ref"] == "refs/orchestrate/items/1.1").unwrap();
    assert_eq!(item["how"], "behind", "its landing is not here: {item}");
}

#[test]
fn what_another_machine_works_on_is_left_to_it_until_it_is_taken_over() {
    let (project, clone) = shared();
    let at = format!("{:?}", project.meeting("at").to_str().unwrap());
    project.script(&format!(
        "[[step]]\nphase = \"implementation\"\nitem = \"1.1\"\nnth = 1\n\
         do = [{{ write = {{ path = \"first.txt\", text = \"first\" }} }}, {{ commit = \"half of it\" }}, {{ touch = {at} }}, \"hang\"]\n"
    ));
    let live = project.start(&["stories"]);
    crate::project::until("the commit", || project.meeting("at").exists());
    live.kill();
    let ran = done(&project, &["sync"]);
    assert!(ran.stdout.contains("branch story/1.1-first: pushed at "), "{ran:?}");
    clone.done(&project, &["sync"]);
    let plan = clone.done(&project, &["stories"]);
    assert!(plan.stdout.contains("nothing to do"), "{plan:?}");
    let verbose = clone.done(&project, &["-v", "stories"]);
    assert!(
        verbose.stderr.contains("1.1: held by ") && verbose.stderr.contains("git orchestrate retry 1.1"),
        "{verbose:?}"
    );
    assert!(verbose.stderr.contains("1.2: waits for 1.1, which another machine works on"), "{verbose:?}");
    let resume = clone.done(&project, &["resume"]);
    assert!(resume.stdout.contains("nothing to resume"), "{resume:?}");
    clone.done(&project, &["retry", "1.1"]);
    clone.done(&project, &["stories", "1.1"]);
    let log = clone.git(&project, &["log", "--format=%s", "main"]);
    assert_eq!(log.lines().filter(|line| *line == "half of it").count(), 1, "{log}");
    clone.done(&project, &["sync"]);
}

#[test]
fn a_backup_brings_back_everything_and_takes_nothing_newer_away() {
    let project = two_stories();
    let file = project.scratch.outside().join("all.bundle");
    let file = file.to_str().unwrap();
    let early = project.orchestrate(&["backup", file]);
    assert_eq!(early.code, 2, "{early:?}");
    done(&project, &["stories", "1.1"]);
    done(&project, &["backup", file]);
    assert_eq!(project.orchestrate(&["backup", file]).code, 1, "it never writes over a file");
    project.scratch.git(&["bundle", "verify", "-q", file]);
    let (kept, main) = (records(&project.scratch), project.scratch.git(&["rev-parse", "main"]));

    // Into a clone that knows nothing.
    let clone = Clone::of(&project, project.scratch.root().to_str().unwrap(), "clone");
    let theirs = || clone.git(&project, &["for-each-ref", "--format=%(refname) %(objectname)", "refs/orchestrate/"]);
    let dry = clone.done(&project, &["restore", file, "--dry-run"]);
    assert!(dry.stdout.contains("story 1.1: would be taken over at "), "{dry:?}");
    assert_eq!(theirs(), "");
    clone.done(&project, &["restore", file]);
    assert_eq!(theirs(), kept);
    clone.done(&project, &["verify"]);

    // Over a record that went on.
    done(&project, &["stories"]);
    let newer = records(&project.scratch);
    let ran = done(&project, &["restore", file]);
    assert!(ran.stdout.contains("it is newer here"), "{ran:?}");
    assert_eq!(records(&project.scratch), newer);
    assert_ne!(project.scratch.git(&["rev-parse", "main"]), main);
    done(&project, &["retry", "1.1", "--reopen"]);
    let reopened = project.scratch.git(&["rev-parse", "refs/orchestrate/items/1.1"]);
    done(&project, &["restore", file, "--overwrite-newer"]);
    let tip = project.scratch.git(&["rev-parse", "refs/orchestrate/items/1.1"]);
    assert!(kept.contains(&tip) && tip != reopened);
    let rescued = format!("refs/orchestrate/rescue/before-restore-1.1-{}", &reopened[..7]);
    assert_eq!(project.scratch.git(&["rev-parse", &rescued]), reopened);

    // A file that is cut short, and one that is none.
    let bytes = std::fs::read(file).unwrap();
    let before = records(&project.scratch);
    for (cut, code) in [(bytes.len() - 200, 1), (40, 2)] {
        let cut_short = project.scratch.outside().join("cut.bundle");
        std::fs::write(&cut_short, &bytes[..cut]).unwrap();
        let ran = project.orchestrate(&["restore", cut_short.to_str().unwrap()]);
        assert_eq!(ran.code, code, "{ran:?}");
    }
    assert_eq!(project.orchestrate(&["restore", "README.md"]).code, 2);
    assert_eq!(records(&project.scratch), before);
    project.assert_sound();
}
