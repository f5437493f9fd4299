//! What a clean story may cost in records and in waits for the disk. Counts only, never durations.

use crate::project::Project;

/// Most events of a story that is approved at once, without checks.
const EVENTS: usize = 20;

/// Most transactions, each of which is waited for.
const TRANSACTIONS: usize = 6;

#[test]
fn a_clean_story_stays_within_its_budget_of_events_and_transactions() {
    let project = Project::new("", "");
    project.story("1.1", "One", "None").commit();
    // Every move of a chain leaves a line in its reflog: one for each transaction.
    project.scratch.git(&["config", "core.logAllRefUpdates", "always"]);
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let chain = "refs/orchestrate/items/1.1";
    let events: usize = project.scratch.git(&["rev-list", "--count", chain]).parse().unwrap();
    assert!((13..=EVENTS).contains(&events), "{events} events");
    let transactions = project.scratch.git(&["reflog", "show", "--format=%H", chain]).lines().count();
    assert!((1..=TRANSACTIONS).contains(&transactions), "{transactions} transactions");
}
