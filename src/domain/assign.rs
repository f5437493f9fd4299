//! Chooses role and adapter of an item and says why. Pure: what is installed is an argument.
//! Must not start or look for programs.

use std::collections::BTreeSet;

use super::diagnostic::{Diagnostic, Place};
use super::item::{ItemKind, WorkItem};
use super::plan::Assignment;
use super::role::FOLDERS;
use super::settings::Settings;

/// Adapters taken without being asked for, in order of preference. `demo` is never among them: it does no real work.
pub const PREFERRED: [&str; 3] = ["claude", "codex", "gemini"];

/// The built-in adapter that needs nothing installed.
pub const DEMO: &str = "demo";

/// Role of items whose technology is unknown or has no role of its own.
pub const GENERAL: &str = "general-developer";

const DESIGN: &str = "frontend-design";

/// Built-in roles.
pub const ROLES: [&str; 7] =
    ["python-developer", "golang-developer", "react-developer", "nextjs-developer", DESIGN, GENERAL, "code-reviewer"];

/// Files at the root of a repository that tell its technology, the most telling first.
pub const MANIFESTS: [(&str, &str); 12] = [
    ("next.config.js", "nextjs"),
    ("next.config.mjs", "nextjs"),
    ("next.config.ts", "nextjs"),
    ("Cargo.toml", "rust"),
    ("go.mod", "go"),
    ("pyproject.toml", "python"),
    ("setup.py", "python"),
    ("requirements.txt", "python"),
    ("tsconfig.json", "typescript"),
    ("package.json", "javascript"),
    ("Gemfile", "ruby"),
    ("pom.xml", "java"),
];

/// What the choice depends on besides the item.
#[derive(Clone, Copy, Debug)]
pub struct Choices<'a> {
    /// Settings: roles, technologies, agent.
    pub settings: &'a Settings,
    /// Adapter that `--agent` names; wins over everything.
    pub explicit: Option<&'a str>,
    /// Every adapter there is, built in or configured.
    pub adapters: &'a [String],
    /// Those whose program is installed. `demo` counts as installed always.
    pub installed: &'a [String],
    /// Roles that the repository defines (`.claude/agents/<name>.md`).
    pub roles: &'a [String],
    /// The first of [`MANIFESTS`] at the repository's root: file and technology.
    pub manifest: Option<(&'a str, &'a str)>,
}

/// Role and adapter of an item, or the error that a person must mend first.
pub fn assign(item: &WorkItem, choices: &Choices<'_>) -> Result<Assignment, Box<Diagnostic>> {
    let asked = asked_for(item, choices)?;
    let (role, role_why) = match &asked {
        Some(Asked::Role(role)) => ((*role).to_owned(), format!("the story asks for {role}")),
        Some(Asked::Adapter(_)) | None => role_by_technology(item, choices),
    };
    let (adapter, adapter_why) = adapter(&role, asked.as_ref(), choices)?;
    let note = match item.kind {
        ItemKind::Documentation => "no implementation: documentation item; ",
        ItemKind::Story => "",
    };
    Ok(Assignment { role, adapter, why: format!("{note}{role_why}; {adapter_why}") })
}

/// Adapter of a role that no item asks for (the reviewer's).
pub fn assign_role(role: &str, choices: &Choices<'_>) -> Result<Assignment, Box<Diagnostic>> {
    let (adapter, why) = adapter(role, None, choices)?;
    Ok(Assignment { role: role.to_owned(), adapter, why })
}

/// Further reviewers besides `first`, each of another adapter; an error where fewer are installed.
pub fn more_reviewers(
    first: &Assignment,
    wanted: u32,
    choices: &Choices<'_>,
) -> Result<Vec<Assignment>, Box<Diagnostic>> {
    let others = usize::try_from(wanted.saturating_sub(1)).unwrap_or(usize::MAX);
    let installed = |name: &&str| choices.installed.iter().any(|known| known == name);
    let own = choices.installed.iter().map(String::as_str).filter(|name| !PREFERRED.contains(name) && *name != DEMO);
    let mut names: Vec<&str> = PREFERRED.into_iter().filter(installed).chain(own).collect();
    names.retain(|name| *name != first.adapter);
    if names.len() < others {
        let have = joined(names.iter().copied().chain([first.adapter.as_str()]));
        let message =
            format!("[review] reviewers = {wanted} needs {wanted} different agents, and there is only {have}");
        return Err(Diagnostic::error("too-few-reviewers", message)
            .hint("install another agent, name one of your own in `.orchestrate.toml`, or lower [review] reviewers")
            .into());
    }
    let reviewer = |name: &str| Assignment {
        role: first.role.clone(),
        adapter: name.to_owned(),
        why: format!("{name} because [review] reviewers = {wanted} wants different agents"),
    };
    Ok(names.into_iter().take(others).map(reviewer).collect())
}

