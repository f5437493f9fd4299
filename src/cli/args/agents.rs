//! What can be typed after `agents`. Must not read files or the environment.

use clap::{Args, Subcommand};

/// Arguments of `agents`.
#[derive(Args, Clone, Debug)]
pub struct AgentsArgs {
    /// What to do [default: list]
    #[command(subcommand)]
    pub action: Option<AgentsAction>,
    /// Write JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// What `agents` does.
#[derive(Clone, Debug, Subcommand)]
pub enum AgentsAction {
    /// List all adapters: installed or not, version, why not
    List,
    /// Show an adapter as it is in force, and which file each key came from
    Show {
        /// The adapter
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// List the texts that agents are told, or print one
    Prompts {
        /// The text: author, review, review-response, rework, conflict, ...
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// List the roles that stories and settings can name, and where each is described
    Roles,
    /// Find clients and start each once for its version
    Check {
        /// The adapters [default: those that are installed or that the settings name]
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}
