//! The gate's objections for people: the reason in one sentence, and the command that gets there by the gate. Must not
//! decide anything.

use super::gate::{self, Refusal};
use super::names::ItemKey;
use super::passage::{Objected, Objection, StoryName};

/// Most reasons in one sentence.
const MOST: usize = 3;

/// Why, completing "refused: ".
pub fn reason(objected: &Objected) -> String {
    let commit = objected.commit.as_ref().map_or("a commit", |commit| commit.short());
    match &objected.objection {
        Objection::Stories(stories) => {
            let names = stories.iter().map(|(name, _)| shown(name)).collect::<Vec<_>>().join(", ");
            let missing = stories.iter().flat_map(|(_, refusals)| refusals).collect::<Vec<_>>();
            format!("it brings in commits of {names} that have no reviewed landing on record{}", why(&missing))
        }
        Objection::NoPermit => format!(
            "this branch takes only reviewed stories and hotfixes ([protect] mode = \"all\"), and {commit} is neither"
        ),
        Objection::NotBookkeeping(key) => {
            format!("{commit} claims to record story {key} as done and changes more than its status and review lines")
        }
        Objection::TakesBack(key) => format!("it takes back story {key}, which has landed"),
        Objection::Rewinds => "it takes commits back, and [protect] mode = \"all\" forbids that".to_owned(),
    }
}

/// The command that helps, where there is one.
pub fn remedy(objected: &Objected) -> Option<String> {
    match &objected.objection {
        Objection::Stories(stories) => stories.first().map(|(name, refusals)| match name {
            StoryName::Key(key) => story_remedy(key, refusals),
            StoryName::Branch(branch) => {
                format!("git orchestrate stories; if the branch is no story: git branch -m {branch} OTHER-NAME")
            }
            StoryName::Agent => "git orchestrate status".to_owned(),
        }),
        Objection::NoPermit => Some("write a story for it; in an emergency: git orchestrate hotfix --help".to_owned()),
        Objection::TakesBack(_) => {
            let merge = objected.commit.as_ref().map_or("COMMIT", |commit| commit.as_str());
            Some(format!("to undo its content: git revert -m 1 {merge}"))
        }
        Objection::NotBookkeeping(_) | Objection::Rewinds => None,
    }
}

fn story_remedy(key: &ItemKey, refusals: &[Refusal]) -> String {
    let only_work = |refusal: &Refusal| {
        matches!(refusal, Refusal::PhaseMissing(_) | Refusal::CheckMissing(_) | Refusal::CheckFailed(_))
    };
    if refusals.is_empty() {
        return format!("git orchestrate show {key}");
    }
    if refusals.iter().all(only_work) {
        return format!("git orchestrate land {key}");
    }
    format!("git orchestrate review {key} --approve -m \"...\" && git orchestrate land {key}")
}

fn shown(name: &StoryName) -> String {
    match name {
        StoryName::Key(key) => format!("story {key}"),
        StoryName::Branch(branch) => format!("the story branch {branch}"),
        StoryName::Agent => "a story that is not known here, made by an agent,".to_owned(),
    }
}

/// What is missing. Phases are named only when nothing else is: most of them follow the review by themselves.
fn why(missing: &[&Refusal]) -> String {
    let is_phase = |refusal: &&&Refusal| matches!(refusal, Refusal::PhaseMissing(_));
    let others: Vec<&Refusal> = missing.iter().filter(|refusal| !is_phase(refusal)).copied().collect();
    let shown = if others.is_empty() { missing } else { &others };
    if shown.is_empty() {
        return String::new();
    }
    let mut said = shown.iter().take(MOST).map(|refusal| gate::reason(refusal)).collect::<Vec<_>>().join("; ");
    if shown.len() > MOST {
        said.push_str(&format!("; and {} more", shown.len() - MOST));
    }
    format!(": {said}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::names::Oid;
    use crate::domain::workflow::Phase;

    fn story(refusals: Vec<Refusal>) -> Objected {
        let name = StoryName::Key(ItemKey::new("1.1"));
        Objected { commit: Some(Oid::new("0123456789")), objection: Objection::Stories(vec![(name, refusals)]) }
    }

    #[test]
    fn the_missing_review_is_said_without_the_phases_that_follow_it_and_a_list_is_short() {
        let phases =
            || [Phase::Testing, Phase::PullRequest, Phase::Settings, Phase::Readiness].map(Refusal::PhaseMissing);
        let said = reason(&story(phases().into_iter().chain([Refusal::NoReview]).collect()));
        assert!(said.ends_with("on record: nobody reviewed it"), "{said}");
        let said = reason(&story(phases().to_vec()));
        assert!(said.contains("on record: phase 6") && said.ends_with("and 1 more"), "{said}");
    }

    #[test]
    fn the_command_fits_what_is_missing() {
        assert!(remedy(&story(vec![Refusal::NoReview])).unwrap().starts_with("git orchestrate review 1.1 --approve"));
        let work = story(vec![Refusal::PhaseMissing(Phase::Readiness)]);
        assert_eq!(remedy(&work).unwrap(), "git orchestrate land 1.1");
        assert_eq!(remedy(&story(Vec::new())).unwrap(), "git orchestrate show 1.1");
    }
}
