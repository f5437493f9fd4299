//! The texts of prompts: the built-in ones, the user's over them, the repository's over these. The repository's are read from
//! the target's tip: an agent at work must not change what its reviewer is told. Must not fill them.

use std::collections::BTreeMap;
use std::path::Path;

use super::document::Document;
use crate::domain::diagnostic::Diagnostic;
use crate::domain::prompt::template::{Name, Prompts, Template, Wrong};

/// Folder of a repository's texts, relative to its root; `<name>.md` in it.
pub const FOLDER: &str = ".orchestrate/prompts";

/// The texts of a run, and where each comes from.
#[derive(Clone, Debug)]
pub struct Texts {
    /// The texts.
    pub prompts: Prompts,
    /// Source and text of each, for people.
    pub sources: BTreeMap<Name, (String, String)>,
}

/// Reads all texts. `committed` gives a file of the target's tip, `branch` its name for findings; `user` is the folder of the
/// user's own texts.
pub fn read(
    committed: impl Fn(&str) -> Option<Vec<u8>>,
    branch: &str,
    user: Option<&Path>,
) -> Result<Texts, Vec<Diagnostic>> {
    let mut texts = Texts { prompts: Prompts::default(), sources: BTreeMap::new() };
    let mut findings = Vec::new();
    for name in Name::ALL {
        let path = format!("{FOLDER}/{}.md", name.as_str());
        let own = user.map(|folder| folder.join(format!("{}.md", name.as_str())));
        let repository = committed(&path).map(|bytes| (format!("{branch}:{path}"), bytes));
        let from_user = || {
            let file = own.filter(|file| file.is_file())?;
            Some((file.display().to_string(), std::fs::read(&file).ok()?))
        };
        let (source, text) = match repository.or_else(from_user) {
            None => ("built in".to_owned(), name.built_in().to_owned()),
            Some((source, bytes)) => match checked(name, &source, &bytes) {
                Ok((template, text)) => {
                    texts.prompts.replace(name, template);
                    (source, text)
                }
                Err(wrong) => {
                    findings.extend(wrong);
                    continue;
                }
            },
        };
        texts.sources.insert(name, (source, text));
    }
    if findings.is_empty() { Ok(texts) } else { Err(findings) }
}

fn checked(name: Name, source: &str, bytes: &[u8]) -> Result<(Template, String), Vec<Diagnostic>> {
    let document = Document::open(source, bytes).map_err(|finding| vec![*finding])?;
    let finding =
        |wrong: Wrong| Diagnostic::error("bad-prompt", wrong.message).at(document.place(wrong.span)).hint(wrong.hint);
    match Template::parse(name, document.text) {
        Ok(template) => Ok((template, document.text.to_owned())),
        Err(wrong) => Err(wrong.into_iter().map(finding).collect()),
    }
}
