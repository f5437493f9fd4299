//! One change of the repository's own files, as data: shown first, then made. Must never overwrite a file that is not ours.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::layout;
use crate::adapters::git::cli::{failed, output};
use crate::adapters::process::spawn;
use crate::engine::ports::PortError;

/// What git answers when a key that shall go is not there.
const NO_SUCH_KEY: i32 = 5;

/// A change that `init`, `init --uninstall` or `doctor --fix` makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A symbolic link under a hook's name to the program; takes the place of one of ours only.
    Link {
        /// The link.
        path: PathBuf,
        /// The program, absolute.
        program: PathBuf,
    },
    /// A script under a hook's name that starts the program; takes the place of one of ours only. Hook managers read the
    /// hooks that they find as text, and prek stops at one that is not.
    Script {
        /// The script.
        path: PathBuf,
        /// The program, absolute.
        program: PathBuf,
    },
    /// A file of ours, below `<common dir>/orchestrate`.
    Write {
        /// The file.
        path: PathBuf,
        /// All of it.
        text: String,
        /// Whether it can be run.
        executable: bool,
    },
    /// A file or link of ours goes away.
    Remove {
        /// The file.
        path: PathBuf,
    },
    /// Another program's hook that was put into our folder goes where it belongs.
    Move {
        /// Where it is.
        from: PathBuf,
        /// Where nothing is yet.
        to: PathBuf,
    },
    /// A key of a configuration file gets this one value.
    Set {
        /// The file.
        file: PathBuf,
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// A key of a configuration file goes away.
    Unset {
        /// The file.
        file: PathBuf,
        /// The key.
        key: String,
    },
    /// A configuration file becomes, byte for byte, what it was; `None` = it was not there.
    Restore {
        /// The file.
        file: PathBuf,
        /// Its bytes before.
        before: Option<Vec<u8>>,
    },
    /// A folder goes away if it is empty, and so does a configuration file.
    Prune {
        /// The folder or file.
        path: PathBuf,
    },
}

impl Change {
    /// One line for a person; paths below `root` are shown from there.
    pub fn shown(&self, root: &Path) -> String {
        let short = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
        match self {
            Self::Link { path, program } => format!("link {} to {}", short(path), program.display()),
            Self::Script { path, program } => format!("write {}, which starts {}", short(path), program.display()),
            Self::Write { path, .. } => format!("write {}", short(path)),
            Self::Remove { path } => format!("remove {}", short(path)),
            Self::Move { from, to } => format!("move {} to {}", short(from), short(to)),
            Self::Set { file, key, value } => format!("set {key} = {value} in {}", short(file)),
            Self::Unset { file, key } => format!("unset {key} in {}", short(file)),
            Self::Restore { file, before: Some(_) } => format!("restore {} as it was", short(file)),
            Self::Restore { file, before: None } => format!("remove {}, which was not there before", short(file)),
            Self::Prune { path } => format!("remove {} if nothing else is in it", short(path)),
        }
    }

    /// Whether a link or script is there already, leads to this program and can be run.
    pub(super) fn is_made(&self) -> bool {
        match self {
            Self::Link { path, program } => {
                path.read_link().is_ok_and(|found| found == *program)
                    || !path.is_symlink()
                        && layout::program_of(path).as_ref() == Some(program)
                        && layout::executable(path)
            }
            Self::Script { path, program } => {
                !path.is_symlink() && layout::program_of(path).as_ref() == Some(program) && layout::executable(path)
            }
            _ => false,
        }
    }

    /// Makes the change.
    pub fn make(&self) -> Result<(), PortError> {
        match self {
            Self::Link { path, program } => link(path, program).map_err(|error| cannot("install", path, error)),
            Self::Script { path, program } => {
                start_script(path, program).map_err(|error| cannot("install", path, error))
            }
            Self::Write { path, text, executable } => {
                let mode = if *executable { 0o755 } else { 0o644 };
                replace(path, text.as_bytes(), Some(mode)).map_err(|error| cannot("write", path, error))
            }
            Self::Remove { path } => gone(fs::remove_file(path)).map_err(|error| cannot("remove", path, error)),
            Self::Move { from, to } => give_back(from, to).map_err(|error| cannot("move", from, error)),
            Self::Set { file, key, value } => config(file, &["--replace-all", key, value]),
            Self::Unset { file, key } => unset(file, key),
            Self::Restore { file, before: Some(bytes) } => {
                replace(file, bytes, None).map_err(|error| cannot("restore", file, error))
            }
            Self::Restore { file, before: None } => {
                gone(fs::remove_file(file)).map_err(|error| cannot("remove", file, error))
            }
            Self::Prune { path } => {
                // What others use stays; that is no failure.
                let empty = fs::read(path).is_ok_and(|bytes| bytes.trim_ascii().is_empty());
                drop(if empty { fs::remove_file(path) } else { fs::remove_dir(path) });
                Ok(())
            }
        }
    }
}

