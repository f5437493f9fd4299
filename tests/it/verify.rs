//! `verify`, certified tips and breaches on real repositories: what each class of commit looks like afterwards, and that a
//! breach stops landings until a person acknowledges it.

use git_orchestrate::adapters::gate::proof::{Wanted, prove};
use git_orchestrate::adapters::gate::reader::Reader;
use git_orchestrate::adapters::git::repo::Repo;
use git_orchestrate::adapters::ledger::store::Store;
use git_orchestrate::domain::branch::BranchEvent;
use git_orchestrate::domain::event::ItemEvent;
use git_orchestrate::domain::names::{BranchRef, ItemKey, Oid, Timestamp};
use git_orchestrate::engine::ports::{Ledger, Record};
use serde_json::Value;
use std::cell::Cell;
use std::rc::Rc;

use crate::project::Project;
use crate::support::Ran;

/// Git without hooks: what a process does that does not want to be seen.
const BLIND: [&str; 2] = ["-c", "core.hooksPath=/dev/null"];

/// A person reviews.
const HUMAN: &str = "[review]\nby = \"human\"\n";

/// One story that waits for a person's review.
fn waiting(policy: &str) -> Project {
    let project = Project::new("", &format!("{HUMAN}{policy}"));
    project.story("1.1", "First", "None").commit();
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 5, "{}\n{}", ran.stdout, ran.stderr);
    project
}

/// One story that is approved and has not landed.
fn approved(policy: &str) -> Project {
    let project = Project::new("", policy);
    project.story("1.1", "First", "None").commit();
    let ran = project.stories(&["--no-land"]);
    assert_eq!(ran.code, 5, "{}\n{}", ran.stdout, ran.stderr);
    project
}

fn branch_of(project: &Project) -> String {
    project.scratch.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/story/"])
}

fn blind(project: &Project, args: &[&str]) -> String {
    project.scratch.git(&[&BLIND[..], args].concat())
}

fn tip(project: &Project) -> String {
    project.scratch.git(&["rev-parse", "main"])
}

/// `verify --json ARGS` of main with its exit code.
fn verify(project: &Project, args: &[&str]) -> (i32, Value) {
    let ran = project.orchestrate(&[&["verify", "--json"], args].concat());
    let value: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    (ran.code, value["branches"][0].clone())
}

fn count(proof: &Value, class: &str) -> u64 {
    proof["counts"][class].as_u64().unwrap_or_else(|| panic!("no {class} in {proof}"))
}

fn certified(project: &Project) -> String {
    let status: Value = serde_json::from_str(&project.orchestrate(&["status", "--json"]).stdout).unwrap();
    status["branches"][0]["certified"].as_str().unwrap().to_owned()
}

fn acknowledge(project: &Project) -> Ran {
    project.orchestrate(&["verify", "--acknowledge", "-m", "looked at it"])
}

/// Landings stop, and go on after the acknowledgement.
fn stops_landings(project: &Project) -> String {
    let before = tip(project);
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 3, "{}\n{}", ran.stdout, ran.stderr);
    for command in [&["land"][..], &["resume"]] {
        assert_eq!(project.orchestrate(command).code, 3, "{command:?}");
    }
    assert_eq!(tip(project), before);
    assert_eq!(verify(project, &[]).0, 3);
    ran.stderr
}

#[test]
fn every_class_of_commit_has_its_line() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").commit();
    assert_eq!(project.stories(&[]).code, 0);
    project.scratch.write("own.txt", "mine\n");
    project.scratch.commit("my own");
    let (code, proof) = verify(&project, &[]);
    assert_eq!(code, 0, "{proof}");
    // The author's commit and the merge; the write-back; the commit above; two commits before the first run.
    let counts = ["landed", "writtenBack", "own", "beforeAdoption"].map(|class| count(&proof, class));
    assert_eq!(counts, [2, 1, 1, 2], "{proof}");
    let text = project.orchestrate(&["verify", "-v"]).stdout;
    assert!(text.contains("every commit came by a way that the gate knows"), "{text}");
    assert!(text.contains(&format!("{} written back 1.1", project.scratch.git(&["rev-parse", "main~1"]))), "{text}");
}

