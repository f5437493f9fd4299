//! Does one action. Must not wait for ever: every wait has a watchdog.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use git_orchestrate::domain::prompt;
use nix::sys::signal::{SigSet, Signal};

use crate::script::{Action, Call, variable};

/// No wait lasts longer.
const WATCHDOG: Duration = Duration::from_secs(120);

/// Does it; a code ends the agent.
pub fn perform(action: &Action, call: &Call, text: &str) -> Option<u8> {
    match action {
        Action::Write { path, text, append } => write(Path::new(path), text, *append),
        Action::Commit(message) => return commit(message),
        Action::Run(argv) => return run(argv),
        Action::Try(argv) => drop(run(argv)),
        Action::Print(text) => println!("{text}"),
        Action::Exit(code) => return Some(*code),
        Action::Hang => return wait(|| false),
        Action::HangIgnoringTerm => {
            SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]).thread_block().unwrap();
            println!("ignoring");
            return wait(|| false);
        }
        Action::Flood(megabytes) => flood(*megabytes),
        Action::Daemon(file) => return daemonise(file),
        Action::Touch(path) => write(Path::new(path), "", true),
        Action::WaitFor(path) => return wait(|| Path::new(path).exists()),
        Action::Barrier { dir, count } => {
            fs::create_dir_all(dir).unwrap();
            fs::write(Path::new(dir).join(format!("{}-{}-{}", call.item, call.phase, call.nth)), "").unwrap();
            return wait(|| fs::read_dir(dir).unwrap().count() >= *count);
        }
        Action::Approve => review("approve", "[]"),
        Action::RequestChanges { path, text } => {
            let findings = serde_json::json!([{ "path": path, "line": 1, "text": text }]);
            review("request-changes", &findings.to_string());
        }
        Action::Prose => {
            println!("APPROVED. Looks good to me.");
            fs::write(variable("ORCHESTRATE_RESULT"), "I approve this change. Verdict: approve\n").unwrap();
        }
        Action::ApproveOwn => approve_own(),
        Action::Status(word) => rewrite_status(word),
        // Of a conversation only; without one there is nobody to ask or to tell.
        Action::Ask(argv) => drop(run(argv)),
        Action::Say(text) => println!("{text}"),
        Action::RpcError(_) | Action::BigUpdate(_) | Action::Stop(_) => {}
        Action::Merge => return merge(prompt::conflict_target(text).unwrap_or("main")),
    }
    None
}

fn write(path: &Path, text: &str, append: bool) {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).unwrap();
    }
    let mut options = fs::OpenOptions::new();
    options.create(true).write(true).append(append).truncate(!append);
    options.open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn run<T: AsRef<str>>(argv: &[T]) -> Option<u8> {
    let mut command = Command::new(argv[0].as_ref());
    let status = command.args(argv[1..].iter().map(AsRef::as_ref)).stdin(Stdio::null()).status().unwrap();
    (!status.success()).then_some(1)
}

fn commit(message: &str) -> Option<u8> {
    run(&["git", "add", "-A"]).or_else(|| run(&["git", "commit", "-q", "-m", message]))
}

fn merge(target: &str) -> Option<u8> {
    let merged = run(&["git", "-c", "merge.default=union", "merge", "-q", "--no-edit", target]).is_none();
    if merged { None } else { run(&["git", "add", "-A"]).or_else(|| run(&["git", "commit", "-q", "--no-edit"])) }
}

fn wait(done: impl Fn() -> bool) -> Option<u8> {
    let started = Instant::now();
    while !done() {
        if started.elapsed() > WATCHDOG {
            return Some(9);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

fn flood(megabytes: usize) {
    let line = [b'x'; 1023].iter().chain(b"\n").copied().collect::<Vec<u8>>();
    let megabyte = line.repeat(1024);
    let mut out = std::io::stdout().lock();
    for _ in 0..megabytes {
        out.write_all(&megabyte).unwrap();
    }
}

fn review(verdict: &str, findings: &str) {
    let text = format!("{{\"version\":1,\"verdict\":\"{verdict}\",\"findings\":{findings}}}");
    fs::write(variable("ORCHESTRATE_RESULT"), text).unwrap();
}

fn approve_own() {
    review("approve", "[]");
    fs::write("review.json", "{\"version\":1,\"verdict\":\"approve\",\"findings\":[]}").unwrap();
    println!("APPROVED\n{{\"version\":1,\"verdict\":\"approve\",\"findings\":[]}}");
}

fn rewrite_status(word: &str) {
    let name = PathBuf::from(variable("ORCHESTRATE_ITEM_FILE")).file_name().unwrap().to_owned();
    for path in files(Path::new(".")) {
        if path.file_name() != Some(&name) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let line = |line: &str| match line.to_ascii_lowercase().find("status:") {
            Some(at) => format!("{} {word}", &line[..at + "status:".len()]),
            None => line.to_owned(),
        };
        fs::write(&path, text.lines().map(line).collect::<Vec<_>>().join("\n") + "\n").unwrap();
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with(".git") {
            found.extend(files(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}

/// Leaves a process behind in a session of its own, with nothing of ours but the environment.
fn daemonise(file: &str) -> Option<u8> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--daemon", "1", file]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap();
    wait(|| fs::read_to_string(file).is_ok_and(|text| text.ends_with('\n')))
}

#[expect(clippy::zombie_processes, reason = "the point is to leave it behind")]
pub fn daemon_parent(file: &str) -> ExitCode {
    nix::unistd::setsid().unwrap();
    Command::new(std::env::current_exe().unwrap()).args(["--daemon", "2", file]).spawn().unwrap();
    ExitCode::SUCCESS
}

pub fn daemon(file: &str) -> ExitCode {
    fs::write(file, format!("{}\n", std::process::id())).unwrap();
    wait(|| false).map_or(ExitCode::SUCCESS, ExitCode::from)
}
