//! What a child may see of our environment: an allow-list, because every variable we pass is visible to every tool
//! command of an agent. Must not read files.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::spawn::LOCATION;
use crate::domain::redact::{Secret, looks_secret};

/// The variable that marks everything an attempt starts.
pub const MARK: &str = "ORCHESTRATE_ATTEMPT";

/// Passed to every child. A trailing `*` matches the rest of a name.
const ALLOWED: [&str; 17] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TERM",
    "TMPDIR",
    "TZ",
    "XDG_*",
    "CARGO_*",
    "RUSTUP_*",
    // Where the user's git configuration is; without these the child would commit under another configuration than the user.
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
];

/// What commands of the project get beside: setup and checks may fetch dependencies by ssh. An agent gets it where its
/// adapter asks for it (`env.pass`): whoever can talk to the user's ssh-agent can log in as the user.
pub const OF_COMMANDS: [&str; 1] = ["SSH_AUTH_SOCK"];

/// Names that look allowed and hold credentials by design (`cargo publish` reads them).
const SECRET: [&str; 2] = ["CARGO_REGISTRY_TOKEN", "CARGO_REGISTRIES_*"];

/// The whole environment of a child.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// What the allow-list and `pass` (names, or prefixes ending in `*`) let through of this process's environment, with
    /// git made quiet and its garbage collection off.
    pub fn inherited(pass: &[String]) -> Self {
        Self::filtered(std::env::vars_os(), pass)
    }

    /// The same for any parent environment.
    pub fn filtered(parent: impl IntoIterator<Item = (OsString, OsString)>, pass: &[String]) -> Self {
        let kept = parent.into_iter().filter(|(name, _)| is_passed(name, pass));
        let mut environment = Self(kept.collect());
        environment.quiet_git();
        environment
    }

    /// Exactly these variables.
    pub(super) fn exactly(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(variables.into_iter().collect())
    }

    /// Sets a variable.
    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.0.insert(name.into(), value.into());
    }

    /// Takes away what these names, or prefixes ending in `*`, match.
    pub fn forbid(&mut self, names: &[String]) {
        self.0.retain(|name, _| !name.to_str().is_some_and(|name| names.iter().any(|pattern| matches(pattern, name))));
    }

    /// The value of a variable.
    pub fn value(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// Author and committer of the child's commits: `<role> via <adapter>`, with an address of our own.
    pub fn set_identity(&mut self, role: &str, adapter: &str) {
        let name = format!("{role} via {adapter}");
        for who in ["AUTHOR", "COMMITTER"] {
            self.set(format!("GIT_{who}_NAME"), &name);
            self.set(format!("GIT_{who}_EMAIL"), "git-orchestrate-agent@localhost");
        }
    }

    /// Values in it that must not leave by a log.
    pub fn secrets(&self) -> Vec<Secret> {
        let pairs = self.0.iter().map(|(name, value)| (name.to_string_lossy(), value.to_string_lossy()));
        let secret = pairs.filter(|(name, value)| looks_secret(name, value));
        secret.map(|(name, value)| Secret { name: name.into_owned(), value: value.into_owned() }).collect()
    }

    /// All variables.
    pub fn iter(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        self.0.iter()
    }

    fn quiet_git(&mut self) {
        self.set("GIT_TERMINAL_PROMPT", "0");
        self.set("GIT_EDITOR", "true");
        // A replace ref would show a reviewer another change than the one that lands.
        self.set("GIT_NO_REPLACE_OBJECTS", "1");
        // By variables: repository configuration is never changed for a run. A gc of one agent breaks the others' branches.
        let config = [
            ("gc.auto", "0"),
            ("gc.pruneExpire", "2.weeks.ago"),
            ("maintenance.auto", "false"),
            // Git syncs no loose object by itself: a power cut would leave the story's branch at an empty one.
            ("core.fsync", "committed,reference"),
            // Git waits 100 ms for the one lock of all reftables: with several agents every second commit would fail.
            ("reftable.lockTimeout", "10000"),
        ];
        self.set("GIT_CONFIG_COUNT", config.len().to_string());
        for (index, (key, value)) in config.into_iter().enumerate() {
            self.set(format!("GIT_CONFIG_KEY_{index}"), key);
            self.set(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
    }
}

fn is_passed(name: &OsStr, pass: &[String]) -> bool {
    let Some(name) = name.to_str() else { return false };
    // Ours are set afresh for each child or are configuration; git's would lead it elsewhere. No `pass` brings them back.
    let forbidden = name.starts_with("GIT_ORCHESTRATE")
        || name.starts_with("ORCHESTRATE")
        || name.starts_with("GIT_CONFIG_KEY_")
        || name.starts_with("GIT_CONFIG_VALUE_")
        || LOCATION.contains(&name);
    if forbidden {
        return false;
    }
    let asked = pass.iter().any(|pattern| matches(pattern, name));
    asked || ALLOWED.iter().any(|pattern| matches(pattern, name)) && !SECRET.iter().any(|secret| matches(secret, name))
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(names: &[&str], pass: &[&str]) -> Vec<String> {
        let parent = names.iter().map(|name| (OsString::from(name), OsString::from("v")));
        let pass: Vec<_> = pass.iter().map(|text| (*text).to_owned()).collect();
        let environment = Environment::filtered(parent, &pass);
        names.iter().filter(|name| environment.value(name) == Some(OsStr::new("v"))).map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn only_listed_variables_pass() {
        let names = ["PATH", "LC_ALL", "AWS_SECRET_ACCESS_KEY", "CARGO_HOME", "CARGO_REGISTRY_TOKEN", "PATHS"];
        assert_eq!(filtered(&names, &[]), ["PATH", "LC_ALL", "CARGO_HOME"]);
    }

    #[test]
    fn the_users_ssh_agent_is_for_commands_and_whoever_asks() {
        assert_eq!(filtered(&["SSH_AUTH_SOCK"], &[]), [""; 0]);
        assert_eq!(filtered(&["SSH_AUTH_SOCK"], &OF_COMMANDS), OF_COMMANDS);
    }

    #[test]
    fn an_adapter_may_ask_for_more_but_never_for_ours_or_gits() {
        let names = ["ANTHROPIC_API_KEY", "GIT_DIR", "GIT_ORCHESTRATE_JOBS", "ORCHESTRATE_ATTEMPT", "GIT_CONFIG_KEY_0"];
        assert_eq!(filtered(&names, &["*"]), ["ANTHROPIC_API_KEY"]);
        assert_eq!(filtered(&names, &["ANTHROPIC_*"]), ["ANTHROPIC_API_KEY"]);
    }

    #[test]
    fn what_an_adapter_forbids_does_not_pass_whoever_else_lets_it() {
        let parent = ["PATH", "CLAUDECODE", "CLAUDE_X", "XDG_A"].map(|name| (name.into(), "v".into()));
        let mut environment = Environment::filtered(parent, &["CLAUDE*".to_owned()]);
        environment.forbid(&["CLAUDECODE".to_owned(), "XDG_*".to_owned()]);
        let left = |name| environment.value(name).is_some();
        assert!(left("PATH") && left("CLAUDE_X") && !left("CLAUDECODE") && !left("XDG_A"));
    }

    #[test]
    fn git_is_quiet_and_collects_no_garbage() {
        let environment = Environment::filtered([], &[]);
        assert_eq!(environment.value("GIT_TERMINAL_PROMPT"), Some(OsStr::new("0")));
        assert_eq!(environment.value("GIT_CONFIG_COUNT"), Some(OsStr::new("5")));
        assert_eq!(environment.value("GIT_CONFIG_KEY_0"), Some(OsStr::new("gc.auto")));
    }
}
