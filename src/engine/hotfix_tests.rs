//! Landing a hotfix on the repository in memory: what moves, what is recorded, and what a crash leaves.

use super::fake_git::{FakeGit, Files, SOMEBODY, main_branch};
use super::fake_ledger::{FakeLedger, Trap};
use super::hotfix::{Landed, finish, land};
use super::ports::{Lander, Ledger};
use crate::domain::branch::BranchState;
use crate::domain::hotfix::{
    Change, Checks, Conditions, Emergency, HotfixCandidate, HotfixVerdict, Merge, Statement, judge,
};
use crate::domain::names::{Oid, Principal, Timestamp};

const AT: Timestamp = Timestamp(1_795_219_200_000);

struct Stage {
    git: FakeGit,
    ledger: FakeLedger,
    base: Oid,
    head: Oid,
    tree: Oid,
}

impl Stage {
    fn new() -> Self {
        let git = FakeGit::new();
        let base = git.repo().refs[main_branch().as_str()].clone();
        let mut files: Files = git.repo().files(&base);
        files.insert("fix.txt".to_owned(), "fixed\n".to_owned());
        let head = git.repo().commit(files, vec![base.clone()], SOMEBODY, "fix");
        let tree = git.repo().commits[&head].tree.clone();
        let ledger = FakeLedger::new(git.clone());
        Self { git, ledger, base, head, tree }
    }

    fn emergency(&self) -> Emergency {
        let conditions = Conditions { lines: 9, checks: Vec::new(), checks_required: false, breaches: 0 };
        let said = |text: &str| text.to_owned();
        let candidate = HotfixCandidate {
            base: self.base.clone(),
            head: self.head.clone(),
            merge: Merge::Clean(self.tree.clone()),
            change: Change { lines: 1, ..Change::default() },
            statement: Statement { emergency: said("down"), reason: said("now"), follow_up: said("#7") },
            by: Principal::Person(said("ann@example.org")),
            attempt: None,
            checks: Checks::Skipped,
        };
        match judge(&conditions, &candidate) {
            HotfixVerdict::Granted(emergency) => emergency,
            HotfixVerdict::Refused(refusals) => panic!("{refusals:?}"),
        }
    }

    fn land(&self) -> Result<Landed, super::ports::PortError> {
        block(land(&mut self.ledger.clone(), &self.git, &main_branch(), self.emergency(), AT))
    }

    fn finish(&self) -> Option<String> {
        block(finish(&mut self.ledger.clone(), &self.git, &main_branch(), AT)).unwrap()
    }

    fn record(&self) -> BranchState {
        self.ledger.clone().branch(&main_branch()).unwrap()
    }

    fn tip(&self) -> Oid {
        block(self.git.tip(&main_branch())).unwrap().unwrap()
    }

    fn followed(&self) -> usize {
        self.git.repo().followed.len()
    }
}

fn block<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

#[test]
fn it_lands_as_a_merge_on_record_and_checkouts_follow() {
    let stage = Stage::new();
    let Landed::Done(hotfix, None) = stage.land().unwrap() else { panic!("did not land") };
    let tip = stage.tip();
    let commit = stage.git.repo().commits[&tip].clone();
    assert_eq!(commit.parents, [stage.base.clone(), stage.head.clone()]);
    assert!(commit.message.contains(&format!("\nHotfix: {}\n", hotfix.id)), "{}", commit.message);
    let record = stage.record();
    assert_eq!((record.hotfixes[0].hotfix.clone(), record.landing.clone()), (*hotfix, None));
    assert_eq!(stage.followed(), 1);
    assert_eq!(stage.finish(), None);
}

#[test]
fn an_obstacle_is_told_before_anything_moves_or_is_written() {
    let stage = Stage::new();
    stage.git.repo().obstacle = Some("fix.txt is in the way".to_owned());
    assert_eq!(stage.land().unwrap(), Landed::Obstacle("fix.txt is in the way".to_owned()));
    assert_eq!((stage.tip(), stage.record()), (stage.base.clone(), BranchState::default()));
}

#[test]
fn somebodys_lock_on_the_branch_moves_nothing_and_leaves_nothing_open() {
    let stage = Stage::new();
    stage.ledger.chains().traps.push_back(Trap::Locked);
    let Landed::Locked(said) = stage.land().unwrap() else { panic!("did not wait") };
    assert!(said.contains("HEAD.lock") && said.contains("wait for it"), "{said}");
    let record = stage.record();
    assert!(record.hotfixes.is_empty() && record.landing.is_none(), "{record:?}");
    assert!(matches!(stage.land().unwrap(), Landed::Done(_, None)), "the next try lands");
}

#[test]
fn a_branch_that_moved_meanwhile_is_not_overrun() {
    let stage = Stage::new();
    stage.ledger.chains().traps.push_back(Trap::TargetMoves("other.txt", "theirs\n"));
    assert_eq!(stage.land().unwrap(), Landed::BranchMoved);
    assert_eq!(stage.git.files_of("main")["other.txt"], "theirs\n");
    let record = stage.record();
    assert!(record.hotfixes.is_empty() && record.landing.is_none(), "{record:?}");
}

#[test]
fn a_move_without_its_record_is_recorded_once() {
    let stage = Stage::new();
    stage.ledger.chains().traps.push_back(Trap::MovesThenFails);
    stage.land().unwrap_err();
    assert!(stage.record().hotfixes.is_empty());
    assert!(stage.finish().unwrap().contains("finished now"));
    assert_eq!((stage.record().hotfixes.len(), stage.followed()), (1, 1));
    assert_eq!(stage.finish(), None);
    assert_eq!(stage.followed(), 1);
}

#[test]
fn what_was_intended_and_never_happened_is_not_recorded_as_landed() {
    let stage = Stage::new();
    stage.ledger.chains().traps.push_back(Trap::MovesThenFails);
    stage.land().unwrap_err();
    stage.git.repo().refs.insert(main_branch().as_str().to_owned(), stage.base.clone());
    assert_eq!(stage.finish(), None);
    let record = stage.record();
    assert!(record.hotfixes.is_empty() && record.landing.is_none(), "{record:?}");
    assert!(matches!(stage.land().unwrap(), Landed::Done(_, None)), "and it can be tried again");
}

#[test]
fn a_checkout_that_does_not_follow_is_told_and_the_landing_stands() {
    let stage = Stage::new();
    stage.git.repo().broken.insert("follow", "the index is locked".to_owned());
    let Landed::Done(_, stays) = stage.land().unwrap() else { panic!("did not land") };
    assert!(stays.unwrap().contains("the index is locked"));
    assert_eq!(stage.record().landing, None);
}
