//! Typed reading of TOML tables: every wrong value and unknown key becomes a diagnostic with its place, and reading goes on.
//! Must not know which keys mean what.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::Document;
use crate::domain::budget::parse_dollars;
use crate::domain::diagnostic::Diagnostic;

type Value<'a> = Spanned<DeValue<'a>>;

/// One reading of one file.
pub(super) struct Reader<'a> {
    document: &'a Document<'a>,
    diagnostics: RefCell<Vec<Diagnostic>>,
}

/// A table of the file being read.
pub(super) struct Table<'a> {
    reader: &'a Reader<'a>,
    entries: &'a DeTable<'a>,
    /// `""` for the file, `run`, `workflow.testing`, ...
    name: String,
}

impl<'a> Reader<'a> {
    /// A reading that has found nothing wrong yet.
    pub(super) fn new(document: &'a Document<'a>) -> Self {
        Self { document, diagnostics: RefCell::default() }
    }

    /// The file itself as a table.
    pub(super) fn root(&'a self, entries: &'a Spanned<DeTable<'a>>) -> Table<'a> {
        Table { reader: self, entries: entries.get_ref(), name: String::new() }
    }

    /// Everything that was wrong.
    pub(super) fn finish(self) -> Vec<Diagnostic> {
        self.diagnostics.into_inner()
    }

    fn add(&self, diagnostic: Diagnostic, span: Range<usize>) {
        self.diagnostics.borrow_mut().push(diagnostic.at(self.document.place(span)));
    }
}

impl<'a> Table<'a> {
    /// Warns about every key that is not among the known ones, with the nearest of them.
    pub(super) fn warn_unknown(&self, known: &[&str]) {
        for key in self.entries.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let name = key.get_ref().as_ref();
            self.warn(
                key.span(),
                "unknown-key",
                format!("unknown key `{}`", self.path(name)),
                &did_you_mean(name, known),
            );
        }
    }

    /// Warns about a key that stands in the wrong place or has no effect.
    pub(super) fn warn_key(&self, key: &str, message: &str, hint: &str) {
        if let Some((key, _)) = self.entries.iter().find(|(name, _)| name.get_ref() == key) {
            self.warn(key.span(), "ignored-key", message.to_owned(), hint);
        }
    }

    fn warn(&self, span: Range<usize>, code: &'static str, message: String, hint: &str) {
        self.reader.add(Diagnostic::warning(code, message).hint(hint), span);
    }

    /// Names of the entries that are tables.
    pub(super) fn table_names(&self) -> Vec<&'a str> {
        let tables = self.entries.iter().filter(|(_, value)| matches!(value.get_ref(), DeValue::Table(_)));
        tables.map(|(key, _)| key.get_ref().as_ref()).collect()
    }

    /// All keys.
    pub(super) fn keys(&self) -> Vec<&'a str> {
        self.entries.keys().map(|key| key.get_ref().as_ref()).collect()
    }

    /// A table in this one.
    pub(super) fn table(&self, key: &str) -> Option<Table<'a>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Table(entries) => Some(Table { reader: self.reader, entries, name: self.path(key) }),
            _ => self.wrong(key, value, "a table"),
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => self.wrong(key, value, "`true` or `false`"),
        }
    }

    /// Text that is not empty.
    pub(super) fn string(&self, key: &str) -> Option<String> {
        let value = self.value(key)?;
        match text(value) {
            Some(text) if !text.trim().is_empty() => Some(text.to_owned()),
            _ => self.wrong(key, value, "a string that is not empty"),
        }
    }

    /// A list of texts.
    pub(super) fn strings(&self, key: &str) -> Option<Vec<String>> {
        let value = self.value(key)?;
        texts(value).or_else(|| self.wrong(key, value, "a list of strings"))
    }

    /// A table of texts.
    pub(super) fn string_map(&self, key: &str) -> BTreeMap<String, String> {
        let Some(table) = self.table(key) else { return BTreeMap::new() };
        let entry = |name: &str| Some((name.to_owned(), table.string(name)?));
        table.keys().into_iter().filter_map(entry).collect()
    }

    /// One of a closed set of words.
    pub(super) fn choice<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let value = self.value(key)?;
        let found = text(value).and_then(|text| words.iter().find(|(word, _)| *word == text));
        found.map(|(_, meaning)| *meaning).or_else(|| {
            let allowed = words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            self.wrong(key, value, &format!("one of {allowed}"))
        })
    }

    /// A whole number.
    pub(super) fn number(&self, key: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let value = self.value(key)?;
        integer(value)
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| range.contains(number))
            .or_else(|| self.wrong(key, value, &format!("a number from {} to {}", range.start(), range.end())))
    }

    /// A duration in seconds: an integer, or text like `90s`, `10m`, `1h30m`.
    pub(super) fn seconds(&self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.value(key)?;
        let seconds = integer(value).or_else(|| text(value).and_then(parse_seconds));
        seconds.filter(|seconds| range.contains(seconds)).or_else(|| {
            let expected = format!("seconds or text like \"10m\", from {} s to {} s", range.start(), range.end());
            self.wrong(key, value, &expected)
        })
    }

    /// An amount of money in US dollars, in millionths: `20`, `"20.50"`.
    pub(super) fn money(&self, key: &str) -> Option<u64> {
        let value = self.value(key)?;
        let text = match value.get_ref() {
            DeValue::Float(number) => Some(number.as_str().to_owned()),
            _ => integer(value).map(|number| number.to_string()).or_else(|| text(value).map(str::to_owned)),
        };
        text.as_deref().and_then(parse_dollars).or_else(|| self.wrong(key, value, MONEY))
    }

    /// An amount of money that may be nothing, in millionths of a US dollar.
    pub(super) fn rate(&self, key: &str) -> Option<u64> {
        let value = self.value(key)?;
        let nothing = match value.get_ref() {
            DeValue::Float(number) => number.as_str().parse::<f64>().is_ok_and(|number| number == 0.0),
            _ => integer(value) == Some(0),
        };
        if nothing { Some(0) } else { self.money(key) }
    }

    /// A quantity of bytes: an integer, or text like `512M`, `2G`.
    pub(super) fn bytes(&self, key: &str) -> Option<u64> {
        let value = self.value(key)?;
        let bytes = integer(value).or_else(|| text(value).and_then(parse_bytes));
        bytes.or_else(|| self.wrong(key, value, "bytes, or text like \"512M\""))
    }

    /// Whether the key has exactly this text.
    pub(super) fn is_text(&self, key: &str, word: &str) -> bool {
        self.value(key).and_then(text) == Some(word)
    }

    /// A program with arguments: a list of strings that is not empty.
    pub(super) fn argv(&self, key: &str) -> Option<Vec<String>> {
        let value = self.value(key)?;
        argv(value).or_else(|| self.wrong(key, value, ARGV))
    }

    /// A list of programs with arguments.
    pub(super) fn argvs(&self, key: &str) -> Option<Vec<Vec<String>>> {
        let value = self.value(key)?;
        let all = match value.get_ref() {
            DeValue::Array(entries) => entries.iter().map(argv).collect(),
            _ => None,
        };
        all.or_else(|| self.wrong(key, value, "a list of commands, e.g. [[\"npm\", \"ci\"]]"))
    }

    /// Whether an entry is a list.
    pub(super) fn is_list(&self, key: &str) -> bool {
        self.value(key).is_some_and(|value| matches!(value.get_ref(), DeValue::Array(_)))
    }

    /// Whether the key is there, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// Reports a value that its key cannot have.
    pub(super) fn refuse<T>(&self, key: &str, expected: &str) -> Option<T> {
        self.wrong(key, self.value(key)?, expected)
    }

    fn value(&self, key: &str) -> Option<&'a Value<'a>> {
        self.entries.get(key)
    }

    fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn wrong<T>(&self, key: &str, value: &Value<'a>, expected: &str) -> Option<T> {
        let message = format!("`{}` must be {expected}", self.path(key));
        self.reader.add(Diagnostic::error("invalid-value", message), value.span());
        None
    }
}

