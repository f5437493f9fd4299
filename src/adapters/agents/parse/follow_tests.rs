//! What is told of a growing log, by a clock of the test's own.

use std::cell::RefCell;
use std::io::Write;

use super::*;

fn shown(text: &str) -> String {
    line(text)
}

/// Runs `work` on a log that it writes, and returns what was told. Time stands still but where the work sleeps.
async fn followed<T>(parser: Parser, work: impl AsyncFnOnce(&mut File) -> T) -> Vec<Activity> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("output.log");
    let mut file = File::create(&path).unwrap();
    let told = RefCell::new(Vec::new());
    let redactor = Redactor::new(["a-secret-value".to_owned()]);
    while_running(work(&mut file), path, parser, &redactor, |activity| told.borrow_mut().push(activity)).await;
    told.into_inner()
}

fn event(text: &str) -> String {
    format!("{{\"type\":\"assistant\",\"message\":{{\"content\":[{{\"type\":\"text\",\"text\":\"{text}\"}}]}}}}\n")
}

#[tokio::test(start_paused = true)]
async fn what_an_agent_does_is_told_at_most_once_a_look_and_the_newest_counts() {
    let told = followed(Parser::ClaudeStreamJson, async |file| {
        for number in 0..1000 {
            file.write_all(event(&format!("step {number}")).as_bytes()).unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    // Ten seconds of four looks each, whatever is written meanwhile.
    assert!((39..=40).contains(&told.len()), "{}", told.len());
    assert!(matches!(told.last(), Some(Activity::Message(text)) if text.starts_with("step 9")), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_agent_is_told_nothing_of() {
    let told = followed(Parser::ClaudeStreamJson, async |file| {
        file.write_all(event("once").as_bytes()).unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    assert_eq!(told, [Activity::Message("once".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_is_one_short_line_without_secrets_and_control_characters() {
    let long = "x".repeat(1_000_000);
    let told = followed(Parser::ClaudeStreamJson, async |file| {
        for text in ["a\\n\\u001b[2J a-secret-value b", &long] {
            file.write_all(event(text).as_bytes()).unwrap();
            tokio::time::sleep(LOOK * 2).await;
        }
    })
    .await;
    assert_eq!(told.first(), Some(&Activity::Message("a \\x1b[2J [redacted] b".to_owned())));
    let Some(Activity::Message(text)) = told.get(1) else { panic!("{}", told.len()) };
    assert_eq!((text.chars().count(), text.ends_with('…')), (WIDTH, true));
    assert!(shown(&"\u{1b}".repeat(500)).chars().count() <= WIDTH);
}

#[tokio::test(start_paused = true)]
async fn of_a_flood_only_the_newest_is_looked_at_and_a_shortened_log_is_no_trouble() {
    let told = followed(Parser::ClaudeStreamJson, async |file| {
        let many = event("old").repeat(200_000);
        file.write_all(many.as_bytes()).unwrap();
        file.write_all(event("new").as_bytes()).unwrap();
        tokio::time::sleep(LOOK * 2).await;
        file.set_len(10).unwrap();
        tokio::time::sleep(LOOK * 2).await;
    })
    .await;
    assert_eq!(told, [Activity::Message("new".to_owned())]);
}
