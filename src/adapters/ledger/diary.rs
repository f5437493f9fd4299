//! The subject line of a record: one sentence for people under `git log`. Must not be read back by anything.

use crate::domain::branch::BranchEvent;
use crate::domain::budget::dollars;
use crate::domain::event::{ItemEvent, PhaseOutcome, Review, ReviewVerdict, RunEvent};
use crate::domain::names::{ItemKey, Principal};

/// Longest free text in a subject, in characters.
const TEXT: usize = 100;

/// The subject of an item's record.
pub fn of_item(key: &str, event: &ItemEvent) -> String {
    format!("{}: {}", line(key), sentence(event))
}

/// The subject of a run's record.
pub(super) fn of_run(run: &str, event: &RunEvent) -> String {
    let sentence = match event {
        RunEvent::Started { target, base, items, jobs, .. } => {
            let target = line(target.short());
            format!("started with {} on {target} at {}, {jobs} at a time", count(items.len(), "item"), base.short())
        }
        RunEvent::Capped { micro_usd } => format!("may cost {} USD at most", dollars(*micro_usd)),
        RunEvent::Resumed { host } => format!("resumed by {}", line(host)),
        RunEvent::Paused { waiting } => {
            let keys: Vec<&ItemKey> = waiting.iter().map(|(key, _)| key).collect();
            format!("paused, waiting for {}", list(&keys))
        }
        RunEvent::Finished { totals } => {
            format!("finished: {} landed, {} failed, {} blocked", totals.landed, totals.failed, totals.blocked)
        }
        RunEvent::Stopped { reason } => format!("stopped: {}", line(reason)),
    };
    format!("run {}: {sentence}", line(run))
}

/// The subject of a protected branch's record.
pub(super) fn of_branch(branch: &str, event: &BranchEvent) -> String {
    let sentence = match event {
        BranchEvent::Adopted { tip, by } => format!("adopted at {} by {}", tip.short(), who(by)),
        BranchEvent::Certified { tip } => format!("proven up to {}", tip.short()),
        BranchEvent::Breached { breach } => format!("breach at {}: {}", breach.commit.short(), line(&breach.reason)),
        BranchEvent::Acknowledged { tip, by, message } => {
            format!("breaches up to {} acknowledged by {}: {}", tip.short(), who(by), line(message))
        }
        BranchEvent::HotfixIntended { hotfix } => {
            format!("hotfix {} intended as {} onto {}", line(&hotfix.id), hotfix.tip.short(), hotfix.base.short())
        }
        BranchEvent::HotfixSettled { id } => format!("the landing of hotfix {} is over", line(id)),
        BranchEvent::HotfixLanded { hotfix } => format!(
            "emergency hotfix {} by {}, {} as {}: {}",
            line(&hotfix.id),
            who(&hotfix.by),
            count(usize::try_from(hotfix.lines).unwrap_or(usize::MAX), "line"),
            hotfix.tip.short(),
            line(&hotfix.emergency)
        ),
        BranchEvent::HotfixResolved { id, by, message } => {
            format!("hotfix {} resolved by {}: {}", line(id), who(by), line(message))
        }
    };
    format!("branch {}: {sentence}", line(branch))
}

