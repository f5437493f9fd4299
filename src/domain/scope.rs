//! Scope: which stories the user selected. Must not know what is done or what depends on what.

use globset::{GlobBuilder, GlobMatcher};

use super::diagnostic::{Diagnostic, escape_line};
use super::id::{ItemId, nearest};
use super::item::WorkItem;

/// Most characters of a bad argument that a message shows.
const SHOWN: usize = 80;

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    selectors: Vec<Selector>,
}

/// The ids that a scope selects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// In natural order, each once.
    pub ids: Vec<ItemId>,
    /// Whether nothing was asked for, which means everything.
    pub everything: bool,
}

#[derive(Clone, Debug)]
struct Selector {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    One(ItemId),
    Range(ItemId, ItemId),
    Glob(GlobMatcher),
    /// `*`: a pattern that everything matches.
    All,
    Epic(ItemId),
    Words(Vec<String>),
}

impl Scope {
    /// Parses arguments: ids, `1.1-1.5`, globs, `epic:<name>`, each also in lists with commas. All findings are errors.
    pub fn parse(args: &[String]) -> Result<Self, Vec<Diagnostic>> {
        let mut selectors = Vec::new();
        let mut found = Vec::new();
        for arg in args {
            let mut parts = split(arg).peekable();
            if parts.peek().is_none() {
                found.push(not_a_selector(arg));
            }
            for part in parts {
                match kind(part) {
                    Ok(kind) => selectors.push(Selector { text: part.to_owned(), kind }),
                    Err(finding) => found.push(*finding),
                }
            }
        }
        if found.is_empty() { Ok(Self { selectors }) } else { Err(found) }
    }

    /// Applies the scope. Every selector has to match something.
    pub fn select(&self, items: &[WorkItem]) -> Result<Selection, Vec<Diagnostic>> {
        let mut ids: Vec<ItemId> = Vec::new();
        let mut found = Vec::new();
        for selector in &self.selectors {
            let before = ids.len();
            ids.extend(items.iter().filter(|item| selector.kind.matches(item)).map(|item| item.id.clone()));
            if ids.len() == before {
                found.push(selector.unmatched(items));
            }
        }
        let everything = self.selectors.is_empty();
        if everything {
            ids.extend(items.iter().map(|item| item.id.clone()));
        }
        ids.sort();
        ids.dedup();
        if found.is_empty() { Ok(Selection { ids, everything }) } else { Err(found) }
    }
}

impl Kind {
    fn matches(&self, item: &WorkItem) -> bool {
        match self {
            Self::One(id) => item.id == *id,
            Self::Range(first, last) => item.id.is_between(first, last),
            // Dots separate like slashes, so that `3.*` means the stories of epic 3 and not those of an epic 3.5.
            Self::Glob(glob) => glob.is_match(item.id.as_str().replace('.', "/")),
            Self::All => true,
            Self::Epic(id) => item.epic.as_deref() == Some(id.as_str()),
            Self::Words(wanted) => {
                let name =
                    [item.epic.as_deref(), item.epic_title.as_deref()].map(|text| words(text.unwrap_or_default()));
                wanted.iter().all(|wanted| name.iter().flatten().any(|word| word.starts_with(wanted.as_str())))
            }
        }
    }
}

impl Selector {
    fn unmatched(&self, items: &[WorkItem]) -> Diagnostic {
        let shown = show(&self.text);
        match &self.kind {
            Kind::One(id) => {
                let near = join(nearest(id.as_str(), items.iter().map(|item| &item.id)).iter().map(ItemId::as_str));
                let message = match near.as_str() {
                    "" => format!("no story {shown}; there are no stories"),
                    near => format!("no story {shown} (did you mean {near}?)"),
                };
                let finding = Diagnostic::error("no-such-story", message);
                if items.iter().any(|item| item.epic.as_deref() == Some(id.as_str())) {
                    return finding.hint(format!("`epic:{id}` selects the stories of epic {id}"));
                }
                finding
            }
            Kind::Range(..) | Kind::Glob(_) | Kind::All => {
                let finding = Diagnostic::error("empty-selection", format!("`{shown}` matches nothing"));
                finding.hint("`git orchestrate plan` lists all stories")
            }
            Kind::Epic(_) | Kind::Words(_) => {
                let mut epics: Vec<&str> = items.iter().filter_map(|item| item.epic.as_deref()).collect();
                epics.sort_unstable();
                epics.dedup();
                epics.truncate(10);
                let finding = Diagnostic::error("empty-selection", format!("`{shown}` matches nothing"));
                if epics.is_empty() { finding } else { finding.hint(format!("epics: {}", escape_line(&join(epics)))) }
            }
        }
    }
}

fn join<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().collect::<Vec<_>>().join(", ")
}

