//! `verify` of 10,000 commits, some with permits and the rest from before adoption, against `git log` over the same.

use std::io::Write;
use std::process::Stdio;

use git_orchestrate::adapters::config;
use git_orchestrate::adapters::git::commit::{self, Draft};
use git_orchestrate::adapters::git::repo::Repo;
use git_orchestrate::adapters::ledger::codec;
use git_orchestrate::domain::bookkeep::{DONE, bookkeep, review_lines};
use git_orchestrate::domain::branch::BranchEvent;
use git_orchestrate::domain::event::{ItemEvent, Landing, PhaseOutcome, Review, ReviewVerdict};
use git_orchestrate::domain::names::{AttemptId, BranchRef, Oid, PolicyVersion, Principal, RunId, Timestamp};
use git_orchestrate::domain::state::{Attempt, ItemState, Outcome, SessionRecord};
use git_orchestrate::domain::workflow::Phase;
use git_orchestrate::engine::ports::{Ledger, Record};
use gix::ObjectId;
use gix::objs::tree::EntryKind;

use crate::fixture::{Scratch, id, story};
use crate::ledger::open;
use crate::meter::{self, Cost, RUNS, interleaved, program};

/// Commits in all.
const COMMITS: usize = 10_000;

/// Commits of a landing: the story's, the merge, the write-back.
const EACH: usize = 3;

/// Some time in 2026.
const AT: Timestamp = Timestamp(1_795_000_000_000);

const AGENT: &str = "agent <git-orchestrate-agent@localhost>";

pub fn measure() {
    for stories in [0, 1_000, COMMITS / EACH] {
        let scratch = Scratch::repository();
        fill(&scratch, stories);
        let verify = Box::new(|| program(&mut scratch.orchestrate(&["verify"]))) as Box<dyn FnMut() -> Cost + '_>;
        let full = Box::new(|| program(&mut scratch.orchestrate(&["verify", "--full"])));
        let log = Box::new(|| program(scratch.command("git").args(["log", "--format=%H%n%T%n%P", "main"])));
        let [ours, full, git] = interleaved(2 * RUNS + 1, [verify, full, log]);
        let (landed, before) = (stories * EACH, COMMITS - stories * EACH);
        meter::line(&format!("verify: {landed} commits with permits, {before} from before adoption"), ours);
        meter::line("  the same with --full", full);
        meter::line("  git log --format=%H%n%T%n%P", git);
        meter::ratio("  verify / git log", ours.cpu, git.cpu);
        meter::ratio("  verify --full / git log", full.cpu, git.cpu);
    }
}

