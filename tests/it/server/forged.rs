//! Records that were made up. A server folds events and judges evidence; it believes neither a snapshot nor the word landed.
//! (Whoever can make up a whole review can only be stopped by required signatures.)

use git_orchestrate::adapters::ledger::codec;
use git_orchestrate::domain::branch::{BranchEvent, Breach, Hotfix};
use git_orchestrate::domain::event::{ItemEvent, Landing};
use git_orchestrate::domain::names::{BranchRef, ItemKey, Oid, Principal, Timestamp};
use git_orchestrate::domain::state::ItemState;
use git_orchestrate::engine::ports::{Ledger, Record};

use super::Hub;
use crate::support::run;

const ITEM: &str = "refs/orchestrate/items/1.1";

type Events = Vec<(ItemEvent, Timestamp)>;

/// After an honest run: what was recorded.
fn after_a_run() -> (Hub, Events) {
    let hub = Hub::new("");
    hub.run_stories();
    let history = hub.store().history(&ItemKey::new("1.1")).unwrap();
    let events = history.into_iter().map(|(_, at, event)| (event, at)).collect();
    (hub, events)
}

/// Writes a chain with these events and moves the ref there. `state` may lie about the last one's snapshot.
fn write(hub: &Hub, events: &Events, lie: impl Fn(&mut ItemState)) {
    let empty = hub.git(&["hash-object", "-t", "tree", "-w", "/dev/null"]);
    let mut state = ItemState::default();
    let mut parent: Option<String> = None;
    for (index, (event, at)) in events.iter().enumerate() {
        // An event that does not apply is written all the same, as a forger would.
        state = state.apply(event, *at).unwrap_or(state);
        if index + 1 == events.len() {
            lie(&mut state);
        }
        let message = codec::encode("1.1", event, *at, &codec::to_snapshot(&state));
        hub.project.scratch.write(".git/message", message);
        let mut args = vec!["commit-tree", &empty, "-F", ".git/message"];
        args.extend(parent.iter().flat_map(|parent| ["-p", parent.as_str()]));
        parent = Some(hub.git(&args));
    }
    hub.git(&["update-ref", ITEM, &parent.unwrap()]);
}

fn honest(_: &mut ItemState) {}

/// The author of the story approves it.
fn approve_own(events: &mut Events) {
    let author = events.iter().find_map(|(event, _)| match event {
        ItemEvent::SessionStarted { principal, .. } => Some(principal.clone()),
        _ => None,
    });
    for (event, _) in events {
        if let ItemEvent::Reviewed { review, .. } = event {
            review.reviewer = author.clone().unwrap();
        }
    }
}

fn landings(events: &mut Events) -> impl Iterator<Item = &mut Landing> {
    events.iter_mut().filter_map(|(event, _)| match event {
        ItemEvent::LandingIntended { landing, .. } | ItemEvent::Landed { landing } => Some(landing),
        _ => None,
    })
}

fn refused(hub: &Hub, why: &str) {
    hub.refused(&["--atomic", "main", ITEM], why);
    hub.refused(&["main", ITEM], why);
}

#[test]
fn the_chain_written_by_these_tests_is_taken_when_nothing_is_made_up() {
    let (hub, events) = after_a_run();
    write(&hub, &events, honest);
    hub.accepted(&["--atomic", "main", ITEM]);
}

#[test]
fn a_snapshot_that_says_more_than_its_events_is_refused() {
    let (hub, mut events) = after_a_run();
    events.truncate(2);
    write(&hub, &events, |state| state.outcome = Some(git_orchestrate::domain::state::Outcome::Landed));
    refused(&hub, "a snapshot does not follow from its events");
}

#[test]
fn events_that_do_not_fold_are_refused() {
    let (hub, mut events) = after_a_run();
    events.retain(|(event, _)| !matches!(event, ItemEvent::Reviewed { .. }));
    write(&hub, &events, honest);
    refused(&hub, "a landing needs an approval");
}

