//! Completion scripts, made from the clap definitions, for `git-orchestrate` and for `git orchestrate`.

use clap::{Command as Definition, CommandFactory};
use clap_complete::{Shell as Generator, generate};

use super::args::{Cli, CompletionsArgs, Shell};
use super::error::CommandError;
use super::exit::Exit;
use super::ui::Ui;

const NAME: &str = "git-orchestrate";

/// Git's bash completion calls `_git_orchestrate` for `git orchestrate`: hand it on as if `git-orchestrate` had been typed.
const BASH: &str = r#"
_git_orchestrate() {
    local at=1
    while [[ $at -lt ${#COMP_WORDS[@]} && ${COMP_WORDS[at]} != orchestrate ]]; do
        at=$((at + 1))
    done
    local COMP_WORDS=(git-orchestrate "${COMP_WORDS[@]:at + 1}") COMP_CWORD=$((COMP_CWORD - at))
    _git__orchestrate git-orchestrate "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
}
"#;

/// zsh's git completion finds `_git-orchestrate` by its name and takes the description from this second line; the style
/// does the same for versions that ask it.
const ZSH_DESCRIPTION: &str = "#description run coding agents over markdown stories\n";
const ZSH: &str =
    "\nzstyle ':completion:*:*:git:*' user-commands orchestrate:'run coding agents over markdown stories'\n";

/// fish completes `git orchestrate ...` by asking for the completions of `git-orchestrate ...`.
const FISH: &str = r"
function __git_orchestrate_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l at (contains -i -- orchestrate $words)
    or return
    complete -C (string join -- ' ' git-orchestrate (string escape -- $words[(math $at + 1)..-1]))
end
complete -c git -n 'contains -- orchestrate (commandline -opc)' -f -a '(__git_orchestrate_complete)'
complete -c git -n __fish_use_subcommand -f -a orchestrate -d 'Run coding agents over markdown stories'
";

/// Prints the script of a shell.
pub(crate) fn run(args: &CompletionsArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    ui.data(&script(args.shell))?;
    Ok(Exit::DONE)
}

/// The script of a shell.
pub fn script(shell: Shell) -> String {
    match shell {
        // The generator spells the dash of our name in two ways, and then no command finds its options.
        Shell::Bash => generated(Generator::Bash).replace("git__subcmd__orchestrate", "git__orchestrate") + BASH,
        Shell::Zsh => {
            let script = generated(Generator::Zsh);
            let (first, rest) = script.split_once('\n').unwrap_or((&script, ""));
            format!("{first}\n{ZSH_DESCRIPTION}{rest}{ZSH}")
        }
        Shell::Fish => generated(Generator::Fish) + FISH,
    }
}

fn generated(generator: Generator) -> String {
    // Scripts complete the program's own name; "git orchestrate" is only how help spells it. Made anew, because some of the
    // generators list what is hidden.
    let whole = Cli::command();
    let shown = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut command = Definition::new(NAME)
        .disable_help_subcommand(true)
        .about(whole.get_about().cloned().unwrap_or_default())
        .version(env!("CARGO_PKG_VERSION"))
        .args(whole.get_arguments().cloned())
        .subcommands(shown);
    let mut script = Vec::new();
    generate(generator, &mut command, NAME, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
