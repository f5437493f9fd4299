//! Whether the kernel killed a process for want of memory. Must not guess more than it says.

use nix::sys::signal::Signal;
use rustix::process::WaitStatus;

/// How much rather a child of ours is killed than others when memory is short; -1000 never, 1000 first. As browsers have it
/// for their tabs: before what the user works with, and before the engine.
const RATHER: &str = "300";

/// How often the kernel killed for want of memory, as far as it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kills(Option<u64>);

impl Kills {
    /// Up to now.
    pub(super) fn now() -> Self {
        let text = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
        Self(text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()))
    }
}

/// Makes the kernel choose a process before others.
pub(super) fn prefer(pid: u32) {
    // It may have ended already, and a system may forbid it; neither matters.
    let _ = std::fs::write(format!("/proc/{pid}/oom_score_adj"), RATHER);
}

/// What to say of an end that was not ours; `before` is from its start.
pub(super) fn words(status: WaitStatus, before: &Kills) -> Option<String> {
    let killed = status.terminating_signal() == Some(Signal::SIGKILL as i32);
    killed.then(|| judge(*before, Kills::now()).to_owned())
}

fn judge(before: Kills, now: Kills) -> &'static str {
    match (before.0, now.0) {
        (Some(before), Some(now)) if now > before => "killed: out of memory, as the kernel counts it",
        (Some(_), Some(_)) => "killed by something else than git-orchestrate: a person, or a limit on its memory",
        _ => "killed: probably memory",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_kill_that_the_kernel_counted_is_called_memory_for_certain() {
        assert!(judge(Kills(Some(3)), Kills(Some(4))).contains("out of memory"));
        assert!(judge(Kills(Some(3)), Kills(Some(3))).contains("something else"));
        assert!(judge(Kills(None), Kills(None)).contains("probably memory"));
    }
}
