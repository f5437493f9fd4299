//! Named files and what they say of the technology. Must not look at the disk.

use std::collections::{BTreeMap, HashSet};

use super::field::{cells, fields, is_table_rule, marks};
use super::text::{Document, cut, plain, small};
use crate::domain::item::NamedFile;

/// Files of a document.
#[derive(Default)]
pub(super) struct Files {
    /// The write set: the file list, else the files to create or modify.
    pub(super) write: Vec<NamedFile>,
    /// Dominant technology.
    pub(super) technology: Option<String>,
    /// Whether all files of the write set are documents.
    pub(super) documents: bool,
}

/// Reads the write set and the technology.
pub(super) fn read(document: &Document<'_>) -> Files {
    let mut lists: [Vec<NamedFile>; 2] = Default::default();
    let mut open: Option<(u8, usize)> = None;
    let mut outside: Option<u8> = None;
    let mut parent: Option<usize> = None;
    for (index, line) in document.lines.iter().enumerate() {
        if line.heading > 0 {
            let text = document.heading_text(index);
            if open.is_some_and(|(level, _)| level >= line.heading) {
                open = None;
            }
            if outside.is_some_and(|level| level >= line.heading) {
                outside = None;
            }
            if outside.is_none() && text.to_ascii_lowercase().contains("qa results") {
                outside = Some(line.heading);
            }
            if outside.is_none() && open.is_none() {
                open = rank(text).map(|rank| (line.heading, rank));
            }
            parent = None;
        } else if !line.code && outside.is_none() {
            match open {
                Some((_, rank)) => section_line(document, index, &mut parent, &mut lists[rank]),
                None => label_line(line.text, index, &mut lists),
            }
        }
    }
    let [listed, planned] = lists;
    let write = unique(if listed.is_empty() { planned } else { listed });
    let documents = !write.is_empty() && write.iter().all(|file| technology(&file.path) == Some("docs"));
    let named: Vec<String> = write.iter().map(|file| file.path.clone()).collect();
    let technology = dominant(&named).or_else(|| dominant(&quoted(document)));
    Files { write, technology, documents }
}

/// 0 for a file list, 1 for planned files; the first that names a file wins.
fn rank(heading: &str) -> Option<usize> {
    let text = cut(plain(heading), 60).to_lowercase();
    if text.contains("during review") || text.contains("not ") {
        return None;
    }
    if text.starts_with("file list") || text.starts_with("files list") {
        return Some(0);
    }
    let planned = ["files to ", "files expected to", "target files", "files modified", "modified files", "new files"];
    let more = ["files created", "files changed", "files touched", "write set", "arquivos"];
    planned.iter().chain(&more).any(|word| text.starts_with(word)).then_some(1)
}

fn section_line(document: &Document<'_>, index: usize, parent: &mut Option<usize>, files: &mut Vec<NamedFile>) {
    let text = document.lines[index].text;
    if let Some(cells) = cells(text) {
        let head = document.lines.get(index + 1).is_some_and(|next| is_table_rule(next.text));
        if !head && !is_table_rule(text) {
            // A directory column in front of the file column is passed over.
            if let Some(path) = cells.iter().take(3).find_map(|cell| first_path(cell)) {
                files.push(NamedFile { path, line: small(index + 1) });
            }
        }
        return;
    }
    let marks = marks(text);
    if !marks.item {
        *parent = None;
        if let Some(field) = fields(marks.body).first() {
            inline(field.value, index, files);
        }
        return;
    }
    if parent.is_some_and(|indent| marks.indent > indent) {
        return;
    }
    let body = match fields(marks.body).first() {
        Some(field) if field.bold || field.name.split(' ').count() <= 2 => field.value,
        _ => marks.body,
    };
    *parent = None;
    if let Some(path) = first_path(body).or_else(|| first_path(marks.body)) {
        files.push(NamedFile { path, line: small(index + 1) });
        *parent = Some(marks.indent);
    }
}

/// `**Files to modify:** a.rs, b.rs` outside a file section.
fn label_line(text: &str, index: usize, lists: &mut [Vec<NamedFile>; 2]) {
    if !text.contains("ile") {
        return;
    }
    let found = if let Some(cells) = cells(text) {
        let [name, value, ..] = cells.as_slice() else { return };
        label_rank(name).map(|rank| (rank, *value))
    } else {
        let body = marks(text).body;
        fields(body).first().and_then(|field| label_rank(field.name).map(|rank| (rank, field.value)))
    };
    if let Some((rank, value)) = found {
        inline(value, index, &mut lists[rank]);
    }
}

fn label_rank(name: &str) -> Option<usize> {
    let name = plain(name);
    if name.len() > 60 {
        return None;
    }
    rank(name).or_else(|| ["files", "file"].iter().any(|word| name.eq_ignore_ascii_case(word)).then_some(1))
}

/// Paths of a list on one line.
fn inline(value: &str, index: usize, files: &mut Vec<NamedFile>) {
    let paths = value.split([',', ';']).filter_map(first_path);
    files.extend(paths.map(|path| NamedFile { path, line: small(index + 1) }));
}