fn sentence(event: &ItemEvent) -> String {
    match event {
        ItemEvent::AttemptStarted { continues, agent, role, branch, target, base, .. } => {
            let verb = if continues.is_some() { "continued" } else { "started" };
            let (agent, role) = (line(agent), line(role));
            let (branch, target) = (line(branch.short()), line(target.short()));
            format!("{verb} by {agent} as {role} on {branch} from {target} at {}", base.short())
        }
        ItemEvent::SessionStarted { phase, principal, instead, .. } => {
            let instead = if instead.is_empty() { String::new() } else { format!("; instead: {}", line(instead)) };
            format!("{phase} begins, {}{instead}", who(principal))
        }
        ItemEvent::SessionEnded { principal, millis, usage, priced, .. } => {
            let by = if priced.is_empty() { String::new() } else { format!(" by the prices of {}", line(priced)) };
            let unknown = || ", cost unknown".to_owned();
            let cost = usage.micro_usd.map_or_else(unknown, |cost| format!(", {} USD{by}", dollars(cost)));
            let tokens = usage.tokens.map_or_else(String::new, |tokens| format!(", {tokens} tokens"));
            format!("session of {} ended after {} s{cost}{tokens}", who(principal), millis / 1000)
        }
        ItemEvent::PhaseRecorded { phase, outcome: PhaseOutcome::Done { by, summary, .. }, .. } => {
            format!("{phase} done by {}: {}", who(by), line(summary))
        }
        ItemEvent::PhaseRecorded { phase, outcome: PhaseOutcome::NotApplicable { reason }, .. } => {
            format!("{phase} not applicable: {}", line(reason))
        }
        ItemEvent::Reviewed { review, .. } => reviewed(review),
        ItemEvent::ReviewCarried { from_tree, base, merge_tree, .. } => format!(
            "review carried from merge tree {} to {} on base {}",
            from_tree.short(),
            merge_tree.short(),
            base.short()
        ),
        ItemEvent::ReturnedTo { phase, reason, .. } => format!("back to {phase}: {}", line(reason)),
        ItemEvent::LandingWaits { reason, .. } => format!("landing waits: {}", line(reason)),
        ItemEvent::LandingIntended { landing, .. } => {
            let target = line(landing.target.short());
            format!("about to move {target} from {} to {}", landing.base.short(), landing.tip.short())
        }
        ItemEvent::Landed { landing } => {
            format!("landed on {} as {}", line(landing.target.short()), landing.tip.short())
        }
        ItemEvent::NoChange { reason, .. } => format!("done with no change: {}", line(reason)),
        ItemEvent::Interrupted { reason, .. } => format!("interrupted: {}", line(reason)),
        ItemEvent::Failed { failure, .. } => format!("failed in {}: {}", failure.phase, line(&failure.message)),
        ItemEvent::RetryDue { failure, number, of, .. } => {
            format!(
                "failed in {}, another try is due ({number} of {of} failed): {}",
                failure.phase,
                line(&failure.message)
            )
        }
        ItemEvent::Blocked { by, .. } => format!("blocked by {}", list(&by.iter().collect::<Vec<_>>())),
        ItemEvent::Stopped { reason, .. } => format!("stopped: {}", line(reason)),
        ItemEvent::RetryRequested { by, reopen: false } => format!("retry asked for by {}", who(by)),
        ItemEvent::RetryRequested { by, reopen: true } => format!("reopened by {}", who(by)),
    }
}

fn reviewed(review: &Review) -> String {
    let reviewer = who(&review.reviewer);
    let signed = if review.signature.is_some() { " with a signature" } else { "" };
    match review.verdict {
        ReviewVerdict::Approve => format!("approved by {reviewer}{signed}, merge tree {}", review.merge_tree.short()),
        ReviewVerdict::RequestChanges => {
            format!("changes asked for by {reviewer}{signed}, {}", count(review.findings.len(), "finding"))
        }
    }
}

fn who(principal: &Principal) -> String {
    match principal {
        Principal::Agent { adapter, session } => {
            let session: String = session.chars().take(8).collect();
            format!("{} (session {})", line(adapter), line(&session))
        }
        Principal::Person(who) => line(who),
        Principal::Tool => "git-orchestrate".to_owned(),
    }
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

fn list(keys: &[&ItemKey]) -> String {
    let shown: Vec<String> = keys.iter().take(5).map(|key| line(key.as_str())).collect();
    let rest = keys.len() - shown.len();
    let shown = shown.join(", ");
    if rest == 0 { shown } else { format!("{shown} and {rest} more") }
}

/// The first line of a text, control and direction characters escaped, at most 100 characters.
fn line(text: &str) -> String {
    let first = text.trim().lines().next().unwrap_or_default();
    let mut shown = String::new();
    for (index, c) in first.chars().enumerate() {
        if index == TEXT {
            shown.push_str("...");
            break;
        }
        if is_hidden(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}

/// Characters that act on a terminal instead of being seen: controls, and those that set the writing direction or are
/// invisible.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_one_bounded_visible_line() {
        assert_eq!(line(" a\u{1b}[31mb\u{202e}\nsecond"), "a\\u{1b}[31mb\\u{202e}");
        assert_eq!(line(&"x".repeat(300)).len(), TEXT + 3);
        assert_eq!(line(""), "");
    }

    #[test]
    fn long_lists_are_cut() {
        let keys: Vec<ItemKey> = (1..=7).map(|n| ItemKey::new(format!("1.{n}"))).collect();
        assert_eq!(list(&keys.iter().collect::<Vec<_>>()), "1.1, 1.2, 1.3, 1.4, 1.5 and 2 more");
    }
}
