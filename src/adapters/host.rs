//! The machine: clock, ids, liveness locks, the sweep of marked processes. Must not know git.

use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use super::process::fence;
use crate::domain::diagnostic::escape_line;
use crate::domain::names::{AttemptId, ItemKey, RunId, Timestamp};
use crate::engine::ports::{AttemptLock, Clock, Host, PortError};

/// This machine.
#[derive(Clone, Debug)]
pub struct Machine {
    state_dir: PathBuf,
}

impl Machine {
    /// The machine, with its locks below `state_dir` (`<git common dir>/orchestrate`).
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self { state_dir: state_dir.into() }
    }
}

impl Clock for Machine {
    fn now(&self) -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_millisecond())
    }
}

impl Host for Machine {
    fn run_id(&self) -> RunId {
        let now = jiff::Timestamp::now().to_zoned(TimeZone::UTC);
        RunId::new(format!("{}-{}", now.strftime("%Y%m%dT%H%M%S"), hex(&random::<3>())))
    }

    fn attempt_id(&self) -> AttemptId {
        AttemptId::new(format!("a-{}", hex(&random::<6>())))
    }

    fn session_id(&self) -> String {
        let mut bytes = random::<16>();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let text = hex(&bytes);
        format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
    }

    fn describe(&self) -> String {
        let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        format!("{} pid {}", host.unwrap_or_else(|| "localhost".to_owned()), std::process::id())
    }

    fn lock(&self, key: &ItemKey, attempt: &AttemptId) -> Result<Result<Box<dyn AttemptLock>, String>, PortError> {
        let path = self.state_dir.join("locks").join(file_name(key));
        let failed = |error: io::Error| PortError::new(format!("cannot lock {}", path.display())).because(error);
        let text = format!("{} attempt {attempt}\n", self.describe());
        match take(&path, &text).map_err(failed)? {
            Some(lock) => Ok(Ok(Box::new(lock))),
            None => Ok(Err(holder(&path))),
        }
    }

    fn sweep(&self, attempt: &AttemptId) -> Result<usize, PortError> {
        let swept = fence::end(&self.state_dir, attempt.as_str());
        if swept.left == 0 {
            return Ok(swept.killed);
        }
        Err(PortError::new(format!("{} processes of attempt {attempt} do not end", swept.left))
            .hint("they are probably in an uninterruptible wait; see `ps -eo pid,stat,wchan,args`"))
    }
}

impl Machine {
    /// Those of `keys` that a process works on now. Looks without taking anything for longer than the look.
    pub fn held<'a>(&self, keys: impl Iterator<Item = &'a ItemKey>) -> BTreeSet<ItemKey> {
        let folder = self.state_dir.join("locks");
        // Few items of many are at work: one listing instead of a look for each.
        let there: HashSet<OsString> =
            std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
        if there.is_empty() {
            return BTreeSet::new();
        }
        let held = |key: &&ItemKey| {
            let name = file_name(key);
            if !there.contains(OsStr::new(&name)) {
                return false;
            }
            let path = folder.join(name);
            // A shared lock is refused as long as somebody holds the exclusive one.
            File::open(path).is_ok_and(|file| Flock::lock(file, FlockArg::LockSharedNonblock).is_err())
        };
        keys.filter(held).cloned().collect()
    }
}

/// How often a lock that seems held is tried again, and after how long: longer than a look at it takes.
const LOOKS: u32 = 4;
const LOOK: std::time::Duration = std::time::Duration::from_millis(3);

/// A held lock file; it is removed when the lock is released.
struct HeldLock {
    path: PathBuf,
    _lock: Flock<File>,
}

impl AttemptLock for HeldLock {}

impl Drop for HeldLock {
    fn drop(&mut self) {
        // While it is still held: whoever opened this file before finds after locking it that it is no longer the one at
        // the path, and tries again.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Takes the lock; `None` when another process holds it. Children do not inherit it: the file is close-on-exec.
fn take(path: &Path, text: &str) -> io::Result<Option<HeldLock>> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut tries = 0;
    loop {
        std::fs::create_dir_all(folder)?;
        let file = match OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            // `status` looks with a shared lock that is gone at once; only an exclusive one stays.
            Err((_, Errno::EWOULDBLOCK)) if tries < LOOKS => {
                tries += 1;
                std::thread::sleep(LOOK);
                continue;
            }
            Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
            Err((_, errno)) => return Err(errno.into()),
        };
        if is_at(&lock, path) {
            lock.set_len(0)?;
            lock.write_all(text.as_bytes())?;
            return Ok(Some(HeldLock { path: path.to_owned(), _lock: lock }));
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(held), Ok(there)) = (file.metadata(), std::fs::metadata(path)) else { return false };
    (held.dev(), held.ino()) == (there.dev(), there.ino())
}

fn holder(path: &Path) -> String {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(512).read_to_string(&mut text));
    match read {
        Ok(_) if !text.trim().is_empty() => escape_line(text.trim()),
        _ => "another process".to_owned(),
    }
}

/// File name of an item's lock: the key, or its digest where a key is not fit for a file name.
fn file_name(key: &ItemKey) -> String {
    let key = key.as_str();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-~%".contains(&b);
    if !key.is_empty() && key.len() <= 200 && !key.starts_with('.') && key.bytes().all(plain) {
        return format!("{key}.lock");
    }
    format!("{}.lock", hex(&Sha256::digest(key.as_bytes())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system's random source is ready after boot");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_form_and_differ() {
        let machine = Machine::new("unused");
        let run = machine.run_id();
        let form = regex::Regex::new(r"^[0-9]{8}T[0-9]{6}-[0-9a-f]{6}$").unwrap();
        assert!(form.is_match(run.as_str()), "{run}");
        assert!(machine.attempt_id().as_str().starts_with("a-"));
        assert_ne!(machine.attempt_id(), machine.attempt_id());
        let uuid = regex::Regex::new("^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$").unwrap();
        assert!(uuid.is_match(&machine.session_id()), "{}", machine.session_id());
    }

    #[test]
    fn an_item_is_held_by_one_attempt_until_it_is_released() {
        let dir = tempfile::tempdir().unwrap();
        let machine = Machine::new(dir.path());
        let (key, attempt) = (ItemKey::new("1.1"), AttemptId::new("a-1"));
        let held = machine.lock(&key, &attempt).unwrap();
        assert!(held.is_ok());
        let refused = machine.lock(&key, &AttemptId::new("a-2")).unwrap();
        assert!(refused.err().unwrap().contains("attempt a-1"));
        assert!(machine.lock(&ItemKey::new("1.2"), &attempt).unwrap().is_ok());
        drop(held);
        assert!(machine.lock(&key, &attempt).unwrap().is_ok());
        assert_eq!(std::fs::read_dir(dir.path().join("locks")).unwrap().count(), 0);
    }

    #[test]
    fn a_key_never_leaves_the_folder_of_locks() {
        assert_eq!(file_name(&ItemKey::new("1.4b")), "1.4b.lock");
        assert!(!file_name(&ItemKey::new("../../x")).contains('/'));
        assert!(file_name(&ItemKey::new("a".repeat(300))).len() < 100);
    }
}
