//! An interrupted author's session, on the stage in memory: gone on with, judged as it is, or begun anew.

use super::fake::{Stage, plan};
use super::ports::{Ended, LeftSession};
use crate::domain::workflow::Phase;

/// 1.1 dies in its first session, in which it has written a file; every later one of it does what `then` says.
fn died(then: impl Fn(super::fake_agents::Session) -> super::ports::AgentEnd + Clone + 'static) -> Stage {
    let stage = Stage::new();
    let death = stage.death.clone();
    stage.agents.on("1.1", Phase::Implementation, move |session| {
        let (death, then) = (death.clone(), then.clone());
        async move {
            if session.turn == 0 {
                session.write("half.txt", "half\n");
                death.notify_one();
                std::future::pending::<()>().await;
            }
            then(session)
        }
    });
    assert!(stage.play(&plan(&[("1.1", &[])])).is_none());
    assert!(stage.ledger.state("1.1").open_session.is_some(), "it is under way for all that is recorded");
    stage
}

fn finishes(session: super::fake_agents::Session) -> super::ports::AgentEnd {
    session.write("1.1.txt", "done\n");
    session.exit(0)
}

/// `(session, resume)` of the author's requests.
fn calls(stage: &Stage) -> Vec<(String, bool)> {
    let played = stage.agents.played.borrow();
    let authors = played.requests.iter().filter(|request| request.phase == Phase::Implementation);
    authors.map(|request| (request.session.clone(), request.resume)).collect()
}

fn known(stage: &Stage, session: &str) {
    stage.agents.left.borrow_mut().session = Some(session.to_owned());
}

#[test]
fn a_session_that_the_client_knows_is_gone_on_with() {
    let stage = died(finishes);
    known(&stage, "as-the-client-calls-it");
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    assert_eq!(calls(&stage)[1..], [("as-the-client-calls-it".to_owned(), true)]);
    let prompt = &stage.agents.prompts_of("1.1", Phase::Implementation)[1];
    assert!(prompt.contains("Your session was interrupted") && prompt.contains("half.txt"), "{prompt}");
    assert!(stage.git.files_of("main").contains_key("half.txt"));
    stage.assert_clean();
}

#[test]
fn without_one_a_new_agent_is_told_what_git_holds() {
    let stage = died(finishes);
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    let calls = calls(&stage);
    assert!(calls.len() == 2 && calls[0].0 != calls[1].0 && !calls[1].1, "{calls:?}");
    let prompts = stage.agents.prompts_of("1.1", Phase::Implementation);
    assert!(!prompts[0].contains("interrupted"));
    assert!(prompts[1].contains("An earlier session of another agent was interrupted"), "{}", prompts[1]);
    stage.assert_clean();
}

#[test]
fn a_client_that_refuses_to_go_on_gets_a_new_session() {
    let stage = died(|session| if session.request.resume { session.exit(1) } else { finishes(session) });
    known(&stage, "gone");
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    let resumed: Vec<bool> = calls(&stage).into_iter().map(|(_, resume)| resume).collect();
    assert_eq!(resumed, [false, true, false]);
}

#[test]
fn a_session_that_went_on_and_failed_is_a_failure() {
    let stage = died(|session| {
        session.write("more.txt", "more\n");
        session.exit(1)
    });
    known(&stage, "s");
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.failed, 1);
    assert_eq!(calls(&stage).len(), 2);
}

#[test]
fn a_session_that_had_ended_well_is_judged_as_it_is() {
    let stage = died(finishes);
    stage.agents.left.replace(LeftSession { session: Some("s".to_owned()), ended: Some(Ended::Exit(0)) });
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    assert_eq!(calls(&stage).len(), 1, "it is not run again");
    assert!(stage.git.files_of("main").contains_key("half.txt"));
    stage.assert_clean();
}

#[test]
fn a_session_whose_end_was_recorded_is_not_gone_on_with() {
    // It dies in the review, long after the author's session; rejected, the author begins another one.
    let stage = Stage::new();
    let death = stage.death.clone();
    stage.agents.on("1.1", Phase::Review, move |session| {
        let death = death.clone();
        async move {
            match session.turn {
                0 => {
                    death.notify_one();
                    std::future::pending().await
                }
                1 => session.request_changes("more"),
                _ => session.approve(),
            }
        }
    });
    assert!(stage.play(&plan(&[("1.1", &[])])).is_none());
    assert_eq!(stage.ledger.state("1.1").open_session, None);
    known(&stage, "s");
    assert_eq!(stage.run(&plan(&[("1.1", &[])])).unwrap().totals.landed, 1);
    assert!(stage.agents.played.borrow().requests.iter().all(|request| !request.resume));
}
