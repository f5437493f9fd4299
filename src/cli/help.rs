//! Long texts of help and man pages that belong to no single option. Must not hold code.

/// Below the overview of commands.
pub(super) const OVERVIEW: &str = "\
Examples:
  git orchestrate init                    set up this repository, once
  git orchestrate plan                    what would run, in which order, by which agent
  git orchestrate stories 1.1-1.5 -j 4    run five stories, four at a time
  git orchestrate status                  where everything stands
  git orchestrate demo                    see it work on a throw-away repository

Exit codes:
  0      everything asked for was done
  1      an operation failed
  2      usage, configuration or a story is invalid; nothing was started
  3      the gate refused
  4      the run ended with failed or blocked stories
  5      the run is paused: it waits for a person
  70     a fault in git-orchestrate itself
  128+n  ended by signal n

Environment:
  GIT_ORCHESTRATE_JOBS, GIT_ORCHESTRATE_AGENT, GIT_ORCHESTRATE_MISSING, ...
         one for each setting: GIT_ORCHESTRATE_<KEY>; README.md lists them
  NO_COLOR, CLICOLOR_FORCE
         switch colours off or on

Files:
  .orchestrate.toml               settings and gate policy of the repository
  <config dir>/git-orchestrate/config.toml
         settings of the user, e.g. below ~/.config
  docs/stories/                   the stories
  .worktrees/                     one worktree per story at work
  refs/orchestrate/               everything that is remembered, as commits";

/// Below `stories`.
pub(super) const STORIES: &str = "\
Scope:
  (none)         every story that is not done
  1.1            one story
  1.1-1.5        from 1.1 to 1.5, both included; 1.10 comes after 1.9
  1.*            a pattern
  epic:1         the stories of an epic, by number or by a word of its name
  Several may be given, separated by spaces or commas.

Examples:
  git orchestrate stories 1.1-1.5
  git orchestrate stories 1.1 2.3 --missing expand
  git orchestrate stories epic:auth -j 4 --agent codex
  git orchestrate stories --dry-run --json

Exit codes: 0 all landed, or nothing to do; 2 invalid, nothing started; 4 some failed or are blocked;
5 waiting for a person; 128+n ended by signal n.";

/// Below `plan`.
pub(super) const PLAN: &str = "\
Examples:
  git orchestrate plan
  git orchestrate plan epic:2 --format json
  git orchestrate plan --format dot | dot -Tsvg > plan.svg

Exit codes: 0 the plan is sound; 2 it has errors.";

/// Below `review`.
pub(super) const REVIEW: &str = "\
The review is bound to the commits and the merge result that it saw: a later commit makes it void.
Whoever wrote part of the change cannot approve it.

Examples:
  git orchestrate review 1.1 --approve -m 'reads well'
  git orchestrate review 1.1 --request-changes -m 'one case is missing' \\
      --finding 'src/auth.rs:42:an empty password is accepted'

Exit codes: 0 recorded; 2 there is nothing to review; 3 the reviewer is an author.";

/// Below `verify`.
pub(super) const VERIFY: &str = "\
Each commit of a protected branch came by a reviewed landing, by its write-back of status and review lines,
by a hotfix, by a person's own work (mode \"stories\"), or was there before adoption. Everything else is a
breach: shown with the commit, the reason, and the way it seems to have come. A breach stops all landings
until a person acknowledges it. Evidence is judged again and write-backs are recomputed; nothing is changed.

Examples:
  git orchestrate verify
  git orchestrate verify v1.0..main --json
  git orchestrate verify --acknowledge -m 'urgent fix, reviewed afterwards'

Exit codes: 0 proven; 2 nothing is watched yet; 3 a breach.";

/// Below `cleanup`.
pub(super) const CLEANUP: &str = "\
Whatever is uncommitted or unmerged is first made reachable below refs/orchestrate/rescue/ and listed.
No option switches that off.";

/// Below `init`.
pub(super) const INIT: &str = "\
Never overwrites a file; a second call says what is there already. Writes .orchestrate.toml, adds
.worktrees/ to .git/info/exclude, installs the hooks reference-transaction, pre-merge-commit and
pre-push where no hook of that name exists, and remembers the target branch in git's configuration
(orchestrate.target).

Example:
  git orchestrate init --target main

Exit codes: 0 set up; 2 not a repository, or the target branch is not clear.";

/// Below `completions`.
pub(super) const COMPLETIONS: &str = "\
The scripts complete both `git-orchestrate` and `git orchestrate`.

Examples:
  git orchestrate completions bash > ~/.local/share/bash-completion/completions/git-orchestrate
  git orchestrate completions zsh > ~/.local/share/zsh/site-functions/_git-orchestrate
  git orchestrate completions fish > ~/.local/share/fish/vendor_completions.d/git-orchestrate.fish";
