//! Whether this process was started by an agent of ours: our mark in its own or an ancestor's environment, or a supervisor of
//! ours among its ancestors. Both only ever deny; a process that sheds its environment and its parents is not recognised,
//! and the manual says so.

use std::fs;

use crate::adapters::process::environment::MARK;
use crate::adapters::process::spawn::SUPERVISE;

/// Most ancestors that are looked at.
const MOST_ANCESTORS: usize = 64;

/// The attempt that this process belongs to: by the mark it or one of its ancestors carries, or by a supervisor among them.
/// Every orphan below a supervisor becomes its child, so that only who has left the supervisor as well is not recognised.
pub fn marked_attempt() -> Option<String> {
    if let Ok(attempt) = std::env::var(MARK) {
        return Some(attempt);
    }
    let mut pid = parent_of("self")?;
    for _ in 0..MOST_ANCESTORS {
        // 0 is outside of a PID namespace, whose first process may be a supervisor of ours.
        if pid == 0 {
            return None;
        }
        let id = pid.to_string();
        if let Some(attempt) = mark_of(&id).or_else(|| supervised_by(&id)) {
            return Some(attempt);
        }
        pid = parent_of(&id)?;
    }
    None
}

/// The attempt that a supervisor of ours watches over. Its command line is believed: this only ever denies.
fn supervised_by(pid: &str) -> Option<String> {
    attempt_in(&fs::read(format!("/proc/{pid}/cmdline")).ok()?)
}

fn attempt_in(command_line: &[u8]) -> Option<String> {
    let words: Vec<_> = command_line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    match words.as_slice() {
        [_, hidden, flag, attempt, ..] if hidden == SUPERVISE && flag.starts_with("--") => Some(attempt.to_string()),
        [_, hidden, attempt, ..] if hidden == SUPERVISE => Some(attempt.to_string()),
        _ => None,
    }
}

fn mark_of(pid: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let wanted = format!("{MARK}=");
    let variable = environment.split(|byte| *byte == 0).find(|variable| variable.starts_with(wanted.as_bytes()))?;
    Some(String::from_utf8_lossy(&variable[wanted.len()..]).into_owned())
}

/// The parent of a process; `self` names this one. `None` where the system does not tell.
pub fn parent_of(pid: &str) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_is_known_by_its_command_line() {
        let attempt = |line: &str| attempt_in(line.replace(' ', "\0").as_bytes());
        assert_eq!(attempt("git-orchestrate __supervise a-1 /lock /exit none").as_deref(), Some("a-1"));
        assert_eq!(attempt("git-orchestrate __supervise --inside a-1").as_deref(), Some("a-1"));
        assert_eq!(attempt("git-orchestrate stories 1.1"), None);
        assert_eq!(attempt("git-orchestrate"), None);
    }
}
