//! What can be typed: the clap definitions from which help, man pages and completions are made.
//! Must not read files or the environment; nothing below `cli` sees these types.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, ArgGroup, Args, Parser, Subcommand, ValueEnum, ValueHint};

use super::help;
use crate::domain::budget::parse_dollars;
use crate::domain::event::Finding;
use crate::domain::settings::Missing;

mod keeping;

pub use keeping::{BackupArgs, CleanupArgs, DoctorArgs, RescueAction, RescueArgs, RestoreArgs, SyncArgs};

/// Runs coding agents over markdown stories and lands exactly what was reviewed
///
/// Reads stories, works out what depends on what, gives each story a git worktree and a coding agent, takes it through
/// 13 phases, has it reviewed by another session, and lands exactly the reviewed and tested result on the target branch.
/// Everything that is remembered lies in commits below refs/orchestrate/.
#[derive(Debug, Parser)]
#[command(name = "git-orchestrate", bin_name = "git orchestrate", version, disable_help_subcommand = true)]
#[command(after_long_help = help::OVERVIEW, max_term_width = 100, infer_long_args = false)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
pub struct Globals {
    /// Run as if started in this directory
    #[arg(short = 'C', global = true, display_order = 101, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    /// Say more on standard error
    #[arg(short, long, global = true, display_order = 102, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Say nothing but warnings and errors on standard error
    #[arg(short, long, global = true, display_order = 103)]
    pub quiet: bool,
    /// When to use colours
    #[arg(long, global = true, display_order = 104, value_name = "WHEN", default_value = "auto")]
    pub color: ColorWhen,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set up this repository: configuration, hooks, target branch
    #[command(after_long_help = help::INIT)]
    Init(InitArgs),
    /// Run stories: plan them, work on them in parallel, review and land them
    #[command(after_long_help = help::STORIES)]
    Stories(StoriesArgs),
    /// Show what `stories` would do
    #[command(after_long_help = help::PLAN)]
    Plan(PlanArgs),
    /// Show where everything stands
    Status(StatusArgs),
    /// Show one story whole: phases, checks, reviews, landing
    Show(ShowArgs),
    /// Show what happened, newest last
    #[command(after_long_help = help::LOG)]
    Log(LogArgs),
    /// Review a story as a person
    #[command(after_long_help = help::REVIEW)]
    Review(ReviewArgs),
    /// Prove that the gate held: how each commit of a protected branch came
    #[command(after_long_help = help::VERIFY)]
    Verify(VerifyArgs),
    /// Record that you performed a phase that the policy gives to a person
    Phase(PhaseArgs),
    /// Land stories that are approved
    #[command(after_long_help = help::LAND)]
    Land(LandArgs),
    /// Land an emergency's small change without a review, on record
    #[command(after_long_help = help::HOTFIX)]
    Hotfix(HotfixArgs),
    /// Give failed or stopped stories another try
    #[command(after_long_help = help::RETRY)]
    Retry(RetryArgs),
    /// Go on with a run that was stopped, paused or killed
    #[command(after_long_help = help::RESUME)]
    Resume(ResumeArgs),
    /// Stop a run, or single stories of it
    #[command(after_long_help = help::STOP)]
    Stop(StopArgs),
    /// Remove finished worktrees and merged branches
    #[command(after_long_help = help::CLEANUP)]
    Cleanup(CleanupArgs),
    /// List, show and bring back work that was kept when a worktree went away
    #[command(after_long_help = help::RESCUE)]
    Rescue(RescueArgs),
    /// Write ledger, story branches and rescued work into one file
    #[command(after_long_help = help::BACKUP)]
    Backup(BackupArgs),
    /// Bring back what a backup holds
    Restore(RestoreArgs),
    /// Share the ledger with a remote
    #[command(after_long_help = help::SYNC)]
    Sync(SyncArgs),
    /// Find out whether the gate is in force and the repository sound, and repair it
    #[command(after_long_help = help::DOCTOR)]
    Doctor(DoctorArgs),
    /// Make a throw-away repository with five stories and land them with the demo agent
    Demo(DemoArgs),
    /// Plumbing: act as a git hook
    Hook(HookArgs),
    /// Print a completion script
    #[command(after_long_help = help::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Write the man pages
    #[command(hide = true)]
    Man(ManArgs),
    /// The agent of the demo; started by git-orchestrate
    #[command(hide = true)]
    DemoAgent(DemoAgentArgs),
}

