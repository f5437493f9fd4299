//! `pre-receive`: the verdict on a push to a server, all refs at once, while its objects are still in quarantine. A refusal
//! drops them. Must write nothing.

use std::io::Read;
use std::path::Path;

use super::read_all;
use super::records::LEDGER;
use super::refused::Refused;
use super::server::{self, New};
use super::undo;
use crate::adapters::gate::reader::{BRANCHES, Pushed, Reader};
use crate::engine::ports::PortError;

/// The hook's name.
pub(super) const NAME: &str = "pre-receive";

pub(super) fn run(stdin: &mut dyn Read) -> Result<Vec<Refused>, PortError> {
    let input = read_all(stdin)?;
    // `<old> <new> <ref>`
    let mut asked = Vec::new();
    for line in input.lines() {
        let mut fields = line.splitn(3, ' ').skip(1);
        if let (Some(new), Some(refname)) = (fields.next(), fields.next()) {
            asked.push((refname.to_owned(), New::read(new)));
        }
    }
    let matters = |(refname, _): &(String, New)| refname.starts_with(LEDGER) || refname.starts_with(BRANCHES);
    if !asked.iter().any(matters) {
        return Ok(Vec::new());
    }
    let pushed: Pushed = asked.iter().map(|(refname, new)| (refname.clone(), new.commit())).collect();
    let reader = Reader::of_push(&super::repository()?, pushed)?;
    if !reader.is_server() {
        return Ok(Vec::new());
    }
    // Records first: when one of them cannot be read, that is the reason, and not that nothing can be judged.
    asked.sort_by_key(|(refname, _)| !refname.starts_with(LEDGER));
    let mut refused = Vec::new();
    for (refname, new) in asked.iter().filter(|asked| matters(asked)) {
        match server::judge(&reader, refname, new) {
            Ok(more) => refused.extend(more),
            Err(error) if refused.is_empty() => return Err(error),
            Err(_) => {}
        }
    }
    Ok(refused)
}

/// Whether this process runs in a push that our `pre-receive` has judged as a whole: git runs it before any ref moves. In a
/// push that is not atomic each ref moves alone, and a branch may come before the records that cover it.
pub(super) fn has_judged(reader: &Reader) -> bool {
    undo::running_git().first().is_some_and(|command| command == "receive-pack") && is_installed(reader)
}

fn is_installed(reader: &Reader) -> bool {
    let hook = reader.hooks_dir().join(NAME);
    let program = std::env::current_exe().and_then(|program| program.canonicalize()).ok();
    match hook.canonicalize() {
        Ok(real) if real != hook && is_executable(&real) => program.is_some_and(|program| program == real),
        Ok(real) if is_executable(&real) => {
            std::fs::read_to_string(&real).is_ok_and(|text| text.contains("git-orchestrate hook pre-receive"))
        }
        Ok(_) | Err(_) => false,
    }
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
