//! The rule, case by case. One letter is one commit.

use super::*;

fn commits(letters: &str) -> BTreeSet<Oid> {
    letters.chars().map(|letter| Oid::new(letter.to_string())).collect()
}

fn id(id: &str) -> StoryName {
    StoryName::Id(id.to_owned())
}

fn commit(letter: &str) -> NewValue {
    NewValue::Commit(Oid::new(letter))
}

/// main is at `m`; story 1.1 has the commits `s` and `t`.
fn asked(new: NewValue, gained: &str) -> Move {
    Move {
        current: Some(Oid::new("m")),
        new,
        prunes: false,
        marked: false,
        is_target: true,
        gained: commits(gained),
        covered: commits(""),
        stories: vec![StoryCommits { name: id("1.1"), own: commits("st") }],
    }
}

#[test]
fn people_s_own_commits_pass() {
    assert_eq!(decide(&asked(commit("p"), "p")), Decision::Allow);
}

#[test]
fn a_move_back_passes() {
    assert_eq!(decide(&asked(commit("l"), "")), Decision::Allow);
}

#[test]
fn commits_of_a_story_are_refused_whole_or_in_part() {
    let refused = Decision::RefuseStories(vec![id("1.1")]);
    assert_eq!(decide(&asked(commit("t"), "st")), refused);
    assert_eq!(decide(&asked(commit("s"), "s")), refused);
    assert_eq!(decide(&asked(commit("x"), "xpst")), refused);
}

#[test]
fn a_landing_on_record_covers_its_commits_and_no_others() {
    let mut landed = asked(commit("x"), "xst");
    landed.covered = commits("st");
    assert_eq!(decide(&landed), Decision::Allow);
    landed.stories.push(StoryCommits { name: id("1.2"), own: commits("x") });
    assert_eq!(decide(&landed), Decision::RefuseStories(vec![id("1.2")]));
}

#[test]
fn an_unchanged_value_and_a_prune_pass_whatever_else_is_true() {
    let mut same = asked(commit("m"), "st");
    same.marked = true;
    assert_eq!(decide(&same), Decision::Allow);
    let mut pruned = asked(NewValue::Deleted, "");
    pruned.prunes = true;
    assert_eq!(decide(&pruned), Decision::Allow);
}

#[test]
fn the_mark_of_an_attempt_only_ever_denies() {
    let mut own = asked(commit("p"), "p");
    own.marked = true;
    assert_eq!(decide(&own), Decision::RefuseMarked);
}

#[test]
fn the_target_is_not_deleted_and_never_a_symbolic_ref() {
    assert_eq!(decide(&asked(NewValue::Deleted, "")), Decision::RefuseDeletion);
    assert_eq!(decide(&asked(NewValue::Symbolic, "")), Decision::RefuseSymbolic);
    let mut other = asked(NewValue::Deleted, "");
    other.is_target = false;
    assert_eq!(decide(&other), Decision::Allow);
}

#[test]
fn the_undo_command_fits_what_git_was_doing() {
    for (action, merge, undo) in [
        ("merge story/1.1", true, Undo::Merge),
        ("merge story/1.1", false, Undo::Files),
        ("rebase (finish)", false, Undo::Rebase),
        ("pull --rebase", false, Undo::Rebase),
        ("cherry-pick", false, Undo::CherryPick),
        ("", false, Undo::Files),
    ] {
        assert_eq!(Undo::guess(action, merge), undo, "{action}");
    }
}
