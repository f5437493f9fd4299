//! Processes of attempts that no run works on any more. Finds them; ending them is the sweep's. Must not signal anything.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::process::environment::MARK;

/// The processes of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// The attempt.
    pub attempt: String,
    /// Their ids.
    pub pids: Vec<i32>,
    /// Whether any of them works below the place that was asked about.
    pub here: bool,
}

/// Every live process that carries the mark of an attempt, by attempt; `place` is a repository's root.
pub fn marked(place: &Path) -> Vec<Marked> {
    let mut found: BTreeMap<String, Marked> = BTreeMap::new();
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let Some(attempt) = attempt(&entry.path()).filter(|_| pid != own) else { continue };
        let here = fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(place));
        let marked = found.entry(attempt.clone()).or_insert(Marked { attempt, pids: Vec::new(), here: false });
        marked.pids.push(pid);
        marked.here |= here;
    }
    found.into_values().collect()
}

/// The attempt in a process's environment. Dead and foreign processes have nothing to read.
fn attempt(process: &Path) -> Option<String> {
    let environment = fs::read(process.join("environ")).ok()?;
    let mut variables = environment.split(|byte| *byte == 0);
    let mark = variables.find_map(|variable| variable.strip_prefix(MARK.as_bytes())?.strip_prefix(b"="))?;
    String::from_utf8(mark.to_vec()).ok()
}
