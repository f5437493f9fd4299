//! Classifies headings and labels: which of them open a dependency list, and which only look like it.

use super::text::plain;
use crate::domain::item::Strength;

/// What a heading or label says about the list below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Prerequisites of this story.
    Forward(Strength),
    /// Stories that wait for this one.
    Reverse,
    /// Dependencies, but not on stories.
    Off,
    /// Something else.
    Other,
}

const REVERSE: [&str; 15] = [
    "downstream",
    "dependents",
    "dependent stor",
    "on this story",
    "unblocks",
    "enables",
    "provides to",
    "used by",
    "consumed by",
    "required by",
    "foundation for",
    "needed by",
    "required for",
    "stories that depend",
    "next stor",
];

const FORWARD: [&str; 19] = [
    "dependencies",
    "dependency",
    "depends",
    "prerequisites",
    "prerequisite",
    "pre",
    "requisites",
    "requisite",
    "requires",
    "blocked",
    "depend",
    "depended",
    "dependencias",
    "depend\u{ea}ncias",
    "d\u{e9}pendances",
    "abh\u{e4}ngigkeiten",
    "zale\u{17c}no\u{15b}ci",
    "prerrequisitos",
    "requisitos",
];

const QUALIFIERS: [&str; 33] = [
    "story",
    "stories",
    "internal",
    "upstream",
    "hard",
    "blocking",
    "required",
    "requires",
    "previous",
    "prior",
    "on",
    "and",
    "the",
    "of",
    "for",
    "this",
    "or",
    "direct",
    "other",
    "by",
    "be",
    "done",
    "must",
    "completed",
    "soft",
    "optional",
    "blockers",
    "status",
    "epic",
    "same",
    "first",
    "sequence",
    "order",
];

/// Classifies the text of a heading or the name of a label.
pub(super) fn classify(name: &str) -> Class {
    let name = plain(name);
    if name.len() > 80 || name.is_empty() {
        return Class::Other;
    }
    if !name.is_ascii() && is_foreign_forward(name) {
        return Class::Forward(Strength::Hard);
    }
    // Every word looked for holds one of these; most labels hold none.
    let lower = name.to_lowercase();
    if ![
        "depend",
        "requi",
        "block",
        "enables",
        "used by",
        "provides to",
        "consumed",
        "foundation",
        "d\u{e9}pend",
        "next stor",
    ]
    .iter()
    .any(|stem| lower.contains(stem))
        && !["downstream", "needed by", "abh\u{e4}ng", "zale\u{17c}"].iter().any(|stem| lower.contains(stem))
    {
        return Class::Other;
    }
    if lower.starts_with("blocks") || REVERSE.iter().any(|word| lower.contains(word)) {
        return Class::Reverse;
    }
    let mut words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.retain(|word| word.parse::<u32>().is_err());
    let forward =
        words.iter().any(|word| FORWARD.contains(word)) && words != ["pre"] || words == ["required", "stories"];
    if !forward {
        return Class::Other;
    }
    // "Epic Dependencies" are dependencies on epics; "Depends on" in an epic's row is not.
    let epic = words.contains(&"epic") && !words.contains(&"story") && !words.contains(&"stories");
    if epic || !words.iter().all(|word| FORWARD.contains(word) || QUALIFIERS.contains(word)) {
        return if epic { Class::Forward(Strength::Hard) } else { Class::Off };
    }
    let soft = words.contains(&"soft") || words.contains(&"optional");
    Class::Forward(if soft { Strength::Soft } else { Strength::Hard })
}

/// Whether a heading or label only narrows the dependency list it stands in ("Internal", "Hard").
pub(super) fn is_qualifier(name: &str) -> bool {
    let lower = plain(name).to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).peekable();
    words.peek().is_some() && words.all(|word| QUALIFIERS.contains(&word))
}

fn is_foreign_forward(name: &str) -> bool {
    ["\u{4f9d}\u{8d56}", "\u{524d}\u{7f6e}", "\u{4f9d}\u{5b58}", "\u{c758}\u{c874}", "ph\u{1ee5} thu\u{1ed9}c"]
        .iter()
        .any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_seen_in_the_wild() {
        let hard = Class::Forward(Strength::Hard);
        for (name, class) in [
            ("Dependencies", hard),
            ("**Story Dependencies:**", hard),
            ("Internal Dependencies", hard),
            ("Prerequisites", hard),
            ("Prerequisite", hard),
            ("Pre-requisites", hard),
            ("Depends on", hard),
            ("Blocked by", hard),
            ("Blocked By", hard),
            ("Requires", hard),
            ("Dependency on Previous Stories", hard),
            ("6. Dependencies", hard),
            ("Dependencias", hard),
            ("\u{4f9d}\u{8d56}", hard),
            ("Optional Dependencies", Class::Forward(Strength::Soft)),
            ("Dependencies on This Story", Class::Reverse),
            ("Downstream Dependencies", Class::Reverse),
            ("Blocks", Class::Reverse),
            ("Enables", Class::Reverse),
            ("This story enables", Class::Reverse),
            ("Provides To", Class::Reverse),
            ("Used by", Class::Reverse),
            ("Key Dependencies", Class::Off),
            ("External Dependencies", Class::Off),
            ("System Dependencies", Class::Off),
            ("Technical Prerequisites", Class::Off),
            ("Dependency Injection", Class::Off),
            ("6. Dependencies, Build & Configuration", Class::Off),
            ("Previous Story", Class::Other),
            ("Context", Class::Other),
            ("Current Blocker", Class::Other),
            ("Status", Class::Other),
        ] {
            assert_eq!(classify(name), class, "{name}");
        }
    }
}
