//! Ids and titles from file names and headings, and which files never are stories. Must not read file content.

use crate::domain::id::ItemId;

/// What a file's name says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It may be a story.
    Candidate(Option<ItemId>),
    /// It never is one, and why.
    Never(&'static str),
    /// It is too strange to be touched, and why.
    Strange(&'static str),
}

/// Which leading words an id may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lead {
    /// Upper-case words and letters (`AIOX-HO-2.1`).
    Upper,
    /// Any.
    Any,
}

/// Judges a path by its last component.
pub(super) fn judge(path: &str) -> Judgement {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some(stem) = name.strip_suffix(".md").or_else(|| name.strip_suffix(".MD")) else {
        return Judgement::Never("not a markdown file");
    };
    if let Some(why) = strange(path, name, stem) {
        return Judgement::Strange(why);
    }
    if let Some(why) = never(&stem.to_lowercase()) {
        return Judgement::Never(why);
    }
    Judgement::Candidate(name_id(stem))
}

fn strange(path: &str, name: &str, stem: &str) -> Option<&'static str> {
    let allowed =
        |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | ',' | '(' | ')' | '&' | '#' | '!');
    if !name.chars().all(allowed) || path.chars().any(|c| c.is_control() || c == '\\') {
        return Some("its name has unusual characters");
    }
    if name.starts_with(['.', '-']) {
        return Some("its name starts with a dot or a dash");
    }
    if stem.contains("..") || stem.contains(".-") || stem.to_ascii_lowercase().ends_with(".lock") {
        return Some("git would refuse a branch of that name");
    }
    let device = ["con", "prn", "aux", "nul"].contains(&stem.to_ascii_lowercase().as_str());
    if device {
        return Some("its name is reserved on some systems");
    }
    let long = stem.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 18);
    long.then_some("its number is too large")
}

fn never(stem: &str) -> Option<&'static str> {
    let first = stem.split(['.', '-', '_']).next().unwrap_or(stem);
    if ["readme", "index", "changelog", "contributing", "license"].contains(&first) {
        return Some("it is a document about the folder");
    }
    if first == "epic" || first == "epics" {
        return Some("its name starts with epic");
    }
    if first.starts_with("retro") || stem.ends_with("-retrospective") {
        return Some("its name says retrospective");
    }
    if stem.starts_with("validation-report") {
        return Some("its name starts with validation-report");
    }
    if stem.ends_with("-report") {
        return Some("its name ends with -report");
    }
    if stem.contains(".context") {
        return Some("it is a context file");
    }
    None
}

/// The id at the start of a file name without extension.
fn name_id(stem: &str) -> Option<ItemId> {
    let (token, opaque) = match strip_word(stem, "story") {
        Some(rest) => {
            let rest = rest.strip_prefix(['-', '_', '.'])?;
            let token = token(rest, Lead::Upper)?;
            (token, !token.contains(['.', '-']))
        }
        None => (token(stem, Lead::Upper)?, false),
    };
    let id = if opaque { format!("story-{token}") } else { token.to_owned() };
    ItemId::parse(&id)
}

/// An id read from a heading.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HeadingId<'a> {
    /// As spelled.
    pub(super) token: &'a str,
    /// Canonical.
    pub(super) id: ItemId,
    /// What follows, without the separator.
    pub(super) title: &'a str,
}

/// Reads `Story 1.1: t`, `1.1 - t`, `STORY-012: t`, `Epic 4: x - Story 4.2: t`.
pub(super) fn heading_id(text: &str) -> Option<HeadingId<'_>> {
    let text = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    if strip_word(text, "epic").is_some() {
        let lower = text.to_ascii_lowercase();
        let at = lower.find(" story ").or_else(|| lower.find(" story-"))?;
        return story_id(&text[at + 1..]);
    }
    if strip_word(text, "story").is_some() {
        return story_id(text);
    }
    let token = token(text, Lead::Upper)?;
    let id = ItemId::parse(token)?;
    let rest = &text[token.len()..];
    let separated = rest.trim_start().starts_with([':', '-', '\u{2013}', '\u{2014}', '|']);
    (token.contains(['.', '-']) && (separated || rest.starts_with(' ') && token.contains('.'))).then(|| HeadingId {
        token,
        id,
        title: title(rest),
    })
}

fn story_id(text: &str) -> Option<HeadingId<'_>> {
    let rest = strip_word(text, "story")?;
    if let Some(after) = rest.strip_prefix('-') {
        let number = token(after, Lead::Upper)?;
        let title = title(&after[number.len()..]);
        if number.contains('.') {
            return Some(HeadingId { token: number, id: ItemId::parse(number)?, title });
        }
        let token = &text[..text.len() - after.len() + number.len()];
        return Some(HeadingId { token, id: ItemId::parse(token)?, title });
    }
    let rest = rest.trim_start_matches([' ', ':', '#', '\t', '\u{a0}', '_']);
    let token = token(rest, Lead::Upper)?;
    Some(HeadingId { token, id: ItemId::parse(token)?, title: title(&rest[token.len()..]) })
}

fn title(rest: &str) -> &str {
    let separator =
        |c: char| c.is_whitespace() || matches!(c, ':' | '-' | '\u{2013}' | '\u{2014}' | '|' | '\u{ff1a}' | '*');
    rest.trim_start_matches(separator).trim().trim_end_matches('#').trim_end()
}

/// The rest of a text that starts with a word, in any case.
pub(super) fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len())?;
    let rest = &text[word.len()..];
    (head.eq_ignore_ascii_case(word) && !rest.starts_with(char::is_alphanumeric)).then_some(rest)
}