/// History, records and the adoption between the two halves, all packed.
fn fill(scratch: &Scratch, stories: usize) {
    let path = |number: usize| format!("docs/stories/{}/{}.page-{number}.md", number / 100 + 1, id(number));
    for number in 0..stories {
        scratch.write(&path(number), &story(number, &[], 1_024));
    }
    scratch.write("README.md", "# Scratch\n");
    scratch.commit();
    let mut tip = Oid::new(scratch.git(&["rev-parse", "HEAD"]));
    let repo = Repo::discover(&scratch.root()).unwrap();
    let git = repo.gix();
    let write = |parents: &[ObjectId], tree: ObjectId, author: &str, message: &str| {
        commit::write_commit(&git, &Draft { tree, parents, author, message, at: AT }).unwrap()
    };
    let mut main = repo.object_id(&tip).unwrap();
    let mut tree = commit::tree_of(&git, main).unwrap();
    let edit = |tree: ObjectId, path: &str, bytes: &[u8]| {
        let mut editor = git.edit_tree(tree).unwrap();
        editor.upsert(path, EntryKind::Blob, git.write_blob(bytes).unwrap()).unwrap();
        editor.write().unwrap().detach()
    };
    for number in 0..COMMITS - stories * EACH - 1 {
        tree = edit(tree, "log.txt", format!("{number}\n").as_bytes());
        main = write(&[main], tree, "Ada <ada@example.org>", &format!("Write line {number}"));
    }
    tip = Oid::new(main.to_string());
    scratch.git(&["update-ref", "refs/heads/main", tip.as_str()]);
    let branch = BranchRef::new("refs/heads/main");
    let event = BranchEvent::Adopted { tip: tip.clone(), by: Principal::Tool };
    open(scratch).append(&[Record::Branch { branch: branch.clone(), event, at: AT }]).unwrap();
    let policy = config::policy(config::FILE, None).0.version;
    let mut refs = String::new();
    for number in 0..stories {
        let base = main;
        let merge_tree = edit(tree, &format!("pages/{}/{number}.txt", number / 100), b"page\n");
        let head = write(&[base], merge_tree, AGENT, &format!("Keep page {number}\n\nStory: {}", id(number)));
        let message = format!("Merge story {}: page\n\nStory: {}", id(number), id(number));
        let merge = write(&[base, head], merge_tree, commit::TOOL, &message);
        let oid = |id: ObjectId| Oid::new(id.to_string());
        let mut landing = Landing {
            target: branch.clone(),
            base: oid(base),
            head: oid(head),
            merge_tree: oid(merge_tree),
            merge: oid(merge),
            tip: oid(merge),
        };
        let mut state = state(number, &path(number), &landing, &policy);
        let text = bookkeep(story(number, &[], 1_024).as_bytes(), DONE, &review_lines(&state.reviews));
        tree = edit(merge_tree, &path(number), &text);
        let message = format!("Record story {} as done\n\nStory: {}", id(number), id(number));
        main = write(&[merge], tree, commit::TOOL, &message);
        landing.tip = oid(main);
        state.landings = vec![landing.clone()];
        let message = codec::encode(&id(number), &ItemEvent::Landed { landing }, AT, &codec::to_snapshot(&state));
        let record = write(&[], ObjectId::empty_tree(git.object_hash()), commit::TOOL, &message);
        refs.push_str(&format!("create refs/orchestrate/items/{} {record}\n", id(number)));
    }
    refs.push_str(&format!("update refs/heads/main {main}\n"));
    // As every command leaves it that looks at the branch.
    let certified = BranchEvent::Certified { tip: Oid::new(main.to_string()) };
    git.write_object(gix::objs::Tree::empty()).unwrap();
    let mut update = scratch.command("git").args(["update-ref", "--stdin"]).stdin(Stdio::piped()).spawn().unwrap();
    update.stdin.take().unwrap().write_all(refs.as_bytes()).unwrap();
    assert!(update.wait().unwrap().success());
    open(scratch).append(&[Record::Branch { branch, event: certified, at: AT }]).unwrap();
    scratch.git(&["gc", "-q"]);
}

/// A story that has landed with everything in order.
fn state(number: usize, path: &str, landing: &Landing, policy: &PolicyVersion) -> ItemState {
    let done = |phase: Phase| {
        let summary = "done as the story asks".to_owned();
        (phase, PhaseOutcome::Done { by: Principal::Tool, summary, head: None, checks: Vec::new() })
    };
    let agent =
        |session: &str| Principal::Agent { adapter: "claude".to_owned(), session: format!("{session}-{number}") };
    let story = landing.merge_tree.clone();
    ItemState {
        title: format!("Keep ledger page number {number}"),
        path: path.to_owned(),
        round: 1,
        attempts: 1,
        attempt: Some(Attempt {
            id: AttemptId::new("a-1"),
            run: RunId::new("r-1"),
            agent: "claude".to_owned(),
            role: "general-developer".to_owned(),
            branch: BranchRef::new(format!("refs/heads/story/{}-page", id(number))),
            worktree: format!(".worktrees/{}-page", id(number)),
            target: landing.target.clone(),
            base: landing.base.clone(),
            policy: policy.clone(),
            story: story.clone(),
            started: AT,
        }),
        phases: Phase::ALL.into_iter().map(done).collect(),
        sessions: vec![SessionRecord { phase: Phase::Research, principal: agent("author"), end: None }],
        reviews: vec![Review {
            reviewer: agent("reviewer"),
            verdict: ReviewVerdict::Approve,
            base: landing.base.clone(),
            head: landing.head.clone(),
            merge_tree: landing.merge_tree.clone(),
            policy: policy.clone(),
            story,
            findings: Vec::new(),
            message: String::new(),
            at: AT,
            signature: None,
        }],
        outcome: Some(Outcome::Landed),
        ..ItemState::default()
    }
}
