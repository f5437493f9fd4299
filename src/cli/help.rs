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
  5      the run is paused: it waits for a person, the budget is used up, or the disk is full
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

Other runs:
  going on      a scope that shares a story with a run that another process executes is refused, with
                that process and the stories named; a scope that shares none runs beside it
  unfinished    when a stopped or killed run left stories of this scope unfinished, you are asked on a
                terminal: go on with that run, as `resume` does, or start a new one that takes its stories
                over. Elsewhere nothing is started, unless --yes says to take them over. No work is done
                twice either way: a story goes on from what is recorded and committed
  paused        a run that ended in order to wait for a person is not in the way

Limits:
  A failure that comes and goes (client, time, rate, machine) is tried again, 3 times in all, after 5 s,
  10 s, ...; [retry] sets that. What a run may cost, use and take is set by --max-cost and [limits]; before
  a session starts its cost is reserved, and when there is no room for it the run pauses. A client that
  fails 5 times in a row rests for 10 minutes. Nothing starts below 512 MiB of free disk.

Exit codes: 0 all landed, or nothing to do; 2 invalid, nothing started; 4 some failed or are blocked;
5 waiting for a person, or the budget is used up; 128+n ended by signal n.";

/// Below `resume`.
pub(super) const RESUME: &str = "\
Goes on with the newest unfinished run: what is recorded or committed is not done again, and what the killed
run left half done (locks, worktrees, a landing without its record) is mended first. Agents that are still
alive are ended. An interrupted author goes on in the same worktree, in the same session where its client can.

Exit codes: 0 all landed, or nothing to resume; 2 the run is going on in another process; 4 some failed or are
blocked; 5 waiting for a person; 128+n ended by signal n.";

/// Below `log`.
pub(super) const LOG: &str = "\
Examples:
  git orchestrate log 1.1
  git orchestrate log -f
  git orchestrate log 1.1 --agent";

/// Below `land`.
pub(super) const LAND: &str = "\
Without an id every approved story lands. A run that has a story in hand lands it itself.

Examples:
  git orchestrate land
  git orchestrate land 1.1 1.2

Exit codes: 0 landed, or nothing to land; 2 a run has the story in hand; 3 not approved; 4 some did not land;
5 waiting for a person.";

/// Below `retry`.
pub(super) const RETRY: &str = "\
Records that the story may be tried again; it starts nothing. Branch and worktree of the last try are kept and
gone on with.

Examples:
  git orchestrate retry 1.1 && git orchestrate stories 1.1
  git orchestrate retry 1.1 --reopen";

/// Below `stop`.
pub(super) const STOP: &str = "\
Asks the agents to end and keeps their work; without an id the whole run ends.

Examples:
  git orchestrate stop
  git orchestrate stop 1.2";

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

Signed approvals:
  --sign signs with the ssh key of git's configuration (gpg.format = ssh, user.signingKey), over story,
  round, base, head, merge tree, reviewer, verdict, policy, story text, message, findings and time.
  Who may sign stands in .orchestrate.signers on the target branch, in the form of ssh-keygen(1):
      bob@example.org namespaces=\"git\" ssh-ed25519 AAAA...
  The reviewer is the address that the list gives the key. With [gates] signatures = \"required\" no
  other approval counts, and a signature is verified again, against the list as it then stands, before
  the story lands.

Examples:
  git orchestrate review 1.1 --approve -m 'reads well'
  git orchestrate review 1.1 --approve --sign -m 'reads well'
  git orchestrate review 1.1 --request-changes -m 'one case is missing' \\
      --finding 'src/auth.rs:42:an empty password is accepted'

Exit codes: 0 recorded; 1 signing failed; 2 there is nothing to review, or no key to sign with; 3 the
reviewer is an author or an agent, or the policy wants a signature by an allowed signer.";

