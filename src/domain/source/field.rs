//! The forms of one line: list marks, labelled values, table cells. Must not know what the labels mean.

/// A labelled value: `**Status:** Done`, `Status: Done`.
pub(super) struct Field<'a> {
    /// The label without marks and colon.
    pub(super) name: &'a str,
    /// The value, trimmed; a slice of the line.
    pub(super) value: &'a str,
    /// Whether the label is bold.
    pub(super) bold: bool,
}

/// What stands before the text of a line.
pub(super) struct Marks<'a> {
    /// Width of the white space and quote marks.
    pub(super) indent: usize,
    /// Whether it is a list item.
    pub(super) item: bool,
    /// The text after bullet, number and check box.
    pub(super) body: &'a str,
}

/// Strips quote marks, bullets, numbers and check boxes.
pub(super) fn marks(text: &str) -> Marks<'_> {
    let body = text.trim_start_matches(|c: char| c.is_whitespace() || c == '>');
    let indent = text.len() - body.len();
    let after = bullet(body).or_else(|| number(body));
    let item = after.is_some();
    let mut body = after.unwrap_or(body).trim_start();
    if item {
        body = checkbox(body).unwrap_or(body);
    }
    Marks { indent, item, body }
}

fn bullet(body: &str) -> Option<&str> {
    let rest = body.strip_prefix(['-', '*', '+', '\u{2022}'])?;
    rest.starts_with(char::is_whitespace).then_some(rest)
}

fn number(body: &str) -> Option<&str> {
    let digits = body.bytes().take_while(u8::is_ascii_digit).count();
    let rest = body[digits..].strip_prefix(['.', ')'])?;
    (digits > 0 && digits < 4 && rest.starts_with([' ', '\t', '\u{a0}'])).then_some(rest)
}

fn checkbox(body: &str) -> Option<&str> {
    let rest = body.strip_prefix('[')?;
    let end = rest.find(']')?;
    let rest_after = &rest[end + 1..];
    (end <= 3 && !rest_after.starts_with('(') && rest[..end].trim().chars().count() <= 1)
        .then(|| rest_after.trim_start_matches('*').trim_start())
}

/// The fields of one line: the one at its start and bold ones after it.
pub(super) fn fields(body: &str) -> Vec<Field<'_>> {
    let Some(mut current) = bold_field(body).or_else(|| plain_field(body)) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    let mut from = 0;
    while let Some(at) = current.value.get(from..).and_then(|rest| rest.find("**")).map(|at| from + at) {
        if let Some(next) = bold_field(&current.value[at..]) {
            current.value = current.value[..at].trim();
            all.push(std::mem::replace(&mut current, next));
            from = 0;
        } else {
            from = at + 2;
        }
    }
    all.push(current);
    all
}

fn bold_field(body: &str) -> Option<Field<'_>> {
    let inner_on = body.strip_prefix("**")?;
    let end = inner_on.get(..).and_then(|text| text.find("**"))?;
    let (inner, after) = (&inner_on[..end], &inner_on[end + 2..]);
    if let Some(name) = inner.trim_end().strip_suffix([':', '\u{ff1a}']) {
        return (name.len() <= 80).then(|| Field { name: name.trim(), value: after.trim(), bold: true });
    }
    if let Some(value) = after.trim_start().strip_prefix([':', '\u{ff1a}']) {
        return (inner.len() <= 80).then(|| Field { name: inner.trim(), value: value.trim(), bold: true });
    }
    let (name, value) = inner.split_once(':')?;
    (name.len() <= 80 && value.starts_with(' ')).then(|| Field { name: name.trim(), value: value.trim(), bold: true })
}

fn plain_field(body: &str) -> Option<Field<'_>> {
    let at = body.char_indices().take(60).find(|(_, c)| matches!(c, ':' | '\u{ff1a}')).map(|(at, _)| at)?;
    let name = &body[..at];
    let value = body[at..].trim_start_matches([':', '\u{ff1a}']);
    let words = name.split_whitespace().count();
    let plain = !name.contains(['`', '|', '(', '/', '"', '.', ',']) && name.starts_with(char::is_alphabetic);
    let spaced = value.is_empty() || value.starts_with(char::is_whitespace) || body[at..].starts_with('\u{ff1a}');
    (plain && spaced && words <= 6).then(|| Field { name: name.trim(), value: value.trim(), bold: false })
}

/// The cells of a table row, trimmed; `None` when the line is no row.
pub(super) fn cells(text: &str) -> Option<Vec<&str>> {
    let body = text.trim().trim_start_matches('>').trim_start();
    let inner = body.strip_prefix('|')?;
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    Some(inner.split('|').map(str::trim).collect())
}

/// Whether a line is the rule under a table's head.
pub(super) fn is_table_rule(text: &str) -> bool {
    let body = text.trim();
    body.starts_with('|') && body.contains('-') && body.bytes().all(|byte| matches!(byte, b'|' | b'-' | b':' | b' '))
}