/// Arguments of `init`.
#[derive(Args, Debug, Default)]
pub struct InitArgs {
    /// Branch that stories land on [default: found out]
    #[arg(long, value_name = "BRANCH")]
    pub target: Option<String>,
    /// Answer yes to every question
    #[arg(short, long)]
    pub yes: bool,
    /// Guard a bare repository that people push to, instead of one that people work in
    #[arg(long, conflicts_with_all = ["target", "yes", "dry_run"])]
    pub server: bool,
    /// Show what would change and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Take the hooks away and put git's configuration back as it was
    #[arg(long, conflicts_with_all = ["target", "yes"])]
    pub uninstall: bool,
}

/// What a plan is made from; shared by `stories` and `plan`.
#[derive(Args, Clone, Debug, Default)]
pub struct Planning {
    /// Stories to take: `1.1`, `1.1-1.5`, `1.*`, `epic:auth` [default: all that are not done]
    #[arg(value_name = "SCOPE")]
    pub scope: Vec<String>,
    /// Agent for every story, e.g. `claude`, `codex`, `gemini`, `demo`
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// What happens to a prerequisite outside the scope that is not done [default: ask on a terminal, else fail]
    #[arg(long, value_name = "WHAT", value_parser = missing_parser())]
    pub missing: Option<Missing>,
    /// Take this story for done; repeatable
    #[arg(long, value_name = "ID", num_args = 1)]
    pub assume_done: Vec<String>,
    /// Treat warnings as errors
    #[arg(long)]
    pub strict: bool,
    /// Branch that stories land on
    #[arg(long, value_name = "BRANCH")]
    pub target: Option<String>,
    /// Take the gate policy from the target where the work tree's `.orchestrate.toml` differs
    #[arg(long)]
    pub policy_from_target: bool,
    /// Whether prerequisites outside the scope were dealt with before: by `resume`, whose run was planned already.
    #[arg(skip)]
    pub settled: bool,
}

/// Arguments of `stories`.
#[derive(Args, Clone, Debug, Default)]
pub struct StoriesArgs {
    /// What is planned.
    #[command(flatten)]
    pub planning: Planning,
    /// Stories at work at the same time, 1 to 256, or `auto`: by cores and memory, at most 8 [default: auto]
    #[arg(short, long, value_name = "N", value_parser = parse_jobs)]
    pub jobs: Option<Jobs>,
    /// Start no session that could bring the run's cost above this, in US dollars
    #[arg(long, value_name = "USD", value_parser = parse_cost)]
    pub max_cost: Option<u64>,
    /// Show the plan and start nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Finish each wave before the next begins
    #[arg(long)]
    pub waves: bool,
    /// Stop before landing: approved stories wait for `land`
    #[arg(long)]
    pub no_land: bool,
    /// Write one JSON object per happening to standard output
    #[arg(long)]
    pub json: bool,
    /// Answer yes to every question
    #[arg(short, long)]
    pub yes: bool,
}

/// Arguments of `plan`.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    /// What is planned.
    #[command(flatten)]
    pub planning: Planning,
    /// Form of the output
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: PlanFormat,
    /// Same as `--format json`
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// Form of a printed plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people
    Table,
    /// For programs; has a version
    Json,
    /// For Graphviz
    Dot,
    /// For Markdown
    Mermaid,
}