/// Below `hotfix`.
pub(super) const HOTFIX: &str = "\
For a production emergency. Make the fix on a branch of its own; it lands on the target by a merge commit
labelled `emergency`. Conditions, all of which must hold:
  - an emergency, a reason and a follow-up are stated
  - at least 1 and fewer than 10 changed lines, added and removed, from where the branch began
    ([hotfix] lines lowers that; 0 forbids hotfixes); no binary file, submodule, mode or type change
  - it merges cleanly, and every configured check passes on the merge tree, unless --skip-checks
  - it is no story: no commit, content or `Story:` trailer of one, and no commit of an agent
  - no breach of the branch is open, and no agent asks
The hotfix stays in `status` until its follow-up is closed with --resolve.

Examples:
  git switch -c hotfix/login main && git commit -am 'Guard against an empty session'
  git orchestrate hotfix --emergency 'production down: nobody can log in' \\
      --reason 'every minute costs orders' --follow-up '#123'
  git orchestrate hotfix --list
  git orchestrate hotfix --resolve hotfix-20261121-1a2b3c4 -m 'reviewed and tested in #123'

Exit codes: 0 landed; 1 a check-out is in the way, nothing moved; 2 no such branch; 3 refused, nothing moved.";

/// Below `verify`.
pub(super) const VERIFY: &str = "\
Each commit of a protected branch came by a reviewed landing, by its write-back of status and review lines,
by a hotfix, by a person's own work (mode \"stories\"), or was there before adoption. Everything else is a
breach: shown with the commit, the reason, and the way it seems to have come. A breach stops all landings
until a person acknowledges it. Nothing is changed.

Of commits up to the certified tip the record is believed: each was proven when it came, and is counted as what
it says it is. What came after it is judged by its evidence. With --full, --all or a range, and always on a
server, the evidence of every landing is judged again and every write-back recomputed: use it where records
come from elsewhere (CI), or when somebody may have written below refs/orchestrate/ by hand.

Examples:
  git orchestrate verify
  git orchestrate verify --full
  git orchestrate verify v1.0..main --json
  git orchestrate verify --acknowledge -m 'urgent fix, reviewed afterwards'

Exit codes: 0 proven; 2 nothing is watched yet; 3 a breach.";

/// Below `cleanup`.
pub(super) const CLEANUP: &str = "\
Whatever is uncommitted or unmerged is first made reachable below refs/orchestrate/rescue/ and listed:
`git orchestrate rescue` shows it. Files that git cannot take (ignored by the project, huge, in a
repository of their own) go to the trash inside the git directory for at least 14 days; time counts only
while the machine is up, so that a clock that jumps deletes nothing. No option switches any of that off.

Examples:
  git orchestrate cleanup --dry-run               what would be removed
  git orchestrate cleanup                         after everything that has landed
  git orchestrate cleanup --force                 also after what failed or was stopped
  git orchestrate cleanup --trash                 what is in the trash; deletes what is old enough";

/// Below `init`.
pub(super) const INIT: &str = "\
Never overwrites a file; a second call says what is there already. Writes .orchestrate.toml, adds
.worktrees/ to .git/info/exclude, installs the hooks and remembers the target branch in git's
configuration (orchestrate.target). The changes for the hooks are shown before they are made.

How the hooks are installed:
  git 2.54 and newer   named in <git dir>/orchestrate/hooks.config, which .git/config includes as
                       long as the repository lies where it does; no other hook is touched. If the
                       program is removed, git refuses every change of a ref: uninstall first
  older, nothing else  a link (reference-transaction) and scripts in .git/hooks; if the program is
                       removed, git goes on without them
  older, other hooks   (husky, lefthook, pre-commit, prek, a core.hooksPath, hooks of those names)
                       dispatchers in <git dir>/orchestrate/hooks, which core.hooksPath of each
                       worktree leads to (extensions.worktreeConfig is switched on); each runs our
                       hook and then the one that git would have run. Not possible beside a
                       push-to-checkout or proc-receive hook: then init says so
--uninstall takes all that back: byte for byte where nobody else changed the file since, else our
keys only. .orchestrate.toml, the line in .git/info/exclude and refs/orchestrate/ stay.

On a server:
--server, in a bare repository, makes it judge what is pushed to it: links pre-receive and
reference-transaction to the program and sets git's orchestrate.server. Guarded branches only grow,
and only by what the gate covers; records (refs/orchestrate/) only grow, and only by records that
follow. Push a landing with its record:
  git push --atomic origin main refs/orchestrate/items/1.1
