//! Tests of splitting: what a shell would take for commands and words.

use proptest::prelude::*;

use super::*;

/// Words of each command, joined by `|`, commands by ` ; `.
fn shown(text: &str) -> String {
    let script = split(text).unwrap();
    script.commands.iter().map(|command| command.words.join("|")).collect::<Vec<_>>().join(" ; ")
}

#[test]
fn words_and_commands_are_a_shells() {
    for (text, expected) in [
        ("git  commit -m 'a b'", "git|commit|-m|a b"),
        ("a && b || c; d & e\nf", "a ; b ; c ; d ; e ; f"),
        ("a | b |& c", "a ; b ; c"),
        ("(cd x; git push)", "cd|x ; git|push"),
        ("g\"it\" pu\\sh", "git|push"),
        ("echo \"a \\\"b\\\" $X \\n\"", "echo|a \"b\" $X \\n"),
        ("a # b; c\nd", "a ; d"),
        ("a#b", "a#b"),
        ("echo ''", "echo|"),
        ("echo $'it\\'s'", "echo|it's"),
        ("a \\\n b", "a|b"),
        ("echo 2>&1 x", "echo|x"),
        ("echo 2 > f", "echo|2"),
        ("x <<< 'git push'", "x"),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn redirections_say_what_is_written() {
    for (text, expected) in [
        ("a > b", vec!["b"]),
        ("a >>b 2>/dev/null", vec!["b", "/dev/null"]),
        ("a &> b", vec!["b"]),
        ("a >| b", vec!["b"]),
        ("a 2>&1", vec![]),
        ("a < b", vec![]),
        ("a <> b", vec!["b"]),
        ("> b", vec!["b"]),
        ("a >&b", vec!["b"]),
    ] {
        assert_eq!(split(text).unwrap().commands[0].writes, expected, "{text}");
    }
}

#[test]
fn commands_within_commands_are_found() {
    for (text, expected) in [
        ("echo $(git push)", vec!["git push"]),
        ("echo \"$(git push 'a)b')\"", vec!["git push 'a)b'"]),
        ("echo `git push`", vec!["git push"]),
        ("diff <(git push) x", vec!["git push"]),
        ("echo '$(git push)'", vec![]),
        ("cat <<EOF\n$(git push)\nEOF\n", vec!["git push"]),
        ("cat <<'EOF'\n$(git push)\nEOF\n", vec![]),
    ] {
        assert_eq!(split(text).unwrap().nested, expected, "{text}");
    }
}

#[test]
fn a_here_document_is_no_command() {
    let script = split("cat > f <<-'END' && git status\n\tgit push\n\tEND\nls").unwrap();
    let words: Vec<_> = script.commands.iter().map(|command| command.words.join(" ")).collect();
    assert_eq!(words, ["cat", "git status", "ls"]);
    assert_eq!(script.commands[0].input.as_deref(), Some("git push\n"));
    assert_eq!(script.commands[0].writes, ["f"]);
}

#[test]
fn what_is_not_closed_is_unclear() {
    for text in ["echo 'a", "echo \"a", "echo $(a", "echo `a", "a\\", "a\0b"] {
        assert_eq!(split(text), Err(Unclear), "{text:?}");
    }
    assert_eq!(split(&"x".repeat(2 * 1024 * 1024)), Err(Unclear));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[ a-z'\"\\\\$()`<>|&;#\\n0-9-]{0,60}") {
        let _ = split(&text);
    }

    #[test]
    fn a_quoted_word_is_that_word(word in "[^'\0]{1,40}") {
        let script = split(&format!("git '{word}'")).unwrap();
        prop_assert_eq!(&script.commands[0].words, &["git".to_owned(), word]);
        prop_assert!(script.nested.is_empty() && script.commands.len() == 1);
    }
}
