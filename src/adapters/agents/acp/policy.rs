//! Whether an agent that asks is allowed: refuses left-out hooks, pushes, foreign refs, writing outside the worktree, and to a
//! reviewer everything that writes. Must stay pure.
//!
//! This detects honest mistakes of a client that asks before it acts. It is no wall: a client may not ask, a script may hide
//! what it does, and words are split as a shell would without being one. What cannot be split is refused where the words of
//! a refusal are in it, and allowed otherwise.

use super::git_rules;
use super::places::{Facts, Place};
use super::words::{self, Simple, UNKNOWN};

/// How deep commands within commands are looked into.
const DEPTH: u32 = 6;

/// What an agent asks to be allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Kind of the tool in the protocol's words: `read`, `edit`, `execute`, …
    pub kind: String,
    /// The command, where it is one.
    pub command: Option<String>,
    /// Files that it changes or reads, as far as they are named.
    pub paths: Vec<String>,
    /// Name for people.
    pub title: String,
}

/// Why it is refused; `None` allows it.
pub fn refused(asked: &Asked, facts: &Facts) -> Option<String> {
    if let Some(command) = &asked.command {
        return command_refused(command, facts);
    }
    let here = Place::Worktree(facts.worktree.clone());
    match asked.kind.as_str() {
        "read" | "search" | "think" | "fetch" => None,
        "edit" | "delete" | "move" => {
            let outside = asked.paths.iter().find(|path| !facts.may_write(&here, path));
            match outside {
                Some(_) if facts.reviewer => Some("a reviewer changes nothing".to_owned()),
                Some(path) => Some(format!("{path} is outside the worktree")),
                None if facts.reviewer && asked.paths.is_empty() => Some("a reviewer changes nothing".to_owned()),
                None => None,
            }
        }
        _ if facts.reviewer => {
            Some("a reviewer changes nothing, and it cannot be seen that this reads only".to_owned())
        }
        _ => None,
    }
}

/// Why a shell command is refused.
fn command_refused(text: &str, facts: &Facts) -> Option<String> {
    let mut reader = Reader { facts, here: Place::Worktree(facts.worktree.clone()) };
    reader.script(text, 0)
}

/// Reads commands in order, with the folder they stand in.
struct Reader<'a> {
    facts: &'a Facts,
    here: Place,
}

