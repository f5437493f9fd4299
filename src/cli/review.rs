//! The `review` command: a person's review of a story as it would be merged now. Must stay thin: the gate judges later.

use std::rc::Rc;

use super::app::App;
use super::args::ReviewArgs;
use super::error::{CommandError, Kind};
use super::exit::Exit;
use super::item;
use super::ui::Ui;
use crate::adapters::git::identity;
use crate::adapters::git::landing::GitLander;
use crate::adapters::process::ancestry;
use crate::domain::event::{ItemEvent, Review, ReviewVerdict};
use crate::domain::names::{ItemKey, Oid, Principal};
use crate::domain::state::ItemState;
use crate::engine::ports::{Clock, Lander, Ledger, Merged, Record};

/// Runs `git orchestrate review`.
pub(crate) fn run(args: &ReviewArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let app = App::open_to_change()?;
    app.show_findings(ui)?;
    if let Some(attempt) = ancestry::marked_attempt() {
        let message =
            format!("this process belongs to an agent's attempt ({attempt}); agents review by their result file");
        return Err(CommandError::new(Kind::Gate, message));
    }
    let target = app.target(None)?;
    let mut store = app.ledger();
    let states = store.items()?;
    let key = item::find(&args.id, &states)?;
    let state = &states[&key];
    let reviewer = Principal::Person(identity::email(&app.repo)?);
    let change = change(&app, &key, state, &target.tip)?;
    let own = change.authors.contains(&reviewer) || state.authors().any(|author| *author == reviewer);
    if own && args.approve {
        let message = format!("{reviewer} wrote part of story {key}; somebody else has to review it");
        return Err(CommandError::new(Kind::Gate, message));
    }
    if !args.approve && args.finding.is_empty() && args.message.trim().is_empty() {
        return Err(CommandError::usage("say what has to change: -m MESSAGE or --finding PATH:LINE:TEXT"));
    }
    let verdict = if args.approve { ReviewVerdict::Approve } else { ReviewVerdict::RequestChanges };
    let at = app.machine.now();
    let review = Review {
        reviewer,
        verdict,
        base: target.tip.clone(),
        head: change.head,
        merge_tree: change.tree.clone(),
        policy: target.policy.version.clone(),
        story: state.attempt.as_ref().map(|attempt| attempt.story.clone()).unwrap_or(change.tree.clone()),
        findings: findings(args),
        message: args.message.trim().to_owned(),
        at,
    };
    let event = ItemEvent::Reviewed { attempt: None, review };
    store.append(&[Record::Item { key: key.clone(), event, at, artefacts: Vec::new() }])?;
    let word = if args.approve { "approved" } else { "sent back" };
    ui.status(&format!("story {key} {word}: merge tree {} onto {}", change.tree.short(), target.branch.short()));
    ui.hint("a live run goes on by itself; otherwise: git orchestrate resume");
    Ok(Exit::DONE)
}

/// A change as it would be merged now.
struct Change {
    head: Oid,
    tree: Oid,
    authors: Vec<Principal>,
}

fn change(app: &App, key: &ItemKey, state: &ItemState, base: &Oid) -> Result<Change, CommandError> {
    let Some(attempt) = &state.attempt else {
        return Err(CommandError::usage(format!("story {key} has not been worked on, there is nothing to review")));
    };
    let lander = Rc::new(GitLander::new(&app.repo));
    let runtime = super::app::runtime()?;
    runtime.block_on(async {
        let head = lander.tip(&attempt.branch).await?.ok_or_else(|| {
            CommandError::usage(format!("story {key} has no branch {} to review", attempt.branch.short()))
        })?;
        let authors = lander.person_authors(base, &head).await?;
        match lander.merge(base, &head).await? {
            Merged::Clean { tree } => Ok(Change { head, tree, authors }),
            Merged::Conflict { paths } => {
                let message = format!("story {key} conflicts with the target in {}", paths.join(", "));
                Err(CommandError::operation(message).hint("git orchestrate resume hands the conflict to the author"))
            }
        }
    })
}

/// Findings of a request for changes; the message is one when nothing else was said.
fn findings(args: &ReviewArgs) -> Vec<crate::domain::event::Finding> {
    if args.approve || !args.finding.is_empty() {
        return args.finding.clone();
    }
    vec![crate::domain::event::Finding { path: String::new(), line: 0, text: args.message.trim().to_owned() }]
}
