//! Arguments with placeholders: whole arguments only, never through a shell. Must not know where values come from.

/// What an argument can stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// The prompt's text.
    Prompt,
    /// File with the prompt.
    PromptFile,
    /// Model.
    Model,
    /// Session id.
    SessionId,
    /// Role.
    Role,
    /// Role file; empty when there is none.
    RoleFile,
    /// Text that adds to the client's system text.
    System,
    /// Most turns of a session.
    MaxTurns,
    /// Settings file in Claude Code's form, with hooks.
    SettingsFile,
    /// File for the client's own account of what it consumed.
    UsageFile,
    /// JSON schema of the result.
    Schema,
    /// File with it.
    SchemaFile,
    /// Result file.
    ResultFile,
    /// Worktree.
    Worktree,
    /// Main worktree of the repository.
    Repo,
    /// Common git directory.
    GitCommonDir,
    /// The worktree's own entry in it.
    GitDir,
    /// Object store.
    GitObjects,
    /// Folder of the branches of stories.
    StoryRefs,
    /// Folder of their logs.
    StoryLogs,
    /// Short name of the story branch.
    Branch,
    /// Commit the change is measured from.
    Base,
    /// Item id.
    StoryId,
    /// File with the story.
    StoryPath,
    /// Phase.
    Phase,
    /// Attempt.
    Attempt,
}

impl Placeholder {
    /// All of them with their names.
    pub const ALL: [(&'static str, Self); 26] = [
        ("prompt", Self::Prompt),
        ("prompt_file", Self::PromptFile),
        ("model", Self::Model),
        ("session_id", Self::SessionId),
        ("role", Self::Role),
        ("role_file", Self::RoleFile),
        ("system", Self::System),
        ("max_turns", Self::MaxTurns),
        ("settings_file", Self::SettingsFile),
        ("usage_file", Self::UsageFile),
        ("schema", Self::Schema),
        ("schema_file", Self::SchemaFile),
        ("result_file", Self::ResultFile),
        ("worktree", Self::Worktree),
        ("repo", Self::Repo),
        ("git_common_dir", Self::GitCommonDir),
        ("git_dir", Self::GitDir),
        ("git_objects", Self::GitObjects),
        ("story_refs", Self::StoryRefs),
        ("story_logs", Self::StoryLogs),
        ("branch", Self::Branch),
        ("base", Self::Base),
        ("story_id", Self::StoryId),
        ("story_path", Self::StoryPath),
        ("phase", Self::Phase),
        ("attempt", Self::Attempt),
    ];

    fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, placeholder)| placeholder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Argument {
    Text(String),
    Value(Placeholder),
}

/// A checked list of arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(Vec<Argument>);

/// Code, message and hint of a wrong argument.
pub type Wrong = (&'static str, String, String);

impl Template {
    /// Adds an argument as written.
    pub fn push(&mut self, text: &str) -> Result<(), Wrong> {
        let argument = match whole_name(text) {
            Some(name) => Argument::Value(Placeholder::by_name(name).ok_or_else(|| unknown(name))?),
            None => Argument::Text(text.to_owned()),
        };
        let part = |(name, _): &&(&str, Placeholder)| text.contains(&format!("{{{name}}}"));
        if let (Argument::Text(text), Some((name, _))) = (&argument, Placeholder::ALL.iter().find(part)) {
            let message = format!("`{{{name}}}` is only part of the argument `{text}`");
            return Err(("partial-placeholder", message, "a placeholder must be a whole argument".to_owned()));
        }
        self.0.push(argument);
        Ok(())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds another list behind this one.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// Whether an argument is that placeholder.
    pub fn uses(&self, placeholder: Placeholder) -> bool {
        self.0.contains(&Argument::Value(placeholder))
    }

    /// The arguments with values in place.
    pub fn fill(&self, value: &impl Fn(Placeholder) -> String) -> Vec<String> {
        let filled = self.0.iter().map(|argument| match argument {
            Argument::Text(text) => text.clone(),
            Argument::Value(placeholder) => value(*placeholder),
        });
        filled.collect()
    }
}

/// `name` of an argument that is exactly `{name}`.
fn whole_name(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.strip_suffix('}')?;
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    plain.then_some(name)
}

fn unknown(name: &str) -> Wrong {
    let near = Placeholder::ALL.iter().map(|(known, _)| *known);
    let nearest = near.min_by_key(|known| strsim::levenshtein(known, name)).unwrap_or_default();
    let all = Placeholder::ALL.map(|(known, _)| format!("{{{known}}}")).join(" ");
    (
        "unknown-placeholder",
        format!("unknown placeholder `{{{name}}}`"),
        format!("did you mean {{{nearest}}}? known: {all}"),
    )
}
