//! A row of the route table: one operation and what is expected of it. Must run nothing.

/// What an operation comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A hook stopped it, and nothing moved.
    Refused,
    /// It went through; where something moved, a hook was asked about it first.
    Allowed,
    /// Something moved and no hook was asked about it.
    NotSeen,
}

impl Outcome {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Allowed => "allowed",
            Self::NotSeen => "**not seen**",
        }
    }
}

/// Where git is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The main worktree, main checked out.
    Main,
    /// A linked worktree, main checked out there.
    Linked,
    /// A bare repository with the server's hooks.
    Bare,
}

impl Setting {
    pub const ALL: [Self; 3] = [Self::Main, Self::Linked, Self::Bare];

    pub const fn title(self) -> &'static str {
        match self {
            Self::Main => "main worktree",
            Self::Linked => "linked worktree",
            Self::Bare => "bare",
        }
    }
}

/// What a hook protects in this row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    Main,
    Ledger,
    /// Both at once.
    Both,
}

impl Watch {
    /// Whether the ref is one of those watched.
    pub fn sees(self, refname: &str) -> bool {
        let (main, ledger) = (refname == "refs/heads/main", refname.starts_with("refs/orchestrate/"));
        match self {
            Self::Main => main,
            Self::Ledger => ledger,
            Self::Both => main || ledger,
        }
    }
}

/// What is expected in one setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// In mode `stories` and in mode `all`.
    Modes(Outcome, Outcome),
    /// The operation does not exist there; the word why.
    Absent(&'static str),
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Row {
    pub group: &'static str,
    /// Words for it where the command alone would not be understood.
    pub title: Option<String>,
    /// Done before, with hooks off; a line of shell.
    pub setup: String,
    /// The operation; a line of shell whose exit code is its answer.
    pub line: String,
    pub watch: Watch,
    /// Whether, with no hook in its way, something watched moves.
    pub moves: bool,
    /// Whether main is moved by our own writer, which runs with hooks off and takes a permit instead.
    pub own_writer: bool,
    /// Whether it brings the content of a story in commits of a person's own.
    pub copies: bool,
    /// Whether git throws away what the hook says.
    pub mute: bool,
    /// By `Setting::ALL`.
    pub expected: [Expected; 3],
    /// Where hooks are configuration, as from git 2.54 on, the outcome in every setting that has the operation.
    pub with_config_hooks: Option<Outcome>,
    /// Oldest minor version of git 2 that knows the operation.
    pub since: u32,
}

const NO_WORK_TREE: Expected = Expected::Absent("no work tree");

impl Row {
    /// An operation that moves main, in settings with a work tree.
    pub fn new(line: &str) -> Self {
        let unset = Expected::Absent("unset");
        Self {
            group: "",
            title: None,
            setup: "true".to_owned(),
            line: line.to_owned(),
            watch: Watch::Main,
            moves: true,
            own_writer: false,
            copies: false,
            mute: false,
            expected: [unset, unset, NO_WORK_TREE],
            with_config_hooks: None,
            since: 38,
        }
    }

    /// An operation on the ledger.
    pub fn ledger(line: &str) -> Self {
        Self { watch: Watch::Ledger, ..Self::new(line) }
    }

    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// More to do before.
    pub fn after(mut self, setup: &str) -> Self {
        self.setup = if self.setup == "true" { setup.to_owned() } else { format!("{} && {setup}", self.setup) };
        self
    }

    /// Main has a commit of a person that the story does not know.
    pub fn diverged(self) -> Self {
        self.after("echo own > own.txt && git add own.txt && git commit -q -m own")
    }

    /// Main is checked out nowhere.
    pub fn away(self) -> Self {
        self.after("{ test \"$(git rev-parse --is-bare-repository)\" = true || git switch -q --detach; }")
    }

    /// Expected with a work tree.
    pub fn is(mut self, stories: Outcome, all: Outcome) -> Self {
        (self.expected[0], self.expected[1]) = (Expected::Modes(stories, all), Expected::Modes(stories, all));
        self
    }

    /// Expected in the bare repository.
    pub fn bare(mut self, stories: Outcome, all: Outcome) -> Self {
        self.expected[2] = Expected::Modes(stories, all);
        self
    }

    /// Expected everywhere.
    pub fn everywhere(self, stories: Outcome, all: Outcome) -> Self {
        self.is(stories, all).bare(stories, all)
    }

    /// Nothing watched moves, with or without hooks.
    pub fn still(mut self) -> Self {
        self.moves = false;
        self
    }

    pub fn by_own_writer(mut self) -> Self {
        self.own_writer = true;
        self
    }

    pub fn mute(mut self) -> Self {
        self.mute = true;
        self
    }

    pub fn watching(mut self, watch: Watch) -> Self {
        self.watch = watch;
        self
    }

    pub fn config_hooks(mut self, outcome: Outcome) -> Self {
        self.with_config_hooks = Some(outcome);
        self
    }

    pub fn since(mut self, minor: u32) -> Self {
        self.since = minor;
        self
    }

    /// What a reader sees first.
    pub fn name(&self) -> String {
        self.title.clone().unwrap_or_else(|| format!("`{}`", self.line))
    }

    /// Whether it needs the clone beside the repository.
    pub fn needs_clone(&self) -> bool {
        self.setup.contains("../clone") || self.line.contains("../clone")
    }
}

/// Puts rows under a heading.
pub fn group(heading: &'static str, mut rows: Vec<Row>) -> Vec<Row> {
    for row in &mut rows {
        row.group = heading;
    }
    rows
}
