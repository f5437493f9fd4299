//! F49: the power is cut some seconds after something was reported: the image of a mounted file system is copied while a
//! run is at work, and the copy is what the machine finds when it comes back. Needs root, loop devices and mkfs.ext4.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{note, skip};
use crate::project::{Project, until};

/// Story 1.1 lands; 1.2 stays with its agent, which by then has committed once and left a file.
const SCRIPT: &str = "[[step]]\nphase = \"implementation\"\nitem = \"1.2\"\nnth = 1\n\
                      do = [{ write = { path = \"second.txt\", text = \"second\" } }, { commit = \"half of it\" }, \
                      { write = { path = \"third.txt\", text = \"third\" } }, { touch = AT }, \"hang\"]\n";

/// A file system in a file, mounted over a folder; taken away when dropped.
struct Disk {
    at: PathBuf,
    image: PathBuf,
}

impl Disk {
    /// A file system with what the folder holds, mounted over it.
    fn over(folder: &Path, image: PathBuf) -> Result<Self, String> {
        std::fs::File::create(&image).unwrap().set_len(192 * 1024 * 1024).unwrap();
        ran(Command::new("mkfs.ext4").args(["-q", "-F", "-d"]).arg(folder).arg(&image))?;
        Self::mount(image, folder)
    }

    fn mount(image: PathBuf, at: &Path) -> Result<Self, String> {
        ran(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(at))?;
        Ok(Self { at: at.to_owned(), image })
    }

    /// What the machine would find if it stopped now.
    fn copy(&self, to: &Path) {
        ran(Command::new("cp").arg("--sparse=always").arg(&self.image).arg(to)).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = ran(Command::new("umount").arg("-l").arg(&self.at)) {
            eprintln!("{error}");
        }
    }
}

fn ran(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {said}")) }
}

/// Cuts the power `seconds` after the landing of 1.1 was reported, and goes on with what is there then.
fn cut(seconds: u64) {
    let point = format!("power cut {seconds} s after the report");
    let project = Project::new("", "");
    project.script(&SCRIPT.replace("AT", &format!("{:?}", project.meeting("at-work").to_str().unwrap())));
    project.story("1.1", "First", "None").story("1.2", "Second", "1.1").commit();
    let outside = project.scratch.outside();
    let live = match Disk::over(&project.scratch.root(), outside.join("live.img")) {
        Ok(disk) => disk,
        Err(why) => return skip("F49", &point, &why),
    };
    let mut run = project.start(&["stories"]);
    until("the report", || run.stderr().contains("1.1 landed after") || run.is_over());
    let reported = run.stderr();
    until("the agent of 1.2", || project.meeting("at-work").exists() || run.is_over());
    std::thread::sleep(std::time::Duration::from_secs(seconds));
    live.copy(&outside.join("cut.img"));
    run.kill();
    // The machine stopped: what the old one still did afterwards is not on the disk that comes back.
    drop(live);
    let _disk = Disk::mount(outside.join("cut.img"), &project.scratch.root()).unwrap();
    let tip = reported.split("landed on main as ").nth(1).unwrap().split_whitespace().next().unwrap();
    let main = project.scratch.git(&["log", "--format=%h", "--abbrev=7", "main"]);
    assert!(main.lines().any(|commit| commit == tip), "{tip} was reported and is gone: {main}");
    assert_eq!(project.status_of("1.1"), "Landed");
    let again = project.orchestrate(&["resume"]);
    let said = || project.orchestrate(&["log", "1.2", "--agent"]).stdout;
    assert_eq!(again.code, 0, "{}\n{}\n{}", again.stdout, again.stderr, said());
    for id in ["1.1", "1.2"] {
        assert_eq!(project.merges_of(id), 1, "{id}: {:?}", project.mainline());
    }
    project.assert_sound();
    note("F49", &point, "what was reported is there; one resume, one merge each");
}

#[test]
fn what_was_reported_survives_a_power_cut() {
    cut(0);
}

#[test]
#[ignore = "battery"]
fn what_was_reported_survives_a_power_cut_seconds_later() {
    for seconds in [1, 3, 7] {
        cut(seconds);
    }
}
