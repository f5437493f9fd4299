//! The summary at the end of a run: totals, what failed and why, what waits for whom, what to do next.
//! Must not print.

use std::collections::BTreeMap;

use crate::domain::names::BranchRef;
use crate::domain::plan::LeftOut;
use crate::domain::state::Status;
use crate::domain::usage::Spent;
use crate::domain::workflow::Phase;
use crate::engine::events::{ItemSummary, Summary};

use super::failure::{self, Kept};
use super::text::{Color, Tone, append, escape, span};
use super::words::{self, spent};

/// Most lines of output of one failure; `show` has more.
const SHOWN_LINES: usize = 3;

/// Most ids that are named for one reason.
const SHOWN_IDS: usize = 8;

/// The summary as text, ended by a line feed; `left_out` are the items that the plan left out.
pub fn render(summary: &Summary, left_out: &[LeftOut], color: Color) -> String {
    let mut page = Page { out: String::new(), color };
    page.head(summary);
    page.totals(summary, left_out);
    page.section("failed", summary, is_failed, Page::failed);
    page.section("blocked", summary, is_blocked, |page, item| page.plain(item, "blocked"));
    page.section("waiting", summary, is_waiting, Page::waiting);
    page.section("unfinished", summary, is_unfinished, |page, item| page.plain(item, "not started"));
    page.skipped(left_out);
    page.next_steps(summary);
    page.out
}

fn is_failed(item: &ItemSummary) -> bool {
    item.status == Status::Failed
}

fn is_blocked(item: &ItemSummary) -> bool {
    item.status == Status::Blocked
}

fn is_waiting(item: &ItemSummary) -> bool {
    matches!(item.status, Status::ReadyForReview | Status::Approved)
}

fn is_unfinished(item: &ItemSummary) -> bool {
    matches!(item.status, Status::NotStarted | Status::InProgress | Status::Stopped)
}

struct Page {
    out: String,
    color: Color,
}

impl Page {
    fn head(&mut self, summary: &Summary) {
        let totals = &summary.totals;
        let (tone, word) = if summary.stopped {
            (Tone::Warn, "stopped")
        } else if totals.failed + totals.blocked > 0 {
            (Tone::Bad, "ended with stories that did not land")
        } else if summary.paused.is_some() {
            (Tone::Warn, "paused, nothing more could be started")
        } else if totals.waiting > 0 {
            (Tone::Warn, "paused, it waits for a person")
        } else if totals.unfinished > 0 {
            (Tone::Bad, "ended with stories that did not land")
        } else {
            (Tone::Good, "complete")
        };
        let head = format!("run {} onto {}: {word}", summary.run, summary.target.short());
        let head = self.color.paint(tone, &escape(&head));
        append(&mut self.out, format_args!("{head}\n\n"));
    }

    fn totals(&mut self, summary: &Summary, left_out: &[LeftOut]) {
        let totals = &summary.totals;
        let mut counts = vec![
            (totals.landed, "landed", Tone::Good),
            (totals.failed, "failed", Tone::Bad),
            (totals.blocked, "blocked", Tone::Warn),
            (u32::try_from(left_out.len()).unwrap_or(u32::MAX), "skipped", Tone::Faint),
        ];
        if totals.waiting > 0 {
            counts.push((totals.waiting, "waiting", Tone::Warn));
        }
        if totals.unfinished > 0 {
            counts.push((totals.unfinished, "unfinished", Tone::Warn));
        }
        let total = totals.landed + totals.failed + totals.blocked + totals.waiting + totals.unfinished;
        let shown = counts.iter().map(|(count, word, tone)| {
            let text = format!("{count} {word}");
            if *count > 0 { self.color.paint(*tone, &text) } else { text }
        });
        let shown = shown.collect::<Vec<_>>().join(" · ");
        append(&mut self.out, format_args!("{total} {}: {shown}\n", if total == 1 { "story" } else { "stories" }));
        append(&mut self.out, format_args!("{}\n", speed(summary)));
        let consumed = spent(&summary.spent);
        if !consumed.is_empty() {
            append(&mut self.out, format_args!("{consumed}\n"));
        }
        if let Some(why) = &summary.paused {
            let why = self.color.paint(Tone::Warn, &escape(why));
            append(&mut self.out, format_args!("{why}\n"));
        }
    }