/// Checks that an adapter named outside of stories (`--agent`, settings) exists and is installed.
pub fn check_adapter(name: &str, source: &str, choices: &Choices<'_>) -> Result<(), Box<Diagnostic>> {
    if !is_adapter(name, choices) {
        let known = joined(choices.adapters.iter().map(String::as_str).chain([DEMO]));
        return Err(Diagnostic::error(
            "unknown-agent",
            format!("{source} names the agent \"{name}\", which does not exist"),
        )
        .hint(format!("known agents: {known}"))
        .into());
    }
    if name != DEMO && !choices.installed.iter().any(|installed| installed == name) {
        let others = joined(choices.installed.iter().map(String::as_str).chain([DEMO]));
        return Err(Diagnostic::error(
            "agent-not-installed",
            format!("{source} names the agent {name}, which is not installed"),
        )
        .hint(format!("{}, or use `--agent` with one of: {others}", how_to_install(name)))
        .into());
    }
    Ok(())
}

/// An error for each role that `[technologies]` or `[review] role` names and that is neither built in nor defined by a file nor
/// a key of `[roles]`: an agent would silently do without it.
pub fn unknown_roles(reviewer: &str, choices: &Choices<'_>) -> Vec<Diagnostic> {
    let settings = choices.settings;
    let defined = settings.roles.keys().chain(choices.roles).map(String::as_str);
    let known: BTreeSet<&str> = ROLES.into_iter().chain(defined).collect();
    let of_technologies =
        settings.technologies.iter().map(|(name, role)| (format!("technologies.{name}"), role.as_str()));
    let named = of_technologies.chain([("[review] role".to_owned(), reviewer)]);
    let finding = |(source, role): (String, &str)| {
        Diagnostic::error("unknown-role", format!("{source} names the role \"{role}\", which nobody defines")).hint(
            format!(
                "commit {}/{role}.md, or give it an agent in [roles]; known roles: {}",
                FOLDERS[0],
                joined(known.iter().copied())
            ),
        )
    };
    named.filter(|(_, role)| !known.contains(role)).map(finding).collect()
}

/// An agent of the user's own is a program that the settings name.
fn how_to_install(name: &str) -> String {
    if PREFERRED.contains(&name) {
        return format!("install {name}");
    }
    format!("make sure that the program in agents.{name}.command is there and executable")
}

/// What a story's agent field names.
enum Asked<'a> {
    Role(&'a str),
    Adapter(&'a str),
}

fn asked_for<'a>(item: &'a WorkItem, choices: &Choices<'_>) -> Result<Option<Asked<'a>>, Box<Diagnostic>> {
    let Some((name, place)) = &item.agent else { return Ok(None) };
    let roles = known_roles(choices);
    if roles.contains(name.as_str()) {
        return Ok(Some(Asked::Role(name)));
    }
    if is_adapter(name, choices) {
        return Ok(Some(Asked::Adapter(name)));
    }
    Err(unknown(name, place, &roles, choices).into())
}

fn unknown(name: &str, place: &Place, roles: &BTreeSet<&str>, choices: &Choices<'_>) -> Diagnostic {
    let agents = joined(choices.adapters.iter().map(String::as_str).chain([DEMO]));
    let roles = joined(roles.iter().copied());
    Diagnostic::error("unknown-agent", format!("agent \"{name}\" is neither a role nor an agent"))
        .at(place.clone())
        .hint(format!("known roles: {roles}; known agents: {agents}"))
}

fn known_roles<'a>(choices: &Choices<'a>) -> BTreeSet<&'a str> {
    let settings = choices.settings;
    let configured = settings.roles.keys().chain(settings.technologies.values()).chain(choices.roles);
    ROLES.into_iter().chain(configured.map(String::as_str)).collect()
}

fn is_adapter(name: &str, choices: &Choices<'_>) -> bool {
    name == DEMO || choices.adapters.iter().any(|adapter| adapter == name)
}

