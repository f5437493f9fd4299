//! F21, F47, F48, F52: a repository that cannot be written, a full disk at the start and in the middle, a git that is not one.
//! Mounts are made in a namespace of the test's own thread and end with it. Must not assert durations.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::{note, skip};
use crate::project::Project;

/// Does the work in a thread with mounts of its own; says and does nothing where that is not allowed.
fn with_own_mounts(fault: &str, point: &str, work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            let alone = unshare(CloneFlags::CLONE_NEWNS)
                .and_then(|()| mount(None::<&str>, "/", None::<&str>, private, None::<&str>));
            match alone {
                Ok(()) => work(),
                Err(error) => skip(fault, point, &format!("no mounts here: {error}")),
            }
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn one_story(script: &str) -> Project {
    let project = Project::new(script, "");
    project.story("1.1", "First", "None").commit();
    project
}

/// Puts the project on a disk of its own, which can be filled.
struct Disk {
    ballast: PathBuf,
}

impl Disk {
    fn under(project: &Project) -> Self {
        let root = project.scratch.root();
        let disk = project.scratch.outside().join("disk");
        std::fs::create_dir(&disk).unwrap();
        mount(Some("none"), &disk, Some("tmpfs"), MsFlags::empty(), Some("size=24m")).unwrap();
        let repo = disk.join("repo");
        std::fs::create_dir(&repo).unwrap();
        let copy = |from: &Path| project.scratch.command("cp").arg("-a").arg(from).arg(&repo).status().unwrap();
        assert!(copy(&root.join(".")).success());
        mount(Some(&repo), &root, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
        Self { ballast: disk.join("ballast") }
    }

    /// Fills the disk up to so many KiB.
    fn leave(&self, kib: u64) {
        self.make_room();
        std::fs::File::create(&self.ballast).unwrap();
        let left = nix::sys::statvfs::statvfs(self.ballast.parent().unwrap()).unwrap();
        let bytes = left.blocks_available() * left.fragment_size();
        let filled = usize::try_from(bytes.saturating_sub(kib * 1024)).unwrap();
        std::fs::write(&self.ballast, vec![0; filled]).unwrap();
    }

    fn make_room(&self) {
        drop(std::fs::remove_file(&self.ballast));
    }
}

/// What a run may say of a full disk: that, in these words or the system's.
fn names_the_disk(text: &str) -> bool {
    text.contains("disk is full") || text.contains("No space left on device")
}

/// After room was made: goes on, tries again what failed, and finds everything landed once and sound.
fn converges(project: &Project, point: &str) {
    let resumed = project.orchestrate(&["resume"]);
    assert!(resumed.code == 0 || resumed.code == 4, "{point}: {resumed:?}");
    if project.status_of("1.1") == "Failed" {
        let again = project.orchestrate(&["retry", "1.1"]);
        assert_eq!(again.code, 0, "{point}: {again:?}");
    }
    if project.status_of("1.1") != "Landed" {
        let ran = project.stories(&[]);
        assert_eq!(ran.code, 0, "{point}: {}\n{}", ran.stdout, ran.stderr);
    }
    assert_eq!((project.merges_of("1.1"), project.status_of("1.1")), (1, "Landed".to_owned()), "{point}");
    project.assert_tidy();
    project.assert_one_at_a_time();
}

fn full_at_the_start(free: &[u64]) {
    with_own_mounts("F47", "a full disk at the start", || {
        for kib in free {
            let point = format!("{kib} KiB free at the start");
            let project = one_story("");
            let disk = Disk::under(&project);
            disk.leave(*kib);
            let ran = project.stories(&[]);
            let fsck = project.scratch.try_git(&["fsck", "--strict", "--no-dangling"]);
            assert_eq!(fsck.code, 0, "{point}: {fsck:?}");
            let outcome = if ran.code == 2 {
                assert!(names_the_disk(&ran.stderr), "{point}: {ran:?}");
                assert_eq!(ran.stderr.matches("error:").count(), 1, "{point}: {ran:?}");
                assert_eq!(project.journal().len(), 0, "{point}: an agent was started");
                assert_eq!(project.scratch.git(&["for-each-ref", "refs/orchestrate"]), "", "{point}");
                "one error names the disk, nothing started"
            } else if ran.code == 0 {
                "it was enough"
            } else {
                assert!(names_the_disk(&format!("{}{}", ran.stdout, ran.stderr)), "{point}: {ran:?}");
                "named the disk in the middle"
            };
            disk.make_room();
            converges(&project, &point);
            note("F47", &point, &format!("{outcome}; landed when there was room"));
        }
    });
}

#[test]
fn a_full_disk_at_the_start_is_one_error() {
    full_at_the_start(&[0]);
}

#[test]
#[ignore = "battery"]
fn a_nearly_full_disk_at_the_start() {
    full_at_the_start(&[4, 16, 64, 256, 512, 1_000, 1_024, 1_040, 1_064, 1_100, 1_200, 1_400, 2_048, 4_096]);
}

fn full_in_the_middle(free: &[u64]) {
    with_own_mounts("F48", "a full disk in the middle", || {
        for kib in free {
            let point = format!("an agent leaves {kib} KiB free");
            let project = one_story("");
            let disk = Disk::under(&project);
            // The agent waits at its work until the disk is full.
            let (here, full) = (project.meeting("here"), project.meeting("full"));
            project.script(&format!(
                "[[step]]\nphase = \"implementation\"\nnth = 1\ndo = [{{ write = {{ path = \"kept.txt\", text = \"kept\" }} }}, \
                 {{ touch = {here:?} }}, {{ wait-for = {full:?} }}]\n",
            ));
            let live = project.start(&["stories"]);
            crate::project::until("the agent", || here.exists());
            disk.leave(*kib);
            std::fs::write(&full, "").unwrap();
            let ran = live.finish();
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert!(ran.code == 0 || names_the_disk(&said), "{point}: {}\n{said}", ran.code);
            assert!([0, 1, 4].contains(&ran.code), "{point}: {ran:?}");
            let fsck = project.scratch.try_git(&["fsck", "--strict", "--no-dangling"]);
            assert_eq!(fsck.code, 0, "{point}: {fsck:?}");
            disk.make_room();
            converges(&project, &point);
            assert_eq!(project.scratch.git(&["show", "main:kept.txt"]), "kept", "{point}");
            note("F48", &point, &format!("exit {}; landed when there was room, nothing lost", ran.code));
        }
    });
}

#[test]
fn a_disk_that_fills_up_in_the_middle_loses_nothing() {
    full_in_the_middle(&[8]);
}

#[test]
#[ignore = "battery"]
fn a_disk_that_fills_up_at_every_step() {
    let steps: Vec<u64> = (0..=60).step_by(4).chain((64..=256).step_by(16)).collect();
    full_in_the_middle(&steps);
}

#[test]
fn a_read_only_repository_is_one_error_and_can_be_looked_at() {
    with_own_mounts("F21", "read-only bind mount", || {
        let project = one_story("");
        assert_eq!(project.orchestrate(&["init"]).code, 0);
        let git_dir = project.scratch.root().join(".git");
        let bind = MsFlags::MS_BIND;
        mount(Some(&git_dir), &git_dir, None::<&str>, bind, None::<&str>).unwrap();
        let read_only = MsFlags::MS_REMOUNT | bind | MsFlags::MS_RDONLY;
        mount(None::<&str>, &git_dir, None::<&str>, read_only, None::<&str>).unwrap();
        for command in ["stories", "resume", "cleanup"] {
            let ran = project.orchestrate(&[command]);
            assert_eq!(ran.code, 2, "{command}: {ran:?}");
            assert_eq!(ran.stderr.matches("read-only file system").count(), 1, "{command}: {ran:?}");
            assert_eq!(ran.stderr.matches("error:").count(), 1, "{command}: {ran:?}");
        }
        assert_eq!(project.journal().len(), 0, "an agent was started");
        for command in [&["status"][..], &["plan"], &["verify"], &["log"]] {
            let ran = project.orchestrate(command);
            assert_eq!(ran.code, 0, "{command:?}: {ran:?}");
        }
        note("F21", "read-only bind mount", "one error, no agent; status, plan, verify and log work");
    });
}

/// A folder to be put in front of PATH, with a `git` that is this script.
fn shim(project: &Project, script: &str) -> std::ffi::OsString {
    let folder = project.scratch.outside().join("shim");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("git");
    std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&path))).unwrap()
}

