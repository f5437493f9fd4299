//! The one gate function: policy, evidence and candidate in, verdict out, as data; and the permit it alone can make.
//! Must not read anything: whoever asks brings the facts.

use std::collections::BTreeSet;

use super::bookkeep::{DONE, Rewrite, bookkeep, review_lines};
use super::event::{Review, ReviewVerdict};
use super::hotfix::Emergency;
use super::names::{Oid, Principal};
use super::policy::{Policy, ReviewBy};
use super::state::ItemState;
use super::statement::Signatures;
use super::workflow::Phase;

/// The change that wants to land: exact object ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Tip of the protected branch.
    pub base: Oid,
    /// Tip of the story branch.
    pub head: Oid,
    /// Result of merging the two.
    pub merge_tree: Oid,
    /// Persons who authored commits in base..head.
    pub person_authors: Vec<Principal>,
}

/// One reason why a candidate is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A phase that landing needs is not recorded.
    PhaseMissing(Phase),
    /// Nobody reviewed.
    NoReview,
    /// The newest review asks for changes.
    ChangesRequested,
    /// The newest approval saw something else.
    ReviewStale(Stale),
    /// The reviewer wrote part of the change.
    SelfReview(Principal),
    /// The policy wants a person's review, and somebody else gave it.
    NotAPerson(Principal),
    /// The policy asks for more approvals than count here.
    ReviewersMissing(Missing),
    /// A check has not run on the merge tree.
    CheckMissing(String),
    /// A check failed on the merge tree.
    CheckFailed(String),
    /// `[gates] checks = "required"` and there are none.
    NoChecks,
    /// The policy requires signatures, and this reviewer gave none.
    NotSigned(Principal),
    /// The policy requires signatures, and this one proves nothing: why.
    BadSignature(String),
}

/// Approvals that a policy asks for and that are not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// By agents of further adapters, or by persons where the policy leaves it open.
    pub agents: u32,
    /// By persons.
    pub persons: u32,
}

impl Missing {
    /// Whether there are enough.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// What a stale review did not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// A new commit on the story branch.
    Head,
    /// A moved base with another merge result.
    MergeTree,
    /// A changed policy.
    Policy,
    /// A changed story text.
    Story,
}

/// What the gate says of a candidate.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything the policy asks for is there.
    Covered(Covered),
    /// Something is missing; never empty.
    Refused(Vec<Refusal>),
}

/// Proof that the gate passed a candidate. Only [`judge`] makes one.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Covered {
    base: Oid,
    head: Oid,
    merge_tree: Oid,
}

/// A commit of ours that writes status and review lines on top of a landing that a person made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteBack {
    /// Tip of the protected branch.
    pub base: Oid,
    /// Tree of the commit.
    pub tree: Oid,
    /// The only thing in which that tree differs from the base's.
    pub rewrite: Rewrite,
}

/// Proof that a write-back is what the records give, byte for byte. Only [`judge_write_back`] makes one.
///
/// ```compile_fail
/// use git_orchestrate::domain::gate::Recomputed;
/// let forged = Recomputed { base: unreachable!(), tree: unreachable!() };
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Recomputed {
    base: Oid,
    tree: Oid,
}

/// Where a permit comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Reviewed,
    Bookkeeping,
    Hotfix,
}

/// The value without which no code path can move a protected branch. Not `Clone`, not `Deserialize`.
///
/// ```compile_fail
/// use git_orchestrate::domain::gate::MergePermit;
/// let forged = MergePermit { origin: unreachable!(), base: unreachable!(), head: unreachable!(), merge_tree: unreachable!() };
/// ```
/// ```compile_fail
/// fn twice(permit: git_orchestrate::domain::gate::MergePermit) -> [git_orchestrate::domain::gate::MergePermit; 2] {
///     [permit.clone(), permit]
/// }
/// ```
/// ```compile_fail
/// use git_orchestrate::domain::gate::{Covered, MergePermit};
/// let forged = MergePermit::reviewed(Covered { base: unreachable!(), head: unreachable!(), merge_tree: unreachable!() });
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct MergePermit {
    origin: Origin,
    base: Oid,
    head: Oid,
    merge_tree: Oid,
}