impl Reader<'_> {
    fn script(&mut self, text: &str, depth: u32) -> Option<String> {
        let script = match words::split(text) {
            Ok(script) if depth < DEPTH => script,
            Ok(_) | Err(_) => return self.in_doubt(text),
        };
        for nested in &script.nested {
            let here = self.here.clone();
            let refused = self.script(nested, depth + 1);
            self.here = here;
            if refused.is_some() {
                return refused;
            }
        }
        script.commands.iter().find_map(|command| self.command(command, depth, text))
    }

    /// A text that cannot be taken apart.
    fn in_doubt(&self, text: &str) -> Option<String> {
        if self.facts.reviewer {
            return Some("a reviewer changes nothing, and this command cannot be taken apart".to_owned());
        }
        let word =
            |word: &str| text.split(|c: char| !(c.is_alphanumeric() || "-_".contains(c))).any(|part| part == word);
        let git = word("git").then(|| {
            ["push", "update-ref", "worktree", "gc", "prune", "config", "-n"].into_iter().find(|name| word(name))
        });
        let found = git.flatten().or_else(|| ["--no-verify", "hooksPath"].into_iter().find(|name| text.contains(name)));
        found.map(|found| format!("this command cannot be taken apart, and `{found}` is in it"))
    }

    fn command(&mut self, command: &Simple, depth: u32, text: &str) -> Option<String> {
        if let Some(path) = command.writes.iter().find(|path| !self.facts.may_write(&self.here, path)) {
            return Some(if self.facts.reviewer {
                "a reviewer changes nothing".to_owned()
            } else {
                format!("{path} is outside the worktree")
            });
        }
        if let Some(name) = command.words.iter().find_map(|word| changes_git(word)) {
            return Some(format!("{name} changes what git does"));
        }
        let words = without_prefix(&command.words);
        let head = words.first()?;
        let name = head.rsplit('/').next().unwrap_or(head);
        match name {
            "cd" | "pushd" => {
                self.here = self.here.go(words.get(1).map_or("~", String::as_str), self.facts);
                return None;
            }
            "popd" => {
                self.here = Place::Unseen;
                return None;
            }
            "eval" => return self.script(&words[1..].join(" "), depth + 1),
            "sh" | "bash" | "dash" | "zsh" | "ksh" => return self.shell(words, command, depth, text),
            _ => {}
        }
        if let Some(at) = words.iter().position(|word| word.rsplit('/').next() == Some("git")).filter(|_| !prints(name))
        {
            let args = &words[at + 1..];
            return git_rules::refused(args, &self.here, self.facts);
        }
        if head.starts_with(['$', UNKNOWN]) {
            return self.in_doubt(&format!("git {}", words[1..].join(" ")));
        }
        if let Some(inner) = words.iter().skip(1).position(|word| is_shell(word)).filter(|_| !prints(name)) {
            return self.shell(&words[inner + 1..], command, depth, text);
        }
        if self.facts.reviewer { self.reviewer(name, words) } else { self.writer(name, words) }
    }

    /// A shell that is given its commands.
    fn shell(&mut self, words: &[String], command: &Simple, depth: u32, text: &str) -> Option<String> {
        let flag = |word: &String| word.starts_with('-') && !word.starts_with("--") && word.contains('c');
        if let Some(at) = words.iter().position(flag) {
            let script = words.get(at + 1).cloned().unwrap_or_default();
            let here = self.here.clone();
            let refused = self.script(&script, depth + 1);
            self.here = here;
            return refused;
        }
        if let Some(input) = &command.input {
            return self.script(input, depth + 1);
        }
        if command.piped {
            self.in_doubt(text)
        } else {
            self.facts.reviewer.then(|| "a reviewer runs no scripts".to_owned())
        }
    }

    /// A reviewer's command must be known to read.
    fn reviewer(&self, name: &str, words: &[String]) -> Option<String> {
        let args = &words[1..];
        let has = |flags: &[&str]| args.iter().any(|arg| flags.iter().any(|flag| arg.starts_with(flag)));
        let reads = match name {
            "find" => !has(&["-exec", "-ok", "-delete", "-fprint", "-fls"]),
            "sort" | "tree" => !has(&["-o", "--output"]),
            "sed" => {
                args.first().is_some_and(|arg| arg == "-n")
                    && args
                        .get(1)
                        .is_some_and(|script| script.chars().all(|c| c.is_ascii_digit() || "$,;p ".contains(c)))
            }
            "tee" => args.iter().filter(|arg| !arg.starts_with('-')).all(|path| self.facts.may_write(&self.here, path)),
            name => prints(name) || READING.contains(&name),
        };
        (!reads).then(|| format!("a reviewer changes nothing, and it is not known that `{name}` reads only"))
    }

    /// Commands that write where their arguments say.
    fn writer(&self, name: &str, words: &[String]) -> Option<String> {
        let mut paths = words[1..].iter().filter(|arg| !arg.starts_with('-'));
        let outside = match name {
            "chmod" | "chown" | "chgrp" | "rm" | "rmdir" | "mv" | "mkdir" | "touch" | "tee" | "truncate" | "unlink"
            | "shred" => paths.find(|path| !self.facts.may_write(&self.here, path)),
            "cp" | "ln" | "install" | "rsync" => {
                paths.next_back().filter(|path| !self.facts.may_write(&self.here, path))
            }
            "dd" => {
                let out = words.iter().find_map(|word| word.strip_prefix("of="));
                return out
                    .filter(|path| !self.facts.may_write(&self.here, path))
                    .map(|path| format!("{path} is outside the worktree"));
            }
            _ => None,
        };
        outside.map(|path| format!("{path} is outside the worktree"))
    }
}

/// Commands beside those that print, which only read.
const READING: [&str; 40] = [
    "[",
    "basename",
    "cmp",
    "column",
    "comm",
    "cut",
    "date",
    "df",
    "diff",
    "dirname",
    "du",
    "env",
    "expr",
    "file",
    "fold",
    "hexdump",
    "jq",
    "less",
    "md5sum",
    "more",
    "nl",
    "od",
    "paste",
    "ps",
    "readlink",
    "realpath",
    "rev",
    "seq",
    "sha256sum",
    "sleep",
    "stat",
    "tac",
    "test",
    "tr",
    "type",
    "uname",
    "uniq",
    "wait",
    "which",
    "xxd",
];

/// Whether a command prints its words or files: a `git` among them is no call.
fn prints(name: &str) -> bool {
    [
        "echo", "printf", "grep", "egrep", "fgrep", "rg", "ag", "cat", "head", "tail", "ls", "wc", "true", "false",
        ":", "pwd",
    ]
    .contains(&name)
}

fn is_shell(word: &str) -> bool {
    ["sh", "bash", "dash", "zsh", "ksh"].contains(&word.rsplit('/').next().unwrap_or(word))
}

/// The words without shell keywords and assignments before the command.
fn without_prefix(words: &[String]) -> &[String] {
    const KEYWORDS: [&str; 14] =
        ["if", "then", "elif", "else", "do", "while", "until", "!", "{", "}", "time", "fi", "done", "esac"];
    let skipped = words.iter().take_while(|word| KEYWORDS.contains(&word.as_str()) || is_assignment(word)).count();
    &words[skipped..]
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.as_bytes()[0].is_ascii_digit()
    })
}

/// The name of a variable in an assignment that leads git elsewhere or turns hooks off.
fn changes_git(word: &str) -> Option<&str> {
    const NAMES: [&str; 8] = [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_COMMON_DIR",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_NAMESPACE",
        "HUSKY",
        "LEFTHOOK",
    ];
    let (name, _) = word.split_once('=').filter(|_| is_assignment(word))?;
    (NAMES.contains(&name) || name.starts_with("GIT_CONFIG")).then_some(name)
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
