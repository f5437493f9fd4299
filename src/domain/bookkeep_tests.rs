//! Tests of `bookkeep`.

use proptest::prelude::*;

use super::*;

fn done(text: &str) -> String {
    String::from_utf8(bookkeep(text.as_bytes(), "Done", &[])).unwrap()
}

fn reviewed(text: &str, lines: &[&str]) -> String {
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    String::from_utf8(bookkeep(text.as_bytes(), "Done", &lines)).unwrap()
}

#[test]
fn only_the_value_changes() {
    for (before, after) in [
        ("# Story 1.1: a\n\nStatus: Ready\n", "# Story 1.1: a\n\nStatus: Done\n"),
        ("# Story 1.1: a\n\n**Status:** In Progress\n", "# Story 1.1: a\n\n**Status:** Done\n"),
        ("# Story 1.1: a\n\nStatus: ready-for-dev\n", "# Story 1.1: a\n\nStatus: done\n"),
        ("# Story 1.1: a\r\n\r\nStatus: Ready\r\nx", "# Story 1.1: a\r\n\r\nStatus: Done\r\nx"),
        ("# Story 1.1: a\n\nStatus: Ready (by Ann)\n", "# Story 1.1: a\n\nStatus: Done (by Ann)\n"),
        ("# Story 1.1: a\n\nStatus: Ready <!-- word -->\n", "# Story 1.1: a\n\nStatus: Done <!-- word -->\n"),
        ("# Story 1.1: a\n\nStatus: ready -> review\n", "# Story 1.1: a\n\nStatus: done\n"),
        ("# Story 1.1: a\n\nStatus: \u{1f6a7} **Draft**\n", "# Story 1.1: a\n\nStatus: \u{1f6a7} **Done**\n"),
        ("# Story 1.1: a\n\n## Status\n\nDraft\n\n## Story\n", "# Story 1.1: a\n\n## Status\n\nDone\n\n## Story\n"),
        ("# Story 1.1: a\n\n## Status: Draft\n", "# Story 1.1: a\n\n## Status: Done\n"),
        ("# Story 1.1: a\n\n| Status | Draft |\n", "# Story 1.1: a\n\n| Status | Done |\n"),
        ("---\nstatus: draft # x\n---\n# Story 1.1: a\n", "---\nstatus: done # x\n---\n# Story 1.1: a\n"),
        ("# Story 1.1: a\n\nStatus:\n", "# Story 1.1: a\n\nStatus: Done\n"),
        ("# Story 1.1: a\n\n## Story\n", "# Story 1.1: a\n\nStatus: Done\n\n## Story\n"),
        ("# Story 1.1: a", "# Story 1.1: a\n\nStatus: Done\n"),
        ("text", "Status: Done\n\ntext"),
    ] {
        assert_eq!(done(before), after, "{before:?}");
        assert_eq!(done(after), after, "again {after:?}");
    }
}

#[test]
fn mark_and_foreign_bytes_stay() {
    let text = b"\xef\xbb\xbf# Story 1.1: a\n\nStatus: Ready\n";
    assert_eq!(bookkeep(text, "Done", &[]), b"\xef\xbb\xbf# Story 1.1: a\n\nStatus: Done\n");
    assert_eq!(bookkeep(b"Status: \xff", "Done", &["x".to_owned()]), b"Status: \xff");
}

#[test]
fn review_lines_go_to_the_end_or_into_the_section() {
    let plain = "# Story 1.1: a\n\nStatus: Done\n";
    let expected = "# Story 1.1: a\n\nStatus: Done\n\n## Review\n\n- approved\n";
    assert_eq!(reviewed(plain, &["- approved"]), expected);
    assert_eq!(reviewed(expected, &["- approved"]), expected);
    let both = "# Story 1.1: a\n\nStatus: Done\n\n## Review\n\n- approved\n- again\n";
    assert_eq!(reviewed(expected, &["- approved", "- again"]), both);
    let middle = "Status: Done\n\n## Review\n\nold\n\n## Notes\n";
    assert_eq!(reviewed(middle, &["- new"]), "Status: Done\n\n## Review\n\nold\n- new\n\n## Notes\n");
    let crlf = "Status: Done\r\nlast";
    assert_eq!(reviewed(crlf, &["- new"]), "Status: Done\r\nlast\r\n\r\n## Review\r\n\r\n- new\r\n");
    assert_eq!(reviewed("Status: Done\n", &["## x\n# y"]), "Status: Done\n\n## Review\n\n\\## x # y\n");
}

const LINE: &str = "(# Story 1.1: a|## Review|## Story|Status: [A-Za-z -]{0,9}|\\*\\*Status:\\*\\* x|```|```sh|<!-- a|-->|---|## Status|- [a-z]{1,3}|[a-z|#*:<>-]{0,12}|)";

#[test]
fn a_fence_below_the_status_heading_is_no_value() {
    for text in
        ["# Story 1.1: a\n\n## Status\n\n```\nx\n```\n", "**Status:** x\n## Status\n```\n<!-- a\n# Story 1A1: a\n-->\n"]
    {
        let once = done(text);
        assert!(once.contains("## Status\n\n```\nx\n```\n") || once.contains("## Status\n```\n<!-- a\n"), "{once}");
        assert_eq!(done(&once), once);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn applying_twice_is_applying_once(
        lines in proptest::collection::vec(LINE, 0..10), end in "(\n|\r\n)", last in "(\n|)",
        review in proptest::collection::vec("[-#a-z`<> ]{0,8}", 0..3),
    ) {
        let text = lines.join(&end) + &last;
        let once = bookkeep(text.as_bytes(), "Done", &review);
        let twice = bookkeep(&once, "Done", &review);
        prop_assert_eq!(String::from_utf8(once).unwrap(), String::from_utf8(twice).unwrap());
    }

    #[test]
    fn other_lines_stay_as_they_are(lines in proptest::collection::vec(LINE, 0..10), end in "(\n|\r\n)") {
        let text = lines.join(&end);
        let out = reviewed(&text, &["- approved"]);
        let before: Vec<&str> = text.split('\n').map(|line| line.trim_end_matches('\r')).collect();
        let after: Vec<&str> = out.split('\n').map(|line| line.trim_end_matches('\r')).collect();
        // All lines but at most one are still there, in order.
        let kept = (0..=before.len()).any(|changed| {
            let mut rest = after.iter();
            let mut others = before.iter().enumerate().filter(|(index, _)| *index != changed);
            others.all(|(_, line)| rest.any(|other| other == line))
        });
        prop_assert!(kept, "{:?}", out);
    }

    #[test]
    fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let once = bookkeep(&bytes, "Done", &["- x".to_owned()]);
        prop_assert_eq!(bookkeep(&once, "Done", &["- x".to_owned()]), once.clone());
    }
}
