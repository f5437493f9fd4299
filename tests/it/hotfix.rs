//! Emergency hotfixes: what lands without a review and stays in sight, and everything that does not.

use serde_json::Value;

use crate::project::{Project, until};
use crate::support::{Ran, Scratch};

const SAID: [&str; 6] =
    ["--emergency", "production down: nobody can log in", "--reason", "every minute costs", "--follow-up", "#123"];

/// A repository with a file of 20 lines on `main` and `policy` in its policy file; a branch `hotfix/login` is checked out.
fn scratch(policy: &str) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("app.txt", (1..=20).fold(String::new(), |text, n| text + &format!("line {n}\n")));
    scratch.write(".orchestrate.toml", policy);
    scratch.write(".gitignore", "/.worktrees\n");
    scratch.commit("app");
    scratch.git(&["switch", "-q", "-c", "hotfix/login"]);
    scratch
}

/// `git orchestrate hotfix` with everything stated, and `more`.
fn hotfix(scratch: &Scratch, more: &[&str]) -> Ran {
    let all: Vec<&str> = ["hotfix"].iter().chain(&SAID).chain(more).copied().collect();
    scratch.orchestrate(&all)
}

/// Replaces the first `count` lines: twice as many changed lines.
fn replace_lines(scratch: &Scratch, count: usize) {
    let text = scratch.read("app.txt");
    let lines =
        text.lines().enumerate().map(|(n, line)| if n < count { format!("fixed {n}\n") } else { format!("{line}\n") });
    scratch.write("app.txt", lines.collect::<String>());
}

