//! Tests of what is found of a session whose orchestrator went away.

use super::*;
use crate::adapters::agents::registry::Registry;
use crate::domain::names::AttemptId;
use crate::domain::settings::{AdapterText, Settings};
use crate::domain::workflow::Phase;

const INIT: &str = "{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s-1\"}\n";

/// What is known of a session of `adapter` when `files` are what its invocations left.
fn left(adapter: &str, files: &[(&str, &str)]) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join("attempts/a-1").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let mine = ("mine".to_owned(), "command = [\"./agent\"]\nresume_args = [\"--again\"]".to_owned());
    let text = AdapterText { path: "my.toml".to_owned(), text: format!("[agents.mine]\n{}", mine.1) };
    let registry =
        Registry::load(&Settings { adapters: [(mine.0, vec![text])].into(), ..Settings::default() }).unwrap();
    let open = OpenSession {
        attempt: AttemptId::new("a-1"),
        phase: Phase::Implementation,
        principal: Principal::Agent { adapter: adapter.to_owned(), session: "chosen".to_owned() },
    };
    of(dir.path(), registry.adapter(adapter).unwrap(), &open).session
}

#[test]
fn a_session_that_the_client_named_is_known() {
    assert_eq!(left("claude", &[("1-implementation/output.log", INIT)]).as_deref(), Some("s-1"));
    assert_eq!(left("mine", &[("1-implementation/output.log", "hello")]).as_deref(), Some("chosen"));
}

#[test]
fn a_session_that_may_not_have_begun_is_not() {
    assert_eq!(left("claude", &[]), None);
    assert_eq!(left("claude", &[("1-implementation/output.log", "")]), None);
    assert_eq!(left("mine", &[("1-implementation/output.log", "")]), None);
    assert_eq!(left("claude", &[("1-review/output.log", INIT)]), None, "a reviewer's is none of the author's");
}

#[test]
fn a_client_that_cannot_go_on_is_not_asked_to() {
    assert_eq!(left("command", &[("1-implementation/output.log", "hello")]), None);
}

#[test]
fn a_session_that_looks_like_an_option_is_not_taken_up() {
    let log = INIT.replace("s-1", "--dangerous");
    assert_eq!(left("claude", &[("1-implementation/output.log", log.as_str())]), None);
}

#[test]
fn the_newest_invocation_counts() {
    let newer = INIT.replace("s-1", "s-2");
    let files = [("9-implementation/output.log", INIT), ("10-implementation/output.log", newer.as_str())];
    assert_eq!(left("claude", &files).as_deref(), Some("s-2"));
}