/// The path at the start of an item: in back ticks, a link's text, or a bare word.
fn first_path(text: &str) -> Option<String> {
    let text =
        text.trim_start_matches(|c: char| c.is_whitespace() || c == '*' || !c.is_ascii() && !c.is_alphanumeric());
    if let Some(inner) = text.strip_prefix('`') {
        return path(&inner[..inner.find('`')?]);
    }
    if let Some(inner) = text.strip_prefix('[') {
        return path(inner[..inner.find(']')?].trim_matches('`'));
    }
    let word = text.split(char::is_whitespace).next()?;
    path(word.trim_end_matches([',', ':', ';', '.', ')', '*']))
}

/// A relative path of a file, without a line number behind it.
fn path(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix("./").unwrap_or(text);
    let text = match text.split_once(':') {
        Some((path, lines)) if lines.starts_with(|c: char| c.is_ascii_digit()) => path,
        Some(_) => return None,
        None => text,
    };
    if text.is_empty() || text.len() > 300 || text.starts_with(['/', '~', '-']) || text.ends_with('/') {
        return None;
    }
    let bad = |c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, '\\' | '<' | '>' | '|' | '"' | '=' | '{' | '(' | '*')
    };
    if text.chars().any(bad) || text.split('/').any(|part| part == ".." || part.is_empty()) {
        return None;
    }
    let name = text.rsplit('/').next().unwrap_or(text);
    (is_file_name(name) && !name.starts_with('@')).then(|| text.to_owned())
}

fn is_file_name(name: &str) -> bool {
    if ["Makefile", "Dockerfile", "LICENSE", "Justfile", "justfile", "Procfile", "CODEOWNERS", "Gemfile"]
        .contains(&name)
    {
        return true;
    }
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    let known = stem.is_empty() && extension.len() > 1;
    let letters = extension.starts_with(|c: char| c.is_ascii_alphabetic());
    let clean = extension.len() <= 12 && extension.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    clean && letters && (known || !stem.is_empty())
}

fn unique(files: Vec<NamedFile>) -> Vec<NamedFile> {
    let mut seen = HashSet::new();
    files.into_iter().filter(|file| seen.insert(file.path.clone())).collect()
}

/// Paths in back ticks before the agent record, for stories without a write set.
fn quoted(document: &Document<'_>) -> Vec<String> {
    let mut all = Vec::new();
    for (index, line) in document.lines.iter().enumerate() {
        if line.heading > 0 && document.heading_text(index).to_ascii_lowercase().contains("agent record") {
            break;
        }
        if line.code || !line.text.contains('`') {
            continue;
        }
        all.extend(line.text.split('`').skip(1).step_by(2).filter_map(path));
    }
    all
}

fn technology(path: &str) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    // The configuration of Next.js is JavaScript in a project that mostly is not.
    if name.starts_with("next.config.") {
        return Some("typescript");
    }
    Some(match extension.as_str() {
        "py" | "pyi" | "ipynb" => "python",
        "go" => "go",
        "ts" | "mts" | "cts" => "typescript",
        "tsx" | "jsx" => "react",
        "js" | "mjs" | "cjs" => "javascript",
        "rs" => "rust",
        "sh" | "bash" | "zsh" => "shell",
        "java" => "java",
        "kt" | "kts" => "kotlin",
        "swift" => "swift",
        "rb" => "ruby",
        "php" => "php",
        "cs" => "csharp",
        "c" | "h" | "cc" | "cpp" | "hpp" => "cpp",
        "sql" => "sql",
        "tf" => "terraform",
        "css" | "scss" | "html" | "svg" | "fig" => "design",
        "md" | "mdx" | "rst" | "adoc" | "txt" => "docs",
        _ => return None,
    })
}

/// The technology most files belong to; documents count only when there is no code.
fn dominant(paths: &[String]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for path in paths {
        if let Some(technology) = technology(path) {
            *counts.entry(technology).or_default() += 1;
        }
    }
    let docs = counts.remove("docs").unwrap_or(0);
    let react = counts.get("react").copied().unwrap_or(0);
    if react > 0 {
        *counts.entry("typescript").or_default() += react;
        counts.remove("react");
    }
    let best = counts.iter().max_by_key(|(name, count)| (**count, std::cmp::Reverse(**name)));
    let Some((best, _)) = best else {
        let design = |path: &&String| path.to_ascii_lowercase().contains("design") && !path.contains("rchitecture");
        let designs = paths.iter().filter(design).count();
        return (docs > 0).then(|| if designs * 2 > docs { "design" } else { "docs" }.to_owned());
    };
    let next = paths.iter().any(|path| path.contains("next.config") || is_next_page(path));
    Some(match *best {
        "typescript" if next => "nextjs".to_owned(),
        "typescript" if react > 0 => "react".to_owned(),
        other => other.to_owned(),
    })
}

fn is_next_page(path: &str) -> bool {
    let pages = ["page.tsx", "layout.tsx", "route.ts", "page.jsx", "layout.jsx"];
    let name = path.rsplit('/').next().unwrap_or(path);
    pages.contains(&name) && path.split('/').any(|part| part == "app")
}
