//! The `git gc` that is at work in a repository, by the note that git keeps while it is. Must not signal it.

use std::fmt;
use std::fs;
use std::path::Path;

use super::repo::Repo;

/// A live `git gc` on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collector {
    pid: u32,
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "git gc (pid {})", self.pid)
    }
}

/// The gc that works in `repo` now; `None` when there is none, when it is another machine's, and where processes cannot be
/// looked at.
pub fn at_work(repo: &Repo) -> Option<Collector> {
    let host = nix::unistd::gethostname().ok()?;
    noted(&fs::read_to_string(repo.common_dir().join("gc.pid")).ok()?, host.to_str()?).filter(|found| found.is_live())
}

/// What `gc.pid` says: `<pid> <host>`.
fn noted(text: &str, host: &str) -> Option<Collector> {
    let (pid, on) = text.trim().split_once(' ')?;
    let pid = pid.parse().ok()?;
    (on == host).then_some(Collector { pid })
}

impl Collector {
    fn is_live(self) -> bool {
        let name = fs::read_to_string(Path::new("/proc").join(self.pid.to_string()).join("comm"));
        // A number that somebody else got since is not it.
        name.is_ok_and(|name| ["git", "git-gc"].contains(&name.trim_end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_of_this_machine_names_a_process() {
        assert_eq!(noted("4711 here", "here"), Some(Collector { pid: 4711 }));
        for other in ["4711 there", "4711", "", "x here", "-1 here"] {
            assert_eq!(noted(other, "here"), None, "{other}");
        }
    }

    #[test]
    fn a_process_that_is_no_git_is_no_gc() {
        assert!(!Collector { pid: std::process::id() }.is_live());
    }
}