/// What an amount of money must be.
pub(super) const MONEY: &str = "an amount in US dollars above 0, e.g. \"20.00\"";

const ARGV: &str = "a program and its arguments, e.g. [\"cargo\", \"test\"]; shell text is not run";

/// `did you mean ...?`, or the known words when none is near.
pub(super) fn did_you_mean(word: &str, known: &[&str]) -> String {
    let near = known.iter().map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate)).min();
    match near {
        Some((distance, candidate)) if distance <= 2.max(candidate.len() / 3) => format!("did you mean `{candidate}`?"),
        _ => format!("known keys: {}", known.join(", ")),
    }
}

/// Bytes of text like `900`, `512K`, `512M`, `2G`; `None` when it is no quantity.
pub(super) fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim().trim_end_matches("iB").trim_end_matches('B');
    let (number, shift) = match text.chars().last()? {
        'K' | 'k' => (&text[..text.len() - 1], 10),
        'M' => (&text[..text.len() - 1], 20),
        'G' => (&text[..text.len() - 1], 30),
        'T' => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    number.trim().parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Seconds of text like `90`, `90s`, `10m`, `1h30m`, `2d`; `None` when it is no duration.
pub(super) fn parse_seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let (mut total, mut digits) = (0_u64, String::new());
    for c in text.chars() {
        let unit = match c {
            '0'..='9' => {
                digits.push(c);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        total = total.checked_add(digits.parse::<u64>().ok()?.checked_mul(unit)?)?;
        digits.clear();
    }
    (digits.is_empty() && !text.is_empty()).then_some(total)
}

fn text<'a>(value: &'a Value<'_>) -> Option<&'a str> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.as_ref()),
        _ => None,
    }
}

fn texts(value: &Value<'_>) -> Option<Vec<String>> {
    match value.get_ref() {
        DeValue::Array(entries) => entries.iter().map(|entry| text(entry).map(str::to_owned)).collect(),
        _ => None,
    }
}

fn argv(value: &Value<'_>) -> Option<Vec<String>> {
    texts(value).filter(|argv| argv.first().is_some_and(|program| !program.trim().is_empty()))
}

fn integer(value: &Value<'_>) -> Option<u64> {
    match value.get_ref() {
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_or_numbers_with_units() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("2d", 172_800), ("0", 0)] {
            assert_eq!(parse_seconds(text), Some(seconds), "{text}");
        }
        for bad in ["", "m", "10 m", "10x", "-1", "1h30", "99999999999999999999s", "99999999999999999d"] {
            assert_eq!(parse_seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn quantities_of_bytes_have_units() {
        for (text, bytes) in [("0", 0), ("900", 900), ("512M", 512 << 20), ("2GiB", 2 << 30), ("1 k", 1024)] {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for text in ["", "M", "-1M", "1.5G", "99999999999G", "1X", "é"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn the_nearest_key_is_named() {
        assert_eq!(did_you_mean("job", &["jobs", "missing"]), "did you mean `jobs`?");
        assert_eq!(did_you_mean("zzzzzz", &["jobs", "missing"]), "known keys: jobs, missing");
    }
}
