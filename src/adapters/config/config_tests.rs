//! Layers, places of errors, and the gate policy.

use super::*;
use crate::domain::diagnostic::Severity;
use crate::domain::policy::{Policy, ProtectMode, ReviewBy};
use crate::domain::settings::{Missing, Undeclared};
use crate::domain::workflow::{Performer, Phase};

fn settings_of(text: &str) -> (Settings, Vec<Diagnostic>) {
    let (mut settings, mut diagnostics) = (Settings::default(), Vec::new());
    apply(FILE, Some(text.as_bytes()), Layer::Repository, &mut settings, &mut diagnostics);
    (settings, diagnostics)
}

fn policy_of(text: &str) -> Policy {
    let (policy, diagnostics) = policy(FILE, Some(text.as_bytes()));
    assert_eq!(diagnostics, []);
    policy
}

fn only(diagnostics: &[Diagnostic]) -> (Severity, u32, u32, &str, Option<&str>) {
    let [one] = diagnostics else { panic!("{diagnostics:?}") };
    let place = one.place.as_ref().unwrap();
    (one.severity, place.line, place.column, &one.message, one.hint.as_deref())
}

/// The commented file with every `# key = value` line switched on.
fn uncommented() -> String {
    let on = |line: &str| {
        let text = line.strip_prefix("# ").filter(|text| text.starts_with('[') || text.contains(" = "));
        text.filter(|text| !text.starts_with("Config")).map_or_else(|| line.to_owned(), str::to_owned)
    };
    DEFAULT_FILE.lines().map(|line| on(line) + "\n").collect()
}

#[test]
fn the_file_that_init_writes_changes_nothing() {
    let (settings, diagnostics) = settings_of(DEFAULT_FILE);
    assert_eq!((settings, diagnostics), (Settings::default(), vec![]));
    let (written, diagnostics) = policy(FILE, Some(DEFAULT_FILE.as_bytes()));
    assert_eq!((written, diagnostics), (policy(FILE, None).0, vec![]));
}

#[test]
fn every_key_shown_in_the_file_exists_and_defaults_are_told_right() {
    let text = uncommented();
    let (settings, diagnostics) = settings_of(&text);
    assert_eq!(diagnostics, []);
    let defaults = Settings::default();
    assert_eq!(settings.agent_timeout_secs, defaults.agent_timeout_secs);
    assert_eq!(settings.setup_timeout_secs, defaults.setup_timeout_secs);
    assert_eq!(settings.rework_rounds, defaults.rework_rounds);
    assert_eq!((settings.jobs, settings.retry), (defaults.jobs, defaults.retry));
    assert_eq!((settings.limits.floors, settings.limits.guess()), (defaults.limits.floors, defaults.limits.guess()));
    let caps = settings.limits.in_force();
    assert_eq!((caps.micro_usd, caps.millis), (Some(20_000_000), Some(36_000_000)));
    assert_eq!((settings.timeout_of(Phase::Implementation), settings.timeout_of(Phase::ReviewResponse)), (2700, 3600));
    assert_eq!(settings.setup, [["npm", "ci"]]);
    assert!(settings.adapters["mine"].contains("./agent.sh"));
    let policy = policy_of(&text);
    let built_in = super::policy(FILE, None).0;
    assert_eq!((policy.review_rounds, &policy.reviewer_role), (built_in.review_rounds, &built_in.reviewer_role));
    assert_eq!(policy.checks.iter().map(|check| check.timeout_secs).collect::<Vec<_>>(), [1800, 300]);
    assert_eq!(policy.phase(Phase::Documentation).commands[0].command, ["make", "docs"]);
}

#[test]
fn later_layers_win_key_by_key() {
    let dir = tempfile::tempdir().unwrap();
    let (user, repository) = (dir.path().join("user.toml"), dir.path().join(FILE));
    std::fs::write(
        &user,
        "[run]\njobs = 2\nmissing = \"skip\"\nrework_rounds = 5\n[agents.x]\nbin = \"a\"\nkeep = 1\n",
    )
    .unwrap();
    std::fs::write(&repository, "[run]\njobs = 3\nmissing = \"expand\"\n[agents.x]\nbin = \"b\"\n").unwrap();
    let variables = BTreeMap::from([("GIT_ORCHESTRATE_JOBS".to_owned(), "4".to_owned())]);
    let loaded = load(&Sources { user: Some(user), repository, prompts: None, variables });
    assert_eq!(loaded.diagnostics, []);
    assert_eq!(loaded.settings.jobs, Some(4));
    assert_eq!(loaded.settings.missing, Missing::Expand);
    assert_eq!(loaded.settings.rework_rounds, 5);
    assert_eq!(loaded.settings.adapters["x"], "bin = \"b\"\nkeep = 1\n");
    assert!(loaded.repository_file.is_some());
}

