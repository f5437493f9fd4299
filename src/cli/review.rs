//! The `review` command: a person's review of a story as it would be merged now, signed when asked. Must not judge more than
//! who reviews: the gate judges later.

use std::rc::Rc;

use super::app::{App, Target};
use super::args::ReviewArgs;
use super::error::{CommandError, Kind};
use super::exit::Exit;
use super::item;
use super::ui::Ui;
use crate::adapters::git::commit;
use crate::adapters::git::identity;
use crate::adapters::git::landing::GitLander;
use crate::adapters::git::signing::{self, Signer};
use crate::adapters::process::ancestry;
use crate::domain::event::{ItemEvent, Review, ReviewVerdict, Signature};
use crate::domain::gate::{self, Candidate, Refusal};
use crate::domain::names::{ItemKey, Oid, Principal, Timestamp};
use crate::domain::policy::Policy;
use crate::domain::state::ItemState;
use crate::domain::statement::{self, Unverified, Verified};
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
    let change = change(&app, &key, state, &target)?;
    if args.approve {
        require_something(&app, &key, state, &target, &change)?;
    }
    require_other(&reviewer, &key, state, &change, args.approve)?;
    if !args.approve && args.finding.is_empty() && args.message.trim().is_empty() {
        return Err(CommandError::usage("say what has to change: -m MESSAGE or --finding PATH:LINE:TEXT"));
    }
    require_signed(args, &target.policy, &key)?;
    let at = app.machine.now();
    let mut review = said(args, reviewer, state, &target, &change, at);
    // Before it is signed: afterwards no byte of it may change.
    app.redactor.review(&mut review);
    let review = if args.sign { signed(&app, &target, (&key, state.round), review, ui)? } else { review };
    // The address that the key stands for may be another than the one git is configured with.
    require_other(&review.reviewer, &key, state, &change, args.approve)?;
    let by = review.signature.as_ref().map(|signature| format!("; {} signed with {}", review.reviewer, signature.key));
    let missing = missing(&app, &key, state, &target, &change, &review)?;
    let event = ItemEvent::Reviewed { attempt: None, review, more: args.approve && !missing.is_none() };
    store.append(&[Record::Item { key: key.clone(), event, at, artefacts: Vec::new() }])?;
    let (word, by) = (if args.approve { "approved" } else { "sent back" }, by.unwrap_or_default());
    ui.status(&format!("story {key} {word}: merge tree {} onto {}{by}", change.tree.short(), target.branch.short()));
    if args.approve && !missing.is_none() {
        ui.status(&gate::reason(&Refusal::ReviewersMissing(missing)));
    }
    ui.hint("a live run goes on by itself; otherwise: git orchestrate resume");
    Ok(Exit::DONE)
}

/// Nobody approves what is not there: a branch without a commit that the target lacks.
fn require_something(
    app: &App,
    key: &ItemKey,
    state: &ItemState,
    target: &Target,
    change: &Change,
) -> Result<(), CommandError> {
    let (tip, head) = (app.repo.object_id(&target.tip)?, app.repo.object_id(&change.head)?);
    if !commit::contains(&app.repo.gix(), tip, head)? {
        return Ok(());
    }
    if state.is_done() {
        return Err(CommandError::usage(format!("story {key} is done: there is nothing left to review"))
            .hint(format!("git orchestrate show {key}")));
    }
    let branch = state.attempt.as_ref().map_or("", |attempt| attempt.branch.short());
    let message = format!("{branch} has no commit that {} lacks: there is nothing to review", target.branch.short());
    Err(CommandError::usage(message)
        .hint(format!("git orchestrate show {key} tells how far it is; git orchestrate stories {key} works on it")))
}

/// Nobody approves what they wrote themselves.
fn require_other(
    reviewer: &Principal,
    key: &ItemKey,
    state: &ItemState,
    change: &Change,
    approve: bool,
) -> Result<(), CommandError> {
    if approve && state.authors().chain(&change.authors).any(|author| gate::same(author, reviewer)) {
        let message = format!("{reviewer} wrote part of story {key}; somebody else has to review it");
        return Err(CommandError::new(Kind::Gate, message));
    }
    Ok(())
}

/// An approval that the gate would not count is not taken; a request for changes needs no signature.
fn require_signed(args: &ReviewArgs, policy: &Policy, key: &ItemKey) -> Result<(), CommandError> {
    if args.approve && policy.signatures_required && !args.sign {
        let message = "the policy requires signed approvals ([gates] signatures = \"required\")";
        return Err(CommandError::new(Kind::Gate, message).hint(statement::remedy(key)));
    }
    Ok(())
}

/// The review as the arguments say it, unsigned.
fn said(
    args: &ReviewArgs,
    reviewer: Principal,
    state: &ItemState,
    target: &Target,
    change: &Change,
    at: Timestamp,
) -> Review {
    Review {
        reviewer,
        verdict: if args.approve { ReviewVerdict::Approve } else { ReviewVerdict::RequestChanges },
        base: change.base.clone(),
        head: change.head.clone(),
        merge_tree: change.tree.clone(),
        policy: target.policy.version.clone(),
        story: state.attempt.as_ref().map(|attempt| attempt.story.clone()).unwrap_or(change.tree.clone()),
        findings: findings(args),
        message: args.message.trim().to_owned(),
        at,
        signature: None,
    }
}

/// A review with its signature, and what is known of it.
struct Attempted {
    review: Review,
    armored: String,
    found: Result<Verified, Unverified>,
}

impl Attempted {
    fn make(
        signer: &Signer,
        allowed: &[u8],
        (key, round): (&ItemKey, u32),
        review: Review,
    ) -> Result<Self, CommandError> {
        let statement = statement::bytes(key, round, &review);
        let armored = signer.sign(&statement)?;
        let found = signing::verify(&statement, &armored, &review.reviewer, allowed);
        Ok(Self { review, armored, found })
    }
}

