//! What can be typed after the commands that keep, share and mend: cleanup, rescue, backup, restore, sync, doctor.
//! Must not read files or the environment.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// Arguments of `cleanup`.
#[derive(Args, Clone, Debug)]
pub struct CleanupArgs {
    /// Stories to clean up after [default: all that ended]
    #[arg(value_name = "SCOPE")]
    pub scope: Vec<String>,
    /// Show what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Also after stories that failed or were stopped; their work is still rescued first
    #[arg(long)]
    pub force: bool,
    /// Show what is in the trash and delete what has been there for 14 days; with --dry-run only show it
    #[arg(long, conflicts_with_all = ["scope", "force"])]
    pub trash: bool,
}

/// Arguments of `doctor`.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// Repair what can be repaired inside the repository; what was wrong is kept aside
    #[arg(long, alias = "repair")]
    pub fix: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `rescue`.
#[derive(Args, Clone, Debug)]
pub struct RescueArgs {
    /// What to do [default: list]
    #[command(subcommand)]
    pub action: Option<RescueAction>,
    /// Write JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// What `rescue` does.
#[derive(Clone, Debug, Subcommand)]
pub enum RescueAction {
    /// List what is kept, newest first
    List,
    /// Show one: where it came from and what it changes
    Show {
        /// Name, as `list` shows it
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Put one on a branch of its own; changes nothing else
    Restore {
        /// Name, as `list` shows it
        #[arg(value_name = "NAME")]
        name: String,
        /// Branch to make [default: rescued/NAME]
        #[arg(long, value_name = "BRANCH")]
        branch: Option<String>,
    },
}

/// Arguments of `backup`.
#[derive(Args, Clone, Debug)]
pub struct BackupArgs {
    /// File to write, a git bundle; must not exist
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}

/// Arguments of `restore`.
#[derive(Args, Clone, Debug)]
pub struct RestoreArgs {
    /// A file that `backup` wrote, or a checkpoint of a run
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Also set back what has newer events than the backup; what is set back is kept as rescued work
    #[arg(long)]
    pub overwrite_newer: bool,
    /// Show what would change and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `sync`.
#[derive(Args, Clone, Debug)]
pub struct SyncArgs {
    /// The remote [default: the target's upstream, else origin]
    #[arg(value_name = "REMOTE")]
    pub remote: Option<String>,
    /// Where both sides went on and contradict each other: what is recorded here stands for this story
    #[arg(long, value_name = "ID")]
    pub ours: Vec<String>,
    /// The same for what is recorded there
    #[arg(long, value_name = "ID")]
    pub theirs: Vec<String>,
    /// Fetch, but only show what would be merged and pushed
    #[arg(long)]
    pub dry_run: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}