/// Class and story of each commit, in the order of their ids.
fn classes(proof: &Value) -> Vec<String> {
    let mut classes: Vec<String> = proof["commits"].as_array().unwrap().iter().map(Value::to_string).collect();
    classes.sort();
    classes
}

/// The everyday proof and the full one say the same of the same commits; returns how many the first one believes.
fn told_alike(project: &Project) -> u64 {
    let (code, everyday) = verify(project, &["--commits"]);
    let (full_code, full) = verify(project, &["--commits", "--full"]);
    assert_eq!((code, classes(&everyday)), (full_code, classes(&full)));
    assert_eq!((&everyday["counts"], &full["byRecord"]), (&full["counts"], &Value::from(0)), "{full}");
    everyday["byRecord"].as_u64().unwrap()
}

/// Writes into the record of main, as a process that may write the ledger's refs can.
fn certify(project: &Project, tip: &str) {
    let mut store = Store::new(&Repo::discover(&project.scratch.root()).unwrap());
    let event = BranchEvent::Certified { tip: Oid::new(tip) };
    let branch = BranchRef::new("refs/heads/main");
    store.append(&[Record::Branch { branch, event, at: Timestamp(1) }]).unwrap();
}

#[test]
fn what_is_certified_is_told_as_the_full_proof_tells_it() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").story("1.2", "Second", "1.1").commit();
    assert_eq!(project.stories(&[]).code, 0);
    assert_eq!(told_alike(&project), 6, "two authors' commits, two merges, two write-backs");
    // Not certified yet: judged.
    project.scratch.write("own.txt", "mine\n");
    project.scratch.commit("my own");
    assert_eq!(told_alike(&project), 6);
    assert_eq!(project.orchestrate(&["land"]).code, 0);
    assert_eq!(certified(&project), tip(&project));
    assert_eq!(told_alike(&project), 7, "a person's own commit among them");
    let text = project.orchestrate(&["verify"]).stdout;
    assert!(text.contains("of these by record") && text.contains("verify --full"), "{text}");
}

#[test]
fn what_landed_and_is_certified_costs_no_look_into_the_records_of_stories() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").story("1.2", "Second", "None").commit();
    assert_eq!(project.stories(&[]).code, 0);
    let decoded = |wanted: &Wanted, commits: usize| {
        let looked_at = Rc::new(Cell::new(0));
        let counted = looked_at.clone();
        let reader = Reader::of(&Repo::discover(&project.scratch.root()).unwrap());
        let reader = reader.telling(move |count| counted.set(counted.get() + count));
        let proof = prove(&reader, &BranchRef::new("refs/heads/main"), wanted).unwrap().unwrap();
        assert_eq!(proof.proven.len(), commits);
        assert_eq!(looked_at.get(), commits as u64, "who waits is told of each commit once");
        reader.records_decoded()
    };
    assert_eq!(decoded(&Wanted::default(), 6), 1, "the branch's");
    assert!(decoded(&Wanted { full: true, ..Wanted::default() }, 6) > 2);
    project.scratch.write("own.txt", "mine\n");
    project.scratch.commit("my own");
    assert!(decoded(&Wanted::default(), 7) > 2, "not certified: judged by the records");
    assert_eq!(project.orchestrate(&["land"]).code, 0);
    assert_eq!(decoded(&Wanted::default(), 7), 1);
}

#[test]
fn a_landing_that_was_lost_before_it_was_certified_is_missed() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").commit();
    let before = tip(&project);
    assert_eq!(project.stories(&[]).code, 0);
    // As after a kill between the landing and its certification.
    certify(&project, &before);
    blind(&project, &["reset", "-q", "--hard", &before]);
    for args in [&[][..], &["--full"]] {
        let (code, proof) = verify(&project, args);
        assert_eq!(code, 3, "{args:?} {proof}");
        assert!(proof["breaches"][0]["reason"].as_str().unwrap().contains("takes back story 1.1"), "{proof}");
    }
}