impl MergePermit {
    /// Consumes the gate's proof.
    pub fn reviewed(covered: Covered) -> Self {
        Self { origin: Origin::Reviewed, base: covered.base, head: covered.head, merge_tree: covered.merge_tree }
    }

    /// Consumes the proof that a change meets the conditions of a hotfix.
    pub fn hotfix(emergency: Emergency) -> Self {
        let (base, head, merge_tree) = emergency.into_ids();
        Self { origin: Origin::Hotfix, base, head, merge_tree }
    }

    /// Whether it was given for a hotfix: good for landing that, and no story.
    pub fn is_for_hotfix(&self) -> bool {
        self.origin == Origin::Hotfix
    }

    /// Consumes the proof of a write-back. Head and tree are then the base and the tree with the lines written in.
    pub fn bookkeeping(proof: Recomputed) -> Self {
        let (base, tree) = (proof.base, proof.tree);
        Self { origin: Origin::Bookkeeping, head: base.clone(), base, merge_tree: tree }
    }

    /// Whether it lets status and review lines in, and nothing else.
    pub fn is_bookkeeping(&self) -> bool {
        self.origin == Origin::Bookkeeping
    }

    /// The value of the protected branch that the permit is good for.
    pub fn base(&self) -> &Oid {
        &self.base
    }

    /// The head that was judged.
    pub fn head(&self) -> &Oid {
        &self.head
    }

    /// The only tree that may land (before bookkeeping).
    pub fn merge_tree(&self) -> &Oid {
        &self.merge_tree
    }
}

/// A refusal for people: completes "refused: ".
pub fn reason(refusal: &Refusal) -> String {
    match refusal {
        Refusal::PhaseMissing(phase) => format!("phase {} ({phase}) is not recorded", phase.number()),
        Refusal::NoReview => "nobody reviewed it".to_owned(),
        Refusal::ChangesRequested => "the newest review asks for changes".to_owned(),
        Refusal::ReviewStale(Stale::Head) => "the story branch has a commit that the review did not see".to_owned(),
        Refusal::ReviewStale(Stale::MergeTree) => "the merge result is not the one that was reviewed".to_owned(),
        Refusal::ReviewStale(Stale::Policy) => "the policy changed after the review".to_owned(),
        Refusal::ReviewStale(Stale::Story) => "the story text changed after the review".to_owned(),
        Refusal::SelfReview(who) => format!("{who} reviewed a change of their own"),
        Refusal::NotAPerson(who) => format!("the policy wants a person's review; {who} is none"),
        Refusal::ReviewersMissing(Missing { agents, persons: 0 }) => {
            format!("the policy wants {agents} more approval(s), each by another reviewer")
        }
        Refusal::ReviewersMissing(Missing { agents: 0, persons }) => {
            format!("the policy wants {persons} more approval(s) by a person")
        }
        Refusal::ReviewersMissing(Missing { agents, persons }) => {
            format!("the policy wants {agents} more approval(s) by other reviewers and {persons} by a person")
        }
        Refusal::CheckMissing(name) => format!("check `{name}` has not run on the merge tree"),
        Refusal::CheckFailed(name) => format!("check `{name}` failed on the merge tree"),
        Refusal::NoChecks => "the policy requires checks and none is configured".to_owned(),
        Refusal::NotSigned(who) => format!("the policy requires a signed approval; {who} did not sign"),
        Refusal::BadSignature(why) => format!("the signature of the approval does not count: {why}"),
    }
}

/// Judges a write-back: the landing must be on record as intended, and the lines must be those that its records give.
pub fn judge_write_back(state: &ItemState, candidate: &WriteBack) -> Option<Recomputed> {
    let right = state.intended.is_some() && is_write_back(state, &candidate.rewrite);
    right.then(|| Recomputed { base: candidate.base.clone(), tree: candidate.tree.clone() })
}