#[test]
fn amounts_of_money_may_be_numbers_and_the_command_line_goes_before_them() {
    for text in ["20", "20.0", "\"20.00\"", "\"$20\""] {
        let (mut settings, diagnostics) = settings_of(&format!("[limits]\nmax_cost = {text}\n"));
        assert_eq!((settings.limits.in_force().micro_usd, diagnostics), (Some(20_000_000), vec![]), "{text}");
        settings.limits.asked = Some(1);
        assert_eq!(settings.limits.in_force().micro_usd, Some(1));
    }
}

#[test]
fn wrong_values_name_place_and_what_is_allowed_and_reading_goes_on() {
    let (settings, diagnostics) = settings_of("[stories]\nundeclared = \"epicorder\"\n[run]\njobs = 3\n");
    let (severity, line, column, message, _) = only(&diagnostics);
    assert_eq!((severity, line, column), (Severity::Error, 2, 14));
    assert_eq!(message, "`stories.undeclared` must be one of `epic-order`, `foundation`, `independent`");
    assert_eq!((settings.jobs, settings.undeclared), (Some(3), Undeclared::EpicOrder));
    for (text, expected) in [
        ("[run]\njobs = 0", "a number from 1 to 256"),
        ("[run]\njobs = -1", "a number from 1 to 256"),
        ("[run]\njobs = 257", "a number from 1 to 256"),
        ("[run]\njobs = \"four\"", "a number from 1 to 256"),
        ("[worktrees]\nsetup = [\"npm ci\"]", "a list of commands"),
        ("[worktrees]\nsetup = [[]]", "a list of commands"),
        ("[worktrees]\ndir = \"../out\"", "below the repository root"),
        ("[worktrees]\ndir = \".git/x\"", "below the repository root"),
        ("[stories]\nroots = [\"/etc\"]", "below the repository root"),
        ("[stories]\nroots = []", "below the repository root"),
        ("[agents]\ntimeout = \"soon\"", "like \"10m\""),
        ("[agents.timeouts]\nreview = 0", "from 1 s"),
        ("[retry]\nattempts = 0", "a number from 1 to 20"),
        ("[limits]\nmax_cost = \"much\"", "an amount in US dollars above 0"),
        ("[limits]\nmax_cost = -1.5", "an amount in US dollars above 0"),
        ("[limits]\nmin_disk = \"lots\"", "text like \"512M\""),
        ("[agents]\n\"Bad Name\" = {}", "a-z, 0-9"),
        ("run = 3", "a table"),
    ] {
        let (_, diagnostics) = settings_of(text);
        let (severity, .., message, _) = only(&diagnostics);
        assert!(severity == Severity::Error && message.contains(expected), "{text}: {message}");
    }
}

#[test]
fn unknown_keys_are_warned_about_with_the_nearest_one() {
    let (_, diagnostics) = settings_of("[run]\njbos = 3\n");
    let shown = only(&diagnostics);
    assert_eq!(shown, (Severity::Warning, 2, 1, "unknown key `run.jbos`", Some("did you mean `jobs`?")));
    let (_, diagnostics) = settings_of("[revew]\n");
    assert_eq!(only(&diagnostics).4, Some("did you mean `review`?"));
}

#[test]
fn gate_keys_have_no_effect_in_the_user_s_file() {
    let (mut settings, mut diagnostics) = (Settings::default(), Vec::new());
    apply("config.toml", Some(b"[gates]\nchecks = \"optional\"\n"), Layer::User, &mut settings, &mut diagnostics);
    assert!(only(&diagnostics).3.contains("belongs to the gate policy"));
}

#[test]
fn variables_are_checked_like_keys() {
    let mut settings = Settings::default();
    let variables = [("JOBS", "banana"), ("JOSB", "3"), ("MISSING", ""), ("AGENT", "codex")];
    let variables = variables.map(|(name, value)| (format!("GIT_ORCHESTRATE_{name}"), value.to_owned()));
    let diagnostics = environment::apply(&variables.into_iter().collect(), &mut settings);
    let messages: Vec<_> = diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect();
    let jobs = "GIT_ORCHESTRATE_JOBS must be a number from 1 to 256, not `banana`";
    assert_eq!(messages, [jobs, "unknown variable `GIT_ORCHESTRATE_JOSB`"]);
    assert_eq!(settings.agent.as_deref(), Some("codex"));
}

