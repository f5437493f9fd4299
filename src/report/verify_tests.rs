//! What a proof looks like to a person and to a script.

use super::*;
use crate::domain::branch::{BranchState, Breach};
use crate::domain::names::{BranchRef, ItemKey, Oid};
use crate::domain::passage::Way;
use crate::domain::proof::Proven;

fn proof(breaches: Vec<Open>) -> Proof {
    let key = ItemKey::new("1.1");
    let ways = [Way::Landed(key.clone()), Way::Landed(key.clone()), Way::Bookkeeping(key), Way::Own];
    let proven = ways.into_iter().map(|way| Proven { commit: Oid::new("abc"), way }).collect();
    Proof {
        branch: BranchRef::new("refs/heads/main"),
        tip: Oid::new("0123456789"),
        record: BranchState::default(),
        proven,
        before: 7,
        by_record: 0,
        breaches,
    }
}

fn open(subject: &str) -> Open {
    let breach = Breach { commit: Oid::new("fedcba987"), reason: "nobody".to_owned(), route: "git merge".to_owned() };
    Open { breach, subject: subject.to_owned(), undo: "git revert fedcba987".to_owned(), recorded: false }
}

#[test]
fn a_sound_branch_is_one_line_and_its_counts() {
    let shown = text(&[proof(Vec::new())], false, Color::Off);
    let words: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(shown.starts_with("main at 0123456: every commit"), "{shown}");
    assert_eq!(words[1], ["landed", "2", "1.1"]);
    assert_eq!(words[2], ["written", "back", "1", "1.1"]);
    assert_eq!(words[3], ["own", "1"]);
    assert_eq!(words[4], ["before", "adoption", "7"]);
    assert_eq!(words.len(), 5);
}

#[test]
fn a_breach_says_why_how_and_what_to_do_and_escapes_what_others_wrote() {
    let shown = text(&[proof(vec![open("\u{1b}[2J")])], false, Color::Off);
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
    for part in ["1 breach", "nobody", "git merge", "git revert fedcba987", ACKNOWLEDGE] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let value: Value = serde_json::from_str(&json(&[proof(vec![open("x")])], true)).unwrap();
    assert_eq!(value["sound"], false);
    assert_eq!(value["branches"][0]["counts"]["writtenBack"], 1);
    assert_eq!(value["branches"][0]["commits"].as_array().unwrap().len(), 4);
}
