//! Fast copies of a prepared folder of repositories. Paths into the folder that git keeps are changed to the copy's.

use std::os::unix::fs::symlink;
use std::path::Path;

/// Larger files hold no path of ours.
const LARGEST_TEXT: u64 = 64 * 1024;

/// Copies a folder; objects, which git never changes in place, are linked.
pub fn tree(from: &Path, to: &Path, root: (&Path, &Path)) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let (path, goal) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            let target = std::fs::read_link(&path).unwrap();
            let moved = target.strip_prefix(root.0).map(|rest| root.1.join(rest));
            symlink(moved.unwrap_or(target), goal).unwrap();
        } else if kind.is_dir() {
            tree(&path, &goal, root);
        } else if path.components().any(|part| part.as_os_str() == "objects") {
            std::fs::hard_link(&path, &goal).unwrap();
        } else {
            file(&path, &goal, root);
        }
    }
}

fn file(from: &Path, to: &Path, (old, new): (&Path, &Path)) {
    std::fs::copy(from, to).unwrap();
    let of_git = |part: std::path::Component<'_>| [".git", "server.git"].iter().any(|name| part.as_os_str() == *name);
    if !from.components().any(of_git) || from.metadata().unwrap().len() > LARGEST_TEXT {
        return;
    }
    let Ok(text) = std::fs::read_to_string(to) else { return };
    let old = old.to_str().unwrap();
    if text.contains(old) {
        std::fs::write(to, text.replace(old, new.to_str().unwrap())).unwrap();
    }
}
