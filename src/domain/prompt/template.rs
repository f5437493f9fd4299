//! The text of a prompt with places for values. Must not fill a place for outside text with anything but a data block; that
//! is `prompt`'s, which gives the values.

use std::collections::BTreeMap;

/// Which prompt a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// Research, implementation and documentation.
    Author,
    /// The review.
    Review,
    /// The answer to its findings.
    ReviewResponse,
    /// Another try after a failed check.
    Rework,
    /// Conflicts with the target.
    Conflict,
}

impl Name {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Author, Self::Review, Self::ReviewResponse, Self::Rework, Self::Conflict];

    /// The name in files and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Author => "author",
            Self::Review => "review",
            Self::ReviewResponse => "review-response",
            Self::Rework => "rework",
            Self::Conflict => "conflict",
        }
    }

    /// What it is for, for people.
    pub fn purpose(self) -> &'static str {
        match self {
            Self::Author => "phases 4, 5 and 7: research, implementation and documentation in one session",
            Self::Review => "phase 9: the review of a change that somebody else wrote",
            Self::ReviewResponse => "phase 10: the answer to a review's findings",
            Self::Rework => "another try after a check failed",
            Self::Conflict => "bringing the target in and resolving the conflicts",
        }
    }

    /// The text that is built in.
    pub fn built_in(self) -> &'static str {
        match self {
            Self::Author => include_str!("author.md"),
            Self::Review => include_str!("review.md"),
            Self::ReviewResponse => include_str!("review-response.md"),
            Self::Rework => include_str!("rework.md"),
            Self::Conflict => include_str!("conflict.md"),
        }
    }

    /// The places that a text must have: without them an agent would not know what to do, or what counts.
    pub fn needs(self) -> &'static [Field] {
        match self {
            Self::Author => &[Field::Story, Field::Rules],
            Self::Review => &[Field::Story, Field::Diff, Field::ResultForm],
            Self::ReviewResponse => &[Field::Story, Field::Rules, Field::Findings],
            Self::Rework => &[Field::Story, Field::Rules, Field::Failed, Field::Output],
            Self::Conflict => &[Field::Story, Field::Rules, Field::Target, Field::Paths],
        }
    }

    /// The places that a text may have besides.
    fn allows(self, field: Field) -> bool {
        let common = matches!(field, Field::Id | Field::Role | Field::Base | Field::Checks | Field::Uv | Field::Diff);
        common || self.needs().contains(&field)
    }
}

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Id of the story.
    Id,
    /// Role of the session.
    Role,
    /// Commit the change is measured from.
    Base,
    /// The command that shows the whole change.
    Diff,
    /// The story, as a data block with a warning above it.
    Story,
    /// What an author may and may not do.
    Rules,
    /// The form of a review's answer.
    ResultForm,
    /// The checks that will run.
    Checks,
    /// How Python is run, in a uv project; else nothing.
    Uv,
    /// A review's findings, as a data block.
    Findings,
    /// Name of the check that failed.
    Failed,
    /// The end of its output, as a data block.
    Output,
    /// The target branch.
    Target,
    /// The conflicting paths, as a data block.
    Paths,
}

impl Field {
    /// All of them with their names.
    pub const ALL: [(&'static str, Self); 14] = [
        ("id", Self::Id),
        ("role", Self::Role),
        ("base", Self::Base),
        ("diff", Self::Diff),
        ("story", Self::Story),
        ("rules", Self::Rules),
        ("result_form", Self::ResultForm),
        ("checks", Self::Checks),
        ("uv", Self::Uv),
        ("findings", Self::Findings),
        ("failed", Self::Failed),
        ("output", Self::Output),
        ("target", Self::Target),
        ("paths", Self::Paths),
    ];

    /// The name between the braces.
    pub fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, field)| *field == self).map_or("", |(name, _)| name)
    }
}

/// A text that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Bytes of the text that it is about; empty for the text as a whole.
    pub span: std::ops::Range<usize>,
    /// What.
    pub message: String,
    /// What helps.
    pub hint: String,
}

impl Template {
    /// Checks a text: every `{{name}}` is known and fits this prompt, and none that it needs is missing.
    pub fn parse(name: Name, text: &str) -> Result<Self, Vec<Wrong>> {
        let (mut parts, mut wrong, mut at) = (Vec::new(), Vec::new(), 0);
        while let Some(open) = text[at..].find("{{").map(|found| at + found) {
            let Some(close) = text[open..].find("}}").map(|found| open + found) else { break };
            parts.push(Part::Text(text[at..open].to_owned()));
            at = close + 2;
            match field(name, text[open + 2..close].trim()) {
                Ok(field) => parts.push(Part::Field(field)),
                Err((message, hint)) => wrong.push(Wrong { span: open..at, message, hint }),
            }
        }
        parts.push(Part::Text(text[at..].to_owned()));
        for needed in name.needs().iter().filter(|needed| !parts.contains(&Part::Field(**needed))) {
            let place = format!("{{{{{}}}}}", needed.as_str());
            let message = format!("the prompt `{}` needs {place} somewhere", name.as_str());
            wrong.push(Wrong {
                span: 0..0,
                message,
                hint: format!("add {place}; git orchestrate agents prompts {}", name.as_str()),
            });
        }
        if wrong.is_empty() { Ok(Self(parts)) } else { Err(wrong) }
    }

    /// The text with its values. A line that holds nothing but a place without a value is left out.
    pub fn fill(&self, value: impl Fn(Field) -> String) -> String {
        let mut text = String::new();
        let mut parts = self.0.iter().peekable();
        while let Some(part) = parts.next() {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Field(field) => {
                    let value = value(*field);
                    text.push_str(value.trim_end_matches('\n'));
                    let alone = value.is_empty() && text.ends_with('\n');
                    if let (true, Some(Part::Text(next))) = (alone, parts.peek())
                        && let Some(rest) = next.strip_prefix('\n')
                    {
                        text.push_str(rest);
                        parts.next();
                    }
                }
            }
        }
        text
    }
}

fn field(name: Name, text: &str) -> Result<Field, (String, String)> {
    let fits = |names: &mut dyn Iterator<Item = &'static str>| {
        names.map(|name| format!("{{{{{name}}}}}")).collect::<Vec<_>>().join(" ")
    };
    let mut fitting = Field::ALL.into_iter().filter(|(_, field)| name.allows(*field)).map(|(known, _)| known);
    let known = Field::ALL.into_iter().find(|(known, _)| *known == text).map(|(_, field)| field);
    match known {
        Some(field) if name.allows(field) => Ok(field),
        Some(_) => Err((
            format!("{{{{{text}}}}} has no value in the prompt `{}`", name.as_str()),
            format!("it may have {}", fits(&mut fitting)),
        )),
        None => Err((
            format!("unknown place {{{{{}}}}}", text.escape_debug()),
            format!("known here: {}", fits(&mut fitting)),
        )),
    }
}

/// The texts of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompts(BTreeMap<Name, Template>);

impl Default for Prompts {
    fn default() -> Self {
        Self(
            Name::ALL
                .into_iter()
                .map(|name| (name, Template::parse(name, name.built_in()).expect("a test reads them")))
                .collect(),
        )
    }
}

impl Prompts {
    /// Replaces one text.
    pub fn replace(&mut self, name: Name, template: Template) {
        self.0.insert(name, template);
    }

    /// The text of a name.
    pub fn of(&self, name: Name) -> &Template {
        self.0.get(&name).expect("every name is present by construction")
    }
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