What the guarded branches hold already is not looked at; on an empty server the first push of the
target branch is taken as it is. receive.* and hooks of other programs are left alone.
--server --uninstall takes both away again; what was pushed stays.

Examples:
  git orchestrate init --target main
  git orchestrate init --dry-run
  git orchestrate init --uninstall
  git orchestrate init --server

Exit codes: 0 set up; 1 a change failed, or a server's gate is not closed because another program's
hook has the name; 2 not a repository, not a bare one (--server), or the target branch is not clear.";

/// Below `doctor`.
pub(super) const DOCTOR: &str = "\
Prints one line per finding with the command that repairs it. --fix repairs what can be repaired inside
the repository; what was wrong is kept aside, in the trash or below refs/orchestrate/rescue/.

Hooks, in every worktree: not-installed, removed, disabled, not-executable, shadowed (core.hooksPath
leads elsewhere), program-gone, replaced, git-too-old, unchained (a hook of another program that was
added later and does not run). --fix does what `init` would do.

The record: unreadable-ref, broken-chain, lost-chain, rewound-chain (--fix goes back to the newest sound
records: those before, a checkpoint, or what a remote had), newer-format (upgrade). Checkpoints of the
record are made at the start and the end of every run, in .git/orchestrate/checkpoints and in the user's
data directory; a record that was deleted comes back from there with the next command that writes.
Whoever wants to forget it deletes both. What killed processes left: stale-lock, left-draft,
half-made-worktree, orphaned-process, dead-run.

It sees the git and the environment it is called with: another git program on this machine, or a
single call with `-c core.hooksPath=...`, is not seen.

Exit codes: 0 the gate is in force and the record is sound; 1 something else that commands fail at;
2 not a repository; 3 the gate is not in force.";

/// Below `completions`.
pub(super) const COMPLETIONS: &str = "\
The scripts complete both `git-orchestrate` and `git orchestrate`.

Examples:
  git orchestrate completions bash > ~/.local/share/bash-completion/completions/git-orchestrate
  git orchestrate completions zsh > ~/.local/share/zsh/site-functions/_git-orchestrate
  git orchestrate completions fish > ~/.local/share/fish/vendor_completions.d/git-orchestrate.fish";

/// Below `rescue`.
pub(super) const RESCUE: &str = "\
Examples:
  git orchestrate rescue                          what is kept, newest first
  git orchestrate rescue show 1.2-cart-1          what it changes
  git orchestrate rescue restore 1.2-cart-1       put it on branch rescued/1.2-cart-1";

/// Below `backup`.
pub(super) const BACKUP: &str = "\
The file is a git bundle that needs nothing else: the record, story branches, rescued work and the
target branch. `git bundle verify FILE` and `git fetch FILE` read it too. No file is written over.

restore proves every record of the file before anything moves. What is newer here stays, unless
--overwrite-newer; what both sides went on with is joined; story branches are never rewound, and the
target branch never moves.

Examples:
  git orchestrate backup before-upgrade.bundle
  git orchestrate restore before-upgrade.bundle --dry-run";

/// Below `sync`.
pub(super) const SYNC: &str = "\
Fetches the remote's record beside this one (refs/orchestrate-remote/REMOTE/), brings this one forward,
joins what both went on with so that every machine comes to the same commit, and pushes with a lease on
each ref, all or nothing. Branches of unfinished stories travel along; rescued work does not. Nothing is
overwritten: where the two contradict each other (two landings, two open attempts) both are shown, and
--ours ID or --theirs ID decides; the other stays reachable.

The target branch is git's: push and pull it. A record that tells of landings which it lacks here waits
for the pull. A story whose open attempt came from another machine is left to that one; `git orchestrate
retry ID` takes it over.

Examples:
  git orchestrate sync
  git orchestrate sync upstream --dry-run
  git orchestrate sync origin --theirs 1.2

Exit codes: 0 both sides agree; 1 the remote could not be reached or refused, or something stays apart.";