#[test]
fn a_forged_certificate_is_believed_every_day_and_found_out_by_the_full_proof() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").commit();
    assert_eq!(project.stories(&[]).code, 0);
    project.scratch.write("smuggled.txt", "x\n");
    project.scratch.git(&["add", "-A"]);
    blind(&project, &["commit", "-q", "--amend", "--no-edit"]);
    let forged = tip(&project);
    assert_eq!(verify(&project, &[]).0, 3, "its certified tip is gone");
    certify(&project, &forged);
    assert_eq!(verify(&project, &[]).0, 0, "the help says so");
    for args in [&["--full"][..], &["main"]] {
        let (code, proof) = verify(&project, args);
        assert_eq!((code, proof["breaches"][0]["commit"].as_str()), (3, Some(forged.as_str())), "{args:?} {proof}");
    }
}

#[test]
fn a_range_or_a_commit_is_proven_alone() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").commit();
    assert_eq!(project.stories(&[]).code, 0);
    let (_, one) = verify(&project, &["main"]);
    assert_eq!((count(&one, "landed"), count(&one, "writtenBack"), count(&one, "beforeAdoption")), (0, 1, 0), "{one}");
    let (_, range) = verify(&project, &["main~3..main~1"]);
    assert_eq!((count(&range, "landed"), count(&range, "writtenBack")), (2, 0), "{range}");
    assert_eq!(count(&range, "beforeAdoption"), 1, "{range}");
    project.scratch.git(&["switch", "-q", "-c", "side"]);
    project.scratch.commit("aside");
    let ran = project.orchestrate(&["verify", "side"]);
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("is not on main"), "{}", ran.stderr);
}

#[test]
fn where_nothing_is_watched_nothing_is_proven() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").commit();
    let ran = project.orchestrate(&["verify"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("no branch is watched yet"), "{}", ran.stderr);
}

#[test]
fn a_run_certifies_what_it_landed_in_one_event() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").story("1.2", "Second", "1.1").commit();
    assert_eq!(project.stories(&[]).code, 0);
    assert_eq!(certified(&project), tip(&project));
    let chain = "refs/orchestrate/certified/main";
    assert_eq!(project.scratch.git(&["rev-list", "--count", chain]), "2", "adopted and certified");
    assert_eq!(project.stories(&[]).code, 0);
    assert_eq!(project.scratch.git(&["rev-list", "--count", chain]), "2", "nothing moved");
}