    fn section(
        &mut self,
        title: &str,
        summary: &Summary,
        belongs: fn(&ItemSummary) -> bool,
        line: fn(&mut Self, &ItemSummary),
    ) {
        let items: Vec<&ItemSummary> = summary.items.iter().filter(|item| belongs(item)).collect();
        if !items.is_empty() {
            let title = self.color.paint(Tone::Strong, &format!("{title}:"));
            append(&mut self.out, format_args!("\n{title}\n"));
            for item in items {
                line(self, item);
            }
        }
    }

    fn item(&mut self, item: &ItemSummary, reason: &str) {
        let text = format!("  {} {}: {reason}", item.story_id, item.title);
        append(&mut self.out, format_args!("{}\n", escape(&text)));
    }

    fn hint(&mut self, text: &str) {
        let text = self.color.paint(Tone::Hint, &escape(text));
        append(&mut self.out, format_args!("      {text}\n"));
    }

    fn plain(&mut self, item: &ItemSummary, otherwise: &str) {
        self.item(item, if item.reason.is_empty() { otherwise } else { &item.reason });
    }

    fn failed(&mut self, item: &ItemSummary) {
        let phase = item.failure.as_ref().map(|failure| format!(" (in phase {})", failure.phase)).unwrap_or_default();
        let reason = match (&item.failure, item.reason.is_empty()) {
            (Some(failure), true) => failure.message.as_str(),
            (None, true) => "no reason was recorded",
            (Some(_) | None, false) => item.reason.as_str(),
        };
        self.item(item, &format!("{reason}{phase}"));
        let branch = item.branch.as_ref().map(BranchRef::short);
        let Some(failure) = &item.failure else {
            if let Some(branch) = branch {
                self.hint(&format!("its work is kept on {branch}"));
            }
            return;
        };
        for line in failure::facts(failure, Kept { branch, worktree: item.worktree.as_deref() }, SHOWN_LINES) {
            self.hint(&line);
        }
        self.hint(&failure::advice(failure.class, &item.story_id));
    }

    fn waiting(&mut self, item: &ItemSummary) {
        let key = &item.story_id;
        if item.status == Status::ReadyForReview {
            self.plain(item, "waits for a review");
            self.hint(&format!("git orchestrate show {key}"));
            let sign = if item.reason.contains(" --sign ") { " --sign" } else { "" };
            self.hint(&format!("git orchestrate review {key} --approve{sign} -m \"…\""));
            self.hint("then git orchestrate resume");
        } else if item.reason.is_empty() {
            self.plain(item, "approved, not landed");
            self.hint(&format!("git orchestrate land {key}"));
        } else {
            self.plain(item, "");
            if item.reason.contains("git orchestrate ") {
                return;
            }
            self.hint("when that is settled (git commit or git stash): git orchestrate resume");
        }
    }

    fn skipped(&mut self, left_out: &[LeftOut]) {
        if left_out.is_empty() {
            return;
        }
        let title = self.color.paint(Tone::Strong, "skipped:");
        append(&mut self.out, format_args!("\n{title}\n"));
        // One line per reason: after a hundred landed stories the new ones are what matters.
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for left in left_out {
            match reasons.iter_mut().find(|(why, _)| *why == left.why) {
                Some((_, ids)) => ids.push(left.id.as_str()),
                None => reasons.push((&left.why, vec![left.id.as_str()])),
            }
        }
        for (why, ids) in reasons {
            let more = ids.len().saturating_sub(SHOWN_IDS);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let shown = ids[..ids.len().min(SHOWN_IDS)].join(", ");
            append(&mut self.out, format_args!("  {}{more}: {}\n", escape(&shown), escape(why)));
        }
    }

