//! The roles a repository defines: `.claude/agents/<name>.md`. Must not read their content; `invoke` does when it needs it.

use std::fs;
use std::path::Path;

/// Names of the roles below `root`, sorted.
pub fn defined(root: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root.join(".claude/agents")) else { return Vec::new() };
    let name = |entry: fs::DirEntry| Some(entry.file_name().to_str()?.strip_suffix(".md")?.to_owned());
    let mut names: Vec<String> = entries.flatten().filter_map(name).collect();
    names.sort();
    names
}
