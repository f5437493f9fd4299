//! Tests of `report::progress::block`.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::*;

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

fn block() -> (Block, impl Fn() -> String) {
    let sink = Sink::default();
    let taken = sink.clone();
    (Block::new(Box::new(sink)), move || String::from_utf8(taken.0.take()).unwrap())
}

fn lines(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_block_replaces_the_last_one_and_what_stays_goes_above() {
    let (mut block, written) = block();
    block.draw(&[], &lines(&["one", "two"]), 80);
    assert_eq!(written(), "\r\u{1b}[Jone\ntwo\n");
    block.draw(&lines(&["said"]), &lines(&["three"]), 80);
    assert_eq!(written(), "\u{1b}[2A\r\u{1b}[Jsaid\nthree\n");
    block.draw(&[], &[], 80);
    assert_eq!(written(), "\u{1b}[1A\r\u{1b}[J");
    block.draw(&[], &[], 80);
    assert_eq!(written(), "", "nothing is left to take away");
}

#[test]
fn lines_that_a_narrower_terminal_broke_go_away_whole() {
    let (mut block, written) = block();
    let painted = format!("\u{1b}[31m{}\u{1b}[0m", "x".repeat(60));
    block.draw(&[], &[painted, String::new(), "日".repeat(21)], 80);
    drop(written());
    block.draw(&[], &lines(&["next"]), 40);
    assert_eq!(written(), "\u{1b}[5A\r\u{1b}[Jnext\n", "60 columns are two rows, none is one, 42 are two");
}

#[test]
fn what_was_forgotten_stays_on_the_screen() {
    let (mut block, written) = block();
    block.draw(&[], &lines(&["one", "two"]), 80);
    drop(written());
    block.forget();
    block.draw(&[], &lines(&["three"]), 80);
    assert_eq!(written(), "\r\u{1b}[Jthree\n");
}
