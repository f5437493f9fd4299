//! The `phase` command: a person records a phase that the policy gives to a person. Must not judge: the gate does later.

use super::app::App;
use super::args::PhaseArgs;
use super::error::{CommandError, Kind};
use super::exit::Exit;
use super::item;
use super::ui::Ui;
use crate::adapters::git::{identity, refs};
use crate::adapters::process::ancestry;
use crate::domain::event::{ItemEvent, PhaseOutcome};
use crate::domain::names::{ItemKey, Principal};
use crate::domain::policy::Policy;
use crate::domain::state::{Attempt, ItemState};
use crate::domain::workflow::{Performer, Phase};
use crate::engine::ports::{Clock, Ledger, Record};

/// Runs `git orchestrate phase`.
pub(crate) fn run(args: &PhaseArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open_to_change()?;
    app.show_findings(ui)?;
    if let Some(attempt) = ancestry::marked_attempt() {
        let message = format!("this process belongs to an agent's attempt ({attempt}); a person records this phase");
        return Err(CommandError::new(Kind::Gate, message));
    }
    let target = app.target(None)?;
    let mut store = app.ledger();
    let states = store.items()?;
    let key = item::find(&args.id, &states)?;
    let phase = asked(&args.phase)?;
    let attempt = waiting(&key, &states[&key], phase, &target.policy)?;
    let at = app.machine.now();
    let outcome = PhaseOutcome::Done {
        by: Principal::Person(identity::email(&app.repo)?),
        summary: args.message.trim().to_owned(),
        head: refs::tip(&app.repo, attempt.branch.as_str())?,
        checks: Vec::new(),
    };
    let mut events = vec![ItemEvent::PhaseRecorded { attempt: attempt.id.clone(), phase, outcome }];
    if phase == Phase::ReviewResponse {
        let reason = "a person answered the findings".to_owned();
        events.push(ItemEvent::ReturnedTo { attempt: attempt.id.clone(), phase: Phase::Testing, reason });
    }
    let record = |event| Record::Item { key: key.clone(), event, at, artefacts: Vec::new() };
    store.append(&events.into_iter().map(record).collect::<Vec<_>>())?;
    ui.status(&format!("phase {} ({phase}) of story {key} is recorded", phase.number()));
    ui.hint("a live run goes on by itself; otherwise: git orchestrate resume");
    Ok(Exit::DONE)
}

fn asked(name: &str) -> Result<Phase, CommandError> {
    let fits = |phase: &Phase| phase.may_be_a_persons() && *phase != Phase::Review;
    Phase::by_name(name).filter(fits).ok_or_else(|| {
        let names: Vec<&str> = Phase::ALL.iter().filter(|phase| fits(phase)).map(|phase| phase.name()).collect();
        CommandError::usage(format!("`{name}` is no phase that a person records"))
            .hint(format!("one of {}", names.join(", ")))
    })
}

/// The attempt that waits for exactly this phase.
fn waiting<'a>(
    key: &ItemKey,
    state: &'a ItemState,
    phase: Phase,
    policy: &Policy,
) -> Result<&'a Attempt, CommandError> {
    if policy.phase(phase).by != Performer::Person {
        let message = format!("the policy does not give {phase} to a person");
        return Err(CommandError::new(Kind::Gate, message).hint(format!("[workflow.{phase}] by = \"person\" would")));
    }
    let next = state.next_phase();
    let answers = phase == Phase::ReviewResponse && next == Some(Phase::Review);
    match state.open_attempt() {
        Some(attempt) if state.waits.is_some() && (next == Some(phase) || answers) => Ok(attempt),
        Some(_) | None => {
            let message = format!("story {key} does not wait for {phase}: it is {}", state.status().word());
            Err(CommandError::usage(message).hint(format!("git orchestrate show {key}")))
        }
    }
}
