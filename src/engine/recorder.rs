//! The actor that owns the ledger: everybody else sends it records and waits. Requests that arrive while a write is under
//! way share the next one (group commit). Must not decide anything.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, oneshot};

use super::ports::{Ledger, LedgerError, PortError, Record};
use crate::domain::event::Landing;
use crate::domain::gate::MergePermit;
use crate::domain::names::{BranchRef, ItemKey, Oid, Timestamp};
use crate::domain::state::ItemState;
use crate::domain::tamper::Restored;

/// What the actor is asked for.
enum Request {
    Append(Vec<Record>, oneshot::Sender<Result<(), LedgerError>>),
    Land(Box<LandRequest>, oneshot::Sender<Result<(), LedgerError>>),
    Item(ItemKey, oneshot::Sender<Result<Option<ItemState>, LedgerError>>),
    Tip(ItemKey, oneshot::Sender<Result<Option<Oid>, LedgerError>>),
    Blob(Oid, oneshot::Sender<Result<Vec<u8>, LedgerError>>),
    WriteBlob(Vec<u8>, oneshot::Sender<Result<Oid, LedgerError>>),
    Guard(oneshot::Sender<Result<(), LedgerError>>),
    Hold(BranchRef, Oid, oneshot::Sender<Result<(), LedgerError>>),
    MakeGood(oneshot::Sender<Result<usize, LedgerError>>),
    Audit(oneshot::Sender<Result<Vec<Restored>, LedgerError>>),
    Items(oneshot::Sender<Result<BTreeMap<ItemKey, ItemState>, LedgerError>>),
}

/// A landing on its way.
struct LandRequest {
    permit: MergePermit,
    key: ItemKey,
    landing: Landing,
    at: Timestamp,
}

/// A handle to the actor; cheap to clone. The actor ends when the last handle is gone.
#[derive(Clone)]
pub struct Recorder {
    requests: mpsc::UnboundedSender<Request>,
}

impl Recorder {
    /// Starts the actor on the current `LocalSet`.
    pub fn start(ledger: Box<dyn Ledger>) -> Self {
        let (requests, inbox) = mpsc::unbounded_channel();
        tokio::task::spawn_local(serve(ledger, inbox));
        Self { requests }
    }

    /// Starts an actor that writes on the thread of the `LocalSet`, so that every run of a test has the same order.
    #[cfg(test)]
    pub(crate) fn inline(mut ledger: Box<dyn Ledger>) -> Self {
        let (requests, mut inbox) = mpsc::unbounded_channel();
        tokio::task::spawn_local(async move {
            while let Some(first) = inbox.recv().await {
                // As when another thread writes: whoever asks meanwhile shares the next write.
                tokio::task::yield_now().await;
                handle(ledger.as_mut(), gather(first, &mut inbox));
            }
        });
        Self { requests }
    }

    /// Appends records; returns when they are durable.
    pub async fn append(&self, records: Vec<Record>) -> Result<(), LedgerError> {
        if records.is_empty() {
            return Ok(());
        }
        self.submit(records).settled().await
    }

    /// Hands records over without waiting; they are written before everything that is handed over later.
    pub fn submit(&self, records: Vec<Record>) -> Submitted {
        let (reply, answer) = oneshot::channel();
        // When the writer has ended, the answer says so.
        drop(self.requests.send(Request::Append(records, reply)));
        Submitted { answer }
    }

    /// Moves the target and appends `Landed`.
    pub async fn land(
        &self,
        permit: MergePermit,
        key: ItemKey,
        landing: Landing,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        let request = Box::new(LandRequest { permit, key, landing, at });
        self.ask(|reply| Request::Land(request, reply)).await
    }

    /// State of an item as the ledger holds it now.
    pub async fn item(&self, key: &ItemKey) -> Result<Option<ItemState>, LedgerError> {
        self.ask(|reply| Request::Item(key.clone(), reply)).await
    }

    /// Newest commit of an item's chain.
    pub async fn record(&self, key: &ItemKey) -> Result<Option<Oid>, LedgerError> {
        self.ask(|reply| Request::Tip(key.clone(), reply)).await
    }

    /// Content of a blob.
    pub async fn blob(&self, oid: &Oid) -> Result<Vec<u8>, LedgerError> {
        self.ask(|reply| Request::Blob(oid.clone(), reply)).await
    }

    /// Writes a blob.
    pub async fn write_blob(&self, bytes: Vec<u8>) -> Result<Oid, LedgerError> {
        self.ask(|reply| Request::WriteBlob(bytes, reply)).await
    }

    /// Remembers every ref of the ledger as it is now; see [`Ledger::guard`].
    pub async fn guard(&self) -> Result<(), LedgerError> {
        self.ask(Request::Guard).await
    }

