//! Splits a shell command into simple commands and words, as far as a policy needs it. Must not run or expand anything: what
//! only a shell could know stays visible in the word, and what it cannot split is an error.

use std::iter::Peekable;
use std::str::Chars;

/// Stands in a word for output of a command that only a shell would know.
pub(super) const UNKNOWN: char = '\u{fffc}';

/// Longest text that is split, in bytes.
const LONGEST: usize = 1024 * 1024;

/// A command that could not be split: an open quote, an open bracket, or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unclear;

/// One command with its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Simple {
    /// Its words, quotes taken away; variables stay as written.
    pub(super) words: Vec<String>,
    /// Files it writes to by redirection.
    pub(super) writes: Vec<String>,
    /// What a here-document or here-string gives it to read.
    pub(super) input: Option<String>,
    /// Whether what it reads comes out of another command.
    pub(super) piped: bool,
}

/// A whole text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    /// Its commands, in order.
    pub(super) commands: Vec<Simple>,
    /// Texts of command substitutions, which are commands again.
    pub(super) nested: Vec<String>,
}

/// Splits a text as a POSIX shell would.
pub(super) fn split(text: &str) -> Result<Script, Unclear> {
    if text.len() > LONGEST || text.contains('\0') {
        return Err(Unclear);
    }
    let mut splitter = Splitter {
        chars: text.chars().peekable(),
        script: Script::default(),
        command: Simple::default(),
        word: None,
        quoted: false,
        pending: Pending::Word,
        bodies: Vec::new(),
    };
    splitter.run()?;
    Ok(splitter.script)
}

/// What the word being read is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pending {
    Word,
    Read,
    Write,
    HereString,
    HereDocument { tabs: bool },
}

/// A here-document whose body is still to come.
struct Body {
    command: usize,
    end: String,
    plain: bool,
    tabs: bool,
}

struct Splitter<'a> {
    chars: Peekable<Chars<'a>>,
    script: Script,
    command: Simple,
    word: Option<String>,
    quoted: bool,
    pending: Pending,
    bodies: Vec<Body>,
}

