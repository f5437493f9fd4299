//! The line for long work on a terminal and a clock of the test. Must not wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::*;

/// A terminal of a test, its clock, and who has it.
#[derive(Clone, Default)]
struct Desk {
    written: Arc<Mutex<Vec<u8>>>,
    millis: Arc<AtomicU64>,
    background: Arc<AtomicBool>,
}

impl Write for Desk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Desk {
    fn waiting(&self, what: &str, total: Option<u64>) -> Waiting {
        let (millis, background) = (self.millis.clone(), self.background.clone());
        let place = Place {
            writer: Box::new(self.clone()),
            look: Box::new(move || Terminal {
                columns: 80,
                rows: 24,
                foreground: !background.load(Relaxed),
                disturbed: false,
            }),
            elapsed: Box::new(move || Duration::from_millis(millis.load(Relaxed))),
        };
        Waiting::still(what, total, place)
    }

    fn after(&self, millis: u64) {
        self.millis.store(millis, Relaxed);
    }

    /// What was written since it was asked last.
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.written.lock().unwrap())).unwrap()
    }
}

#[test]
fn fast_work_writes_no_byte() {
    let desk = Desk::default();
    let waiting = desk.waiting("verifying", None);
    waiting.step(1);
    desk.after(499);
    waiting.bar.tick();
    waiting.curtain().during(|| ());
    drop(waiting);
    assert_eq!(desk.take(), "");
}

#[test]
fn long_work_is_shown_counted_and_taken_away() {
    let desk = Desk::default();
    let waiting = desk.waiting("verifying", None);
    desk.after(500);
    waiting.bar.tick();
    let shown = desk.take();
    assert!(shown.starts_with("\r\u{1b}[K") && shown.contains(" verifying, "), "{shown:?}");
    waiting.counter()(1_200);
    waiting.bar.tick();
    assert!(desk.take().contains(" verifying 1200, "));
    drop(waiting);
    assert_eq!(desk.take(), "\r\u{1b}[K", "nothing is left of it, and the cursor was never hidden");
}

#[test]
fn a_known_end_is_drawn_as_a_bar() {
    let desk = Desk::default();
    let waiting = desk.waiting("cleaning up", Some(4));
    desk.after(500);
    waiting.step(3);
    let shown = desk.take();
    assert!(shown.contains("cleaning up [===============>    ] 3 of 4, "), "{shown:?}");
}

#[test]
fn what_is_written_meanwhile_stands_alone() {
    let desk = Desk::default();
    let waiting = desk.waiting("cleaning up", None);
    desk.after(500);
    waiting.step(1);
    desk.take();
    let mut other = desk.clone();
    waiting.curtain().during(|| other.write_all(b"removed\n").unwrap());
    let shown = desk.take();
    assert!(shown.starts_with("\r\u{1b}[Kremoved\n") && shown.contains(" cleaning up 1, "), "{shown:?}");
    let curtain = waiting.curtain();
    drop(waiting);
    desk.take();
    curtain.during(|| other.write_all(b"done\n").unwrap());
    assert_eq!(desk.take(), "done\n", "the line does not come back");
}

#[test]
fn nothing_is_drawn_from_the_background_and_nothing_foreign_raw() {
    let desk = Desk::default();
    let waiting = desk.waiting("packing \u{1b}]0;x\u{7}\n{msg}", None);
    desk.after(500);
    desk.background.store(true, Relaxed);
    waiting.bar.tick();
    assert_eq!(desk.take(), "");
    desk.background.store(false, Relaxed);
    waiting.bar.tick();
    let shown = desk.take();
    assert!(shown.contains("packing \\x1b]0;x\\x07\\x0a{msg}"), "{shown:?}");
}
