//! Tests of answers: what of a last message counts as one.

use super::*;

#[test]
fn an_answer_is_one_object_and_nothing_else() {
    let object = "{\"version\":1}";
    for text in [object, " {\"version\":1}\n", "```json\n{\"version\":1}\n```", "```\n{\"version\":1}\n```\n"] {
        assert_eq!(answer(text), Some(object), "{text}");
    }
    for text in [
        "",
        "APPROVED",
        "Here it is: {\"version\":1}",
        "{\"version\":1} and more",
        "```json\n{\"version\":1}\n```\nmore",
        "```json\n{}\n```\n```json\n{}\n```",
        "```rust\n{}\n```",
        "[1]",
        "```",
        "``````",
    ] {
        assert_eq!(answer(text), None, "{text}");
    }
}
