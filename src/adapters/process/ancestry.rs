//! Whether this process was started by an agent of ours: our mark in its own or an ancestor's environment.
//! A mark only ever denies; a process that sheds its environment and its parents is not recognised, and the manual says so.

use std::fs;

use crate::adapters::process::environment::MARK;

/// Most ancestors that are looked at.
const MOST_ANCESTORS: usize = 64;

/// The attempt whose mark this process or one of its ancestors carries.
pub fn marked_attempt() -> Option<String> {
    if let Ok(attempt) = std::env::var(MARK) {
        return Some(attempt);
    }
    let mut pid = parent_of("self")?;
    for _ in 0..MOST_ANCESTORS {
        if pid <= 1 {
            return None;
        }
        let id = pid.to_string();
        if let Some(attempt) = mark_of(&id) {
            return Some(attempt);
        }
        pid = parent_of(&id)?;
    }
    None
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