impl Splitter<'_> {
    fn run(&mut self) -> Result<(), Unclear> {
        while let Some(c) = self.chars.next() {
            match c {
                '\n' => {
                    self.end_command(false);
                    self.take_bodies();
                }
                c if c.is_whitespace() => self.end_word(),
                ';' | '(' | ')' => self.end_command(false),
                '|' => self.bar(),
                '&' => self.ampersand(),
                '<' | '>' => self.redirect(c)?,
                '#' if self.word.is_none() => while self.chars.next_if(|c| *c != '\n').is_some() {},
                c => self.in_word(c)?,
            }
        }
        self.end_command(false);
        // A body that is missing is an empty one.
        Ok(())
    }

    fn in_word(&mut self, c: char) -> Result<(), Unclear> {
        match c {
            '\'' => {
                let text = self.until_quote()?;
                self.quote(&text);
            }
            '"' => self.double_quoted()?,
            '`' => {
                let text = self.until_backquote()?;
                self.substituted(text);
            }
            '\\' => match self.chars.next() {
                Some('\n') => {}
                Some(c) => self.quote(c.encode_utf8(&mut [0; 4])),
                None => return Err(Unclear),
            },
            '$' => self.dollar(false)?,
            c => self.push(c),
        }
        Ok(())
    }

    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn quote(&mut self, text: &str) {
        self.quoted = true;
        self.word.get_or_insert_default().push_str(text);
    }

    fn substituted(&mut self, text: String) {
        self.script.nested.push(text);
        self.push(UNKNOWN);
    }

    fn until_quote(&mut self) -> Result<String, Unclear> {
        let mut text = String::new();
        loop {
            match self.chars.next().ok_or(Unclear)? {
                '\'' => return Ok(text),
                c => text.push(c),
            }
        }
    }

    fn until_backquote(&mut self) -> Result<String, Unclear> {
        let mut text = String::new();
        loop {
            match self.chars.next().ok_or(Unclear)? {
                '`' => return Ok(text),
                '\\' => text.push(self.chars.next().ok_or(Unclear)?),
                c => text.push(c),
            }
        }
    }

    fn double_quoted(&mut self) -> Result<(), Unclear> {
        self.quote("");
        loop {
            match self.chars.next().ok_or(Unclear)? {
                '"' => return Ok(()),
                '\\' => match self.chars.next().ok_or(Unclear)? {
                    '\n' => {}
                    c @ ('"' | '\\' | '$' | '`') => self.push(c),
                    c => {
                        self.push('\\');
                        self.push(c);
                    }
                },
                '`' => {
                    let text = self.until_backquote()?;
                    self.substituted(text);
                }
                '$' => self.dollar(true)?,
                c => self.push(c),
            }
        }
    }

    /// After a `$`.
    fn dollar(&mut self, in_quotes: bool) -> Result<(), Unclear> {
        match self.chars.peek() {
            Some('(') => {
                self.chars.next();
                let text = self.balanced()?;
                self.substituted(text);
            }
            Some('\'') if !in_quotes => {
                self.chars.next();
                let text = self.escaped_quote()?;
                self.quote(&text);
            }
            // `$"…"` is a translated string.
            Some('"') if !in_quotes => {}
            Some(_) | None => self.push('$'),
        }
        Ok(())
    }

    /// `$'…'`: what an escape says is only known for the plain ones.
    fn escaped_quote(&mut self) -> Result<String, Unclear> {
        let mut text = String::new();
        loop {
            match self.chars.next().ok_or(Unclear)? {
                '\'' => return Ok(text),
                '\\' => match self.chars.next().ok_or(Unclear)? {
                    c @ ('\\' | '\'' | '"' | '?') => text.push(c),
                    'n' | 't' | 'r' => text.push(' '),
                    _ => text.push(UNKNOWN),
                },
                c => text.push(c),
            }
        }
    }

    /// Up to the bracket that closes the one just read; quotes inside are respected.
    fn balanced(&mut self) -> Result<String, Unclear> {
        let (mut text, mut depth) = (String::new(), 1);
        loop {
            let c = self.chars.next().ok_or(Unclear)?;
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(text);
            }
            text.push(c);
            match c {
                '\\' => text.push(self.chars.next().ok_or(Unclear)?),
                '\'' => {
                    text.push_str(&self.until_quote()?);
                    text.push('\'');
                }
                '"' => self.copy_double_quoted(&mut text)?,
                _ => {}
            }
        }
    }

    fn copy_double_quoted(&mut self, text: &mut String) -> Result<(), Unclear> {
        loop {
            let c = self.chars.next().ok_or(Unclear)?;
            text.push(c);
            match c {
                '"' => return Ok(()),
                '\\' => text.push(self.chars.next().ok_or(Unclear)?),
                _ => {}
            }
        }
    }

    fn bar(&mut self) {
        let or = self.chars.next_if_eq(&'|').is_some();
        if !or {
            self.chars.next_if_eq(&'&');
        }
        self.end_command(!or);
    }

    /// `&&` and `&` end a command; `&>` writes.
    fn ampersand(&mut self) {
        if self.chars.next_if_eq(&'>').is_none() {
            self.chars.next_if_eq(&'&');
            self.end_command(false);
            return;
        }
        self.end_word();
        self.chars.next_if_eq(&'>');
        self.pending = Pending::Write;
    }

    fn redirect(&mut self, c: char) -> Result<(), Unclear> {
        if self.chars.next_if_eq(&'(').is_some() {
            // Process substitution.
            let text = self.balanced()?;
            self.substituted(text);
            return Ok(());
        }
        let number = |word: &String| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
        if !self.quoted && self.word.as_ref().is_some_and(number) {
            self.word = None;
        }
        self.end_word();
        self.pending = if c == '>' { self.after_greater() } else { self.after_less() };
        Ok(())
    }

    fn after_greater(&mut self) -> Pending {
        if self.chars.next_if_eq(&'&').is_some() {
            // `>&2` copies a descriptor, `>&file` writes.
            let descriptor = self.chars.peek().is_some_and(|c| c.is_ascii_digit() || *c == '-');
            return if descriptor { Pending::Read } else { Pending::Write };
        }
        self.chars.next_if(|c| matches!(c, '>' | '|'));
        Pending::Write
    }

    fn after_less(&mut self) -> Pending {
        if self.chars.next_if_eq(&'>').is_some() {
            return Pending::Write;
        }
        if self.chars.next_if_eq(&'<').is_none() {
            self.chars.next_if_eq(&'&');
            return Pending::Read;
        }
        if self.chars.next_if_eq(&'<').is_some() {
            return Pending::HereString;
        }
        Pending::HereDocument { tabs: self.chars.next_if_eq(&'-').is_some() }
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        let plain = std::mem::take(&mut self.quoted);
        match std::mem::replace(&mut self.pending, Pending::Word) {
            Pending::Word => self.command.words.push(word),
            Pending::Read => {}
            Pending::Write => self.command.writes.push(word),
            Pending::HereString => self.command.input.get_or_insert_default().push_str(&word),
            Pending::HereDocument { tabs } => {
                self.bodies.push(Body { command: self.script.commands.len(), end: word, plain, tabs });
                self.command.input.get_or_insert_default();
            }
        }
    }

    /// Ends the command; `pipe` says that the next one reads what it prints.
    fn end_command(&mut self, pipe: bool) {
        self.end_word();
        self.pending = Pending::Word;
        let command = std::mem::replace(&mut self.command, Simple { piped: pipe, ..Simple::default() });
        let empty = command.words.is_empty() && command.writes.is_empty() && command.input.is_none();
        if !empty {
            self.script.commands.push(command);
        }
    }

    fn take_bodies(&mut self) {
        for body in std::mem::take(&mut self.bodies) {
            let text = self.body(&body);
            if !body.plain && (text.contains("$(") || text.contains('`')) {
                // What the shell runs while it makes the body is read as if the body were one quoted word.
                let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
                if let Ok(script) = split(&format!("\"{quoted}\"")) {
                    self.script.nested.extend(script.nested);
                } else {
                    self.script.nested.push("'".to_owned());
                }
            }
            if let Some(command) = self.script.commands.get_mut(body.command) {
                command.input.get_or_insert_default().push_str(&text);
            }
        }
    }

    fn body(&mut self, body: &Body) -> String {
        let mut text = String::new();
        while self.chars.peek().is_some() {
            let mut line = String::new();
            while let Some(c) = self.chars.next_if(|c| *c != '\n') {
                line.push(c);
            }
            self.chars.next();
            let bare = if body.tabs { line.trim_start_matches('\t') } else { &line };
            if bare == body.end {
                return text;
            }
            text.push_str(bare);
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
