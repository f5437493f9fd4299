//! The engine's end of a supervisor: where the program lies, and what can be made around the work. Must not watch over the
//! work itself.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, OnceLock};

use super::spawn;
use super::supervise::Namespace;
use crate::domain::settings::PidNamespace;

/// How supervisors are started. Cheap to clone; what was found out about the machine is shared by clones.
#[derive(Clone, Debug)]
pub struct Supervisor {
    program: PathBuf,
    wanted: PidNamespace,
    found: Arc<OnceLock<Namespace>>,
}

impl Supervisor {
    /// Supervisors of this very program, whatever lies at its path by now.
    pub fn of_this_program(wanted: PidNamespace) -> Self {
        Self::at(spawn::this_program(), wanted)
    }

    /// Supervisors of a program that answers to `__supervise`.
    pub fn at(program: impl Into<PathBuf>, wanted: PidNamespace) -> Self {
        Self { program: program.into(), wanted, found: Arc::default() }
    }

    /// What is made around the work: found out once, by trying.
    pub fn namespace(&self) -> Namespace {
        *self.found.get_or_init(|| {
            let tried: &[Namespace] = match self.wanted {
                PidNamespace::Off => &[],
                PidNamespace::Auto => &[Namespace::Pid],
                PidNamespace::On => &[Namespace::Pid, Namespace::User],
            };
            tried.iter().copied().find(|namespace| self.can_make(*namespace)).unwrap_or(Namespace::None)
        })
    }

    fn can_make(&self, namespace: Namespace) -> bool {
        let args = ["--probe", namespace.word()].map(OsString::from);
        let probe = spawn::supervisor(&self.program, &args, Stdio::null(), Stdio::null());
        probe.is_ok_and(|mut probe| probe.wait().is_ok_and(|status| status.success()))
    }

    /// Starts one.
    pub(super) fn start(&self, attempt: &str, lock: &Path, exit: &Path) -> std::io::Result<Child> {
        let namespace = self.namespace().word();
        let args = [attempt.into(), lock.into(), exit.into(), OsString::from(namespace)];
        spawn::supervisor(&self.program, &args, Stdio::piped(), Stdio::null())
    }
}