/// Arguments of `status`.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `show`.
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    /// The story
    #[arg(value_name = "ID")]
    pub id: String,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `log`.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// The story [default: all]
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Show what the agents printed instead
    #[arg(long)]
    pub agent: bool,
    /// Go on showing what is added
    #[arg(short, long)]
    pub follow: bool,
    /// Write one JSON object per line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `review`.
#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("verdict").required(true))]
pub struct ReviewArgs {
    /// The story
    #[arg(value_name = "ID")]
    pub id: String,
    /// The change may land
    #[arg(long, group = "verdict")]
    pub approve: bool,
    /// The change goes back to its author
    #[arg(long, group = "verdict")]
    pub request_changes: bool,
    /// What you say about it
    #[arg(short, long, value_name = "MSG", required = true)]
    pub message: String,
    /// Sign it with the ssh key that git signs with
    #[arg(long)]
    pub sign: bool,
    /// A remark, `PATH:LINE:TEXT`; line 0 means the whole file; repeatable
    #[arg(long, value_name = "PATH:LINE:TEXT", value_parser = parse_finding)]
    pub finding: Vec<Finding>,
}

/// Arguments of `verify`.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// `A..B`, or one commit [default: everything since adoption]
    #[arg(value_name = "RANGE", conflicts_with = "acknowledge")]
    pub range: Option<String>,
    /// Only this branch [default: every protected branch]
    #[arg(long, value_name = "BRANCH")]
    pub branch: Option<String>,
    /// Also what was there before adoption
    #[arg(long, conflicts_with = "acknowledge")]
    pub all: bool,
    /// Judge again what is certified: the evidence of every landing, every write-back
    #[arg(long, conflicts_with = "acknowledge")]
    pub full: bool,
    /// List every commit; so does --verbose
    #[arg(long, conflicts_with = "acknowledge")]
    pub commits: bool,
    /// Write JSON
    #[arg(long, conflicts_with = "acknowledge")]
    pub json: bool,
    /// Record that you looked at every open breach: landings go on
    #[arg(long, requires = "message")]
    pub acknowledge: bool,
    /// What you found
    #[arg(short, long, value_name = "MSG", requires = "acknowledge")]
    pub message: Option<String>,
}

/// Arguments of `phase`.
#[derive(Args, Clone, Debug)]
pub struct PhaseArgs {
    /// The story
    #[arg(value_name = "ID")]
    pub id: String,
    /// The phase: issue, research, implementation, documentation, pull-request, review-response or settings
    #[arg(value_name = "PHASE")]
    pub phase: String,
    /// What you did
    #[arg(short, long, value_name = "MSG", required = true)]
    pub message: String,
}

/// Arguments of `land`.
#[derive(Args, Clone, Debug)]
pub struct LandArgs {
    /// The stories [default: all that are approved]
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
}