/// The review with its signature. Its reviewer is whom the key stands for among the allowed signers of the target's tip; a key
/// that stands for nobody is refused where signatures are required, and warned about where they are not.
fn signed(
    app: &App,
    target: &Target,
    item: (&ItemKey, u32),
    review: Review,
    ui: &mut Ui,
) -> Result<Review, CommandError> {
    let signer = Signer::configured(&app.repo).map_err(CommandError::invalid)?;
    let allowed = signing::allowed_signers(&app.repo, &target.tip, &target.policy)?;
    let mut made = Attempted::make(&signer, &allowed, item, review)?;
    let mut listed = Vec::new();
    if made.found.is_err() {
        listed = signing::principals(&made.armored, &allowed).map_err(|why| unchecked(&why))?;
    }
    if let [name] = listed.as_slice() {
        let named = Review { reviewer: Principal::Person(name.clone()), ..made.review.clone() };
        if named.reviewer != made.review.reviewer {
            let again = Attempted::make(&signer, &allowed, item, named)?;
            made = if again.found.is_ok() { again } else { made };
        }
    }
    let Attempted { mut review, armored, found } = made;
    let fingerprint = match found {
        Ok(verified) => verified.fingerprint,
        Err(why) => {
            let refused = not_allowed(&why, &signer, target, &review.reviewer, &listed);
            if target.policy.signatures_required {
                return Err(refused);
            }
            ui.warning(&refused.message);
            refused.hint.iter().for_each(|hint| ui.hint(hint));
            let statement = statement::bytes(item.0, item.1, &review);
            signing::fingerprint(&statement, &armored).map_err(|why| unchecked(&why))?
        }
    };
    review.signature = Some(Signature { armored, key: fingerprint });
    Ok(review)
}

/// A signature that proves nothing, with what would make it count.
fn not_allowed(
    why: &Unverified,
    signer: &Signer,
    target: &Target,
    reviewer: &Principal,
    listed: &[String],
) -> CommandError {
    let error = CommandError::new(Kind::Gate, format!("the signature does not count: {why}"));
    let (Unverified::NotAllowed { .. }, Principal::Person(address)) = (why, reviewer) else { return error };
    if !listed.is_empty() && !listed.contains(address) {
        return error.hint(format!("the key stands for {}: git config user.email {}", listed.join(", "), listed[0]));
    }
    let (file, branch) = (&target.policy.allowed_signers, target.branch.short());
    error.hint(format!("somebody has to add this line to {file} on {branch} and commit it: {}", signer.line(address)))
}

fn unchecked(why: &Unverified) -> CommandError {
    CommandError::operation(format!("the signature does not count: {why}"))
}

/// A change as it would be merged now, or as earlier reviewers saw it where the policy wants several of them.
struct Change {
    base: Oid,
    head: Oid,
    tree: Oid,
    authors: Vec<Principal>,
}

fn change(app: &App, key: &ItemKey, state: &ItemState, target: &Target) -> Result<Change, CommandError> {
    let base = &target.tip;
    let Some(attempt) = &state.attempt else {
        return Err(CommandError::usage(format!("story {key} has not been worked on, there is nothing to review")));
    };
    let lander = Rc::new(GitLander::new(&app.repo));
    let runtime = super::app::runtime()?;
    runtime.block_on(async {
        let head = lander.tip(&attempt.branch).await?.ok_or_else(|| {
            let message = format!("story {key} has no branch {} to review", attempt.branch.short());
            if state.is_done() {
                return CommandError::usage(format!("story {key} is done: there is nothing left to review"))
                    .hint(format!("git orchestrate show {key}"));
            }
            CommandError::usage(message).hint(format!("git orchestrate stories {key} makes it"))
        })?;
        let authors = lander.person_authors(base, &head).await?;
        if let Some((base, tree)) = gate::under_review(&target.policy, state, &head) {
            let (base, tree) = (base.clone(), tree.clone());
            return Ok(Change { base, head, tree, authors });
        }
        match lander.merge(base, &head).await? {
            Merged::Clean { tree } => Ok(Change { base: base.clone(), head, tree, authors }),
            Merged::Conflict { paths } => {
                let message = format!("story {key} conflicts with the target in {}", paths.join(", "));
                Err(CommandError::operation(message).hint("git orchestrate resume hands the conflict to the author"))
            }
        }
    })
}

/// The approvals that are still missing with this one.
fn missing(
    app: &App,
    key: &ItemKey,
    state: &ItemState,
    target: &Target,
    change: &Change,
    review: &Review,
) -> Result<gate::Missing, CommandError> {
    if target.policy.one_review() {
        return Ok(gate::Missing::default());
    }
    let mut state = state.clone();
    state.reviews.push(review.clone());
    let lander = GitLander::new(&app.repo);
    let signatures = super::app::runtime()?.block_on(lander.signatures(&change.base, &target.policy, key, &state))?;
    let candidate = Candidate {
        base: change.base.clone(),
        head: change.head.clone(),
        merge_tree: change.tree.clone(),
        person_authors: change.authors.clone(),
    };
    Ok(gate::missing(&target.policy, &state, &candidate, &signatures))
}

/// Findings of a request for changes; the message is one when nothing else was said.
fn findings(args: &ReviewArgs) -> Vec<crate::domain::event::Finding> {
    if args.approve || !args.finding.is_empty() {
        return args.finding.clone();
    }
    vec![crate::domain::event::Finding { path: String::new(), line: 0, text: args.message.trim().to_owned() }]
}
