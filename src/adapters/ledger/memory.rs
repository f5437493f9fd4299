//! Objects in memory that a `gc --prune=now` beside us may take although a ref names them by now: what this process wrote, and
//! what agents committed. Must not touch the disk.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gix::ObjectId;

use super::objects::Object;

/// How long objects are remembered at least, when something is looked for meanwhile: longer than a `git gc` of a usual
/// repository runs.
const RECENT: Duration = Duration::from_secs(60);

/// How much of each sort is, in bytes.
pub(super) const MOST: usize = 8 * 1024 * 1024;

/// A batch and when it was remembered.
type Batch = (Instant, Vec<Object>);

/// What the ledgers of one process remember together. Cheap to clone.
#[derive(Clone, Default)]
pub struct Memory {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    /// What was written lately, oldest first.
    written: VecDeque<Batch>,
    /// What branches of stories hold, by their names.
    lines: BTreeMap<String, Batch>,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Objects that this process wrote.
    Written,
    /// These, and what agents committed.
    Everything,
}

impl Memory {
    /// Remembers what was written.
    pub(super) fn remember(&self, batch: Vec<Object>) {
        let mut inner = self.inner();
        inner.written.push_back((Instant::now(), batch));
        let mut total: usize = inner.written.iter().map(size).sum();
        while total > MOST {
            let Some(oldest) = inner.written.pop_front() else { return };
            total -= size(&oldest);
        }
    }

    /// Remembers what a branch holds, in place of what was remembered of it.
    pub(super) fn remember_line(&self, branch: &str, batch: Vec<Object>) {
        let mut inner = self.inner();
        inner.lines.insert(branch.to_owned(), (Instant::now(), batch));
        let mut total: usize = inner.lines.values().map(size).sum();
        while total > MOST {
            let oldest = inner.lines.iter().min_by_key(|(_, (at, _))| *at).map(|(name, _)| name.clone());
            let Some(oldest) = oldest.and_then(|name| inner.lines.remove(&name)) else { return };
            total -= size(&oldest);
        }
    }

    /// What is not there any more. What was remembered long ago is looked for once more and then forgotten.
    pub(super) fn lost(&self, look: Look, is_there: impl Fn(&ObjectId) -> bool) -> Vec<Object> {
        let mut inner = self.inner();
        let lines = inner.lines.values().filter(|_| look == Look::Everything);
        let all = inner.written.iter().chain(lines).flat_map(|(_, batch)| batch);
        let lost = all.filter(|(id, _)| !is_there(id)).cloned().collect();
        inner.written.retain(is_recent);
        if look == Look::Everything {
            inner.lines.retain(|_, batch| is_recent(batch));
        }
        lost
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_recent((at, _): &Batch) -> bool {
    at.elapsed() < RECENT
}

fn size((_, batch): &Batch) -> usize {
    batch.iter().map(|(_, (_, bytes))| bytes.len()).sum()
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
