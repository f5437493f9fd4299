//! Renders findings: message, `file:line:column`, the line with a caret, hint, related places. Must not print.

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use crate::domain::diagnostic::{Diagnostic, Place, Severity, escape_line};

/// Most findings that are shown in full.
const LIMIT: usize = 50;

/// Most related places of one finding.
const RELATED: usize = 12;

/// Errors, then warnings, and a line that counts them; empty without any.
pub fn render(diagnostics: &[Diagnostic], color: bool) -> String {
    let important = diagnostics.iter().filter(|finding| finding.severity != Severity::Info);
    rendered(important.collect(), color)
}

/// Like [`render`], and information after the warnings.
pub fn render_all(diagnostics: &[Diagnostic], color: bool) -> String {
    rendered(diagnostics.iter().collect(), color)
}

fn rendered(mut findings: Vec<&Diagnostic>, color: bool) -> String {
    if findings.is_empty() {
        return String::new();
    }
    findings.sort_by_key(|finding| finding.severity);
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for finding in findings.iter().take(LIMIT) {
        out.push_str(&renderer.render(&report(finding)));
        out.push_str("\n\n");
    }
    if findings.len() > LIMIT {
        out.push_str(&more(findings.len() - LIMIT));
        out.push_str("\n\n");
    }
    out.push_str(&count(&findings));
    out.push('\n');
    out
}

fn more(count: usize) -> String {
    format!("\u{2026} and {count} more")
}

fn report(finding: &Diagnostic) -> Vec<Group<'_>> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Info => Level::INFO,
    };
    let mut group = Group::with_title(level.primary_title(escape_line(&finding.message)).id(finding.code));
    if let Some(place) = &finding.place {
        group = group.element(shown(place));
    }
    if let Some(hint) = &finding.hint {
        group = group.element(Level::HELP.message(escape_line(hint)));
    }
    let mut groups = vec![group];
    for (place, label) in finding.related.iter().take(RELATED) {
        groups.push(Group::with_title(Level::NOTE.secondary_title(escape_line(label))).element(shown(place)));
    }
    if finding.related.len() > RELATED {
        let title = more(finding.related.len() - RELATED);
        groups.push(Group::with_title(Level::NOTE.secondary_title(title)));
    }
    groups
}

/// The line with a caret; only the position where there is no text, or the mark lies behind what was kept of it.
fn shown(place: &Place) -> Element<'_> {
    let path = escape_line(&place.path);
    let before = usize::try_from(place.column).unwrap_or(usize::MAX).saturating_sub(1);
    let plain = place.line == 0 || place.text.trim().is_empty() || before >= place.text.chars().count();
    let origin = Origin::path(path.clone());
    let number = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
    if plain {
        return match (place.line, place.column) {
            (0, _) => origin.into(),
            (line, 0) => origin.line(number(line)).into(),
            (line, column) => origin.line(number(line)).char_column(number(column)).into(),
        };
    }
    let lead: String = place.text.chars().take(before).collect();
    let width = if place.column == 0 { usize::MAX } else { number(place.width).max(1) };
    let marked: String = place.text.chars().skip(before).take(width).collect();
    let start = escape_line(&lead).len();
    let end = start + escape_line(&marked).len();
    let mark = AnnotationKind::Primary.span(start..end);
    Snippet::source(escape_line(&place.text)).line_start(number(place.line)).path(path).annotation(mark).into()
}

fn count(findings: &[&Diagnostic]) -> String {
    let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let named = |count: usize, one: &str, many: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    };
    let parts = [
        named(of(Severity::Error), "error", "errors"),
        named(of(Severity::Warning), "warning", "warnings"),
        named(of(Severity::Info), "note", "notes"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        Place { path: "docs/stories/3.1.a.md".to_owned(), line: 4, column: 13, text: text.to_owned(), width: 3 }
    }

    #[test]
    fn a_finding_shows_line_caret_and_hint() {
        let finding = Diagnostic::error("missing-dependency", "depends on 9.9, which does not exist");
        let finding = finding.at(place("Depends on: 9.9")).hint("did you mean 9.8?");
        let expected = [
            "error[missing-dependency]: depends on 9.9, which does not exist",
            " --> docs/stories/3.1.a.md:4:13",
            "  |",
            "4 | Depends on: 9.9",
            "  |             ^^^",
            "  |",
            "  = help: did you mean 9.8?",
            "",
            "1 error",
            "",
        ];
        assert_eq!(render(&[finding], false), expected.join("\n"));
    }

    #[test]
    fn errors_come_first_and_notes_only_when_asked_for() {
        let all = [
            Diagnostic::info("c", "third"),
            Diagnostic::warning("b", "second").at(Place::file("x.md")),
            Diagnostic::error("a", "first").with_related(place("Depends on: 1.1"), "the other one"),
        ];
        let shown = render(&all, false);
        assert!(shown.find("first").unwrap() < shown.find("second").unwrap());
        assert!(!shown.contains("third"));
        assert!(shown.contains("the other one") && shown.contains("docs/stories/3.1.a.md:4:13"));
        assert!(shown.ends_with("1 error, 1 warning\n"));
        assert!(render_all(&all, false).ends_with("1 error, 1 warning, 1 note\n"));
        assert_eq!(render(&all[..1], false), "");
    }

    #[test]
    fn control_bytes_never_get_through() {
        let mut bad = place("\u{1b}]0;pwn\u{7} \u{202e}x");
        bad.column = 1;
        bad.path = "a\nb\u{1b}.md".to_owned();
        let finding = Diagnostic::error("x", "title \u{1b}[31m\u{202e}")
            .at(bad.clone())
            .hint("\u{9b}")
            .with_related(bad, "\u{7}");
        let shown = render(&[finding], false);
        assert!(shown.contains("\\x1b]0;pwn\\x07 \\u202ex"), "{shown}");
        assert!(!shown.chars().any(|c| c != '\n' && c.is_control()), "{shown:?}");
        assert!(!shown.contains('\u{202e}'));
    }

    #[test]
    fn huge_lists_are_cut() {
        let all = vec![Diagnostic::error("x", "bad"); 1000];
        let shown = render(&all, false);
        assert!(shown.contains("\u{2026} and 950 more"));
        assert!(shown.ends_with("1000 errors\n"));
    }

    #[test]
    fn a_mark_behind_the_kept_text_still_has_a_position() {
        let mut far = place(&"x".repeat(200));
        far.column = 5000;
        let shown = render(&[Diagnostic::error("x", "bad").at(far)], false);
        assert!(shown.contains("docs/stories/3.1.a.md:4:5000"), "{shown}");
    }
}
