//! Files that a client leaves in a worktree for itself: moved to the invocation's folder, so that they are neither committed
//! nor taken for unfinished work. Must not delete anything, nor touch what git knows.

use std::fs;
use std::path::Path;

/// Moves what matches out of the worktree's top into `into`, which is made when it is needed. `tracked` says whether git has a
/// name. What cannot be moved stays.
pub(super) fn move_out(worktree: &Path, patterns: &[String], into: &Path, tracked: impl Fn(&str) -> bool) {
    if patterns.is_empty() {
        return;
    }
    let Ok(entries) = fs::read_dir(worktree) else { return };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if patterns.iter().any(|pattern| matches(pattern, &name)) && !tracked(&name) {
            // Its loss would be no one's but the client's; left behind it shows up as uncommitted.
            drop(fs::create_dir_all(into).and_then(|()| fs::rename(entry.path(), into.join(&name))));
        }
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_untracked_files_of_the_client_go() {
        let dir = tempfile::tempdir().unwrap();
        let (worktree, into) = (dir.path().join("w"), dir.path().join("left"));
        fs::create_dir_all(worktree.join(".aider.tags.cache.v4")).unwrap();
        for name in [".aider.chat.history.md", ".aider.conf.yml", "aider.py", "work.txt"] {
            fs::write(worktree.join(name), name).unwrap();
        }
        move_out(&worktree, &[".aider*".to_owned()], &into, |name| name == ".aider.conf.yml");
        let names = |dir: &Path| {
            let all = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            all.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
        };
        assert_eq!(names(&worktree), [".aider.conf.yml", "aider.py", "work.txt"]);
        assert_eq!(names(&into), [".aider.chat.history.md", ".aider.tags.cache.v4"]);
    }

    #[test]
    fn without_a_pattern_nothing_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        move_out(dir.path(), &[], &dir.path().join("left"), |_| panic!("asked"));
        assert!(!dir.path().join("left").exists());
    }
}