#[test]
fn a_git_that_cannot_be_used_is_named_once_with_the_oldest_that_can() {
    let project = one_story("");
    let before = project.scratch.git(&["for-each-ref"]);
    let empty = project.scratch.outside().join("empty");
    std::fs::create_dir_all(&empty).unwrap();
    // The same folder each time: a script replaces the one before.
    let cases = [
        ("missing", None, "git cannot be run"),
        ("2.30", Some("echo git version 2.30.2"), "git 2.30 is too old"),
        ("prints to stdout", Some("echo welcome; exec /usr/bin/git \"$@\""), "`git version` said `welcome`"),
        ("prints nothing", Some("exit 0"), "`git version` said ``"),
        ("fails", Some("echo git version 2.47.3; exit 1"), "`git version` ended with exit status: 1"),
    ];
    for (point, script, said) in cases {
        let path = script.map_or_else(|| empty.clone().into_os_string(), |script| shim(&project, script));
        for command in ["stories", "status"] {
            let ran = crate::support::run(project.scratch.orchestrate_command().arg(command).env("PATH", &path));
            assert_eq!(ran.code, 2, "{point}: {ran:?}");
            assert!(ran.stderr.contains(said), "{point}: {ran:?}");
            assert_eq!(ran.stderr.matches("2.38").count(), 1, "{point}: {ran:?}");
        }
        note("F52", &format!("git {point}"), "named once, with the oldest version that will do");
    }
    assert_eq!(project.scratch.git(&["for-each-ref"]), before);
}