/// The longest id at the start of a text: components of digits with few letters, joined by `.` or `-`.
pub(super) fn token(text: &str, lead: Lead) -> Option<&str> {
    let bytes = text.as_bytes();
    let run = |from: usize, test: fn(&u8) -> bool| bytes[from..].iter().take_while(|byte| test(byte)).count();
    let (mut at, mut end, mut numbered) = (0, 0, false);
    // No id is longer than 64 bytes, two of them with a dash make a range.
    while at < bytes.len().min(140) {
        let letters = run(at, u8::is_ascii_alphabetic);
        let upper = bytes[at..at + letters].iter().all(u8::is_ascii_uppercase);
        let digits = run(at + letters, u8::is_ascii_digit);
        let after = at + letters + digits;
        if digits == 0 {
            let word = !numbered && letters > 0 && bytes.get(after) == Some(&b'-') && (upper || lead == Lead::Any);
            if !word {
                break;
            }
            at = after + 1;
            continue;
        }
        if letters > 3 || letters > 0 && !upper && (numbered || lead == Lead::Upper) {
            break;
        }
        let suffix = run(after, u8::is_ascii_alphanumeric);
        if suffix > 1 || text[after + suffix..].starts_with(char::is_alphanumeric) {
            break;
        }
        (numbered, end) = (true, after + suffix);
        if !matches!(bytes.get(end), Some(b'.' | b'-')) {
            break;
        }
        at = end + 1;
    }
    (end > 0).then(|| &text[..end])
}

/// Whether the id of the heading agrees with that of the name: it is the start of the name's number run.
pub(super) fn agree(heading: &ItemId, name: &ItemId) -> bool {
    let bare = |id: &ItemId| id.without_prefix().unwrap_or_else(|| id.clone());
    heading.starts(name) || bare(heading).starts(&bare(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heading(text: &str) -> Option<(String, String)> {
        heading_id(text).map(|found| (found.id.to_string(), found.title.to_owned()))
    }

    #[test]
    fn headings_seen_in_the_wild() {
        for (text, id, title) in [
            ("Story 1.1: Login", "1.1", "Login"),
            ("Story 38-5: Login", "38.5", "Login"),
            ("01.20a - Login", "1.20a", "Login"),
            ("Story 1.R2 - Login", "1.r2", "Login"),
            ("Epic 4: Users - Story 4.2: Login", "4.2", "Login"),
            ("Story AIOX-HO-2.1: Login", "aiox.ho.2.1", "Login"),
            ("STORY-012: Login", "story.12", "Login"),
            ("STORY-124.3: Login", "124.3", "Login"),
            ("Story 005 \u{2014} Login", "5", "Login"),
            ("\u{2705} Story 1.1: Login", "1.1", "Login"),
            ("Story 124.3: Publish v5.1.0", "124.3", "Publish v5.1.0"),
            ("Story 2.1: Story 3.3 again", "2.1", "Story 3.3 again"),
            ("Story 3a.2: x", "3a.2", "x"),
        ] {
            assert_eq!(heading(text), Some((id.to_owned(), title.to_owned())), "{text}");
        }
        for text in
            ["Architecture", "Epic 5: Users", "Story \u{661}.\u{661}: x", "Story 1\u{ff0e}x", "2024 plan", "Story"]
        {
            assert!(heading(text).is_none_or(|(id, _)| id == "1"), "{text}");
        }
    }

    #[test]
    fn names_seen_in_the_wild() {
        for (name, id) in [
            ("3-5-1-directory-manager.md", Some("3.5.1")),
            ("19.4.story.md", Some("19.4")),
            ("story-1.2-login.md", Some("1.2")),
            ("1.2_Story.md", Some("1.2")),
            ("01.20a.slug.md", Some("1.20a")),
            ("STORY-124.3-publish.md", Some("124.3")),
            ("STORY-012-login.md", Some("story.12")),
            ("0-5-7-72-hour-limit.md", Some("0.5.7.72")),
            ("architecture-v2.md", None),
            ("1.3-password-reset.md", Some("1.3")),
        ] {
            let expected = id.map(|id| ItemId::parse(id).unwrap());
            assert_eq!(judge(name), Judgement::Candidate(expected), "{name}");
        }
    }

    #[test]
    fn strange_names_are_never_touched() {
        let names = [
            ".._.._pwn.md",
            "-f.md",
            "--upload-pack=touch${IFS}pwn.md",
            "3.1..lock.md",
            "3.1.x.lock.md",
            "3.1 a.md",
            "$(touch pwn).md",
            "3.1.`x`.md",
            "3.1;x.md",
            "3.1\nx.md",
            "3.1\u{1b}x.md",
            "3.1@{x.md",
            "a~b^c:d?e*f[g.md",
            "CON.md",
            "99999999999999999999.1.md",
            "3.-1.md",
            "%2e%2e%2f.md",
            "3.1\u{202e}x.md",
            "3.1.e\u{301}.md",
        ];
        for name in names {
            assert!(matches!(judge(name), Judgement::Strange(_)), "{name:?}");
        }
    }

    #[test]
    fn reports_and_indexes_are_no_stories() {
        let names = ["README.md", "index.md", "epic-3.md", "retro-1.md", "validation-report-9-5.md", "1.1-report.md"];
        for name in names.into_iter().chain(["1-1-x.context.md", "1.1.txt"]) {
            assert!(matches!(judge(name), Judgement::Never(_)), "{name}");
        }
    }

    #[test]
    fn a_heading_may_be_the_start_of_the_names_number_run() {
        let id = |text| ItemId::parse(text).unwrap();
        assert!(agree(&id("0.5.7"), &id("0.5.7.72")));
        assert!(agree(&id("STORY-12"), &id("12")));
        assert!(!agree(&id("3.3"), &id("3.8")));
        assert!(!agree(&id("3.3.1"), &id("3.3")));
    }
}