fn split(arg: &str) -> impl Iterator<Item = &str> {
    arg.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn show(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN).collect();
    escape_line(&cut)
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

fn not_a_selector(text: &str) -> Diagnostic {
    let finding = Diagnostic::error("bad-selector", format!("`{}` is not a selector", show(text)));
    finding
        .hint("selectors are `1.1`, `1.1-1.5`, `1.*`, `epic:auth` and lists of these; none at all selects every story")
}

/// Boxed, because the finding is large and rare.
fn kind(text: &str) -> Result<Kind, Box<Diagnostic>> {
    if let Some(name) = text.get(..5).filter(|head| head.eq_ignore_ascii_case("epic:")).map(|_| text[5..].trim()) {
        return epic(text, name);
    }
    if text.contains(['*', '?', '[', '{']) {
        return glob(text);
    }
    if let Some((first, last)) = range(text) {
        return ends(text, first, last);
    }
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    let numbered = text.bytes().any(|byte| byte.is_ascii_digit());
    if plain && numbered && text.ends_with('-') && ItemId::parse(text.trim_end_matches('-')).is_some() {
        let finding = Diagnostic::error("bad-range", format!("`{}`: range without end", show(text)));
        return Err(Box::new(finding.hint(format!("write both ends: `{}-<last>`", show(text.trim_end_matches('-'))))));
    }
    if plain && numbered && text.starts_with('-') && ItemId::parse(text.trim_start_matches('-')).is_some() {
        return Err(Box::new(Diagnostic::error("bad-range", format!("`{}`: range without start", show(text)))));
    }
    match ItemId::parse(text).filter(|_| plain && numbered) {
        Some(id) => Ok(Kind::One(id)),
        None => Err(Box::new(not_a_selector(text))),
    }
}

fn epic(text: &str, name: &str) -> Result<Kind, Box<Diagnostic>> {
    if let Some(id) = ItemId::parse(name).filter(|_| name.starts_with(|c: char| c.is_ascii_digit())) {
        return Ok(Kind::Epic(id));
    }
    let words = words(name);
    if words.is_empty() {
        return Err(Box::new(not_a_selector(text)));
    }
    Ok(Kind::Words(words))
}

fn glob(text: &str) -> Result<Kind, Box<Diagnostic>> {
    if text.contains(['/', '\\']) {
        return Err(Box::new(not_a_selector(text)));
    }
    if matches!(text, "*" | "**" | "*.*") {
        return Ok(Kind::All);
    }
    let pattern = unpadded(&text.to_ascii_lowercase()).replace('.', "/");
    let glob = GlobBuilder::new(&pattern).literal_separator(true).backslash_escape(false).build();
    glob.map(|glob| Kind::Glob(glob.compile_matcher())).map_err(|error| {
        let message = format!("bad pattern `{}`: {}", show(text), show(&error.kind().to_string()));
        Box::new(Diagnostic::error("bad-pattern", message).hint("`*` stands for any part of an id: `1.*`"))
    })
}

/// A pattern without the leading zeros that ids do not have either.
fn unpadded(pattern: &str) -> String {
    let strip = |part: &str| {
        let rest = part.trim_start_matches('0');
        let cut = rest.len() < part.len() && !rest.starts_with(|c: char| c.is_ascii_digit());
        if cut { format!("0{rest}") } else { rest.to_owned() }
    };
    pattern.split('.').map(strip).collect::<Vec<_>>().join(".")
}

/// `1.1-1.5` is a range, `1-5` the id 1.5; an en dash always makes a range.
fn range(text: &str) -> Option<(&str, &str)> {
    if let Some(ends) = text.split_once(['\u{2013}', '\u{2014}']).or_else(|| text.split_once("..")) {
        return (!text.contains('/')).then_some(ends);
    }
    let dash = |at: usize| (text[..at].trim(), text[at + 1..].trim());
    text.match_indices('-').map(|(at, _)| dash(at)).find(|(first, last)| first.contains('.') && last.contains('.'))
}

fn ends(text: &str, first: &str, last: &str) -> Result<Kind, Box<Diagnostic>> {
    let bad = |why: &str| Err(Box::new(Diagnostic::error("bad-range", format!("`{}`: {why}", show(text)))));
    let (first, last) = (first.trim(), last.trim());
    if last.is_empty() {
        return bad("range without end");
    }
    if first.is_empty() {
        return bad("range without start");
    }
    let numbered = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
    let (Some(low), Some(high)) = (ItemId::parse(first), ItemId::parse(last)) else {
        return Err(Box::new(not_a_selector(text)));
    };
    if !numbered(first) || !numbered(last) {
        return Err(Box::new(not_a_selector(text)));
    }
    if low.depth() != high.depth() {
        return bad("range ends are not alike");
    }
    if high < low {
        return bad("range ends before it starts");
    }
    Ok(Kind::Range(low, high))
}

#[cfg(test)]
#[path = "scope_tests.rs"]
mod tests;
