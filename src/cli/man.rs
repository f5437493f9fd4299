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
        pages.push(page(command.clone().display_name(name).version(env!("CARGO_PKG_VERSION")))?);
    }
    Ok(pages)
}

fn page(command: clap::Command) -> Result<(String, Vec<u8>), CommandError> {
    let man = clap_mangen::Man::new(command)
        .source(concat!("git-orchestrate ", env!("CARGO_PKG_VERSION")))
        .manual("Git Orchestrate Manual");
    let mut content = Vec::new();
    man.render(&mut content)?;
    Ok((man.get_filename(), content))
}
