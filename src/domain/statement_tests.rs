//! Statements: every field is in the bytes, and no field can pose as another.

use super::*;
use crate::domain::event::{Finding, Signature};
use crate::domain::names::{Oid, PolicyVersion, Principal, Timestamp};

fn review() -> Review {
    Review {
        reviewer: Principal::Person("bob@example.org".to_owned()),
        verdict: ReviewVerdict::Approve,
        base: Oid::new("b1"),
        head: Oid::new("c1"),
        merge_tree: Oid::new("d1"),
        policy: PolicyVersion::new("p1"),
        story: Oid::new("e1"),
        findings: vec![Finding { path: "a.rs".to_owned(), line: 1, text: "fine".to_owned() }],
        message: "reads well".to_owned(),
        at: Timestamp(7),
        signature: None,
    }
}

#[test]
fn every_field_of_a_review_changes_its_statement() {
    let changes: [fn(&mut Review); 12] = [
        |review| review.reviewer = Principal::Person("eve@example.org".to_owned()),
        |review| review.verdict = ReviewVerdict::RequestChanges,
        |review| review.base = Oid::new("b2"),
        |review| review.head = Oid::new("c2"),
        |review| review.merge_tree = Oid::new("d2"),
        |review| review.policy = PolicyVersion::new("p2"),
        |review| review.story = Oid::new("e2"),
        |review| review.findings.clear(),
        |review| review.findings[0].line = 2,
        |review| review.message.push_str("\\n"),
        |review| review.message.push('\n'),
        |review| review.at = Timestamp(8),
    ];
    let key = ItemKey::new("1.1");
    let mut seen =
        vec![bytes(&key, 1, &review()), bytes(&ItemKey::new("1.2"), 1, &review()), bytes(&key, 2, &review())];
    for change in changes {
        let mut changed = review();
        change(&mut changed);
        seen.push(bytes(&key, 1, &changed));
    }
    let different: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!(different.len(), seen.len());
}

#[test]
fn a_message_cannot_pose_as_another_field() {
    let key = ItemKey::new("1.1");
    let mut forged = review();
    forged.findings.clear();
    forged.message = "reads well\nfinding-path a.rs\nfinding-line 1\nfinding-text fine".to_owned();
    assert_ne!(bytes(&key, 1, &forged), bytes(&key, 1, &review()));
}

#[test]
fn the_form_of_a_statement_stays() {
    let text = String::from_utf8(bytes(&ItemKey::new("1.1"), 3, &review())).unwrap();
    let kept = "git-orchestrate review 1\nstory 1.1\nround 3\nbase b1\nhead c1\nmerge-tree d1\nreviewer person:bob@example.org\n\
                verdict approve\npolicy p1\nstory-blob e1\nat 7\nmessage reads well\nfinding-path a.rs\nfinding-line 1\n\
                finding-text fine\n";
    assert_eq!(text, kept, "signatures on record would no longer be good");
}

#[test]
fn what_is_known_of_one_review_says_nothing_of_another() {
    let mut signed = review();
    signed.signature = Some(Signature { armored: "s".to_owned(), key: "k".to_owned() });
    let good = Verified { principal: "bob@example.org".to_owned(), fingerprint: "k".to_owned() };
    let known = Signatures::unknown().with(&signed, Ok(good.clone()));
    assert_eq!(known.of(&signed), Some(&Ok(good)));
    let mut moved = signed;
    moved.head = Oid::new("c2");
    assert_eq!(known.of(&moved), None);
}
