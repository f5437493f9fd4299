//! The attacks of an agent on what is not its own, inside each sandbox: all refused, and its own commit works.

use crate::faults;
use crate::project::Project;
use crate::support::run;

/// Name and shell command; each must fail. `$C` is the common git directory, `$R` the main work tree.
const ATTACKS: [(&str, &str); 24] = [
    ("move main by update-ref", "git update-ref refs/heads/main HEAD"),
    ("move main without hooks", "git -c core.hooksPath=/dev/null update-ref refs/heads/main HEAD"),
    ("move main by its file", "git rev-parse HEAD > $C/refs/heads/main"),
    ("empty the file of main", "truncate -s 0 $C/refs/heads/main"),
    ("delete a record", "git -c core.hooksPath=/dev/null update-ref -d refs/orchestrate/items/1.1"),
    ("delete all records", "rm -r $C/refs/orchestrate"),
    ("write git's configuration", "git config core.fsmonitor /bin/true"),
    ("write a configuration by hand", "echo '[core]' >> $C/config"),
    ("plant a hook", "echo exit > $C/hooks/post-commit"),
    ("hide a diff", "mkdir -p $C/info && echo '* -diff' > $C/info/attributes"),
    ("make a tag", "git tag pwned"),
    ("make a branch", "git branch pwned"),
    ("collect garbage", "git gc --prune=now -q"),
    ("pack refs", "git pack-refs --all"),
    ("expire reflogs", "git reflog expire --expire=now --all"),
    ("add a worktree", "git worktree add -q ../pwned"),
    ("stash", "echo x >> stashed && git add stashed && git stash -q"),
    ("move HEAD of the user", "echo 'ref: refs/heads/pwned' > $C/HEAD"),
    ("write into the user's checkout", "echo pwned > $R/README.md"),
    ("delete a file of the user", "rm -f $R/docs/stories/*.md"),
    ("delete our state", "rm -r $C/orchestrate/attempts"),
    ("write into the home folder", "echo pwned > $HOME/.bashrc"),
    ("change its own sandbox", "echo '{}' > $(dirname $ORCHESTRATE_PROMPT_FILE)/sandbox.json"),
    ("write beside the home folder", "echo pwned > $HOME/../pwned"),
];

/// A run of one story whose author tries every attack and commits.
fn attack(kind: &str, extra: &[(&str, &str)]) {
    let project = Project::new("", "");
    let out = project.meeting("out");
    std::fs::create_dir(&out).unwrap();
    let mut script = "C=$(git rev-parse --path-format=absolute --git-common-dir); R=${C%/.git}\n".to_owned();
    for (name, command) in ATTACKS.iter().chain(extra) {
        script += &format!("if ( {command} ) >> $OUT/said 2>&1; then echo \"{name}\" >> $OUT/succeeded; fi\n");
    }
    script +=
        "git rm -q -f --cached stashed; rm -f stashed; echo tmp > $TMPDIR/x && echo > /dev/null && touch $OUT/done\n";
    std::fs::write(out.join("attacks.sh"), script.replace("$OUT", out.to_str().unwrap())).unwrap();
    project.script(&format!(
        "[[step]]\nphase = \"implementation\"\ndo = [{{ run = [\"sh\", \"{}\"] }}, \
         {{ write = {{ path = \"mine.txt\", text = \"mine\" }} }}, {{ commit = \"mine\" }}]\n",
        out.join("attacks.sh").display()
    ));
    std::fs::write(project.journal_path(), "").unwrap();
    let write = format!("{:?}, {:?}", out.display().to_string(), project.journal_path().display().to_string());
    project.set("agents.scripted", &format!("sandbox = {{ kind = \"{kind}\", write = [{write}] }}"));
    project.story("1.1", "Attack", "None").commit();
    let before = project.scratch.read(".git/config");

    let ran = project.stories(&[]);
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap_or_default();
    assert!(out.join("done").exists(), "{ran:?}\n{}", read("said"));
    assert_eq!(read("succeeded"), "", "{}", read("said"));
    assert_eq!((ran.code, project.status_of("1.1").as_str()), (0, "Landed"), "{ran:?}");
    assert_eq!(project.scratch.git(&["show", "main:mine.txt"]), "mine");
    assert_eq!(project.scratch.read(".git/config"), before);
    assert_eq!(project.merges_of("1.1"), 1);
    project.assert_tidy();
    let count = ATTACKS.len() + extra.len();
    faults::note("sandbox", &format!("{kind}: {count} attacks of an agent"), "all refused, its commit landed");
}

#[test]
fn landlock_refuses_every_attack_and_lets_the_story_land() {
    if !kernel_can() {
        faults::skip("sandbox", "landlock", "this kernel has no Landlock");
        return;
    }
    attack("landlock", &[("kill the supervisor", "kill -9 $(ps -o ppid= -p $PPID)")]);
}

#[test]
fn bubblewrap_refuses_every_attack_and_hides_other_processes() {
    let works = std::process::Command::new("bwrap").args(["--ro-bind", "/", "/", "--unshare-pid", "true"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        faults::skip("sandbox", "bwrap", "bubblewrap is missing or cannot make a sandbox here");
        return;
    }
    attack("bwrap", &[("find the supervisor", "grep -lz '^__supervise' /proc/[0-9]*/cmdline")]);
}

#[test]
fn a_sandbox_that_cannot_be_made_starts_nothing() {
    let project = Project::new("", "");
    project.set("agents", "sandbox = \"bwrap\"");
    project.story("1.1", "Quiet", "None").commit();
    // A PATH with git and nothing else.
    let bin = project.meeting("bin");
    std::fs::create_dir(&bin).unwrap();
    for program in ["git", "sh"] {
        std::os::unix::fs::symlink(which::which(program).unwrap(), bin.join(program)).unwrap();
    }
    let ran = run(project.scratch.orchestrate_command().arg("stories").env("PATH", &bin));
    assert_eq!(ran.code, 4, "{ran:?}");
    let why = "sandbox = \"bwrap\" is not possible: there is no program bwrap; install bubblewrap";
    let shown = project.orchestrate(&["show", "1.1"]);
    assert!(shown.stdout.contains(why), "{shown:?}");
    assert_eq!(project.journal().len(), 0);
}

/// Whether the kernel has the file rights of Linux 6.2.
fn kernel_can() -> bool {
    use landlock::{ABI, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr};
    let set = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    set.handle_access(AccessFs::from_write(ABI::V3)).and_then(Ruleset::create).is_ok()
}