#[test]
fn an_approval_by_the_author_does_not_count_however_the_chain_ends() {
    let (hub, mut events) = after_a_run();
    approve_own(&mut events);
    write(&hub, &events, honest);
    refused(&hub, "reviewed a change of their own");
    // A new round takes the evidence out of the snapshot, not out of the chain.
    let by = Principal::Person("ada@example.org".to_owned());
    events.push((ItemEvent::RetryRequested { by, reopen: true }, Timestamp(9)));
    write(&hub, &events, honest);
    refused(&hub, "reviewed a change of their own");
    // Nor does it help to stop before the landing is recorded.
    let intended = events.iter().position(|(event, _)| matches!(event, ItemEvent::LandingIntended { .. }));
    events.truncate(intended.unwrap() + 1);
    write(&hub, &events, honest);
    refused(&hub, "reviewed a change of their own");
}

#[test]
fn a_record_does_not_cover_another_commit_than_the_reviewed_one() {
    let (hub, mut events) = after_a_run();
    let landing = landings(&mut events).next().unwrap().clone();
    // The same parents and message, with a file that nobody saw.
    hub.project.scratch.write("unseen.txt", "unseen\n");
    hub.git(&["add", "-A"]);
    let tree = hub.git(&["write-tree"]);
    let (base, head) = (landing.base.as_str(), landing.head.as_str());
    let merge = hub.git(&["commit-tree", &tree, "-p", base, "-p", head, "-m", "Merge story 1.1\n\nStory: 1.1"]);
    hub.git(&["reset", "-q", "--hard", &merge]);
    for landing in landings(&mut events) {
        landing.merge = Oid::new(merge.clone());
        landing.tip = Oid::new(merge.clone());
    }
    write(&hub, &events, honest);
    refused(&hub, "commits of story 1.1 that have no reviewed landing");
}

#[test]
fn a_write_back_changes_status_and_review_lines_only() {
    let (hub, mut events) = after_a_run();
    let path = "docs/stories/1.1.first.md";
    let text = hub.project.scratch.read(path);
    hub.project.scratch.write(path, text + "\nand a back door\n");
    hub.git(&["commit", "-q", "-a", "--amend", "--no-edit"]);
    let tip = Oid::new(hub.git(&["rev-parse", "main"]));
    landings(&mut events).for_each(|landing| landing.tip = tip.clone());
    write(&hub, &events, honest);
    refused(&hub, "changes more than its status and review lines");
}

#[test]
fn a_record_that_is_no_record_and_a_name_that_blocks_others_are_refused() {
    let (hub, events) = after_a_run();
    hub.refused(&["main:refs/orchestrate/items/9.9"], "no record");
    hub.refused(&[&format!("{ITEM}:refs/orchestrate/items/9.9/x")], "no record of git-orchestrate has such a name");
    hub.refused(&[&format!("{ITEM}:refs/orchestrate/runs/r")], "no record");
    hub.refused(&[&format!("{ITEM}:refs/orchestrate/landings/{}", "1".repeat(40))], "no record");
    hub.accepted(&["--atomic", "main", ITEM]);
    // A sibling of what is there is a rewind.
    let mut shorter = events;
    shorter.pop();
    write(&hub, &shorter, honest);
    hub.refused(&["--force", ITEM], "the records of reviews only grow");
}

#[test]
fn a_breach_that_somebody_acknowledged_elsewhere_is_still_one() {
    let hub = Hub::new("");
    hub.story_branch();
    hub.accepted(&["story/1.1-a"]);
    hub.git(&["merge", "-q", "--no-ff", "-m", "by force", "story/1.1-a"]);
    let tip = Oid::new(hub.git(&["rev-parse", "main"]));
    let breach = Breach { commit: tip.clone(), reason: "x".to_owned(), route: String::new() };
    let seen = BranchEvent::Acknowledged { tip, by: ada(), message: "fine".to_owned() };
    record(&hub, &[BranchEvent::Breached { breach }, seen]);
    hub.refused(&["--atomic", "main", CERTIFIED], "the story branch story/1.1-a");
}

