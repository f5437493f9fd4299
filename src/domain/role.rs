//! A role as a file of the repository describes it: front matter and text. Must not decide where such files lie or who reads
//! them.
//!
//! The form is the one that Claude Code, Copilot and opencode share: Markdown whose front matter has `name`, `description` and
//! more, and whose body is what the agent is told.

/// Folders in which roles are looked for, in order: the first file of a name counts.
pub const FOLDERS: [&str; 4] = [".claude/agents", ".github/agents", ".opencode/agents", ".gemini/agents"];

/// Longest file that is read, in bytes.
pub const LONGEST: usize = 256 * 1024;

/// A role that a repository defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleFile {
    /// Name: of the front matter, else of the file.
    pub name: String,
    /// Path relative to the repository root.
    pub path: String,
    /// One line for people; may be empty.
    pub description: String,
    /// What the agent is told.
    pub body: String,
}

impl RoleFile {
    /// Reads a file. `None` when it is no role: not Markdown, not text, too long, or without a usable name.
    pub fn read(path: &str, bytes: &[u8]) -> Option<Self> {
        let file = path.rsplit('/').next().unwrap_or(path).strip_suffix(".md")?;
        let file = file.strip_suffix(".agent").unwrap_or(file);
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= LONGEST)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (front, body) = split(text);
        let value = |key: &str| front.lines().find_map(|line| scalar(line, key)).unwrap_or_default();
        let name = value("name");
        let name = if name.is_empty() { file.to_owned() } else { name };
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
        let usable = name.len() <= 100 && !name.starts_with(['-', '.']) && name.chars().all(plain);
        usable.then(|| Self {
            name,
            path: path.to_owned(),
            description: value("description"),
            body: body.trim().to_owned(),
        })
    }
}

/// Front matter and the rest; no front matter when it does not end.
fn split(text: &str) -> (&str, &str) {
    let Some(rest) =
        text.strip_prefix("---").and_then(|rest| rest.trim_start_matches([' ', '\t', '\r']).strip_prefix('\n'))
    else {
        return ("", text);
    };
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return (&rest[..at], &rest[at + line.len()..]);
        }
        at += line.len();
    }
    ("", text)
}

/// The value of a top-level `key: value`, without quotes.
fn scalar(line: &str, key: &str) -> Option<String> {
    let value = line.strip_prefix(key)?.strip_prefix(':')?.trim();
    let value = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].split(quote).next().unwrap_or_default(),
        // A block scalar goes on in the next lines; one line is enough for people, and a name is never one.
        Some('|' | '>') => "",
        _ => value.split(" #").next().unwrap_or(value).trim(),
    };
    Some(value.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn front_matter_names_the_role_and_does_not_reach_the_agent() {
        let text = "---\nname: \"go-dev\"\ndescription: Writes Go # well\ntools: Read, Bash\n---\n\nYou write Go.\n---\nAlways.\n";
        let role = RoleFile::read(".claude/agents/golang.md", text.as_bytes()).unwrap();
        assert_eq!((role.name.as_str(), role.description.as_str()), ("go-dev", "Writes Go"));
        assert_eq!(role.body, "You write Go.\n---\nAlways.");
        assert_eq!(role.path, ".claude/agents/golang.md");
    }

    #[test]
    fn without_front_matter_the_file_names_it() {
        let role = RoleFile::read(".github/agents/reviewer.agent.md", b"Be strict.\r\n").unwrap();
        assert_eq!((role.name.as_str(), role.body.as_str()), ("reviewer", "Be strict."));
        let open = RoleFile::read("a/x.md", b"---\nname: y\nno end\n").unwrap();
        assert_eq!(open.name, "x", "front matter that does not end is none");
        assert_eq!(RoleFile::read("a/x.toml", b"x"), None);
        assert_eq!(RoleFile::read("a/x.md", b"---\nname: ../../etc\n---\nx"), None);
        assert_eq!(RoleFile::read("a/--model.md", b"x"), None, "no option of a client");
        assert_eq!(RoleFile::read("a/x.md", b"\xff"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_role_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200), front in any::<bool>()) {
            let text = if front { [b"---\n".as_slice(), &bytes, b"\n---\nbody"].concat() } else { bytes };
            if let Some(role) = RoleFile::read("a/b.md", &text) {
                prop_assert!(!role.name.is_empty());
            }
        }
    }
}
