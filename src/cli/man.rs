//! The man pages, made from the clap definitions. Must not hold text of its own.

use clap::CommandFactory;

use super::args::{Cli, ManArgs};
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;

/// Writes every page into a folder.
pub(crate) fn run(args: &ManArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let failed = |path: &std::path::Path, error: &std::io::Error| {
        CommandError::operation(format!("cannot write `{}`", path.display())).because(error)
    };
    std::fs::create_dir_all(&args.dir).map_err(|error| failed(&args.dir, &error))?;
    for (name, content) in pages()? {
        let path = args.dir.join(name);
        std::fs::write(&path, content).map_err(|error| failed(&path, &error))?;
        ui.status(&format!("wrote {}", path.display()));
    }
    Ok(Exit::DONE)
}

/// File name and content of every page: the overview and one for each command that is not hidden.
pub fn pages() -> Result<Vec<(String, Vec<u8>)>, CommandError> {
    let mut root = Cli::command().disable_version_flag(true);
    root.build();
    let overview = root.clone().name("git-orchestrate").display_name("git-orchestrate");
    let mut pages = vec![page(overview)?];
    for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = format!("git-orchestrate-{}", command.get_name());
        pages.push(page(command.clone().display_name(name))?);
    }
    Ok(pages)
}

fn page(command: clap::Command) -> Result<(String, Vec<u8>), CommandError> {
    let sections = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let has_commands = command.get_subcommands().any(|command| !command.is_hide_set());
    let man = clap_mangen::Man::new(command)
        .source(concat!("git-orchestrate ", env!("CARGO_PKG_VERSION")))
        .manual("Git Orchestrate Manual");
    let mut content = Vec::new();
    man.render_title(&mut content)?;
    man.render_name_section(&mut content)?;
    man.render_synopsis_section(&mut content)?;
    man.render_description_section(&mut content)?;
    man.render_options_section(&mut content)?;
    if has_commands {
        man.render_subcommands_section(&mut content)?;
    }
    content.extend_from_slice(further_sections(&sections).as_bytes());
    Ok((man.get_filename(), content))
}

/// The text below the options as sections: a line `Name:` at the margin begins one, other text is a note.
fn further_sections(text: &str) -> String {
    let mut page = String::new();
    for paragraph in text.split("\n\n") {
        let (heading, body) = match paragraph.split_once(":\n") {
            Some((heading, body)) if !heading.contains([' ', '\n']) || heading == "Exit codes" => (heading, body),
            _ => match paragraph.strip_prefix("Exit codes: ") {
                Some(body) => ("Exit codes", body),
                None => ("Notes", paragraph),
            },
        };
        if !body.is_empty() {
            page.extend(["\n.SH ", &heading.to_uppercase(), "\n.nf\n"]);
            body.lines().for_each(|line| page.push_str(&roff_line(line)));
            page.push_str(".fi\n");
        }
    }
    page
}

fn roff_line(line: &str) -> String {
    let escaped = line.replace('\\', "\\e").replace('-', "\\-");
    format!("\\&{escaped}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_below_the_options_become_sections() {
        let page = further_sections("Examples:\n  git x -j\n\nExit codes: 0 done;\n2 bad.\n\nplain\n.text");
        assert_eq!(
            page,
            "\n.SH EXAMPLES\n.nf\n\\&  git x \\-j\n.fi\n\n.SH EXIT CODES\n.nf\n\\&0 done;\n\\&2 bad.\n.fi\n\n.SH NOTES\n.nf\n\\&plain\n\\&.text\n.fi\n"
        );
    }
}
