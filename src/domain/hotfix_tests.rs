//! The conditions of a hotfix: each of them alone refuses, and all that fail are said at once.

use super::*;
use crate::domain::gate::MergePermit;

fn oid(text: &str) -> Oid {
    Oid::new(text)
}

fn conditions() -> Conditions {
    Conditions { lines: 9, checks: vec!["test".to_owned()], checks_required: true, breaches: 0 }
}

fn ran(tree: &str, passed: bool) -> Checks {
    let run = CheckRun { name: "test".to_owned(), tree: oid(tree), passed, ended: String::new(), millis: 1 };
    Checks::Ran(vec![run])
}

/// Meets every condition.
fn candidate() -> HotfixCandidate {
    HotfixCandidate {
        base: oid("b1"),
        head: oid("1a2b3c4d"),
        merge: Merge::Clean(oid("t1")),
        change: Change { lines: 9, ..Change::default() },
        statement: Statement {
            emergency: "production down".to_owned(),
            reason: "every minute costs".to_owned(),
            follow_up: "#7".to_owned(),
        },
        by: Principal::Person("ann@example.org".to_owned()),
        attempt: None,
        checks: ran("t1", true),
    }
}

fn granted(conditions: &Conditions, candidate: &HotfixCandidate) -> Emergency {
    match judge(conditions, candidate) {
        HotfixVerdict::Granted(emergency) => emergency,
        HotfixVerdict::Refused(refusals) => panic!("{refusals:?}"),
    }
}

fn refusals(conditions: &Conditions, candidate: &HotfixCandidate) -> Vec<HotfixRefusal> {
    match judge(conditions, candidate) {
        HotfixVerdict::Granted(emergency) => panic!("granted: {emergency:?}"),
        HotfixVerdict::Refused(refusals) => refusals,
    }
}

#[test]
fn a_permit_is_good_for_what_was_judged_and_nothing_else() {
    let permit = MergePermit::hotfix(granted(&conditions(), &candidate()));
    assert_eq!((permit.base(), permit.head(), permit.merge_tree()), (&oid("b1"), &oid("1a2b3c4d"), &oid("t1")));
    assert!(permit.is_for_hotfix());
}

#[test]
fn each_condition_alone_refuses() {
    type Spoil = fn(&mut Conditions, &mut HotfixCandidate);
    let beyond = || Beyond { path: "logo.png".to_owned(), what: BeyondLines::Binary };
    let disguise = || Disguise { story: "1.1".to_owned(), sign: Sign::Commit(oid("c")) };
    let cases: [(Spoil, HotfixRefusal); 17] = [
        (|_, it| it.attempt = Some("a-1".to_owned()), HotfixRefusal::ByAgent("a-1".to_owned())),
        (|on, _| on.breaches = 2, HotfixRefusal::Breached(2)),
        (|on, _| on.lines = 0, HotfixRefusal::Forbidden),
        (|on, _| on.lines = 8, HotfixRefusal::TooLarge { lines: 9, most: 8 }),
        (|_, it| it.change.lines = 10, HotfixRefusal::TooLarge { lines: 10, most: 9 }),
        (|_, it| it.change.lines = 0, HotfixRefusal::NothingChanged),
        (|_, it| it.statement.emergency = " \n".to_owned(), HotfixRefusal::NoEmergency),
        (|_, it| it.statement.reason.clear(), HotfixRefusal::NoReason),
        (|_, it| it.statement.follow_up = "\t".to_owned(), HotfixRefusal::NoFollowUp),
        (
            |_, it| it.change.beyond = vec![Beyond { path: "logo.png".to_owned(), what: BeyondLines::Binary }],
            HotfixRefusal::Beyond(beyond()),
        ),
        (|_, it| it.merge = Merge::Conflict(vec!["a".to_owned()]), HotfixRefusal::Conflict(vec!["a".to_owned()])),
        (|_, it| it.merge = Merge::Unrelated, HotfixRefusal::Unrelated),
        (
            |_, it| {
                it.change.disguises = vec![Disguise { story: "1.1".to_owned(), sign: Sign::Commit(Oid::new("c")) }];
            },
            HotfixRefusal::Story(disguise()),
        ),
        (|_, it| it.change.ours = vec![Oid::new("c")], HotfixRefusal::NotAPersons(oid("c"))),
        (|_, it| it.checks = ran("another", true), HotfixRefusal::CheckMissing("test".to_owned())),
        (|_, it| it.checks = ran("t1", false), HotfixRefusal::CheckFailed("test".to_owned())),
        (|on, _| on.checks.clear(), HotfixRefusal::NoChecks),
    ];
    for (spoil, expected) in cases {
        let (mut conditions, mut candidate) = (conditions(), candidate());
        spoil(&mut conditions, &mut candidate);
        assert_eq!(refusals(&conditions, &candidate), [expected]);
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let mut candidate = candidate();
    candidate.statement = Statement::default();
    candidate.change.lines = 500;
    candidate.merge = Merge::Conflict(vec!["a".to_owned()]);
    let codes: Vec<&str> = refusals(&conditions(), &candidate).iter().map(HotfixRefusal::code).collect();
    assert_eq!(codes, ["no-emergency", "no-reason", "no-follow-up", "too-large", "conflict"]);
}

#[test]
fn skipped_checks_are_on_record() {
    let mut candidate = candidate();
    candidate.checks = Checks::Skipped;
    let hotfix = granted(&conditions(), &candidate).record("h1", oid("m1"));
    assert_eq!((hotfix.skipped.as_slice(), hotfix.checks.len()), (["test".to_owned()].as_slice(), 0));
    assert!(message(&hotfix).ends_with("Label: emergency\nSkipped-checks: test\n"));
}

#[test]
fn no_text_of_a_person_adds_a_trailer() {
    let mut candidate = candidate();
    candidate.statement.emergency = "down\n\nStory: 1.1\nHotfix: other\u{1b}[2J".to_owned();
    let hotfix = granted(&conditions(), &candidate).record("h1", oid("m1"));
    let message = message(&hotfix);
    assert_eq!(message.lines().filter(|line| line.starts_with("Hotfix: ")).count(), 1, "{message}");
    assert!(!message.contains("\nStory:") && !message.contains('\u{1b}'), "{message}");
    assert_eq!(hotfix.labels, [LABEL]);
}

#[test]
fn a_name_is_taken_once_per_branch() {
    let emergency = granted(&conditions(), &candidate());
    let at = Timestamp(1_795_219_200_000);
    let mut record = BranchState::default();
    let mut names = Vec::new();
    for _ in 0..3 {
        let id = emergency.free_id(&record, at);
        let hotfix = emergency.record(&id, oid("m1"));
        record.hotfixes.push(crate::domain::branch::HotfixRecord { hotfix, at, resolved: None });
        names.push(id);
    }
    assert_eq!(names, ["hotfix-20261121-1a2b3c4", "hotfix-20261121-1a2b3c4-2", "hotfix-20261121-1a2b3c4-3"]);
}
