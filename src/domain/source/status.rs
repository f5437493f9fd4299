//! The status vocabulary: words of story files to canonical values. Must not look for the word; `story` does.

use crate::domain::item::FileStatus;

/// Words a hint lists.
pub const KNOWN: &str = "Draft, Ready, Not Started, In Progress, Review, Done, Blocked, Skipped";

/// Whether a word is part of the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It is.
    Known,
    /// It is understood but outside the vocabulary, or not understood at all.
    Foreign,
}

/// The canonical value of a status as written.
pub(super) fn read(raw: &str) -> (FileStatus, Fit) {
    let raw = raw.split("<!--").next().unwrap_or(raw);
    let text = raw.rsplit(['\u{2192}', '\u{21d2}']).next().unwrap_or(raw);
    let text = text.rsplit("->").next().unwrap_or(text);
    let text = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    let end = text
        .find(['(', '\u{2013}', '\u{2014}', '|', '*', ',', ';', ':', '.', '/', '!', '[', '<'])
        .unwrap_or(text.len());
    let head = text[..end].split(" - ").next().unwrap_or("");
    let words: Vec<String> = head
        .split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|word| !word.is_empty())
        .take(6)
        .map(str::to_lowercase)
        .collect();
    if words == ["backlog"] && raw.to_lowercase().contains("deferred") {
        return (FileStatus::Skipped, Fit::Known);
    }
    if words == ["dev", "complete"] || words == ["code", "complete"] {
        return (FileStatus::Review, Fit::Foreign);
    }
    let whole = word(&words.join("-"));
    if whole != FileStatus::Unknown {
        return (whole, Fit::Known);
    }
    let first = words.first().map_or(FileStatus::Unknown, |first| word(first));
    (first, if first == FileStatus::Unknown { Fit::Foreign } else { Fit::Known })
}

fn word(word: &str) -> FileStatus {
    match word {
        "draft" | "drafted" | "backlog" | "planned" | "proposed" | "idea" | "rascunho" | "borrador" => {
            FileStatus::Draft
        }
        "ready"
        | "ready-for-dev"
        | "ready-for-development"
        | "ready-for-execution"
        | "ready-for-implementation"
        | "ready-to-start"
        | "approved"
        | "contexted"
        | "optional"
        | "not-started"
        | "todo"
        | "to-do"
        | "open"
        | "new"
        | "pending"
        | "unstarted"
        | "accepted"
        | "queued" => FileStatus::Ready,
        "in-progress" | "inprogress" | "wip" | "doing" | "started" | "active" | "in-development" | "implementing"
        | "in-work" | "reopened" | "ongoing" => FileStatus::InProgress,
        "review"
        | "in-review"
        | "ready-for-review"
        | "ready-for-re-review"
        | "reviewing"
        | "in-qa"
        | "qa"
        | "ready-for-qa"
        | "changes-requested" => FileStatus::Review,
        "done" | "complete" | "completed" | "fully-implemented" | "implemented" | "fixed" | "closed" | "merged"
        | "shipped" | "finished" | "released" | "resolved" | "delivered" | "landed" => FileStatus::Done,
        "blocked" | "on-hold" | "waiting" | "paused" => FileStatus::Blocked,
        "skipped" | "deferred" | "split" | "archived" | "cancelled" | "canceled" | "obsolete" | "superseded"
        | "abandoned" | "rejected" | "won't-do" | "wont-do" | "won't-fix" | "dropped" | "deprecated" => {
            FileStatus::Skipped
        }
        _ => FileStatus::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_seen_in_the_wild() {
        for (raw, value) in [
            ("done", FileStatus::Done),
            ("\u{2705} **DONE**", FileStatus::Done),
            ("COMPLETE - READY FOR PRODUCTION", FileStatus::Done),
            ("FULLY IMPLEMENTED", FileStatus::Done),
            ("\u{2705} FIXED", FileStatus::Done),
            ("done **Epic:** 2.5", FileStatus::Done),
            ("review \u{2192} done", FileStatus::Done),
            ("ready-for-dev \u{2192} in-progress -> review", FileStatus::Review),
            ("Ready for Review", FileStatus::Review),
            ("Ready for re-review", FileStatus::Review),
            ("ready-for-dev", FileStatus::Ready),
            ("READY FOR EXECUTION", FileStatus::Ready),
            ("APPROVED - Ready for Done", FileStatus::Ready),
            ("Not Started", FileStatus::Ready),
            ("In Progress", FileStatus::InProgress),
            ("InProgress", FileStatus::InProgress),
            ("Draft", FileStatus::Draft),
            ("backlog (DEFERRED to phase 2)", FileStatus::Skipped),
            ("planned (Q1 2026)", FileStatus::Draft),
            ("ARCHIVED (Split into 1.2a)", FileStatus::Skipped),
            ("SKIPPED - reason", FileStatus::Skipped),
            ("**SKIPPED** - Endpoints", FileStatus::Skipped),
            ("cancelled", FileStatus::Skipped),
            ("blocked", FileStatus::Blocked),
        ] {
            assert_eq!(read(raw), (value, Fit::Known), "{raw}");
        }
    }

    #[test]
    fn foreign_words_are_marked() {
        assert_eq!(read("Banana"), (FileStatus::Unknown, Fit::Foreign));
        assert_eq!(read("200 OK"), (FileStatus::Unknown, Fit::Foreign));
        assert_eq!(read("dev-complete"), (FileStatus::Review, Fit::Foreign));
        assert_eq!(read(""), (FileStatus::Unknown, Fit::Foreign));
    }
}