    fn next_steps(&mut self, summary: &Summary) {
        let mut steps: Vec<(String, &str)> = Vec::new();
        let first = |belongs: fn(&ItemSummary) -> bool| summary.items.iter().find(|item| belongs(item));
        if let Some(item) = first(is_failed) {
            steps.push((format!("git orchestrate log {}", item.story_id), "what happened"));
            steps.push((format!("git orchestrate retry {}", item.story_id), "try it again"));
        }
        let only_landing = |item: &ItemSummary| item.reason.contains("git orchestrate land ");
        let waiting: Vec<&ItemSummary> = summary.items.iter().filter(|item| is_waiting(item)).collect();
        if !summary.stopped && !waiting.is_empty() && waiting.iter().all(|item| only_landing(item)) {
            let ids = waiting.iter().map(|item| item.story_id.as_str()).collect::<Vec<_>>().join(" ");
            steps.push((format!("git orchestrate land {ids}"), "land what is approved"));
        } else if summary.stopped || summary.paused.is_some() || !waiting.is_empty() {
            steps.push(("git orchestrate resume".to_owned(), "go on"));
        }
        if let Some(item) = first(|item| item.status == Status::Landed) {
            steps.push((format!("git log --graph --oneline {}", summary.target.short()), "what landed"));
            steps.push((format!("git orchestrate show {}", item.story_id), "one story whole"));
        }
        if steps.is_empty() {
            steps.push(("git orchestrate status".to_owned(), "where things stand"));
        }
        let title = self.color.paint(Tone::Strong, "next:");
        append(&mut self.out, format_args!("\n{title}\n"));
        let width = steps.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
        for (command, why) in steps {
            let fill = " ".repeat(width - command.chars().count());
            let command = self.color.paint(Tone::Hint, &escape(&command));
            append(&mut self.out, format_args!("  {command}{fill}  # {why}\n"));
        }
    }
}

/// What the sessions of a run consumed by phase and by who they were, for below its summary; empty where that says no more.
pub fn spent_apart(phases: &BTreeMap<Phase, Spent>) -> String {
    let lines = words::spent_apart(phases).into_iter().map(|(what, sum)| format!("  {what}: {sum}\n"));
    let lines: String = lines.collect();
    if lines.is_empty() { lines } else { format!("\nconsumed:\n{lines}") }
}