#[test]
fn a_policy_has_a_version_that_depends_on_resolved_keys_only() {
    let plain = policy_of("[checks]\ntest = [\"cargo\", \"test\"]\n");
    let same = policy_of("# why\n[checks]\ntest = { command = ['cargo', 'test'] }\n[run]\njobs = 4\n");
    let other = policy_of("[checks]\ntest = [\"cargo\", \"test\", \"--locked\"]\n");
    assert_eq!(plain.version, same.version);
    assert_ne!(plain.version, other.version);
    assert_eq!(plain.version.as_str().len(), 16);
    assert_eq!(policy(FILE, None).0.version, policy_of("").version);
}

#[test]
fn every_gate_key_is_read_and_its_difference_is_named() {
    let text = "[protect]\nbranches = [\"release/*\"]\nmode = \"all\"\n[gates]\nchecks = \"required\"\n\
        [review]\nby = \"human\"\nreviewers = 2\nrounds = 5\nrole = \"senior\"\n[checks]\ntest = [\"t\"]\n\
        [workflow.documentation]\nby = \"person\"\n[hotfix]\nlines = 3\n";
    let policy = policy_of(text);
    assert_eq!((policy.hotfix_lines, policy_of("").hotfix_lines), (3, 9));
    assert_eq!((policy.reviewers, policy_of("").reviewers), (2, 1));
    assert_eq!((policy.mode, policy.review_by), (ProtectMode::All, ReviewBy::Human));
    assert_eq!(policy.phase(Phase::Review).by, Performer::Person);
    let expected = [
        "[protect] branches",
        "[protect] mode",
        "[gates] checks",
        "[review] by",
        "[review] reviewers",
        "[review] rounds",
        "[review] role",
        "[hotfix] lines",
        "[checks] test",
        "[workflow.documentation]",
    ];
    assert_eq!(differences(&policy, &policy_of("")), expected);
    assert_eq!(differences(&policy_of(""), &policy), expected);
    assert!(differences(&policy, &policy).is_empty());
    let (ab, ba) = ("[checks]\na = [\"a\"]\nb = [\"b\"]\n", "[checks]\nb = [\"b\"]\na = [\"a\"]\n");
    let order = differences(&policy_of(ab), &policy_of(ba));
    assert_eq!(order, ["[checks] order"]);
}

#[test]
fn impossible_performers_are_refused() {
    for (text, expected) in [
        ("[workflow.review]\nby = \"tool\"", "a review needs somebody"),
        ("[workflow.review]\nby = \"command\"\ncommands = [[\"x\"]]", "a review needs somebody"),
        ("[workflow.implementation]\nby = \"tool\"", "the tool writes no code"),
        ("[workflow.issue]\nby = \"command\"", "commands = [[...]]"),
        ("[workflow.issue]\nby = \"robot\"", "one of `agent`, `command`, `person`, `tool`"),
        ("[review]\nby = \"agent\"\n[workflow.review]\nby = \"person\"", "the same reviewer as `[review] by`"),
        ("[checks]\ntest = \"cargo test\"", "a command"),
        ("[hotfix]\nlines = 10", "a number from 0 to 9"),
        ("[checks]\ntest = []", "a program and its arguments"),
        ("[checks]\ntest = { timeout = 3 }", "command = [...]"),
    ] {
        let (_, diagnostics) = policy(FILE, Some(text.as_bytes()));
        let (severity, .., message, _) = only(&diagnostics);
        assert!(severity == Severity::Error && message.contains(expected), "{text}: {message}");
        assert!(has_errors(&diagnostics));
    }
}

#[test]
fn who_may_sign_is_read_from_a_file_inside_the_repository() {
    let policy = policy_of("[gates]\nsignatures = \"required\"\nallowed_signers = \"ci/signers\"\n");
    assert_eq!((policy.signatures_required, policy.allowed_signers.as_str()), (true, "ci/signers"));
    let built_in = super::policy(FILE, None).0;
    assert_eq!(differences(&policy, &built_in), ["[gates] signatures", "[gates] allowed_signers"]);
    assert_ne!(policy.version, built_in.version);
    for outside in ["/etc/signers", "../signers", "a/../../signers"] {
        let text = format!("[gates]\nallowed_signers = \"{outside}\"\n");
        let (_, diagnostics) = super::policy(FILE, Some(text.as_bytes()));
        assert_eq!(only(&diagnostics).0, Severity::Error, "{outside}");
    }
}
