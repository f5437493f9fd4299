//! Words beside references: soft, reverse, none. Must not read the references themselves.

use super::name::strip_word;
use super::text::cut;

/// Whether a column's head says that the table lists other things than stories.
pub(super) fn is_foreign_column(cell: &str) -> bool {
    let columns =
        ["package", "version", "library", "technology", "tool", "module", "npm", "crate", "task", "ac", "file"];
    cell.len() <= 40 && columns.iter().any(|column| strip_word(cell, column).is_some())
}

/// Whether a lower-case remark says that the dependency need not be waited for.
pub(super) fn is_soft(text: &str) -> bool {
    let text = text.trim_matches(|c: char| !c.is_alphanumeric());
    if ["optional", "soft", "referenced", "reference only"].iter().any(|word| text.starts_with(word)) {
        return true;
    }
    let phrases =
        ["in parallel", "integration point", "nice to have", "non-blocking", "not blocking", "(optional", "(soft"];
    phrases.iter().any(|phrase| text.contains(phrase))
}

/// Whether a lower-case remark says that the other story waits for this one.
pub(super) fn is_reverse(text: &str) -> bool {
    let phrases = [
        "depends on this",
        "depend on this",
        "story enables",
        "story unblocks",
        "by this story",
        "builds on this",
        "needs this story",
        "uses this story",
        "will use this",
        "(next)",
        "(future)",
        "waits for this",
    ];
    phrases.iter().any(|phrase| text.contains(phrase))
}

/// What follows a word that means "none", or `None` when the text does not start with one.
pub(super) fn says_none(text: &str) -> Option<&str> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '*' | '_' | '`' | '[' | ']' | '"' | '\''));
    if text.is_empty() || matches!(text, "-" | "\u{2013}" | "\u{2014}" | "~" | "null") {
        return (!text.is_empty()).then_some("");
    }
    let words = ["none", "n/a", "nil", "nothing", "nenhuma", "nenhum", "ninguna", "ninguno", "aucune", "keine", "brak"];
    if let Some(rest) = words.iter().find_map(|word| strip_word(text, word)) {
        return Some(rest);
    }
    let foreign = ["\u{65e0}", "\u{7121}", "\u{306a}\u{3057}", "\u{c5c6}\u{c74c}", "kh\u{f4}ng"];
    if let Some(rest) = foreign.iter().find_map(|word| text.strip_prefix(word)) {
        return Some(rest);
    }
    let rest = strip_word(text, "no")?;
    let lower = cut(rest, 80).to_lowercase();
    let about = ["depend", "prereq", "block"].iter().any(|word| lower.contains(word));
    let other = ["external", "new ", "additional", "npm", "package", "third"].iter().any(|word| lower.contains(word));
    (about && !other).then_some(rest)
}