/// Whether a rewrite is what a landing of this item writes into its story file, byte for byte.
pub fn is_write_back(state: &ItemState, rewrite: &Rewrite) -> bool {
    rewrite.path == state.path && bookkeep(&rewrite.before, DONE, &review_lines(&state.reviews)) == rewrite.after
}

/// Judges a candidate by the policy and the item's evidence. `signatures` is what the caller found out about the signatures of
/// the reviews, by the signers that the candidate's base allows; a signature of which nothing is known counts for nothing.
pub fn judge(policy: &Policy, state: &ItemState, candidate: &Candidate, signatures: &Signatures) -> Verdict {
    let mut refusals = Vec::new();
    for phase in Phase::ALL.into_iter().filter(|phase| phase.needed_for_landing()) {
        if !state.phases.contains_key(&phase) && phase != Phase::Review {
            refusals.push(Refusal::PhaseMissing(phase));
        }
    }
    refusals.extend(judge_review(policy, state, candidate, signatures));
    refusals.extend(judge_checks(policy, state, candidate));
    if refusals.is_empty() {
        Verdict::Covered(Covered {
            base: candidate.base.clone(),
            head: candidate.head.clone(),
            merge_tree: candidate.merge_tree.clone(),
        })
    } else {
        Verdict::Refused(refusals)
    }
}

fn judge_review(policy: &Policy, state: &ItemState, candidate: &Candidate, signatures: &Signatures) -> Option<Refusal> {
    let Some(review) = state.reviews.last() else { return Some(Refusal::NoReview) };
    if review.verdict == ReviewVerdict::RequestChanges {
        return Some(Refusal::ChangesRequested);
    }
    if let Some(stale) = staleness(policy, state, review, candidate) {
        return Some(Refusal::ReviewStale(stale));
    }
    if policy.review_by == ReviewBy::Human && !matches!(review.reviewer, Principal::Person(_)) {
        return Some(Refusal::NotAPerson(review.reviewer.clone()));
    }
    let mut authors = state.authors().chain(&candidate.person_authors);
    if let Some(author) = authors.find(|author| same(author, &review.reviewer)) {
        return Some(Refusal::SelfReview(author.clone()));
    }
    if let Some(refusal) = needs_signature(policy, review).then(|| judge_signature(review, signatures)).flatten() {
        return Some(refusal);
    }
    let missing = missing(policy, state, candidate, signatures);
    (!missing.is_none()).then_some(Refusal::ReviewersMissing(missing))
}

/// Where agents and a person review, the person is the one who signs.
fn needs_signature(policy: &Policy, review: &Review) -> bool {
    let by_agent = matches!(review.reviewer, Principal::Agent { .. });
    policy.signatures_required && !(by_agent && policy.review_by == ReviewBy::Both)
}

/// Approvals since the newest request for changes, newest last.
pub fn standing_approvals(reviews: &[Review]) -> &[Review] {
    let after = reviews.iter().rposition(|review| review.verdict == ReviewVerdict::RequestChanges);
    &reviews[after.map_or(0, |index| index + 1)..]
}

/// Base and result of the merge that earlier reviewers of this head approved, where the policy wants several of them: the next
/// one is to see the same, so that one written rule carries them all over a moved base.
pub fn under_review<'a>(policy: &Policy, state: &'a ItemState, head: &Oid) -> Option<(&'a Oid, &'a Oid)> {
    let approval = standing_approvals(&state.reviews).iter().rev();
    let mut same = approval.filter(|review| {
        review.head == *head
            && review.policy == policy.version
            && state.attempt.as_ref().is_none_or(|attempt| attempt.story == review.story)
    });
    let review = (!policy.one_review()).then(|| same.next()).flatten()?;
    Some((&review.base, &review.merge_tree))
}