/// The command refuses with each of `reasons`, and nothing is moved, recorded or left.
fn assert_refused(scratch: &Scratch, ran: &Ran, reasons: &[&str]) {
    assert_eq!(ran.code, 3, "{ran:?}");
    for reason in reasons {
        assert!(ran.stderr.contains(reason), "`{reason}` is not in {}", ran.stderr);
    }
    assert_eq!(ran.stderr.matches("\n  - ").count(), reasons.len(), "{}", ran.stderr);
    let merges = scratch.git(&["rev-list", "--count", "--merges", "main"]);
    assert_eq!(merges, "0", "something landed");
    let said = scratch.git(&["for-each-ref", "--format=%(subject)", "refs/orchestrate/certified/"]);
    assert!(!said.contains("hotfix"), "something is recorded: {said}");
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The branch's record: subjects of its chain, oldest first.
fn diary(scratch: &Scratch) -> String {
    scratch.git(&["log", "--reverse", "--format=%s", "refs/orchestrate/certified/main"])
}

#[test]
fn a_small_fix_lands_on_record_and_stays_in_sight_until_its_follow_up_is_done() {
    let scratch = scratch("");
    replace_lines(&scratch, 2);
    let head = scratch.commit("guard against an empty session");
    let base = scratch.git(&["rev-parse", "main"]);
    let ran = hotfix(&scratch, &["--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let landed = json(&ran.stdout);
    let id = landed["hotfix"]["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("hotfix-2") && id.ends_with(&head[..7]), "{id}");
    assert_eq!((&landed["hotfix"]["lines"], &landed["hotfix"]["labels"]), (&json("4"), &json("[\"emergency\"]")));
    assert_eq!(scratch.git(&["rev-parse", "main^1", "main^2"]), format!("{base}\n{head}"));
    let trailers = scratch.git(&["log", "-1", "--format=%(trailers:unfold)", "main"]);
    for line in
        [format!("Hotfix: {id}"), "Emergency: production down: nobody can log in".into(), "Label: emergency".into()]
    {
        assert!(trailers.lines().any(|trailer| trailer == line), "{line}: {trailers}");
    }
    assert!(diary(&scratch).contains("emergency hotfix"), "{}", diary(&scratch));
    // In sight, for people and scripts.
    let status = scratch.orchestrate(&["status"]).stdout;
    assert_eq!(status.lines().filter(|line| line.contains(&id) && line.contains("#123")).count(), 1, "{status}");
    let status = json(&scratch.orchestrate(&["status", "--json"]).stdout);
    assert_eq!(status["openHotfixes"][0]["followUp"], "#123");
    assert_eq!(scratch.orchestrate(&["hotfix", "--resolve", "hotfix-1", "-m", "x"]).code, 2);
    assert_eq!(scratch.orchestrate(&["hotfix", "--resolve", &id]).code, 2, "without saying what was done");
    assert_eq!(scratch.orchestrate(&["hotfix", "--resolve", &id, "-m", "reviewed in #123"]).code, 0);
    assert!(!scratch.orchestrate(&["status"]).stdout.contains(&id));
    assert_eq!(json(&scratch.orchestrate(&["status", "--json"]).stdout)["openHotfixes"], json("[]"));
    assert_eq!(scratch.orchestrate(&["hotfix", "--resolve", &id, "-m", "again"]).code, 2);
    let list = json(&scratch.orchestrate(&["hotfix", "--list", "--json"]).stdout);
    assert_eq!(
        (&list["hotfixes"][0]["resolved"], &list["hotfixes"][0]["open"]),
        (&json("\"reviewed in #123\""), &json("false"))
    );
    assert!(scratch.orchestrate(&["hotfix", "--list"]).stdout.contains("resolved (reviewed in #123)"));
}

#[test]
fn everything_that_is_missing_is_said_at_once_and_nothing_is_started() {
    let scratch = scratch("");
    let bare = scratch.orchestrate(&["hotfix"]);
    assert_refused(&scratch, &bare, &["--emergency", "--reason", "--follow-up", "changes nothing"]);
    replace_lines(&scratch, 5);
    scratch.commit("ten lines");
    let large = scratch.orchestrate(&["hotfix", "--emergency", "down", "--reason", " ", "--json"]);
    assert_refused(&scratch, &large, &["--reason", "--follow-up", "changes 10 lines"]);
    let said = json(&large.stdout);
    assert_eq!((&said["landed"], &said["refusals"][2]["code"]), (&json("false"), &json("\"too-large\"")));
    assert_eq!(scratch.orchestrate(&["hotfix", "main"]).code, 2, "the target itself");
    assert_eq!(scratch.orchestrate(&["hotfix", "nowhere"]).code, 2, "no such branch");
    assert_eq!(scratch.orchestrate(&["hotfix", "--list", "--reason", "x"]).code, 2);
}

#[test]
fn nine_lines_are_the_most_and_a_policy_only_lowers_that() {
    let nine = |policy: &str| {
        let scratch = scratch(policy);
        replace_lines(&scratch, 4);
        scratch.write("app.txt", scratch.read("app.txt") + "one more\n");
        scratch.commit("nine lines");
        scratch
    };
    let plain = nine("");
    let dry = hotfix(&plain, &["--dry-run"]);
    assert_eq!((dry.code, dry.stdout.contains("9 lines")), (0, true), "{dry:?}");
    assert_eq!(plain.git(&["for-each-ref", "refs/orchestrate/"]), "", "a dry run writes nothing");
    assert_eq!(hotfix(&plain, &[]).code, 0);
    let lower = nine("[hotfix]\nlines = 8\n");
    assert_refused(&lower, &hotfix(&lower, &[]), &["changes 9 lines (added and removed); a hotfix changes at most 8"]);
    let none = nine("[hotfix]\nlines = 0\n");
    assert_refused(&none, &hotfix(&none, &[]), &["allows no hotfixes"]);
    let higher = nine("[hotfix]\nlines = 10\n");
    assert_eq!(hotfix(&higher, &[]).code, 2, "a policy may not allow more");
    // The branch's own policy has no say.
    let scratch = scratch("[hotfix]\nlines = 3\n");
    scratch.write(".orchestrate.toml", "[hotfix]\nlines = 9\n");
    replace_lines(&scratch, 1);
    scratch.commit("a larger limit");
    assert_refused(&scratch, &hotfix(&scratch, &[]), &["changes 4 lines"]);
}

#[test]
fn nothing_hides_lines_from_the_count() {
    // Attributes that call it binary, and a rename that git's diff would show as nothing.
    let attributes = scratch("");
    attributes.write(".git/info/attributes", "* -diff\n");
    attributes.write(".gitattributes", "* -diff -text\n");
    replace_lines(&attributes, 10);
    attributes.commit("hidden by attributes");
    assert_refused(&attributes, &hotfix(&attributes, &[]), &["changes 21 lines"]);
    let renamed = scratch("");
    renamed.git(&["mv", "app.txt", "moved.txt"]);
    renamed.commit("moved");
    assert_refused(&renamed, &hotfix(&renamed, &[]), &["changes 40 lines"]);
    // A replace ref that shows another commit than the one that lands.
    let replaced = scratch("");
    replace_lines(&replaced, 1);
    let small = replaced.commit("small");
    replaced.git(&["reset", "-q", "--hard", "main"]);
    replace_lines(&replaced, 10);
    let large = replaced.commit("large");
    replaced.git(&["replace", &large, &small]);
    assert_eq!(replaced.git(&["diff", "--numstat", "main", "HEAD"]), "1\t1\tapp.txt", "git is taken in");
    assert_refused(&replaced, &hotfix(&replaced, &[]), &["changes 20 lines"]);
}

#[test]
fn binaries_modes_and_submodules_are_beyond_any_number_of_lines() {
    let scratch = scratch("");
    scratch.write("logo.png", b"\x89PNG\0\n");
    scratch.commit("binary");
    scratch.git(&["update-index", "--chmod=+x", "app.txt"]);
    let somewhere = scratch.git(&["rev-parse", "HEAD"]);
    scratch.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{somewhere},lib")]);
    scratch.git(&["commit", "-q", "-m", "mode and submodule"]);
    let ran = hotfix(&scratch, &[]);
    assert_refused(&scratch, &ran, &["logo.png is binary", "app.txt changes its mode", "lib is a submodule"]);
}

#[test]
fn it_lands_on_a_branch_that_went_on_and_not_into_a_conflict() {
    let scratch = scratch("");
    replace_lines(&scratch, 1);
    scratch.commit("fix");
    scratch.git(&["switch", "-q", "main"]);
    scratch.write("other.txt", "meanwhile\n");
    scratch.commit("meanwhile");
    let ran = hotfix(&scratch, &["hotfix/login"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    // The checkout of main followed.
    assert_eq!(scratch.git(&["status", "--porcelain"]), "");
    assert!(scratch.read("app.txt").starts_with("fixed 0\n") && scratch.read("other.txt") == "meanwhile\n");
    assert_eq!(scratch.git(&["log", "-1", "--format=%an", "main"]), "git-orchestrate");
    let other = self::scratch("");
    replace_lines(&other, 1);
    other.commit("fix");
    other.git(&["switch", "-q", "main"]);
    other.write("app.txt", other.read("app.txt").replace("line 1\n", "theirs\n"));
    other.commit("theirs");
    assert_refused(&other, &hotfix(&other, &["hotfix/login"]), &["conflicts in app.txt"]);
}

#[test]
fn an_edit_in_the_way_is_told_before_anything_moves() {
    let scratch = scratch("");
    replace_lines(&scratch, 1);
    scratch.commit("fix");
    scratch.git(&["switch", "-q", "main"]);
    scratch.write("app.txt", "my own edit\n");
    let before = scratch.git(&["rev-parse", "main"]);
    for more in [&["hotfix/login"][..], &["hotfix/login", "--dry-run"]] {
        let ran = hotfix(&scratch, more);
        assert_eq!((ran.code, ran.stderr.contains("nothing was moved")), (1, true), "{ran:?}");
    }
    assert_eq!(scratch.git(&["rev-parse", "main"]), before);
    assert_eq!(scratch.read("app.txt"), "my own edit\n");
    assert_eq!(scratch.git(&["for-each-ref", "refs/orchestrate/"]), "");
    scratch.git(&["stash", "-q"]);
    assert_eq!(hotfix(&scratch, &["hotfix/login"]).code, 0);
}

#[test]
fn checks_run_on_what_would_land_and_skipping_them_is_recorded() {
    // Passes on either side, and fails on the merge of the two.
    let policy = "[checks]\nsane = [\"sh\", \"-c\", \"! { grep -q fixed app.txt && test -e other.txt; }\"]\n";
    let scratch = scratch(policy);
    replace_lines(&scratch, 1);
    scratch.commit("fix");
    let dry = hotfix(&scratch, &["--dry-run"]);
    assert!(dry.code == 0 && dry.stdout.contains("after 1 check(s)"), "{dry:?}");
    scratch.git(&["switch", "-q", "main"]);
    scratch.write("other.txt", "meanwhile\n");
    scratch.commit("meanwhile");
    let failed = hotfix(&scratch, &["hotfix/login"]);
    assert_refused(&scratch, &failed, &["check `sane` failed on the merge tree"]);
    let skipped = hotfix(&scratch, &["hotfix/login", "--skip-checks", "--json"]);
    assert_eq!(skipped.code, 0, "{skipped:?}");
    assert_eq!(json(&skipped.stdout)["hotfix"]["skipped"], json("[\"sane\"]"));
    assert!(scratch.git(&["log", "-1", "--format=%B", "main"]).contains("Skipped-checks: sane"));
    scratch.git(&["rm", "-q", "other.txt"]);
    scratch.commit("without it");
    scratch.git(&["switch", "-q", "-c", "hotfix/second"]);
    scratch.write("second.txt", "2\n");
    scratch.commit("second");
    let passed = hotfix(&scratch, &["--json"]);
    assert_eq!(passed.code, 0, "{passed:?}");
    let run = &json(&passed.stdout)["hotfix"]["checks"][0];
    assert_eq!((&run["name"], &run["passed"]), (&json("\"sane\""), &json("true")));
    assert_eq!(run["tree"].as_str().unwrap(), scratch.git(&["rev-parse", "main^{tree}"]));
    assert_eq!(std::fs::read_dir(scratch.root().join(".worktrees")).map_or(0, Iterator::count), 0);
    let required = self::scratch("[gates]\nchecks = \"required\"\n");
    replace_lines(&required, 1);
    required.commit("fix");
    assert_refused(&required, &hotfix(&required, &[]), &["requires checks and none is configured"]);
}

/// A project whose story 1.1 waits for a person's review: its branch adds `story.txt` with two lines in two commits.
fn with_story() -> Project {
    let script = "[[step]]\nphase = \"implementation\"\ndo = [\
        { write = { path = \"story.txt\", text = \"one\\n\" } }, { commit = \"first half\" }, \
        { write = { path = \"other.txt\", text = \"two\\n\" } }, { commit = \"second half\" }]\n";
    let project = Project::new(script, "[review]\nby = \"human\"\n");
    project.story("1.1", "First", "None").commit();
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 5, "{ran:?}");
    project
}

#[test]
fn a_story_in_disguise_is_refused_in_every_dress() {
    let project = with_story();
    let scratch = &project.scratch;
    let story = "story/1.1-first";
    let try_as = |dress: &[&[&str]], reasons: &[&str]| {
        scratch.git(&["switch", "-q", "-C", "hotfix/x", "main"]);
        for args in dress {
            scratch.git(args);
        }
        let ran = hotfix(scratch, &["hotfix/x"]);
        assert_refused(scratch, &ran, reasons);
    };
    // By ancestry, whole and in part, and under its own name.
    try_as(&[&["reset", "-q", "--hard", story]], &["belongs to story 1.1", "not by a person", "not by a person"]);
    try_as(&[&["reset", "-q", "--hard", "story/1.1-first~1"]], &["belongs to story 1.1", "not by a person"]);
    let ran = hotfix(scratch, &[story]);
    assert_refused(scratch, &ran, &["is the branch of story 1.1", "not by a person", "not by a person"]);
    // By content: squashed, one commit copied, one file taken, each as a person's own commit.
    let own = ["commit", "-q", "--author=Ada <ada@example.org>", "-m", "mine"];
    let same = "is the one of story 1.1";
    try_as(&[&["merge", "-q", "--squash", story], &own], &[same]);
    try_as(&[&["cherry-pick", "-n", "story/1.1-first~1"], &own], &[same]);
    try_as(&[&["checkout", story, "--", "other.txt"], &own], &[same]);
    // Copied with its author; and named by a trailer.
    try_as(&[&["cherry-pick", story]], &[same, "not by a person"]);
    scratch.git(&["switch", "-q", "-C", "hotfix/x", "main"]);
    scratch.write("mine.txt", "mine\n");
    scratch.commit("mine\n\nSTORY: 1.1");
    assert_refused(scratch, &hotfix(scratch, &[]), &["names story 1.1 in a `Story:` trailer"]);
    // A person's own change of the same kind passes.
    scratch.git(&["switch", "-q", "-C", "hotfix/x", "main"]);
    scratch.write("story.txt", "another\n");
    scratch.commit("Story of my life: not a trailer\n\nStory: told\n\nbut not at the end");
    let ran = hotfix(scratch, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_story_branch_that_nothing_is_recorded_of_is_no_hotfix_either() {
    let scratch = scratch("");
    replace_lines(&scratch, 1);
    scratch.commit("fix");
    scratch.git(&["branch", "story/9.9-x"]);
    assert_refused(&scratch, &hotfix(&scratch, &[]), &["belongs to story story/9.9-x"]);
}

#[test]
fn an_agent_lands_and_closes_nothing() {
    let scratch = scratch("");
    replace_lines(&scratch, 1);
    scratch.commit("fix");
    let as_agent = |args: &[&str]| {
        let mut command = scratch.orchestrate_command();
        crate::support::run(command.arg("hotfix").args(args).env("ORCHESTRATE_ATTEMPT", "a-1"))
    };
    assert_refused(&scratch, &as_agent(&SAID), &["belongs to an agent's attempt (a-1)"]);
    assert_eq!(hotfix(&scratch, &[]).code, 0);
    let list = json(&scratch.orchestrate(&["hotfix", "--list", "--json"]).stdout);
    let id = list["hotfixes"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(as_agent(&["--resolve", &id, "-m", "done"]).code, 3);
    assert!(scratch.orchestrate(&["status"]).stdout.contains(&id));
}

/// Lands a hotfix with `main` checked out, and takes the last `records` of its chain away, as if they had never been written.
fn interrupted(records: usize) -> (Scratch, String) {
    let scratch = scratch("");
    replace_lines(&scratch, 1);
    scratch.commit("fix");
    scratch.git(&["switch", "-q", "main"]);
    let base = scratch.git(&["rev-parse", "main"]);
    assert_eq!(hotfix(&scratch, &["hotfix/login"]).code, 0);
    let chain = "refs/orchestrate/certified/main";
    scratch.git(&["update-ref", chain, &format!("{chain}~{records}")]);
    (scratch, base)
}

#[test]
fn a_checkout_that_did_not_follow_is_brought_along_by_the_next_command() {
    let (scratch, base) = interrupted(1);
    scratch.git(&["read-tree", "--reset", "-u", &base]);
    assert_ne!(scratch.git(&["status", "--porcelain"]), "");
    let ran = scratch.orchestrate(&["resume"]);
    assert!(ran.stderr.contains("its landing was interrupted"), "{ran:?}");
    assert_eq!(scratch.git(&["status", "--porcelain"]), "");
    // Once: what is done to the checkout afterwards is the person's.
    scratch.git(&["read-tree", "--reset", "-u", &base]);
    let edited = scratch.git(&["status", "--porcelain"]);
    assert!(!scratch.orchestrate(&["resume"]).stderr.contains("interrupted"));
    assert_eq!(scratch.git(&["status", "--porcelain"]), edited);
}

#[test]
fn a_move_whose_record_was_lost_is_recorded_by_the_next_command() {
    let (scratch, base) = interrupted(2);
    assert!(!diary(&scratch).contains("emergency hotfix"));
    scratch.git(&["read-tree", "--reset", "-u", &base]);
    assert!(scratch.orchestrate(&["land"]).stderr.contains("its landing was interrupted"));
    assert_eq!(diary(&scratch).matches("emergency hotfix").count(), 1, "{}", diary(&scratch));
    assert_eq!(scratch.git(&["status", "--porcelain"]), "");
    assert_eq!(json(&scratch.orchestrate(&["status", "--json"]).stdout)["openHotfixes"].as_array().unwrap().len(), 1);
}

#[test]
fn killed_in_its_checks_it_leaves_nothing_and_can_be_tried_again() {
    let scratch = Scratch::new();
    let at = scratch.outside().join("blocked");
    let block = format!(
        "if [ -e '{0}' ]; then exit 0; fi; echo $$ > '{0}.new'; mv '{0}.new' '{0}'; exec sleep 1000",
        at.display()
    );
    scratch.write(".orchestrate.toml", format!("[checks]\nslow = [\"sh\", \"-c\", {}]\n", toml::Value::String(block)));
    scratch.write(".gitignore", "/.worktrees\n");
    scratch.commit("policy");
    scratch.git(&["switch", "-q", "-c", "hotfix/login"]);
    scratch.write("fix.txt", "fixed\n");
    scratch.commit("fix");
    let mut child = scratch.orchestrate_command();
    let mut child = child.arg("hotfix").args(SAID).stderr(std::process::Stdio::null()).spawn().unwrap();
    until("the check", || at.exists());
    let second = hotfix(&scratch, &[]);
    assert!(second.code == 1 && second.stderr.contains("another hotfix is landing"), "{second:?}");
    let pid = std::fs::read_to_string(&at).unwrap();
    let is_alive = || std::fs::read(format!("/proc/{}/cmdline", pid.trim())).is_ok_and(|line| !line.is_empty());
    assert!(is_alive(), "there is nothing to end");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(scratch.orchestrate(&["resume"]).code, 0);
    assert!(!is_alive(), "the check is still at work");
    let ran = hotfix(&scratch, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(scratch.git(&["rev-list", "--count", "--merges", "main"]), "1");
    assert_eq!(std::fs::read_dir(scratch.root().join(".worktrees")).map_or(0, Iterator::count), 0);
    assert_eq!(scratch.git(&["worktree", "list"]).lines().count(), 1);
}

#[test]
fn a_fix_made_in_a_linked_worktree_is_the_one_that_lands() {
    let scratch = scratch("");
    scratch.git(&["switch", "-q", "main"]);
    let place = scratch.outside().join("fix");
    scratch.git(&["worktree", "add", "-q", place.to_str().unwrap(), "hotfix/login"]);
    let there = |args: &[&str]| scratch.git(&[&["-C", place.to_str().unwrap()], args].concat());
    std::fs::write(place.join("fix.txt"), "fixed\n").unwrap();
    there(&["add", "-A"]);
    there(&["commit", "-q", "-m", "fix"]);
    let mut command = scratch.orchestrate_command();
    let ran = crate::support::run(command.arg("hotfix").args(SAID).current_dir(&place));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(scratch.read("fix.txt"), "fixed\n", "the checkout of main followed");
    assert_eq!(there(&["status", "--porcelain"]), "");
}

#[test]
fn an_open_breach_comes_first() {
    use git_orchestrate::adapters::git::repo::Repo;
    use git_orchestrate::adapters::ledger::store::Store;
    use git_orchestrate::domain::branch::{BranchEvent, Breach};
    use git_orchestrate::domain::names::{BranchRef, Oid, Timestamp};
    use git_orchestrate::engine::ports::{Ledger, Record};
    let scratch = scratch("");
    replace_lines(&scratch, 1);
    scratch.commit("fix");
    let main = Oid::new(scratch.git(&["rev-parse", "main"]));
    let breach = Breach { commit: main.clone(), reason: "for the test".to_owned(), route: String::new() };
    let branch = BranchRef::new("refs/heads/main");
    let event = BranchEvent::Breached { breach };
    let mut store = Store::new(&Repo::discover(&scratch.root()).unwrap());
    store.append(&[Record::Branch { branch, event, at: Timestamp(1) }]).unwrap();
    let ran = hotfix(&scratch, &[]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stderr.contains("git orchestrate verify --acknowledge"), "{ran:?}");
    assert_eq!(scratch.git(&["rev-parse", "main"]), main.to_string());
}
