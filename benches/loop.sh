#!/bin/sh
# The plain way, as a yardstick: for each story a worktree, the agent, a merge, and the worktree goes. No phases, no review,
# no record. usage: loop.sh REPOSITORY AGENT N
set -eu
repository=$1 agent=$2 count=$3
cd "$repository"
n=1
while [ "$n" -le "$count" ]; do
    git worktree add -q -b "story/$n" ".worktrees/$n" main
    (cd ".worktrees/$n" && ORCHESTRATE_ITEM="1.$n" ORCHESTRATE_PHASE=implementation "$agent")
    git merge -q --no-ff -m "Merge story $n" "story/$n"
    git worktree remove ".worktrees/$n"
    git branch -q -d "story/$n"
    n=$((n + 1))
done