/// A checkout of `main` as a move that met a full disk leaves it: the index still the old one, a file of the new commit whole,
/// one cut off, one gone.
fn cut_off(project: &Project, note: &str) {
    let git = |args: &[&str]| project.scratch.git(args);
    let (from, to) = (git(&["rev-list", "--max-parents=0", "main"]), git(&["rev-parse", "main"]));
    git(&["read-tree", &from]);
    let story = project.scratch.root().join("docs/stories/1.1.first.md");
    let text = std::fs::read(&story).unwrap();
    std::fs::write(&story, &text[..20]).unwrap();
    let behind = project.scratch.root().join(".git/orchestrate/behind");
    std::fs::create_dir_all(&behind).unwrap();
    std::fs::write(behind.join(format!("{note}{from} {to} refs%2Fheads%2Fmain")), "").unwrap();
}

#[test]
fn a_checkout_that_a_full_disk_cut_off_is_brought_along_and_an_edit_is_left_alone() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").commit();
    assert_eq!(project.stories(&[]).code, 0);
    cut_off(&project, "");
    let _told = project.orchestrate(&["resume"]);
    let story = project.scratch.root().join("docs/stories/1.1.first.md");
    assert_eq!(
        std::fs::read(&story).unwrap().len(),
        20,
        "without the note of a move that failed it may be somebody's edit"
    );
    let behind = project.scratch.root().join(".git/orchestrate/behind");
    std::fs::remove_dir_all(&behind).unwrap();
    project.scratch.git(&["checkout", "-q", "-f", "main"]);
    cut_off(&project, "cut ");
    let told = project.orchestrate(&["resume"]);
    assert_eq!(project.scratch.git(&["status", "--porcelain"]), "", "{told:?}");
    assert_eq!(std::fs::read_dir(&behind).map_or(0, Iterator::count), 0, "the note is used up");
}