/// Arguments of `hotfix`.
#[derive(Args, Clone, Debug)]
pub struct HotfixArgs {
    /// Branch with the commits of the fix [default: the current one]
    #[arg(value_name = "BRANCH")]
    pub branch: Option<String>,
    /// The production emergency
    #[arg(long, value_name = "TEXT")]
    pub emergency: Option<String>,
    /// Why it cannot wait for a review
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// What has to be done afterwards: an issue or a sentence
    #[arg(long, value_name = "TEXT")]
    pub follow_up: Option<String>,
    /// Land without running the checks of the policy; this is recorded
    #[arg(long)]
    pub skip_checks: bool,
    /// Branch that the fix lands on
    #[arg(long, value_name = "BRANCH")]
    pub target: Option<String>,
    /// Say whether it would land; move nothing, run no checks
    #[arg(long)]
    pub dry_run: bool,
    /// List all hotfixes, and whether their follow-ups are done
    #[arg(long, conflicts_with_all = ["resolve", "branch", "emergency", "reason", "follow_up", "skip_checks", "target", "dry_run", "message"])]
    pub list: bool,
    /// Close the follow-up of a hotfix
    #[arg(long, value_name = "ID", requires = "message", conflicts_with_all = ["branch", "emergency", "reason", "follow_up", "skip_checks", "target", "dry_run", "json"])]
    pub resolve: Option<String>,
    /// What was done, for `--resolve`
    #[arg(short, long, value_name = "MSG", requires = "resolve")]
    pub message: Option<String>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `retry`.
#[derive(Args, Clone, Debug)]
pub struct RetryArgs {
    /// The stories
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,
    /// Begin a new round for a story that has landed
    #[arg(long)]
    pub reopen: bool,
}

/// Arguments of `resume`.
#[derive(Args, Clone, Debug)]
pub struct ResumeArgs {
    /// Stories at work at the same time, 1 to 256, or `auto` [default: as the run began]
    #[arg(short, long, value_name = "N", value_parser = parse_jobs)]
    pub jobs: Option<Jobs>,
    /// Start no session that could bring the run's cost, so far included, above this [default: as before]
    #[arg(long, value_name = "USD", value_parser = parse_cost)]
    pub max_cost: Option<u64>,
    /// Write one JSON object per happening to standard output
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `stop`.
#[derive(Args, Clone, Debug)]
pub struct StopArgs {
    /// The stories [default: the whole run]
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
}

/// Arguments of `demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Folder to make; must not exist or be empty [default: a temporary one]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
    /// Make the repository and start nothing
    #[arg(long)]
    pub no_run: bool,
}

/// Arguments of `hook`.
#[derive(Args, Clone, Debug)]
pub struct HookArgs {
    /// `reference-transaction`, `pre-merge-commit` or `pre-push`
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What git gave the hook
    #[arg(value_name = "ARG", trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<std::ffi::OsString>,
}

/// Arguments of `completions`.
#[derive(Args, Clone, Debug)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Shells with a completion script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU bash, with or without git's own completion
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// Arguments of `man`.
#[derive(Args, Clone, Debug)]
pub struct ManArgs {
    /// Folder for the pages; made when missing
    #[arg(long, value_name = "DIR", default_value = "man", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

/// Arguments of `demo-agent`.
#[derive(Args, Clone, Debug)]
pub struct DemoAgentArgs {
    /// What the adapter passes on
    #[arg(action = ArgAction::Append, trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub rest: Vec<std::ffi::OsString>,
}

fn missing_parser() -> impl TypedValueParser<Value = Missing> {
    PossibleValuesParser::new(["ask", "expand", "skip", "fail"]).map(|word| match word.as_str() {
        "ask" => Missing::Ask,
        "expand" => Missing::Expand,
        "skip" => Missing::Skip,
        _ => Missing::Fail,
    })
}

/// How many stories are worked on at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jobs {
    /// By cores, memory and what the agents need.
    Auto,
    /// So many.
    Count(u32),
}

fn parse_jobs(text: &str) -> Result<Jobs, String> {
    if text == "auto" {
        return Ok(Jobs::Auto);
    }
    let jobs = text.parse().ok().filter(|jobs| (1..=256).contains(jobs));
    jobs.map(Jobs::Count).ok_or_else(|| "expected a number from 1 to 256, or auto".to_owned())
}

fn parse_cost(text: &str) -> Result<u64, String> {
    parse_dollars(text).ok_or_else(|| "expected an amount in US dollars above 0, e.g. 20 or 12.50".to_owned())
}

fn parse_finding(text: &str) -> Result<Finding, String> {
    let mut pieces = text.splitn(3, ':');
    if let (Some(path), Some(line), Some(text)) = (pieces.next(), pieces.next(), pieces.next())
        && let Ok(line) = line.trim().parse()
        && !text.trim().is_empty()
    {
        return Ok(Finding { path: path.to_owned(), line, text: text.trim().to_owned() });
    }
    Err("expected PATH:LINE:TEXT, e.g. src/auth.rs:42:an empty password is accepted".to_owned())
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
