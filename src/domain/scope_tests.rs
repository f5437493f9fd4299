//! Tests of `scope`.

use proptest::prelude::*;

use crate::domain::source::story;

use super::*;

fn item(id: &str, epic: &str) -> WorkItem {
    let text = format!("# Story {id}: t\n\n{epic}\nStatus: Ready\n");
    story::parse(&format!("docs/stories/{id}.x.md"), text.as_bytes()).item.unwrap()
}

fn items() -> Vec<WorkItem> {
    let ids = ["1.1", "1.2", "1.9", "1.10", "2.1", "3.5", "3.6", "3.5.0", "3.5.1"];
    let mut items: Vec<_> = ids.iter().map(|id| item(id, "")).collect();
    items.push(item("4.1", "**Epic:** 4 - User Authentication"));
    items
}

fn select(args: &[&str]) -> String {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    match Scope::parse(&args).and_then(|scope| scope.select(&items())) {
        Ok(selection) => selection.ids.iter().map(ItemId::as_str).collect::<Vec<_>>().join(" "),
        Err(found) => found.iter().map(|finding| finding.message.as_str()).collect::<Vec<_>>().join(" | "),
    }
}

#[test]
fn selectors_select() {
    for (args, expected) in [
        (vec!["1.1"], "1.1"),
        (vec!["01.1"], "1.1"),
        (vec!["1-1"], "1.1"),
        (vec!["1.1-1.9"], "1.1 1.2 1.9"),
        (vec!["1.9-1.10"], "1.9 1.10"),
        (vec!["1.9\u{2013}2.1"], "1.9 1.10 2.1"),
        (vec!["3.5-3.9"], "3.5 3.6"),
        (vec!["3.5.0-3.5.9"], "3.5.0 3.5.1"),
        (vec!["2.1,1.1", "1.2"], "1.1 1.2 2.1"),
        (vec!["1.1, 1.1,"], "1.1"),
        (vec!["1.*"], "1.1 1.2 1.9 1.10"),
        (vec!["01.*"], "1.1 1.2 1.9 1.10"),
        (vec!["3.*"], "3.5 3.6"),
        (vec!["3.5"], "3.5"),
        (vec!["3.5.*"], "3.5.0 3.5.1"),
        (vec!["epic:3.5"], "3.5.0 3.5.1"),
        (vec!["epic:1"], "1.1 1.2 1.9 1.10"),
        (vec!["epic:auth"], "4.1"),
        (vec!["EPIC:Authentication user"], "4.1"),
        (vec!["epic:4"], "4.1"),
        (vec!["1.[12]"], "1.1 1.2"),
    ] {
        assert_eq!(select(&args), expected, "{args:?}");
    }
    assert_eq!(select(&[]).split(' ').count(), 10);
    assert_eq!(select(&["*"]).split(' ').count(), 10);
}

#[test]
fn nothing_asked_for_is_everything() {
    let everything = |args: &[String]| Scope::parse(args).unwrap().select(&items()).unwrap().everything;
    assert!(everything(&[]));
    assert!(!everything(&["1.1".to_owned()]));
}

#[test]
fn bad_selectors_say_what_is_wrong() {
    for (arg, message) in [
        ("9.9", "no story 9.9 (did you mean 1.9, "),
        ("7.*", "`7.*` matches nothing"),
        ("7.1-7.3", "`7.1-7.3` matches nothing"),
        ("epic:nope", "`epic:nope` matches nothing"),
        ("1.2-1.1", "`1.2-1.1`: range ends before it starts"),
        ("1.1-", "`1.1-`: range without end"),
        ("-1.1", "`-1.1`: range without start"),
        ("1.1-1.1.2", "`1.1-1.1.2`: range ends are not alike"),
        ("[[[[***", "bad pattern `[[[[***`"),
        ("../../etc/passwd", "`../../etc/passwd` is not a selector"),
        ("C:\\x", "`C:\\x` is not a selector"),
        ("--force", "`--force` is not a selector"),
        ("epic:", "`epic:` is not a selector"),
        ("", "`` is not a selector"),
        (",", "`,` is not a selector"),
        ("\u{1b}]0;x", "`\\x1b]0;x` is not a selector"),
        ("\u{661}.\u{661}", "is not a selector"),
        ("banana", "`banana` is not a selector"),
    ] {
        let shown = select(&[arg]);
        assert!(shown.contains(message), "{arg:?}: {shown}");
    }
    let shown = select(&["1.1,,; DROP TABLE, --force"]);
    assert_eq!(shown, "`; DROP TABLE` is not a selector | `--force` is not a selector");
}

proptest! {
    #[test]
    fn parser_is_total_and_its_messages_are_safe(args in proptest::collection::vec(any::<String>(), 0..4)) {
        if let Err(found) = Scope::parse(&args) {
            prop_assert!(!found.is_empty());
            prop_assert!(found.iter().all(|finding| !finding.message.chars().any(char::is_control)));
        }
    }

    #[test]
    fn near_selectors_are_total(arg in "[0-9a-z.,*?\\[\\]{}:/ -]{0,16}") {
        if let Ok(scope) = Scope::parse(&[arg]) {
            drop(scope.select(&items()));
        }
    }

    #[test]
    fn ranges_select_by_natural_order(first in 1_u32..30, last in 1_u32..30, numbers in proptest::collection::btree_set(1_u32..30, 1..12)) {
        let items: Vec<_> = numbers.iter().map(|number| item(&format!("7.{number}"), "")).collect();
        let scope = Scope::parse(&[format!("7.{first}-7.{last}")]);
        let expected: Vec<_> = numbers.iter().filter(|number| (first..=last).contains(number)).map(|number| format!("7.{number}")).collect();
        match scope {
            Err(_) => prop_assert!(last < first),
            Ok(scope) => {
                let ids = scope.select(&items).map(|selection| selection.ids).unwrap_or_default();
                prop_assert_eq!(ids.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>(), expected);
            }
        }
    }
}
