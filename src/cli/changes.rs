//! Says what became of refs that were taken over from another copy. Must not take anything over.

use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;
use crate::adapters::ledger::bring::{Change, How, spoken};
use crate::domain::diagnostic::escape_line;

/// One line per ref that moves or stays for a reason, and a count of the others. `from` names the other copy.
pub(crate) fn show(changes: &[Change], from: &str, dry: bool, ui: &mut Ui) -> Result<Exit, CommandError> {
    let mut text = String::new();
    let mut same = 0;
    for change in changes {
        let Some(what) = what(change, from, dry) else {
            same += 1;
            continue;
        };
        text += &escape_line(&format!("{}: {what}", spoken(&change.name)));
        text.push('\n');
    }
    if same > 0 {
        text += &format!("{same} already as in {}\n", escape_line(from));
    }
    ui.data(&text)?;
    Ok(exit(changes))
}

/// 1 where something of the other copy is not here now.
pub(crate) fn exit(changes: &[Change]) -> Exit {
    let left =
        |change: &Change| matches!(change.how, How::Held | How::Behind(_) | How::Contradicts(_) | How::Unreadable(_));
    if changes.iter().any(left) { Exit::FAILED } else { Exit::DONE }
}

fn what(change: &Change, from: &str, dry: bool) -> Option<String> {
    let now = |done: &str, would: &str| if dry { would.to_owned() } else { done.to_owned() };
    let ours = change.ours.as_ref().map_or("nothing", |ours| ours.short());
    let theirs = change.theirs.short();
    Some(match &change.how {
        How::Same => return None,
        How::Created => format!("{} {theirs}", now("taken over at", "would be taken over at")),
        How::Forwarded => format!("{} from {ours} to {theirs}", now("brought forward", "would be brought forward")),
        How::Joined(joined) => format!(
            "{ours} here and {theirs} in {from} {} {}",
            now("are joined in", "would be joined in"),
            joined.short()
        ),
        How::Overwritten(kept) => format!(
            "{} from {ours} to {theirs}; what it was {} {kept}",
            now("set back", "would be set back"),
            now("is kept as", "would be kept as")
        ),
        How::Newer => format!("stays at {ours}: it is newer here than {theirs} in {from}"),
        How::Held => format!("stays at {ours}: it is worked on here ({from} has {theirs})"),
        How::Behind(branch) => {
            format!("stays at {ours}: branch {} here lacks what {theirs} in {from} says has landed", branch.short())
        }
        How::Contradicts(why) => format!("stays at {ours}, and {from} has {theirs}: {why}"),
        How::Unreadable(why) => format!("stays at {ours}: {theirs} in {from} cannot be believed: {why}"),
    })
}