fn role_by_technology(item: &WorkItem, choices: &Choices<'_>) -> (String, String) {
    let from_manifest = || choices.manifest.map(|(file, technology)| (technology, Some(file)));
    let found = item.technology.as_deref().map(|technology| (technology, None));
    if found.is_none_or(|(technology, _)| technology == "docs") && speaks_of_design(&item.title) {
        return (DESIGN.to_owned(), "a design specification by its title".to_owned());
    }
    let Some((technology, manifest)) = found.or_else(from_manifest) else {
        return (GENERAL.to_owned(), "the story names no code".to_owned());
    };
    let reason = match manifest {
        Some(file) => format!("the story names no code, the repository has {file}"),
        None => named(item, technology),
    };
    if let Some(role) = choices.settings.technologies.get(technology) {
        return (role.clone(), format!("{reason} (technologies.{technology} in the settings)"));
    }
    match role_of(technology) {
        Some(role) => (role.to_owned(), reason),
        None => (GENERAL.to_owned(), reason),
    }
}

fn role_of(technology: &str) -> Option<&'static str> {
    match technology {
        "python" => Some("python-developer"),
        "go" => Some("golang-developer"),
        "typescript" | "react" => Some("react-developer"),
        "nextjs" => Some("nextjs-developer"),
        "design" | "figma" | "css" => Some(DESIGN),
        // Technologies are an open vocabulary: settings may name any.
        _ => None,
    }
}

fn speaks_of_design(title: &str) -> bool {
    let title = title.to_lowercase();
    ["design spec", "design system", "wireframe", "mockup", "visual design"].iter().any(|words| title.contains(words))
}

/// `3 of 4 named files are Python`.
fn named(item: &WorkItem, technology: &str) -> String {
    let matching = item.files.iter().filter(|file| is_of(&file.path, technology)).count();
    let all = item.files.len();
    let language = display_name(technology);
    match (matching, all) {
        (0, _) => format!("the story names {language}"),
        (1, 1) => format!("the named file is {language}"),
        _ if matching == all => format!("all {all} named files are {language}"),
        _ => format!("{matching} of {all} named files are {language}"),
    }
}

fn is_of(path: &str, technology: &str) -> bool {
    let extension = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, extension)| extension);
    let extensions: &[&str] = match technology {
        "python" => &["py", "pyi", "ipynb"],
        "go" => &["go"],
        "typescript" | "react" => &["ts", "tsx", "jsx", "mts", "cts"],
        "nextjs" => &["ts", "tsx", "js", "jsx", "mjs", "cjs", "mts", "cts"],
        "javascript" => &["js", "mjs", "cjs", "jsx"],
        "rust" => &["rs"],
        "shell" => &["sh", "bash", "zsh"],
        "docs" => &["md", "mdx", "rst", "adoc", "txt"],
        "css" => &["css", "scss", "less"],
        "java" => &["java"],
        "ruby" => &["rb"],
        _ => &[],
    };
    extension.is_some_and(|extension| extensions.contains(&extension))
}

fn display_name(technology: &str) -> &str {
    match technology {
        "python" => "Python",
        "go" => "Go",
        "typescript" => "TypeScript",
        "javascript" => "JavaScript",
        "react" => "React",
        "nextjs" => "Next.js",
        "rust" => "Rust",
        "docs" => "documentation",
        _ => technology,
    }
}

fn adapter(role: &str, asked: Option<&Asked<'_>>, choices: &Choices<'_>) -> Result<(String, String), Box<Diagnostic>> {
    let settings = choices.settings;
    let (name, source, why) = if let Some(name) = choices.explicit {
        (name, "--agent".to_owned(), format!("{name} by --agent"))
    } else if let Some(Asked::Adapter(name)) = asked {
        (*name, "the story".to_owned(), format!("the story asks for {name}"))
    } else if let Some(name) = settings.roles.get(role) {
        (name.as_str(), format!("agents.roles.{role}"), format!("{name} by agents.roles.{role} in the settings"))
    } else if let Some(name) = &settings.agent {
        (name.as_str(), "the setting agents.default".to_owned(), format!("{name} by agents.default in the settings"))
    } else {
        return first_installed(choices);
    };
    check_adapter(name, &source, choices)?;
    Ok((name.to_owned(), why))
}

fn first_installed(choices: &Choices<'_>) -> Result<(String, String), Box<Diagnostic>> {
    let installed = |name: &&str| choices.installed.iter().any(|known| known == name);
    match PREFERRED.into_iter().find(|name| installed(name)) {
        Some(name) => Ok((name.to_owned(), format!("{name} is the first installed agent"))),
        None => Err(Diagnostic::error("no-agent", "no coding agent is installed")
            .hint(format!(
                "install one of {}, name your own in `.orchestrate.toml`, or try `--agent {DEMO}`, which needs nothing",
                PREFERRED.join(", ")
            ))
            .into()),
    }
}

fn joined<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: BTreeSet<&str> = names.collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "assign_tests.rs"]
mod tests;
