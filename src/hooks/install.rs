//! Puts the hooks into place: only where no hook of that name is, and only inside the repository. Never overwrites.

use std::path::{Path, PathBuf};

use super::NAMES;
use crate::adapters::git::repo::Repo;
use crate::adapters::process::spawn;
use crate::engine::ports::PortError;

/// The hook templates, for chaining by hand and for file systems without symbolic links.
pub const TEMPLATES: [(&str, &str); 4] = [
    ("reference-transaction", include_str!("../../hooks/reference-transaction")),
    ("pre-merge-commit", include_str!("../../hooks/pre-merge-commit")),
    ("pre-push", include_str!("../../hooks/pre-push")),
    ("prepare-commit-msg", include_str!("../../hooks/prepare-commit-msg")),
];

/// What became of one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Installed {
    /// It is there now.
    Made,
    /// It was there already and is ours.
    AlreadyOurs,
    /// It was there already and led to a program that is gone; it leads to this one now.
    Renewed,
    /// Another hook of that name is there; it was left alone.
    LeftAlone,
}

/// What became of all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The folder that git reads hooks from.
    pub directory: PathBuf,
    /// False when the folder lies outside the repository (a shared `core.hooksPath`): nothing was touched there.
    pub inside: bool,
    /// Name and result of each hook; empty when nothing was touched.
    pub hooks: Vec<(&'static str, Installed)>,
}

/// Installs the hooks so that they start `program`, an absolute path.
pub fn install(repo: &Repo, program: &Path) -> Result<Report, PortError> {
    let directory = effective_directory(repo)?;
    let inside = directory.starts_with(repo.common_dir());
    let mut report = Report { directory, inside, hooks: Vec::new() };
    if !inside {
        return Ok(report);
    }
    let failed = |error| PortError::new(format!("cannot write {}", report.directory.display())).because(error);
    std::fs::create_dir_all(&report.directory).map_err(failed)?;
    for name in NAMES {
        report.hooks.push((name, place(&report.directory.join(name), name, program)?));
    }
    Ok(report)
}

/// Where git looks for hooks, with `core.hooksPath` taken into account.
fn effective_directory(repo: &Repo) -> Result<PathBuf, PortError> {
    let mut git = spawn::command("git");
    git.arg("-C").arg(repo.root()).args(["rev-parse", "--path-format=absolute", "--git-path", "hooks"]);
    let output = git.output().map_err(|error| PortError::new("git cannot be run").because(error))?;
    let path = String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned();
    if !output.status.success() || path.is_empty() {
        return Err(PortError::new("git does not say where its hooks are"));
    }
    // The folder may not exist yet; its parent does.
    let path = PathBuf::from(path);
    let real = path.canonicalize().ok().or_else(|| {
        let parent = path.parent()?.canonicalize().ok()?;
        Some(parent.join(path.file_name()?))
    });
    Ok(real.unwrap_or(path))
}

fn place(path: &Path, name: &str, program: &Path) -> Result<Installed, PortError> {
    let failed = |error| PortError::new(format!("cannot install {}", path.display())).because(error);
    let Ok(found) = path.symlink_metadata() else {
        make(path, name, program).map_err(failed)?;
        return Ok(Installed::Made);
    };
    if !found.is_symlink() {
        let ours = std::fs::read_to_string(path).is_ok_and(|text| text.contains("git-orchestrate hook"));
        return Ok(if ours { Installed::AlreadyOurs } else { Installed::LeftAlone });
    }
    let leads_to = std::fs::read_link(path).map_err(failed)?;
    if leads_to == program {
        return Ok(Installed::AlreadyOurs);
    }
    if leads_to.file_name() != program.file_name() {
        return Ok(Installed::LeftAlone);
    }
    // A link of ours from an earlier place of the program.
    std::fs::remove_file(path).and_then(|()| make(path, name, program)).map_err(failed)?;
    Ok(Installed::Renewed)
}

fn make(path: &Path, name: &str, program: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, symlink};
    match symlink(program, path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            let template = TEMPLATES.iter().find(|(hook, _)| *hook == name).map_or("", |(_, text)| text);
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o755).open(path)?;
            std::io::Write::write_all(&mut file, template.as_bytes())
        }
        made => made,
    }
}