#[test]
fn an_unreviewed_merge_past_the_hooks_stops_landings_until_it_is_acknowledged() {
    let project = waiting("");
    let branch = branch_of(&project);
    blind(&project, &["merge", "-q", "--no-ff", "-m", "sneak it in", &branch]);
    let merge = tip(&project);
    let said = stops_landings(&project);
    for part in ["sneak it in", "nobody reviewed it", "git merge (reflog: merge", "git reset --keep", "--acknowledge"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (_, proof) = verify(&project, &[]);
    assert_eq!(proof["breaches"][0]["commit"], merge.as_str(), "{proof}");
    assert_eq!(proof["breaches"][0]["recorded"], true, "{proof}");
    let status = project.orchestrate(&["status"]);
    assert!(status.stdout.contains("nothing lands on main"), "{}", status.stdout);
    let plan = project.orchestrate(&["plan"]);
    assert!(plan.code == 0 && plan.stderr.contains("nothing lands on main"), "{plan:?}");
    assert_eq!(acknowledge(&project).code, 0);
    let (code, proof) = verify(&project, &[]);
    assert_eq!((code, count(&proof, "acknowledged")), (0, 2), "{proof}");
    assert_eq!(told_alike(&project), 2);
    assert_ne!(project.stories(&[]).code, 3);
}

#[test]
fn the_offered_way_back_leads_to_a_reviewed_landing() {
    let project = waiting("");
    blind(&project, &["merge", "-q", "--ff-only", &branch_of(&project)]);
    stops_landings(&project);
    let (_, proof) = verify(&project, &[]);
    let undo = proof["breaches"][0]["undo"].as_str().unwrap();
    let command = undo.split_once("git ").unwrap().1;
    project.scratch.git(&command.split(' ').collect::<Vec<_>>());
    assert_eq!(verify(&project, &[]).0, 3, "a breach that was undone still wants a word");
    assert_eq!(acknowledge(&project).code, 0);
    let ran = project.as_person("bob@example.org", &["review", "1.1", "--approve", "-m", "fine"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = project.orchestrate(&["land", "1.1"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(verify(&project, &[]).0, 0);
    project.assert_tidy();
}

#[test]
fn an_agent_acknowledges_nothing() {
    let project = waiting("");
    blind(&project, &["merge", "-q", "--ff-only", &branch_of(&project)]);
    stops_landings(&project);
    let mut command = project.scratch.orchestrate_command();
    command.args(["verify", "--acknowledge", "-m", "all is well"]).env("ORCHESTRATE_ATTEMPT", "a-1");
    let ran = crate::support::run(&mut command);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert_eq!(verify(&project, &[]).0, 3);
}

#[test]
fn a_ref_file_that_is_written_directly_is_found_and_named_so() {
    let project = waiting("");
    let tip = project.scratch.git(&["rev-parse", &branch_of(&project)]);
    project.scratch.write(".git/refs/heads/main", format!("{tip}\n"));
    project.scratch.git(&["reset", "-q", "--hard"]);
    let said = stops_landings(&project);
    assert!(said.contains("written without git"), "{said}");
}

#[test]
fn a_squash_of_an_unreviewed_story_is_found_by_its_content() {
    let project = waiting("");
    project.scratch.git(&["merge", "-q", "--squash", &branch_of(&project)]);
    blind(&project, &["commit", "-q", "-m", "quite another thing"]);
    let said = stops_landings(&project);
    assert!(said.contains("quite another thing") && said.contains("story 1.1"), "{said}");
}

#[test]
fn a_picked_commit_is_found_by_its_content_and_by_its_trailer() {
    for keep in [true, false] {
        let project = waiting("");
        let branch = branch_of(&project);
        // The file that tells a copy from a fast-forward.
        project.scratch.write("between.txt", "own\n");
        project.scratch.commit("own");
        blind(&project, &["cherry-pick", &branch]);
        let message = if keep { "edited\n\nStory: 1.1" } else { "edited" };
        // With the trailer, another content: only the trailer tells.
        if keep {
            project.scratch.write("between.txt", "more\n");
            project.scratch.git(&["add", "-A"]);
        }
        blind(&project, &["commit", "-q", "--amend", "-m", message]);
        let said = stops_landings(&project);
        assert!(said.contains("edited") && said.contains("story 1.1"), "{said}");
    }
}

#[test]
fn a_copy_is_refused_before_it_is_pushed() {
    let project = waiting("");
    assert_eq!(project.orchestrate(&["init", "--yes"]).code, 0);
    let server = project.scratch.outside().join("server.git");
    project.scratch.git(&["init", "-q", "--bare", server.to_str().unwrap()]);
    project.scratch.git(&["remote", "add", "origin", server.to_str().unwrap()]);
    project.scratch.git(&["push", "-q", "origin", "main"]);
    blind(&project, &["merge", "-q", "--squash", &branch_of(&project)]);
    blind(&project, &["commit", "-q", "-m", "quite another thing"]);
    let ran = project.scratch.try_git(&["push", "-q", "origin", "main"]);
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("refused: refs/heads/main"), "{}", ran.stderr);
}

#[test]
fn people_s_own_commits_are_no_breach_and_get_certified() {
    let project = waiting("");
    project.scratch.write("own.txt", "mine\n");
    project.scratch.commit("my own");
    project.scratch.git(&["switch", "-q", "-c", "topic"]);
    project.scratch.write("topic.txt", "topic\n");
    project.scratch.commit("on a branch of mine");
    project.scratch.git(&["switch", "-q", "main"]);
    project.scratch.git(&["merge", "-q", "--no-ff", "-m", "my merge", "topic"]);
    let text = project.orchestrate(&["status"]).stdout;
    assert!(text.contains("3 commit(s) that were not looked at yet"), "{text}");
    assert_eq!(project.stories(&[]).code, 5);
    assert_eq!(certified(&project), tip(&project));
    let (code, proof) = verify(&project, &[]);
    assert_eq!((code, count(&proof, "own")), (0, 3), "{proof}");
    assert_eq!(told_alike(&project), 3);
}

#[test]
fn in_mode_all_nobody_s_own_commits_pass() {
    let project = waiting("[protect]\nmode = \"all\"\n");
    project.scratch.write("own.txt", "mine\n");
    project.scratch.commit("my own");
    let said = stops_landings(&project);
    assert!(said.contains("takes only reviewed stories and hotfixes"), "{said}");
}

#[test]
fn a_stricter_policy_makes_no_breach_of_what_came_before_it() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").commit();
    assert_eq!(project.stories(&[]).code, 0);
    project.scratch.write("own.txt", "mine\n");
    project.scratch.commit("my own");
    let text = project.scratch.read(".orchestrate.toml");
    project.scratch.write(".orchestrate.toml", format!("{text}\n[protect]\nmode = \"all\"\n"));
    project.scratch.commit("from now on everything");
    let (code, proof) = verify(&project, &[]);
    assert_eq!((code, count(&proof, "own"), count(&proof, "landed")), (0, 2, 2), "{proof}");
    // The commit that takes the strictness away again had to meet it.
    project.scratch.write(".orchestrate.toml", text);
    let last = project.scratch.commit("let me");
    let (code, proof) = verify(&project, &[]);
    assert_eq!((code, proof["breaches"][0]["commit"].as_str()), (3, Some(last.as_str())), "{proof}");
}

#[test]
fn an_approved_story_that_a_person_merges_is_recorded_by_the_next_command() {
    let project = approved("");
    assert_eq!(project.orchestrate(&["init", "--yes"]).code, 0);
    let branch = branch_of(&project);
    project.scratch.git(&["merge", "-q", "--no-ff", "-m", "by hand", &branch]);
    let merge = tip(&project);
    let (code, proof) = verify(&project, &[]);
    assert_eq!((code, count(&proof, "covered")), (0, 2), "{proof}");
    assert_eq!(project.status_of("1.1"), "Approved", "verify changes nothing");
    let ran = project.orchestrate(&["land"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("story 1.1: merged by hand"), "{}", ran.stderr);
    assert_eq!(project.status_of("1.1"), "Landed");
    assert_eq!(project.scratch.git(&["rev-parse", "main~1"]), merge, "the write-back is on top");
    assert!(project.scratch.read("docs/stories/1.1.first.md").contains("**Status:** Done"));
    let (code, proof) = verify(&project, &[]);
    assert_eq!((code, count(&proof, "landed"), count(&proof, "writtenBack")), (0, 2, 1), "{proof}");
    assert_eq!(certified(&project), tip(&project));
    assert_eq!(told_alike(&project), 3);
    project.assert_tidy();
}

#[test]
fn whoever_approved_a_story_may_merge_it_by_hand() {
    let project = waiting("");
    let ran = project.as_person("bob@example.org", &["review", "1.1", "--approve", "-m", "fine"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(project.stories(&["--no-land"]).code, 5);
    assert_eq!(project.orchestrate(&["init", "--yes"]).code, 0);
    let mut merge = project.scratch.command("git");
    merge.args(["merge", "-q", "--no-ff", "-m", "by hand", &branch_of(&project)]);
    let ran = crate::support::run(merge.env("GIT_AUTHOR_EMAIL", "bob@example.org"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(project.stories(&[]).code, 0);
    assert_eq!((project.status_of("1.1").as_str(), verify(&project, &[]).0), ("Landed", 0));
}

#[test]
fn a_fast_forward_of_an_approved_story_is_a_landing_of_all_its_commits() {
    let script = "[[step]]\nphase = \"implementation\"\ndo = [{ write = { path = \"a.txt\", text = \"a\" } }, { commit = \"a\" }, \
                  { write = { path = \"b.txt\", text = \"b\" } }, { commit = \"b\" }]\n";
    let project = Project::new(script, "[stories]\nwrite_back = false\n");
    project.story("1.1", "First", "None").commit();
    assert_eq!(project.stories(&["--no-land"]).code, 5);
    assert_eq!(project.orchestrate(&["init", "--yes"]).code, 0);
    project.scratch.git(&["merge", "-q", "--ff-only", &branch_of(&project)]);
    let merged = tip(&project);
    project.scratch.write("own.txt", "mine\n");
    project.scratch.commit("my own");
    assert_eq!(project.stories(&[]).code, 0);
    assert_eq!(project.status_of("1.1"), "Landed");
    assert_eq!(project.scratch.git(&["rev-parse", "main~1"]), merged, "nothing was written back");
    let (code, proof) = verify(&project, &[]);
    assert_eq!((code, count(&proof, "landed"), count(&proof, "own")), (0, 2, 1), "{proof}");
    assert_eq!(told_alike(&project), 3);
}

#[test]
fn a_story_that_was_stopped_after_its_approval_is_recorded_too() {
    let project = approved("");
    let mut store = Store::new(&Repo::discover(&project.scratch.root()).unwrap());
    let key = ItemKey::new("1.1");
    let attempt = store.item(&key).unwrap().unwrap().attempt.unwrap().id;
    let event = ItemEvent::Stopped { attempt, reason: "enough for today".to_owned() };
    store.append(&[Record::Item { key, event, at: Timestamp(1), artefacts: Vec::new() }]).unwrap();
    assert_eq!(project.status_of("1.1"), "Stopped");
    blind(&project, &["merge", "-q", "--no-ff", "-m", "by hand", &branch_of(&project)]);
    let ran = project.orchestrate(&["land"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(project.status_of("1.1"), "Landed");
    assert_eq!(verify(&project, &[]).0, 0);
}

#[test]
fn a_checkout_that_cannot_follow_keeps_its_file_and_the_landing_is_recorded() {
    let project = approved("");
    blind(&project, &["merge", "-q", "--no-ff", "-m", "by hand", &branch_of(&project)]);
    let merge = tip(&project);
    let text = project.scratch.read("docs/stories/1.1.first.md");
    project.scratch.write("docs/stories/1.1.first.md", format!("{text}\nmore\n"));
    let ran = project.orchestrate(&["retry", "1.1", "--reopen"]);
    assert!(ran.stderr.contains("is not marked as done"), "{}", ran.stderr);
    assert_eq!(tip(&project), merge);
    assert!(project.scratch.read("docs/stories/1.1.first.md").ends_with("more\n"));
    // The retry began another round: the landing of the first stays proven.
    let (code, proof) = verify(&project, &[]);
    assert_eq!((code, count(&proof, "landed")), (0, 2), "{proof}");
}

#[test]
fn a_merge_by_hand_that_adds_something_is_a_breach() {
    let project = approved("");
    blind(&project, &["merge", "-q", "--no-ff", "--no-commit", &branch_of(&project)]);
    project.scratch.write("smuggled.txt", "x\n");
    project.scratch.git(&["add", "-A"]);
    blind(&project, &["commit", "-q", "-m", "by hand"]);
    let said = stops_landings(&project);
    assert!(said.contains("the merge result is not the one that was reviewed"), "{said}");
    assert_ne!(project.status_of("1.1"), "Landed");
}

#[test]
fn taking_back_one_s_own_commit_is_fine_and_taking_back_a_landing_is_a_breach() {
    let project = Project::new("", "");
    project.story("1.1", "First", "None").commit();
    assert_eq!(project.stories(&[]).code, 0);
    let landed = tip(&project);
    project.scratch.write("own.txt", "mine\n");
    project.scratch.commit("my own");
    assert_eq!(project.orchestrate(&["land"]).code, 0);
    assert_eq!(certified(&project), tip(&project));
    blind(&project, &["reset", "-q", "--hard", &landed]);
    assert_eq!(told_alike(&project), 0, "the certified tip is gone, so that nothing is believed");
    assert_eq!(project.orchestrate(&["land"]).code, 0);
    assert_eq!(certified(&project), landed);
    blind(&project, &["reset", "-q", "--hard", "HEAD~2"]);
    let (code, proof) = verify(&project, &[]);
    assert_eq!((code, proof["breaches"][0]["recorded"].as_bool()), (3, Some(false)), "{proof}");
    let said = stops_landings(&project);
    assert!(said.contains("it takes back story 1.1, which has landed") && said.contains("git reset"), "{said}");
    let (_, proof) = verify(&project, &[]);
    let undo = proof["breaches"][0]["undo"].as_str().unwrap().to_owned();
    assert_eq!(acknowledge(&project).code, 0);
    assert_eq!(verify(&project, &[]).0, 0, "acknowledged");
    assert_eq!(project.orchestrate(&["land"]).code, 0);
    // What was offered brings it back.
    let command = undo.split_once("git ").unwrap().1;
    project.scratch.git(&command.split(' ').collect::<Vec<_>>());
    assert_eq!(project.scratch.read("1.1.txt"), "1.1 implementation 1\n");
    assert_eq!(project.orchestrate(&["land"]).code, 0);
    assert_eq!(verify(&project, &[]).0, 0);
}

#[test]
fn a_landing_looks_at_its_base_first() {
    let policy = "[checks]\ntest = [\"true\"]\n";
    let script = "[[step]]\nitem = \"1.2\"\nphase = \"review\"\ndo = [{ run = [\"git\", \"-C\", \"ROOT\", \"-c\", \
                  \"core.hooksPath=/dev/null\", \"merge\", \"-q\", \"--no-ff\", \"-m\", \"sneak\", \"story/1.1-first\"] }, \"approve\"]\n";
    let project = waiting(policy);
    project.script(&script.replace("ROOT", project.scratch.root().to_str().unwrap()));
    project
        .scratch
        .write(".orchestrate.toml", project.scratch.read(".orchestrate.toml").replace("\"human\"", "\"agent\""));
    project.story("1.2", "Second", "None").commit();
    let ran = project.stories(&["1.2"]);
    assert_eq!(ran.code, 3, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(project.merges_of("1.2"), 0);
    assert!(ran.stdout.contains("breach: main has 2 commit(s) that no landing brought"), "{}", ran.stdout);
}

#[test]
fn the_way_of_a_newcomer_ends_with_the_same_content_on_main() {
    let project = waiting("");
    assert_eq!(project.orchestrate(&["init", "--yes"]).code, 0);
    let branch = branch_of(&project);
    project.scratch.git(&["checkout", "-q", "main"]);
    let before = tip(&project);
    let ran = project.scratch.try_git(&["merge", "-q", "--no-verify", &branch]);
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("nobody reviewed it"), "{}", ran.stderr);
    let undo = ran.stderr.lines().find_map(|line| line.split_once("to undo:")).unwrap().1.trim();
    project.scratch.git(&undo.strip_prefix("git ").unwrap().split(' ').collect::<Vec<_>>());
    assert_eq!((tip(&project), project.scratch.git(&["status", "--porcelain"])), (before, String::new()));
    let shown = project.orchestrate(&["show", "1.1"]).stdout;
    assert!(shown.contains("nobody reviewed it"), "{shown}");
    let content = project.scratch.git(&["rev-parse", &format!("{branch}:1.1.txt")]);
    let ran = project.as_person("bob@example.org", &["review", "1.1", "--approve", "-m", "fine"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = project.orchestrate(&["land", "1.1"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(project.scratch.git(&["rev-parse", "main:1.1.txt"]), content);
    let (code, proof) = verify(&project, &[]);
    assert_eq!((code, count(&proof, "landed"), count(&proof, "writtenBack")), (0, 2, 1), "{proof}");
}

#[test]
fn show_says_what_the_gate_says() {
    let project = approved("");
    let value: Value = serde_json::from_str(&project.orchestrate(&["show", "1.1", "--json"]).stdout).unwrap();
    assert_eq!(value["gate"]["covered"], true, "{value}");
    project.scratch.git(&["switch", "-q", &branch_of(&project), "--ignore-other-worktrees"]);
    project.scratch.write("late.txt", "late\n");
    project.scratch.commit("after the review");
    project.scratch.git(&["switch", "-q", "main"]);
    // A merge of two that went apart has a tree that nobody has made yet.
    project.scratch.write("own.txt", "mine\n");
    project.scratch.commit("my own");
    let made = project.scratch.git(&["count-objects"]);
    let text = project.orchestrate(&["show", "1.1"]).stdout;
    assert!(text.contains("- the story branch has a commit that the review did not see"), "{text}");
    assert_eq!(project.scratch.git(&["count-objects"]), made, "the merge stays in memory");
}
