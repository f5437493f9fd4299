//! Two ends of one chain made one. The rule is the same wherever it is applied, so that two machines that join the same two
//! ends write the same commits. Must not move a ref, and must not choose where the two contradict each other.
//!
//! After what both have come the events of whoever began first, then those of the other, written again on top with their own
//! times, then a record with both ends as parents. What the domain's `apply` rejects is tried the other way round.

use gix::ObjectId;

use super::codec::{self, Fact};
use super::lineage::{Damage, Link, prove};
use super::objects::{Batch, NewCommit};
use crate::adapters::git::commit;
use crate::engine::ports::PortError;

/// How two ends of a chain stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    /// They are one.
    Same,
    /// Ours has everything of theirs.
    Newer,
    /// Theirs has everything of ours.
    Older,
    /// Both went on; this record has everything of both.
    Joined(ObjectId),
    /// Both went on, and both cannot be so.
    Contradicts(String),
}

/// Why two ends could not be compared.
#[derive(Debug)]
pub(super) enum Failed {
    /// Theirs cannot be believed.
    Theirs(Damage),
    /// Ours cannot.
    Ours(Damage),
    /// Git or the machine.
    Port(PortError),
}

/// Whose records a person lets stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Those of this repository.
    Ours,
    /// Those of the other.
    Theirs,
}

/// One end: the records since the two parted, and the proven chain's last record.
struct End<'a, F: Fact> {
    tip: ObjectId,
    since: Vec<&'a Link<F>>,
    events: Vec<F>,
    last: &'a Link<F>,
}

/// Compares two ends; the records of a join go into the batch.
pub(super) fn meet<F: Fact>(
    git: &gix::Repository,
    name: &str,
    ours: ObjectId,
    theirs: ObjectId,
    keep: Option<Keep>,
    batch: &mut Batch,
) -> Result<Meeting, Failed> {
    if ours == theirs {
        return Ok(Meeting::Same);
    }
    let their_links = prove::<F>(git, theirs).map_err(Failed::Theirs)?;
    if commit::contains(git, theirs, ours).map_err(Failed::Port)? {
        return Ok(Meeting::Older);
    }
    let our_links = prove::<F>(git, ours).map_err(Failed::Ours)?;
    if commit::contains(git, ours, theirs).map_err(Failed::Port)? {
        return Ok(Meeting::Newer);
    }
    let shared = our_links.iter().zip(&their_links).take_while(|(our, their)| our.id == their.id).count();
    let (Some(our), Some(their)) = (end(ours, &our_links, shared), end(theirs, &their_links, shared)) else {
        return Ok(Meeting::Contradicts("one of them has no record".to_owned()));
    };
    let writer = Writer { git, name };
    match keep {
        Some(Keep::Ours) => return writer.over(&our, &their, batch).map(Meeting::Joined),
        Some(Keep::Theirs) => return writer.over(&their, &our, batch).map(Meeting::Joined),
        None => {}
    }
    if let Some(why) =
        F::contradiction(&(&our.events, &our.last.decoded.state), &(&their.events, &their.last.decoded.state))
    {
        return Ok(Meeting::Contradicts(why));
    }
    let began = |end: &End<'_, F>| (end.since.first().map(|link| link.decoded.at), end.tip);
    let (first, second) = if began(&our) <= began(&their) { (our, their) } else { (their, our) };
    let mut why = String::new();
    for (base, added) in [(&first, &second), (&second, &first)] {
        match writer.replay(base, added, batch)? {
            Ok(joined) => return Ok(Meeting::Joined(joined)),
            Err(rejected) if why.is_empty() => why = rejected,
            Err(_) => {}
        }
    }
    Ok(Meeting::Contradicts(why))
}

fn end<F: Fact>(tip: ObjectId, links: &[Link<F>], shared: usize) -> Option<End<'_, F>> {
    let since: Vec<_> = links[shared..].iter().filter(|link| !link.decoded.joins).collect();
    let events = since.iter().map(|link| link.decoded.event.clone()).collect();
    Some(End { tip, since, events, last: links.last()? })
}

struct Writer<'a> {
    git: &'a gix::Repository,
    name: &'a str,
}

impl Writer<'_> {
    /// Writes the events of one end on top of the other; the reason where one does not apply.
    fn replay<F: Fact>(
        &self,
        base: &End<'_, F>,
        added: &End<'_, F>,
        batch: &mut Batch,
    ) -> Result<Result<ObjectId, String>, Failed> {
        let mut state = base.last.decoded.state.clone();
        let mut snapshot = self.raw(base.tip)?;
        let (mut tip, mut event, mut at) = (base.tip, &base.last.decoded.event, base.last.decoded.at);
        for link in &added.since {
            let next = &link.decoded;
            if base.events.contains(&next.event) || next.event.is_moot(&state) {
                continue;
            }
            let folded = match next.event.fold(&state, next.at) {
                Ok(folded) => folded,
                Err(rejected) => return Ok(Err(rejected.to_string())),
            };
            snapshot = codec::carry(&snapshot, &state, &folded);
            let message = codec::encode(self.name, &next.event, next.at, &snapshot);
            let new = NewCommit { tree: link.tree, parent: Some(tip), message: &message, at: next.at };
            tip = batch.add_commit(self.git.object_hash(), &new).map_err(Failed::Port)?;
            (state, event, at) = (folded, &next.event, next.at);
        }
        let message = codec::encode_join(self.name, event, at, &snapshot);
        let empty = ObjectId::empty_tree(self.git.object_hash());
        let new = NewCommit { tree: empty, parent: Some(tip), message: &message, at };
        batch.add_join(self.git.object_hash(), &new, added.tip).map(Ok).map_err(Failed::Port)
    }

    /// Lets one end stand and keeps the other reachable.
    fn over<F: Fact>(&self, kept: &End<'_, F>, other: &End<'_, F>, batch: &mut Batch) -> Result<ObjectId, Failed> {
        let last = &kept.last.decoded;
        let message = codec::encode_join(self.name, &last.event, last.at, &self.raw(kept.tip)?);
        let empty = ObjectId::empty_tree(self.git.object_hash());
        let new = NewCommit { tree: empty, parent: Some(kept.tip), message: &message, at: last.at };
        batch.add_join(self.git.object_hash(), &new, other.tip).map_err(Failed::Port)
    }

    fn raw(&self, tip: ObjectId) -> Result<serde_json::Value, Failed> {
        let message = super::chain::message_of(self.git, tip).map_err(Failed::Port)?;
        codec::raw_snapshot(&message).map_err(|error| Failed::Port(PortError::new(error.to_string())))
    }
}
