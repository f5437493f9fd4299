//! Which names are written for which policy.

use super::*;

fn written(protected: &[&str], targets: &[&str]) -> Vec<String> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let always = ["refs/heads/main", "refs/heads/master", "refs/orchestrate/"];
    let names = names(&owned(protected), &owned(targets));
    assert!(always.iter().all(|name| names.contains(*name)), "{names:?}");
    names.into_iter().filter(|name| !always.contains(&name.as_str())).collect()
}

#[test]
fn targets_and_plain_names_are_written_in_full() {
    assert_eq!(written(&[], &[]), [""; 0]);
    assert_eq!(
        written(&["dev", "refs/heads/v1/x"], &["trunk"]),
        ["refs/heads/dev", "refs/heads/trunk", "refs/heads/v1/x"]
    );
}

#[test]
fn a_pattern_guards_what_comes_before_it_and_never_less() {
    for (pattern, prefix) in [
        ("release/*", "refs/heads/release/"),
        ("release/v*.x", "refs/heads/release/"),
        ("rel*", "refs/heads/"),
        ("*", "refs/heads/"),
        ("**/stable", "refs/heads/"),
        ("a/b/?", "refs/heads/a/b/"),
        ("a/[bc]/d", "refs/heads/a/"),
        ("{dev,qa}", "refs/heads/"),
        ("x/\\dev", "refs/heads/x/"),
        ("", "refs/heads/"),
    ] {
        assert_eq!(written(&[pattern], &[]), [prefix], "{pattern}");
    }
}

#[test]
fn a_name_cannot_smuggle_a_line_in() {
    assert_eq!(written(&["a\nrefs/heads/b", "a b"], &[]), [""; 0]);
}