/// Wall time against the sum of the attempts' times.
fn speed(summary: &Summary) -> String {
    let wall = span(summary.millis);
    // Below that there is nothing to boast of, as for a single story.
    if summary.millis == 0 || summary.attempt_millis.saturating_mul(10) < summary.millis.saturating_mul(11) {
        return format!("wall time {wall}");
    }
    let tenths = summary.attempt_millis.saturating_mul(10) / summary.millis;
    let attempts = span(summary.attempt_millis);
    format!("wall time {wall}, attempts {attempts} in all: {}.{} times as fast as one by one", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{Failure, FailureClass, Totals};
    use crate::domain::id::ItemId;
    use crate::domain::names::{ItemKey, Oid, RunId};

    fn item(name: &str, status: Status, reason: &str) -> ItemSummary {
        ItemSummary {
            story_id: ItemKey::new(name),
            title: format!("Title\u{202e} {name}"),
            status,
            reason: reason.to_owned(),
            failure: None,
            branch: None,
            landed: (status == Status::Landed).then(|| Oid::new("1a2b3c4")),
            worktree: None,
            millis: 1000,
            spent: Spent::default(),
        }
    }

    fn summary(items: Vec<ItemSummary>, totals: Totals) -> Summary {
        Summary {
            run: RunId::new("r1"),
            target: BranchRef::new("refs/heads/main"),
            items,
            totals,
            millis: 60_000,
            attempt_millis: 162_000,
            stopped: false,
            paused: None,
            spent: Spent::default(),
        }
    }

    #[test]
    fn a_mixed_run_names_reasons_chains_branches_and_commands() {
        let mut failed = item("3.2", Status::Failed, "check `test` kept failing");
        failed.branch = Some(BranchRef::new("refs/heads/story/3.2-api"));
        failed.failure = Some(Failure::new(FailureClass::Check, Phase::Testing, &failed.reason));
        let items = vec![
            item("1.1", Status::Landed, ""),
            failed,
            item("4.1", Status::Blocked, "3.3 → 3.2 failed"),
            item("1.2", Status::ReadyForReview, "waits for a person's review"),
            item("1.3", Status::Approved, "README.md is edited in a checkout of main"),
        ];
        let totals = Totals { landed: 1, failed: 1, blocked: 1, waiting: 2, unfinished: 0 };
        let left = [LeftOut { id: ItemId::parse("0.1").unwrap(), why: "landed".into() }];
        insta::assert_snapshot!(render(&summary(items, totals), &left, Color::Off), @r#"
        run r1 onto main: ended with stories that did not land

        5 stories: 1 landed · 1 failed · 1 blocked · 1 skipped · 2 waiting
        wall time 1 m 00 s, attempts 2 m 42 s in all: 2.7 times as fast as one by one

        failed:
          3.2 Title\u202e 3.2: check `test` kept failing (in phase testing)
              its work is kept on story/3.2-api
              see the check fail in its worktree, mend check or story; then git orchestrate retry 3.2

        blocked:
          4.1 Title\u202e 4.1: 3.3 → 3.2 failed

        waiting:
          1.2 Title\u202e 1.2: waits for a person's review
              git orchestrate show 1.2
              git orchestrate review 1.2 --approve -m "…"
              then git orchestrate resume
          1.3 Title\u202e 1.3: README.md is edited in a checkout of main
              when that is settled (git commit or git stash): git orchestrate resume

        skipped:
          0.1: landed

        next:
          git orchestrate log 3.2         # what happened
          git orchestrate retry 3.2       # try it again
          git orchestrate resume          # go on
          git log --graph --oneline main  # what landed
          git orchestrate show 1.1        # one story whole
        "#);
    }

    #[test]
    fn what_was_not_to_land_is_offered_for_landing() {
        let items = vec![item("1.1", Status::Approved, "approved; `git orchestrate land 1.1` lands it")];
        let text = render(&summary(items, Totals { waiting: 1, ..Totals::default() }), &[], Color::Off);
        assert!(text.contains("paused") && text.contains("  git orchestrate land 1.1  # land what"), "{text}");
        assert!(!text.contains("git stash") && !text.contains("resume"), "{text}");
    }

    #[test]
    fn a_complete_run_is_short() {
        let items = vec![item("1.1", Status::Landed, ""), item("1.2", Status::Landed, "")];
        let text = render(&summary(items, Totals { landed: 2, ..Totals::default() }), &[], Color::Off);
        insta::assert_snapshot!(text, @r"
        run r1 onto main: complete

        2 stories: 2 landed · 0 failed · 0 blocked · 0 skipped
        wall time 1 m 00 s, attempts 2 m 42 s in all: 2.7 times as fast as one by one

        next:
          git log --graph --oneline main  # what landed
          git orchestrate show 1.1        # one story whole
        ");
    }

    #[test]
    fn a_stopped_run_says_how_to_go_on() {
        let items = vec![item("1.1", Status::Stopped, "Ctrl-C"), item("1.2", Status::NotStarted, "")];
        let mut summary = summary(items, Totals { unfinished: 2, ..Totals::default() });
        summary.stopped = true;
        summary.attempt_millis = 0;
        let text = render(&summary, &[], Color::Off);
        assert!(text.contains("stopped") && text.contains("Ctrl-C") && text.contains("2 unfinished"), "{text}");
        assert!(text.contains("git orchestrate resume") && !text.contains("times as fast"), "{text}");
    }

    #[test]
    fn colour_adds_sequences_and_changes_no_word() {
        let items = vec![item("1.1", Status::Landed, ""), item("1.2", Status::Failed, "no commit")];
        let summary = summary(items, Totals { landed: 1, failed: 1, ..Totals::default() });
        let (plain, colored) = (render(&summary, &[], Color::Off), render(&summary, &[], Color::On));
        assert_ne!(plain, colored);
        assert_eq!(anstream::adapter::strip_str(&colored).to_string(), plain);
    }
}