    /// Remembers what a branch holds; see [`Ledger::hold`].
    pub async fn hold(&self, branch: &BranchRef, since: &Oid) -> Result<(), LedgerError> {
        self.ask(|reply| Request::Hold(branch.clone(), since.clone(), reply)).await
    }

    /// Writes again what a gc took; see [`Ledger::make_good`].
    pub async fn make_good(&self) -> Result<usize, LedgerError> {
        self.ask(Request::MakeGood).await
    }

    /// What had to be put back since the last call.
    pub async fn audit(&self) -> Result<Vec<Restored>, LedgerError> {
        self.ask(Request::Audit).await
    }

    /// State of every item as the ledger holds it now.
    pub async fn items(&self) -> Result<BTreeMap<ItemKey, ItemState>, LedgerError> {
        self.ask(Request::Items).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, LedgerError>>) -> Request,
    ) -> Result<T, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn gone() -> LedgerError {
    LedgerError::Port(PortError::new("the ledger writer has ended"))
}

/// Records on their way.
#[must_use]
pub struct Submitted {
    answer: oneshot::Receiver<Result<(), LedgerError>>,
}

impl Submitted {
    /// Returns when the records are durable.
    pub async fn settled(self) -> Result<(), LedgerError> {
        self.answer.await.map_err(|_| gone())?
    }
}

async fn serve(mut ledger: Box<dyn Ledger>, mut inbox: mpsc::UnboundedReceiver<Request>) {
    while let Some(first) = inbox.recv().await {
        let requests = gather(first, &mut inbox);
        let work = tokio::task::spawn_blocking(move || {
            handle(ledger.as_mut(), requests);
            // Packing that fails is tried again after the next writes; no run fails for it.
            drop(ledger.maintain());
            ledger
        });
        match work.await {
            Ok(back) => ledger = back,
            // The writer panicked: every later request is answered with "the ledger writer has ended".
            Err(_) => return,
        }
    }
}

/// What was asked for meanwhile, in order.
fn gather(first: Request, inbox: &mut mpsc::UnboundedReceiver<Request>) -> Vec<Request> {
    let mut requests = vec![first];
    while let Ok(more) = inbox.try_recv() {
        requests.push(more);
    }
    requests
}

/// Handles requests in order, joining neighbouring appends into one write. Answers go out after the write; an asker that
/// is gone by then does not matter.
fn handle(ledger: &mut dyn Ledger, requests: Vec<Request>) {
    let mut appends = Vec::new();
    for request in requests {
        if let Request::Append(records, reply) = request {
            appends.push((records, reply));
            continue;
        }
        flush(ledger, std::mem::take(&mut appends));
        match request {
            Request::Append(..) => {}
            Request::Land(land, reply) => {
                drop(reply.send(ledger.land(land.permit, &land.key, &land.landing, land.at)));
            }
            Request::Item(key, reply) => drop(reply.send(ledger.item(&key))),
            Request::Tip(key, reply) => drop(reply.send(ledger.record(&key))),
            Request::Blob(oid, reply) => drop(reply.send(ledger.blob(&oid))),
            Request::WriteBlob(bytes, reply) => drop(reply.send(ledger.write_blob(&bytes))),
            Request::Guard(reply) => drop(reply.send(ledger.guard())),
            Request::Hold(branch, since, reply) => drop(reply.send(ledger.hold(&branch, &since))),
            Request::MakeGood(reply) => drop(reply.send(ledger.make_good())),
            Request::Audit(reply) => drop(reply.send(ledger.audit())),
            Request::Items(reply) => drop(reply.send(ledger.items())),
        }
    }
    flush(ledger, appends);
}

type Append = (Vec<Record>, oneshot::Sender<Result<(), LedgerError>>);

/// Writes all appends at once; when the batch is refused, each on its own, so that one fenced attempt harms no other.
fn flush(ledger: &mut dyn Ledger, appends: Vec<Append>) {
    if appends.len() > 1 {
        let all: Vec<Record> = appends.iter().flat_map(|(records, _)| records.iter().cloned()).collect();
        match ledger.append(&all) {
            Ok(()) => {
                for (_, reply) in appends {
                    drop(reply.send(Ok(())));
                }
                return;
            }
            Err(LedgerError::Rejected(_) | LedgerError::Unreadable { .. }) => {}
            // Whether such a batch was written is not known, so nothing of it is written again.
            Err(
                error @ (LedgerError::Port(_)
                | LedgerError::Locked(_)
                | LedgerError::Gone(_)
                | LedgerError::TargetMoved { .. }),
            ) => {
                for (_, reply) in appends {
                    drop(reply.send(Err(PortError::new(error.to_string()).into())));
                }
                return;
            }
        }
    }
    for (records, reply) in appends {
        drop(reply.send(ledger.append(&records)));
    }
}