fn cannot(what: &str, path: &Path, error: std::io::Error) -> PortError {
    PortError::new(format!("cannot {what} {}", path.display())).because(error)
}

/// Moves a file to a name that must be free.
fn give_back(from: &Path, to: &Path) -> std::io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    if from.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(from)?, to)?;
    } else {
        fs::hard_link(from, to)?;
    }
    fs::remove_file(from)
}

/// What is gone already need not go away.
fn gone(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn link(path: &Path, program: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    if layout::program_of(path).is_some() {
        fs::remove_file(path)?;
    }
    match std::os::unix::fs::symlink(program, path) {
        // A file system without symbolic links.
        Err(error) if error.kind() != ErrorKind::AlreadyExists => start_script(path, program),
        made => made,
    }
}

fn start_script(path: &Path, program: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    if layout::program_of(path).is_some() {
        fs::remove_file(path)?;
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(path)?;
    file.write_all(script(path, program).as_bytes())
}

/// What every script of ours begins with.
pub(super) const SCRIPT_HEAD: &str =
    "#!/bin/sh\n# Written by `git orchestrate init`; taken away by `git orchestrate init --uninstall`.\n[ ! -x ";
/// What follows the program's path there.
const SCRIPT_TAIL: &str = " ] || exec ";

/// A script that does what a link of this name to the program would.
pub(super) fn script(path: &Path, program: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let program = quoted(&program.to_string_lossy());
    format!("{SCRIPT_HEAD}{program}{SCRIPT_TAIL}{program} hook {name} \"$@\"\n")
}

/// The program that a script of ours starts; `None` for any other text.
pub(super) fn program_of_script(text: &str) -> Option<PathBuf> {
    let (word, _) = text.strip_prefix(SCRIPT_HEAD)?.split_once(SCRIPT_TAIL)?;
    let quoted = word.strip_prefix('\'').and_then(|word| word.strip_suffix('\''));
    Some(PathBuf::from(quoted.map_or_else(|| word.to_owned(), |word| word.replace("'\\''", "'"))))
}

/// A word as a shell reads it back.
pub(super) fn quoted(word: &str) -> String {
    let plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/+:@".contains(&byte));
    if plain { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// Puts a file in place as git does with its configuration: `<file>.lock`, then a rename.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: Option<u32>) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&lock)?;
        let permissions = match mode {
            Some(mode) => Some(fs::Permissions::from_mode(mode)),
            None => fs::metadata(path).ok().map(|found| found.permissions()),
        };
        let written =
            file.write_all(bytes).and_then(|()| permissions.map_or(Ok(()), |like| file.set_permissions(like)));
        let placed = written.and_then(|()| file.sync_all()).and_then(|()| fs::rename(&lock, path));
        if placed.is_err() {
            drop(fs::remove_file(&lock));
        }
        placed
    };
    write()
}

fn unset(file: &Path, key: &str) -> Result<(), PortError> {
    let mut git = config_command(file, &["--unset-all", key]);
    let answer = output(&mut git)?;
    match answer.status.code() {
        Some(0 | NO_SUCH_KEY) => Ok(()),
        _ => Err(failed(&git, &answer)),
    }
}

fn config(file: &Path, args: &[&str]) -> Result<(), PortError> {
    let mut git = config_command(file, args);
    let answer = output(&mut git)?;
    if answer.status.success() { Ok(()) } else { Err(failed(&git, &answer)) }
}

fn config_command(file: &Path, args: &[&str]) -> std::process::Command {
    let mut git = spawn::command("git");
    git.arg("config").arg("--file").arg(file).args(args);
    git
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_spaces_and_quotes_survive_the_shell() {
        assert_eq!(quoted("/usr/bin/git-orchestrate"), "/usr/bin/git-orchestrate");
        assert_eq!(quoted("/a b/it's"), "'/a b/it'\\''s'");
    }

    #[test]
    fn a_script_names_its_program_and_other_texts_name_none() {
        for program in ["/usr/bin/git-orchestrate", "/a b/it's/git-orchestrate"] {
            let text = script(Path::new("/r/pre-push"), Path::new(program));
            assert!(text.ends_with("hook pre-push \"$@\"\n"), "{text}");
            assert_eq!(program_of_script(&text), Some(PathBuf::from(program)));
        }
        assert_eq!(program_of_script("#!/bin/sh\nexec git-orchestrate hook pre-push\n"), None);
    }

    #[test]
    fn neither_link_nor_script_takes_the_place_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pre-push");
        fs::write(&path, "mine").unwrap();
        let program = PathBuf::from("/bin/true");
        assert!(Change::Link { path: path.clone(), program: program.clone() }.make().is_err());
        assert!(Change::Script { path: path.clone(), program }.make().is_err());
        assert_eq!(fs::read_to_string(path).unwrap(), "mine");
    }
}