#[test]
fn an_adoption_that_is_pushed_hides_nothing() {
    let hub = Hub::new("");
    hub.story_branch();
    hub.accepted(&["story/1.1-a"]);
    hub.git(&["merge", "-q", "--no-ff", "-m", "by force", "story/1.1-a"]);
    let tip = Oid::new(hub.git(&["rev-parse", "main"]));
    record(&hub, &[BranchEvent::Adopted { tip: tip.clone(), by: ada() }, BranchEvent::Certified { tip }]);
    hub.refused(&["--atomic", "main", CERTIFIED], "the story branch story/1.1-a");
    hub.accepted(&[CERTIFIED]);
    hub.refused(&["main"], "the story branch story/1.1-a");
}

const CERTIFIED: &str = "refs/orchestrate/certified/*:refs/orchestrate/certified/*";

fn ada() -> Principal {
    Principal::Person("ada@example.org".to_owned())
}

/// Writes events of main into the project's ledger.
fn record(hub: &Hub, events: &[BranchEvent]) {
    let branch = BranchRef::new("refs/heads/main");
    let record =
        |event: &BranchEvent| Record::Branch { branch: branch.clone(), event: event.clone(), at: Timestamp(1) };
    hub.store().append(&events.iter().map(record).collect::<Vec<_>>()).unwrap();
}

#[test]
fn a_hotfix_is_as_small_as_it_says() {
    let hub = Hub::new("[protect]\nmode = \"all\"\n");
    let mut count = 0;
    let mut fix = |text: &str, emergency: &str| {
        hub.git(&["reset", "-q", "--hard", "origin/main"]);
        let base = Oid::new(hub.git(&["rev-parse", "main"]));
        hub.git(&["switch", "-q", "-C", "hotfix/x"]);
        hub.project.scratch.write("fix.txt", text);
        let head = Oid::new(hub.project.scratch.commit("fix"));
        hub.git(&["switch", "-q", "main"]);
        hub.git(&["merge", "-q", "--no-ff", "-m", "hotfix", "hotfix/x"]);
        count += 1;
        let hotfix = Hotfix {
            id: format!("h{count}"),
            base,
            head,
            merge_tree: Oid::new(hub.git(&["rev-parse", "main^{tree}"])),
            tip: Oid::new(hub.git(&["rev-parse", "main"])),
            lines: 1,
            emergency: emergency.to_owned(),
            reason: "customers cannot pay".to_owned(),
            follow_up: "write a story".to_owned(),
            by: ada(),
            labels: Vec::new(),
            checks: Vec::new(),
            skipped: Vec::new(),
        };
        record(&hub, &[BranchEvent::HotfixLanded { hotfix }]);
    };
    let why = "takes only reviewed stories and hotfixes";
    fix(&"line\n".repeat(10), "production is down");
    hub.refused(&["--atomic", "main", CERTIFIED], why);
    fix("a\0b", "production is down");
    hub.refused(&["--atomic", "main", CERTIFIED], why);
    fix("line\n", " ");
    hub.refused(&["--atomic", "main", CERTIFIED], why);
    fix(&"line\n".repeat(9), "production is down");
    hub.refused(&["main"], why);
    hub.accepted(&["--atomic", "main", CERTIFIED]);
}

#[test]
fn a_replaced_object_fools_nobody() {
    let (hub, _) = after_a_run();
    hub.accepted(&["refs/orchestrate/items/*:refs/orchestrate/items/*"]);
    let honest_tip = hub.git(&["rev-parse", "main"]);
    hub.project.scratch.write("unseen.txt", "unseen\n");
    hub.git(&["add", "-A"]);
    let tree = hub.git(&["write-tree"]);
    let forged = hub.git(&["commit-tree", &tree, "-p", &format!("{honest_tip}~2"), "-m", "x\n\nStory: 1.1"]);
    hub.accepted(&[&format!("{honest_tip}:refs/heads/other"), &format!("{honest_tip}:refs/replace/{forged}")]);
    let ran = run(hub.project.scratch.command("git").args(["push", "origin", &format!("{forged}:main")]));
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains(super::DECLINED), "{}", ran.stderr);
}
