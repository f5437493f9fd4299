//! Tests of `report::progress`.

use std::cell::Cell;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::super::text::{Color, columns};
use super::live::Live;
use super::*;
use crate::domain::event::{Failure, FailureClass, Totals};
use crate::domain::names::{BranchRef, Oid, RunId};
use crate::domain::state::Status;
use crate::domain::usage::Spent;
use crate::domain::workflow::{Performer, Phase};
use crate::engine::events::{ItemSummary, Summary};

/// A writer that can be read afterwards.
#[derive(Clone, Default)]
struct Sink(Rc<RefCell<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer on a full disk, counting what it was asked.
#[derive(Clone, Default)]
struct Full(Rc<RefCell<usize>>);

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        *self.0.borrow_mut() += 1;
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn line(name: &str, wave: u32) -> Line {
    Line {
        story_id: ItemKey::new(name),
        title: format!("Story\u{1b}[2J {name}"),
        wave,
        agent: "python-developer".into(),
        adapter: "claude".into(),
    }
}

fn started(items: Vec<Line>) -> Happening {
    Happening::RunStarted {
        run: RunId::new("r1"),
        target: BranchRef::new("refs/heads/main"),
        base: Oid::new("1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d"),
        jobs: 2,
        items,
    }
}

fn end(name: &str, status: Status, reason: &str) -> ItemSummary {
    let failure = Failure::new(FailureClass::Check, Phase::Testing, reason);
    ItemSummary {
        story_id: ItemKey::new(name),
        title: format!("Story {name}"),
        status,
        reason: reason.to_owned(),
        failure: (status == Status::Failed).then_some(failure),
        branch: None,
        landed: (status == Status::Landed).then(|| Oid::new("9f8e7d6c5b4a39281706f5e4d3c2b1a098765432")),
        worktree: None,
        millis: 65_000,
        spent: Spent::default(),
    }
}

fn story() -> Vec<Happening> {
    let key = ItemKey::new("1.1");
    vec![
        started(vec![line("1.1", 0), line("1.2", 1)]),
        Happening::ItemStarted { story_id: key.clone(), continued: false },
        Happening::PhaseStarted { story_id: key.clone(), phase: Phase::Setup, by: Performer::Tool },
        Happening::PhaseEnded { story_id: key.clone(), phase: Phase::Setup, summary: "worktree created".into() },
        Happening::PhaseStarted { story_id: key.clone(), phase: Phase::Research, by: Performer::Agent },
        Happening::StatusChanged { story_id: key.clone(), status: Status::ReadyForReview },
        Happening::Note { story_id: key, text: "check `test` failed".into() },
        Happening::ItemEnded { item: end("1.1", Status::Failed, "check `test` kept failing") },
        Happening::ItemEnded { item: end("1.2", Status::Landed, "") },
        Happening::Stopping { live: 1 },
        Happening::RunEnded {
            summary: Summary {
                run: RunId::new("r1"),
                target: BranchRef::new("refs/heads/main"),
                items: Vec::new(),
                totals: Totals { landed: 1, failed: 1, ..Totals::default() },
                millis: 130_000,
                attempt_millis: 200_000,
                stopped: true,
                paused: None,
                spent: Spent::default(),
            },
        },
    ]
}

fn told(reporter: &mut dyn Reporter) {
    for (second, happening) in story().iter().enumerate() {
        reporter.on(happening, Timestamp(1_736_692_222_000 + 1000 * i64::try_from(second).unwrap()));
    }
}

#[test]
fn lines_tell_the_run_in_plain_text() {
    let sink = Sink::default();
    told(&mut Lines::new(Box::new(sink.clone())));
    insta::assert_snapshot!(String::from_utf8(sink.0.take()).unwrap(), @r"
    2025-01-12T14:30:22Z run r1: 2 stories onto main at 1a2b3c4, 2 at a time
    2025-01-12T14:30:23Z 1.1 started: Story\x1b[2J 1.1 (python-developer via claude)
    2025-01-12T14:30:25Z 1.1 1/13 setup: worktree created
    2025-01-12T14:30:26Z 1.1 4/13 research begins, performed by an agent
    2025-01-12T14:30:27Z 1.1 is now Ready for Review
    2025-01-12T14:30:28Z 1.1 check `test` failed
    2025-01-12T14:30:29Z 1.1 failed after 1 m 05 s: check `test` kept failing
    2025-01-12T14:30:30Z 1.2 landed after 1 m 05 s: 9f8e7d6
    2025-01-12T14:30:31Z stopping: 1 agent is asked to end; Ctrl-C again kills
    2025-01-12T14:30:32Z run r1 ended after 2 m 10 s: 1 landed, 1 failed
    ");
}

#[test]
fn every_json_line_is_an_object_with_version_time_and_event() {
    let sink = Sink::default();
    told(&mut JsonLines::new(Box::new(sink.clone())));
    let text = String::from_utf8(sink.0.take()).unwrap();
    let values: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(values.len(), story().len());
    for value in &values {
        assert_eq!(value["version"], 1);
        assert!(value["at"].as_str().unwrap().starts_with("2025-01-12T14:30:"));
    }
    let events: Vec<&str> = values.iter().map(|value| value["event"].as_str().unwrap()).collect();
    assert_eq!(&events[..3], ["run-started", "item-started", "phase-started"]);
    assert_eq!(values[4]["storyId"], "1.1");
    assert_eq!(values[4]["phase"], "research");
    assert_eq!(values[7]["item"]["status"], "Failed");
    assert_eq!(values[10]["summary"]["totals"]["landed"], 1);
}

#[test]
fn a_failing_writer_is_tried_once_and_then_forgotten() {
    for json in [false, true] {
        let full = Full::default();
        if json {
            told(&mut JsonLines::new(Box::new(full.clone())));
        } else {
            told(&mut Lines::new(Box::new(full.clone())));
        }
        assert_eq!(*full.0.borrow(), 1);
    }
}

fn live(happenings: &[Happening]) -> Live {
    let mut live = Live::default();
    for happening in happenings {
        live.take(happening, Timestamp(0));
    }
    live
}

#[test]
fn a_small_run_is_shown_whole_by_wave() {
    let live = live(&story()[..7]);
    let shown = live.lines(Timestamp(65_000), 120, 20, Color::Off).join("\n");
    insta::assert_snapshot!(shown, @r"
    wave 0 (1 ready for review)
      1.1  Ready for Review  4/13 research          python-developer  1 m 05 s   Story\x1b[2J 1.1 · check `test` failed
    wave 1 (1 not started)
      1.2  Not Started                              python-developer             Story\x1b[2J 1.2
    ");
}

#[test]
fn a_narrow_terminal_shows_phase_agent_time_and_title() {
    let live = live(&story()[..7]);
    let shown = live.lines(Timestamp(65_000), 80, 20, Color::Off).join("\n");
    insta::assert_snapshot!(shown, @r"
    wave 0 (1 ready for review)
      1.1  4/13 research          python-developer  1 m 05 s   Story\x1b[2J 1.1 · c…
    wave 1 (1 not started)
      1.2  Not Started            python-developer             Story\x1b[2J 1.2
    ");
}

#[test]
fn a_run_of_a_hundred_shows_what_is_live_and_counts() {
    let mut happenings = vec![started((0..100).map(|n| line(&format!("1.{n}"), n / 50)).collect())];
    for n in 0..40 {
        happenings.push(Happening::ItemStarted { story_id: ItemKey::new(format!("1.{n}")), continued: false });
    }
    happenings.extend((0..30).map(|n| Happening::ItemEnded { item: end(&format!("1.{n}"), Status::Landed, "") }));
    let live = live(&happenings);
    let lines = live.lines(Timestamp(1000), 80, 20, Color::Off);
    assert_eq!(lines.len(), 11);
    assert_eq!(lines[0], "wave 0 (30 landed, 10 in progress, 10 not started)");
    assert!(lines.iter().all(|line| columns(line) <= 80));
    assert_eq!((live.ended(), live.total()), (30, 100));
    let lines = live.lines(Timestamp(1000), 80, 5, Color::Off);
    assert_eq!((lines.len(), lines[4].as_str()), (5, "… 7 more"));
}

/// A display of a terminal that a test has in its hands.
struct Shown {
    sink: Sink,
    terminal: Rc<Cell<Terminal>>,
    bars: Bars,
}

const WIDE_SCREEN: Terminal = Terminal { columns: 100, rows: 30, foreground: true, disturbed: false };

impl Shown {
    fn on(terminal: Terminal) -> Self {
        let (sink, terminal) = (Sink::default(), Rc::new(Cell::new(terminal)));
        let seen = terminal.clone();
        let look = move || {
            let now = seen.get();
            seen.set(Terminal { disturbed: false, ..now });
            now
        };
        let bars = Bars::new(Box::new(sink.clone()), Box::new(look), Color::Off);
        Self { sink, terminal, bars }
    }

    /// What was written since the last call.
    fn written(&self) -> String {
        String::from_utf8(self.sink.0.take()).unwrap()
    }

    fn becomes(&self, terminal: Terminal) {
        self.terminal.set(terminal);
    }

    fn tick(&mut self, second: i64) -> String {
        self.bars.tick(Timestamp(1_736_692_222_000 + 1000 * second));
        self.written()
    }
}

#[test]
fn bars_show_stories_and_what_ended() {
    let mut shown = Shown::on(WIDE_SCREEN);
    told(&mut shown.bars);
    let text = shown.written();
    for expected in ["wave 0", "1.1", "1.1 failed after 1 m 05 s: check `test` kept failing", "stopping: 1 agent"] {
        assert!(text.contains(expected), "{expected} is missing: {text}");
    }
    assert!(!text.contains("\u{1b}[2J"));
    drop(shown.bars);
    assert_eq!(String::from_utf8(shown.sink.0.take()).unwrap(), "", "the end of the run took the display away");
}

/// A display in the middle of [`story`].
fn in_the_middle() -> Shown {
    let mut shown = Shown::on(WIDE_SCREEN);
    for happening in &story()[..6] {
        shown.bars.on(happening, Timestamp(1_736_692_222_000));
    }
    drop(shown.tick(6));
    shown
}

const TAKEN_AWAY: &str = "\u{1b}[5A\r\u{1b}[J";

#[test]
fn a_display_is_drawn_over_itself_and_below_what_others_wrote() {
    let mut shown = in_the_middle();
    assert!(shown.tick(7).starts_with(TAKEN_AWAY));
    shown.becomes(Terminal { disturbed: true, ..WIDE_SCREEN });
    let after_stop = shown.tick(8);
    assert!(after_stop.starts_with("\r\u{1b}[Jwave 0"), "{after_stop:?}");
    assert!(shown.tick(9).starts_with(TAKEN_AWAY));
}

#[test]
fn nothing_is_drawn_from_the_background_and_what_was_said_there_is_said_later() {
    let mut shown = in_the_middle();
    shown.becomes(Terminal { foreground: false, ..WIDE_SCREEN });
    shown.bars.on(&Happening::Notice { text: "a notice".into() }, Timestamp(1_736_692_229_000));
    assert_eq!(shown.tick(8) + &shown.tick(9), "");
    shown.becomes(WIDE_SCREEN);
    let back = shown.tick(10);
    assert!(back.starts_with("\r\u{1b}[Ja notice\nwave 0"), "{back:?}");
    shown.becomes(Terminal { foreground: false, ..WIDE_SCREEN });
    shown.bars.on(&Happening::Notice { text: "another".into() }, Timestamp(1_736_692_233_000));
    drop(shown.bars);
    assert_eq!(
        String::from_utf8(shown.sink.0.take()).unwrap(),
        "another\n",
        "the block of earlier is not ours to clear"
    );
}

#[test]
fn every_line_fits_into_the_terminal_as_it_is_now() {
    let mut shown = in_the_middle();
    for (columns, rows) in [(60, 30), (41, 30), (30, 30), (5, 30), (1, 1), (100, 5), (100, 2), (100, 30)] {
        shown.becomes(Terminal { columns, rows, ..WIDE_SCREEN });
        let text = shown.tick(9);
        let drawn: Vec<&str> = text.split_once("\u{1b}[J").unwrap().1.lines().collect();
        let widest = drawn.iter().map(|line| self::columns(line)).max();
        assert!(widest < Some(columns) && drawn.len() < rows.max(2), "{columns} x {rows}: {drawn:?}");
        assert_eq!(drawn.len() > 1, columns > 40 && rows > 3, "{columns} x {rows}: {drawn:?}");
    }
}

#[test]
fn a_storm_of_happenings_is_not_a_storm_of_drawings() {
    let mut shown = in_the_middle();
    let note = |text: String| Happening::Note { story_id: ItemKey::new("1.1"), text };
    for number in 0..100 {
        shown.bars.on(&note(number.to_string()), Timestamp(1_736_692_228_000 + number));
    }
    assert_eq!(shown.written().matches(TAKEN_AWAY).count(), 1, "one in each 50 ms");
    assert!(shown.tick(9).contains("· 99"), "the last one counts");
}
