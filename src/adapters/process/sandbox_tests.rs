//! Tests of the sandbox: what is written down for it. That it holds is shown by the integration tests.

use super::*;
use crate::adapters::process::environment::Environment;

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    /// A common directory with one worktree, as git makes them.
    fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir_all(bench.at("git/worktrees/w")).unwrap();
        fs::create_dir_all(bench.at("git/objects")).unwrap();
        fs::create_dir_all(bench.at("w")).unwrap();
        fs::create_dir_all(bench.at("home/.ssh")).unwrap();
        fs::create_dir_all(bench.at("home/.cache")).unwrap();
        fs::write(bench.at("w/.git"), format!("gitdir: {}\n", bench.at("git/worktrees/w").display())).unwrap();
        fs::write(bench.at("git/worktrees/w/gitdir"), format!("{}\n", bench.at("w/.git").display())).unwrap();
        bench
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(path)
    }

    fn confine(&self, kind: SandboxKind, branch: &str) -> Result<Launch, String> {
        let mut environment = Environment::default();
        environment.set("HOME", self.at("home"));
        let launch = Launch {
            program: PathBuf::from("/bin/agent"),
            args: vec!["-p".to_owned()],
            directory: self.at("w"),
            environment,
            stdin: None,
            log: self.at("log"),
        };
        let [write, hide] =
            [["~/.cache", "/no/such"], ["~/.ssh", "/no/such"]].map(|list| list.map(str::to_owned).into());
        let places = Places {
            worktree: &self.at("w"),
            git_common_dir: &self.at("git"),
            branch,
            answer: &self.at("answer"),
            tmp: &self.at("tmp"),
            spec: &self.at("spec.json"),
        };
        confine(launch, &Sandbox { kind, write, hide }, &places)
    }
}

#[test]
fn landlock_gets_what_the_story_needs_and_no_more() {
    let bench = Bench::new();
    let launch = match bench.confine(SandboxKind::Landlock, "refs/heads/story/1.1") {
        Err(why) => return assert!(why.contains("Linux 6.2"), "{why}"),
        Ok(launch) => launch,
    };
    let spec = bench.at("spec.json");
    assert_eq!(launch.args, ["__confine", spec.to_str().unwrap(), "--", "/bin/agent", "-p"]);
    assert_eq!(launch.environment.value("TMPDIR"), Some(bench.at("tmp").as_os_str()));
    let spec: Spec = serde_json::from_slice(&fs::read(spec).unwrap()).unwrap();
    let own: Vec<_> = spec.write.into_iter().filter(|path| path.starts_with(bench.at(""))).collect();
    let needed =
        ["w", "git/objects", "git/worktrees/w", "answer", "tmp", "git/refs/heads/story", "git/logs/refs/heads/story"];
    let expected: Vec<_> = needed.into_iter().chain(["home/.cache"]).map(|path| bench.at(path)).collect();
    assert_eq!(own, expected);
}

#[test]
fn a_worktree_that_points_elsewhere_gets_no_sandbox() {
    let bench = Bench::new();
    // Another worktree's entry, which points back to that one; and a folder that is no entry.
    fs::create_dir_all(bench.at("git/worktrees/other")).unwrap();
    fs::write(bench.at("git/worktrees/other/gitdir"), "/elsewhere/.git\n").unwrap();
    for pointer in ["git/worktrees/other", "git", "git/objects"] {
        fs::write(bench.at("w/.git"), format!("gitdir: {}\n", bench.at(pointer).display())).unwrap();
        let why = bench.confine(SandboxKind::Landlock, "refs/heads/story/1.1").unwrap_err();
        assert!(why.contains("is no worktree of this repository"), "{why}");
    }
}

#[test]
fn what_cannot_be_confined_is_said_in_one_sentence() {
    let bench = Bench::new();
    let why = bench.confine(SandboxKind::Bwrap, "refs/heads/loose").unwrap_err();
    assert_eq!(why, "sandbox = \"bwrap\" is not possible: the branch refs/heads/loose is in no folder of its own");
    fs::create_dir(bench.at("git/reftable")).unwrap();
    let why = bench.confine(SandboxKind::Landlock, "refs/heads/story/1.1").unwrap_err();
    assert!(why.starts_with("sandbox = \"landlock\" is not possible: all refs"), "{why}");
    assert!(bench.confine(SandboxKind::None, "refs/heads/story/1.1").is_ok());
}

#[test]
fn a_process_that_cannot_be_confined_becomes_nothing() {
    let mut said = Vec::new();
    let args = ["/no/such/spec", "--", "/bin/true"].map(OsString::from);
    assert_eq!(become_confined(&args, &mut said), FAILED);
    assert_eq!(become_confined(&args[..1], &mut said), FAILED);
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("cannot read /no/such/spec") && said.contains("without a program"), "{said}");
}
