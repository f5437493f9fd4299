//! The real clients: fetched from the npm registry once, each into a folder of its own, and what each needs to talk to the
//! model server alone. Must not install anything elsewhere, and must not read a configuration of the user's.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// A client in the versions that were measured; a newer one is taken where that is offered no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Claude,
    Codex,
    Gemini,
}

impl Client {
    /// Name of its program and of its adapter.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
        }
    }

    /// Another client, as its reviewer.
    pub fn other(self) -> Self {
        if self == Self::Codex { Self::Claude } else { Self::Codex }
    }

    fn package(self) -> (&'static str, &'static str) {
        match self {
            Self::Claude => ("@anthropic-ai/claude-code", "2.1.329"),
            Self::Codex => ("@openai/codex", "0.169.0"),
            Self::Gemini => ("@google/gemini-cli", "0.61.0"),
        }
    }

    /// Tokens of one answer of the server in this client's protocol, cached ones included.
    pub fn tokens(self) -> u64 {
        match self {
            Self::Claude => 1600,
            Self::Codex | Self::Gemini => 1100,
        }
    }

    /// Variables that point it at the server and keep it quiet.
    pub fn variables(self, url: &str) -> Vec<(String, String)> {
        let pairs: Vec<(&str, String)> = match self {
            Self::Claude => vec![
                ("ANTHROPIC_BASE_URL", url.to_owned()),
                ("ANTHROPIC_API_KEY", "dummy-key-for-loopback".to_owned()),
                ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".to_owned()),
            ],
            Self::Codex => vec![("OPENAI_API_KEY", "dummy-key-for-loopback".to_owned())],
            Self::Gemini => vec![
                ("GOOGLE_GEMINI_BASE_URL", url.to_owned()),
                ("GEMINI_API_KEY", "dummy-key-for-loopback".to_owned()),
                ("GEMINI_TELEMETRY_ENABLED", "false".to_owned()),
            ],
        };
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Writes its configuration into a private home.
    pub fn configure(self, home: &Path, url: &str) {
        let (file, text) = match self {
            Self::Claude => (".claude/settings.json", "{\"includeCoAuthoredBy\": false}\n".to_owned()),
            Self::Codex => (
                ".codex/config.toml",
                format!(
                    "model = \"gpt-5\"\nmodel_provider = \"loopback\"\ncheck_for_update_on_startup = false\n\
                     [analytics]\nenabled = false\n[model_providers.loopback]\nname = \"loopback\"\n\
                     base_url = \"{url}/v1\"\nenv_key = \"OPENAI_API_KEY\"\nwire_api = \"responses\"\n\
                     request_max_retries = 1\nstream_max_retries = 1\n"
                ),
            ),
            Self::Gemini => (
                ".gemini/settings.json",
                "{\"general\": {\"enableAutoUpdate\": false, \"disableAutoUpdate\": true, \"disableUpdateNag\": true, \"maxAttempts\": 2}, \
                 \"privacy\": {\"usageStatisticsEnabled\": false}, \
                 \"security\": {\"auth\": {\"selectedType\": \"gemini-api-key\"}}}\n"
                    .to_owned(),
            ),
        };
        let path = home.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// Where clients are kept between runs.
fn place() -> PathBuf {
    let below_target = || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("real-agents");
    std::env::var_os("GIT_ORCHESTRATE_REAL_AGENTS").map_or_else(below_target, PathBuf::from)
}

/// Folders with the programs of these clients and of a node that is new enough; `None`, and why, when one is not to be had.
pub fn programs(clients: &[Client]) -> Option<Vec<PathBuf>> {
    // What could not be installed once is not tried again by every test of this process.
    static MISSING: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let place = place();
    std::fs::create_dir_all(&place).unwrap();
    let lock = File::create(place.join("install.lock")).unwrap();
    lock.lock().unwrap();
    let mut missing = MISSING.lock().unwrap();
    let mut folders = Vec::new();
    let packages = clients.iter().map(|client| (client.name(), client.package()));
    for (name, (package, version)) in node().into_iter().chain(packages) {
        let folder = place.join(name);
        let program = folder.join("node_modules/.bin").join(name);
        let lost = missing.iter().any(|lost| lost == name);
        if lost || !program.exists() && !install(&folder, package, version, &folders) {
            // Not by `eprintln!`: of a test that passes, what that writes is not shown.
            let said = format!("skipped: {name} is not to be had: no npm, or no registry; see {}\n", folder.display());
            std::io::stderr().write_all(said.as_bytes()).unwrap();
            missing.push(name.to_owned());
            return None;
        }
        folders.push(folder.join("node_modules/.bin"));
    }
    Some(folders)
}

/// A node of our own where the one on the path is older than the clients need.
fn node() -> Option<(&'static str, (&'static str, &'static str))> {
    let said = Command::new("node").arg("--version").output().ok();
    let version = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    (major.unwrap_or(0) < 22).then_some(("node", ("node", "22")))
}

/// `npm i` into a folder, with the nodes found so far in front of the path.
fn install(folder: &Path, package: &str, version: &str, path: &[PathBuf]) -> bool {
    std::fs::create_dir_all(folder).unwrap();
    let log = || Stdio::from(File::options().create(true).append(true).open(folder.join("npm.log")).unwrap());
    eprintln!("installing {package} {version} into {}", folder.display());
    [format!("{package}@{version}"), package.to_owned()].iter().any(|wanted| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--fetch-retries=1", "--prefix"]).arg(folder).arg(wanted);
        npm.env("PATH", before_path(path)).stdin(Stdio::null()).stdout(log()).stderr(log());
        npm.status().is_ok_and(|status| status.success())
    })
}

/// The search path with these folders in front.
pub fn before_path(folders: &[PathBuf]) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(folders.iter().cloned().chain(std::env::split_paths(&path))).unwrap()
}