/// The approvals that the policy still asks for. An approval counts when it is for this candidate, by somebody who wrote none
/// of it, and signed where that is required; a second one of the same adapter or person counts for nothing.
pub fn missing(policy: &Policy, state: &ItemState, candidate: &Candidate, signatures: &Signatures) -> Missing {
    let counts = |review: &&Review| {
        let own = state.authors().chain(&candidate.person_authors).any(|author| same(author, &review.reviewer));
        let unsigned = || needs_signature(policy, review) && judge_signature(review, signatures).is_some();
        !own && staleness(policy, state, review, candidate).is_none() && !unsigned()
    };
    let (mut agents, mut persons) = (BTreeSet::new(), BTreeSet::new());
    for review in standing_approvals(&state.reviews).iter().filter(counts) {
        match &review.reviewer {
            Principal::Agent { adapter, .. } => drop(agents.insert(adapter.as_str())),
            Principal::Person(address) => drop(persons.insert(address.to_ascii_lowercase())),
            Principal::Tool => {}
        }
    }
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let (agents, persons) = (number(agents.len()), number(persons.len()));
    let (wanted, of_persons) = match policy.review_by {
        ReviewBy::Agent => (policy.reviewers, 0),
        ReviewBy::Both => (policy.reviewers, 1),
        ReviewBy::Human => (0, policy.reviewers),
    };
    // A person more than asked for counts as any reviewer does.
    let spare = persons.saturating_sub(of_persons);
    Missing { agents: wanted.saturating_sub(agents + spare), persons: of_persons.saturating_sub(persons) }
}

/// The signature counts only when it was verified, for this reviewer, as made with the key on record.
fn judge_signature(review: &Review, signatures: &Signatures) -> Option<Refusal> {
    let Some(signature) = &review.signature else { return Some(Refusal::NotSigned(review.reviewer.clone())) };
    match signatures.of(review) {
        None => Some(Refusal::BadSignature("it was not verified".to_owned())),
        Some(Err(why)) => Some(Refusal::BadSignature(why.to_string())),
        Some(Ok(signer)) if Principal::Person(signer.principal.clone()) != review.reviewer => {
            Some(Refusal::BadSignature(format!("{} signed for {}", signer.principal, review.reviewer)))
        }
        Some(Ok(signer)) if signer.fingerprint != signature.key => {
            Some(Refusal::BadSignature(format!("it was made with {}, not {}", signer.fingerprint, signature.key)))
        }
        Some(Ok(_)) => None,
    }
}

/// Whether two principals are one: a session is the same under whatever adapter's name it goes, an address in whatever case.
pub fn same(one: &Principal, other: &Principal) -> bool {
    match (one, other) {
        (Principal::Person(address), Principal::Person(theirs)) => address.eq_ignore_ascii_case(theirs),
        (Principal::Agent { session, .. }, Principal::Agent { session: theirs, .. }) => session == theirs,
        (Principal::Agent { .. } | Principal::Person(_) | Principal::Tool, _) => one == other,
    }
}

fn staleness(policy: &Policy, state: &ItemState, review: &Review, candidate: &Candidate) -> Option<Stale> {
    if review.head != candidate.head {
        return Some(Stale::Head);
    }
    if review.policy != policy.version {
        return Some(Stale::Policy);
    }
    if state.attempt.as_ref().is_some_and(|attempt| attempt.story != review.story) {
        return Some(Stale::Story);
    }
    let carried = state.carried.as_ref().is_some_and(|carried| {
        carried.from_tree == review.merge_tree
            && carried.base == candidate.base
            && carried.merge_tree == candidate.merge_tree
    });
    if review.merge_tree != candidate.merge_tree && !carried {
        return Some(Stale::MergeTree);
    }
    None
}

fn judge_checks<'a>(
    policy: &'a Policy,
    state: &'a ItemState,
    candidate: &'a Candidate,
) -> impl Iterator<Item = Refusal> + 'a {
    let none = (policy.checks_required && policy.checks.is_empty()).then_some(Refusal::NoChecks);
    let each = policy.checks.iter().filter_map(|check| match state.check_on(&check.name, &candidate.merge_tree) {
        None => Some(Refusal::CheckMissing(check.name.clone())),
        Some(run) if !run.passed => Some(Refusal::CheckFailed(check.name.clone())),
        Some(_) => None,
    });
    none.into_iter().chain(each)
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
