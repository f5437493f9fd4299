//! The table, part four: operations that would change the ledger behind the tool's back.

use super::row::Outcome::{Allowed as A, NotSeen as N, Refused as R};
use super::row::{Row, group};

pub fn rows() -> Vec<Row> {
    let item = "refs/orchestrate/items/1.1";
    let forged = "$(git commit-tree -m '1.1: approved by me' -p refs/orchestrate/items/1.1 main^{tree})";
    let clone_has = "git -C ../clone fetch -q \"$HERE\" 'refs/orchestrate/*:refs/orchestrate/*'";
    let clone_stale = format!("{clone_has} && git -C ../clone update-ref {item} {item}~1");
    let rows = vec![
        Row::ledger(&format!("git update-ref {item} {item}~1")).titled("a story's record set back").everywhere(R, R),
        Row::ledger(&format!("git update-ref {item} {forged}")).titled("a record forged on top").everywhere(R, R),
        Row::ledger(&format!("git update-ref {item} main"))
            .titled("a record replaced by another commit")
            .everywhere(R, R),
        Row::ledger(&format!("git update-ref -d {item}")).titled("a record deleted").everywhere(R, R),
        Row::ledger(&format!("git update-ref refs/orchestrate/items/9.9 {item}"))
            .titled("a record made from another story's")
            .everywhere(R, R),
        Row::ledger(&format!(
            "git update-ref refs/orchestrate/landings/$(git rev-parse story/1.1-one^{{tree}}) {item}"
        ))
        .titled("a landing forged from a story's record")
        .everywhere(R, R),
        Row::ledger(&format!("git symbolic-ref {item} refs/heads/main"))
            .titled("a record made a symbolic ref")
            .everywhere(R, R),
        Row::ledger("git fetch ../clone '+refs/orchestrate/*:refs/orchestrate/*'")
            .titled("`git fetch` of an older ledger straight onto this one")
            .after(&clone_stale)
            .everywhere(R, R),
        Row::ledger("git fetch --prune ../clone '+refs/orchestrate/*:refs/orchestrate/*'")
            .titled("`git fetch --prune` from a repository without a ledger")
            .everywhere(R, R),
        Row::ledger(&format!("git -C ../clone push \"$HERE\" :{item}"))
            .titled("`git push` that deletes a record")
            .everywhere(R, R),
        Row::ledger(&format!("git -C ../clone push --force \"$HERE\" {item}:{item}"))
            .titled("`git push --force` of an older record")
            .after(&clone_stale)
            .everywhere(R, R),
        Row::ledger(&format!("git -C ../clone push \"$HERE\" {item}:{item}"))
            .titled("`git push` of newer records: to a peer refused, to a server taken")
            .after(clone_has)
            .after(&format!("git update-ref {item} {item}~1"))
            .is(R, R)
            .bare(A, A),
        Row::ledger("git -C ../clone push \"$HERE\" refs/orchestrate/items/1.2:refs/orchestrate/items/1.2")
            .titled("`git push` of a record that is not there yet: to a peer refused, to a server taken")
            .after(clone_has)
            .after("git update-ref -d refs/orchestrate/items/1.2")
            .is(R, R)
            .bare(A, A),
        Row::ledger(&format!("ORCHESTRATE_ATTEMPT=a-1 git update-ref {item} {item}~1"))
            .titled("an agent's process sets a record back")
            .everywhere(R, R),
        Row::ledger(&format!("git -c core.hooksPath=/dev/null update-ref {item} {item}~1"))
            .everywhere(N, N)
            .config_hooks(R),
        Row::ledger(&format!(
            "old=$(git rev-parse {item}~1) && echo $old > \"$(git rev-parse --git-common-dir)/{item}\""
        ))
        .titled("the file of a record written by hand")
        .everywhere(N, N),
    ];
    group("The ledger, `refs/orchestrate/*`", rows)
}
