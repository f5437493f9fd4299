//! What is reported survives a power cut: the order of system calls of real runs, as strace sees it, and real power cuts
//! on the image of a file system. Must not assert durations; says so and tries nothing where the tools are missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::project::Project;
use crate::support::run;

/// Something a traced process did that matters for durability. Paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    /// The file or folder was synced: noted when the call came back.
    Synced(PathBuf),
    /// All of a file system was.
    AllSynced,
    /// Noted when the call began.
    Renamed { from: PathBuf, to: PathBuf },
    /// A line on stdout or stderr.
    Said(String),
}

/// Reads what `strace -f -y` wrote.
fn calls(trace: &str) -> Vec<Call> {
    let mut pending: BTreeMap<&str, Call> = BTreeMap::new();
    let mut found = Vec::new();
    for line in trace.lines() {
        let Some((process, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if call.starts_with("<... ") {
            found.extend(pending.remove(process));
            continue;
        }
        let Some((name, arguments)) = call.split_once('(') else { continue };
        let done = match name {
            "fsync" | "fdatasync" => arguments
                .split_once('<')
                .and_then(|(_, rest)| rest.split_once('>'))
                .map(|path| Call::Synced(PathBuf::from(path.0))),
            "syncfs" => Some(Call::AllSynced),
            "rename" | "renameat" | "renameat2" => {
                let mut names = arguments.split('"').skip(1).step_by(2).map(PathBuf::from);
                let (from, to) = (names.next().unwrap(), names.next().unwrap());
                found.push(Call::Renamed { from, to });
                None
            }
            "write" if arguments.starts_with("1<") || arguments.starts_with("2<") => {
                arguments.split('"').nth(1).map(|text| Call::Said(text.to_owned()))
            }
            _ => None,
        };
        match done {
            Some(done) if line.ends_with("<unfinished ...>") => drop(pending.insert(process, done)),
            Some(done) => found.push(done),
            None => {}
        }
    }
    found
}

/// Runs a command of the project under strace; `None` where there is no strace, or no leave to trace.
fn traced(project: &Project, args: &[&str]) -> Option<Vec<Call>> {
    let log = project.scratch.outside().join("trace");
    let mut command = project.scratch.command("strace");
    command.args(["-f", "-y", "-qq", "-s", "300", "-e", "signal=none"]);
    command.args(["-e", "trace=fsync,fdatasync,syncfs,rename,renameat,renameat2,write", "-o"]).arg(&log);
    command.arg("--").arg(env!("CARGO_BIN_EXE_git-orchestrate")).args(args);
    let possible =
        Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success());
    if !possible {
        eprintln!("skipped: strace is not installed or may not trace");
        return None;
    }
    let ran = run(&mut command);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    Some(calls(&std::fs::read_to_string(log).unwrap()))
}

/// Where things lie in the traced repository.
struct Place {
    git: PathBuf,
}

impl Place {
    fn of(project: &Project) -> Self {
        Self { git: project.scratch.root().canonicalize().unwrap().join(".git") }
    }

    /// Paths of the loose objects of a list of ids, one per line.
    fn objects(&self, ids: &str) -> BTreeSet<PathBuf> {
        let path = |id: &str| self.git.join("objects").join(&id[..2]).join(&id[2..]);
        ids.lines().map(|line| path(line.split(' ').next().unwrap())).collect()
    }

    fn is_ours(&self, path: &Path) -> bool {
        path.starts_with(self.git.join("refs/orchestrate")) || path == self.git.join("refs/heads/main")
    }
}

/// What is on disk for good at a moment.
#[derive(Default)]
struct Disk {
    synced: BTreeSet<PathBuf>,
    /// Folders in which names changed since they were last synced.
    unsettled: BTreeSet<PathBuf>,
    /// Objects that a process of the run gave their names.
    named: BTreeSet<PathBuf>,
}

impl Disk {
    fn take(&mut self, call: &Call) {
        match call {
            Call::Synced(path) => {
                self.synced.insert(path.clone());
                self.unsettled.remove(path);
            }
            Call::AllSynced => {
                self.unsettled.clear();
                self.synced.extend(self.named.iter().cloned());
            }
            Call::Renamed { from, to } => {
                if self.synced.contains(from) {
                    self.synced.insert(to.clone());
                }
                self.named.insert(to.clone());
                self.unsettled.extend(to.parent().map(Path::to_owned));
            }
            Call::Said(_) => {}
        }
    }

    /// Whether content and name survive a power cut.
    fn holds(&self, path: &Path) -> bool {
        self.synced.contains(path) && !self.unsettled.contains(path.parent().unwrap())
    }
}

#[test]
fn objects_are_on_disk_before_a_ref_names_them_and_refs_before_anything_is_reported() {
    let project = Project::new("", "");
    project.story("1.1", "One", "None").commit();
    let base = project.scratch.git(&["rev-parse", "main"]);
    let Some(calls) = traced(&project, &["stories"]) else { return };
    let place = Place::of(&project);
    let records = place.objects(&project.scratch.git(&["rev-list", "--objects", "--glob=refs/orchestrate/items"]));
    let landed = place.objects(&project.scratch.git(&["rev-list", "--objects", "main", &format!("^{base}")]));
    let mut disk = Disk::default();
    let (mut appends, mut landings, mut reports) = (0, 0, 0);
    for call in &calls {
        if let Call::Renamed { from, to } = call
            && place.is_ours(to)
        {
            assert!(disk.synced.contains(from), "{} got its name before its content was synced", to.display());
            for object in disk.named.iter().filter(|object| records.contains(*object)) {
                assert!(disk.holds(object), "{} moved before {} was synced", to.display(), object.display());
            }
            appends += usize::from(to.ends_with("items/1.1"));
            if to.ends_with("refs/heads/main") {
                landings += 1;
                // Also those that the agent's git wrote, which syncs nothing.
                let lost: Vec<_> = landed.iter().filter(|object| !disk.holds(object)).collect();
                assert!(lost.is_empty(), "main moved before these were synced: {lost:?}");
            }
        }
        if let Call::Said(text) = call
            && text.contains("1.1 landed")
        {
            reports += 1;
            for name in ["refs/heads/main", "refs/orchestrate/items/1.1"] {
                let path = place.git.join(name);
                assert!(disk.holds(&path), "reported before {name} was on disk");
            }
        }
        disk.take(call);
    }
    assert!(appends >= 3 && landings == 1 && reports >= 1, "{appends} appends, {landings} landings, {reports} reports");
}

#[test]
fn a_trace_is_read_as_it_happened() {
    let trace = "7 fsync(3</r/a> <unfinished ...>\n8 rename(\"/r/b.lock\", \"/r/b\") = 0\n7 <... fsync resumed>) = 0\n\
                 7 write(2</dev/pts/0>, \"1.1 landed\", 10) = 10\n7 write(5<pipe:[1]>, \"x\", 1) = 1\n9 syncfs(4</r>) = 0\n";
    let renamed = Call::Renamed { from: "/r/b.lock".into(), to: "/r/b".into() };
    let said = Call::Said("1.1 landed".to_owned());
    assert_eq!(calls(trace), [renamed, Call::Synced("/r/a".into()), said, Call::AllSynced]);
}
