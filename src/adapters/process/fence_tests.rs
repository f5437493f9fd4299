//! Tests of the supervisor's lock.

use std::process::Child;

use super::super::spawn;
use super::*;

fn sleeper() -> Child {
    spawn::command("sleep").arg("100").spawn().unwrap()
}

fn identity(child: &Child) -> String {
    let pid = i32::try_from(child.id()).unwrap();
    let start = super::super::identity::stat(pid).unwrap().start;
    let own = Identity::own().unwrap().to_string();
    let boot = own.split(' ').nth(2).unwrap();
    format!("{pid} {start} {boot}")
}

#[test]
fn the_lock_names_its_holder_and_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("supervisor.lock");
    assert!(!is_held(&path));
    let lock = take(&path).unwrap();
    assert!(is_held(&path));
    assert_eq!(Identity::read(&fs::read_to_string(&path).unwrap()), Identity::own());
    drop(lock);
    assert!(!is_held(&path));
}

#[test]
fn only_the_process_that_is_named_is_signalled_and_no_later_one_of_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("supervisor.lock");
    let mut innocent = sleeper();
    let true_name = identity(&innocent);
    let words: Vec<&str> = true_name.split(' ').collect();
    let start: u64 = words[1].parse().unwrap();
    let earlier = format!("{} {} {}", words[0], start - 1, words[2]);
    let other_boot = format!("{} {} {}", words[0], start, "00000000-0000-0000-0000-000000000000");
    for wrong in [earlier.as_str(), &other_boot, words[0], "", "0 0 x"] {
        fs::write(&path, wrong).unwrap();
        signal(&path, &[Signal::KILL]);
        assert_eq!(innocent.try_wait().unwrap(), None, "{wrong:?} is not this process");
    }
    fs::write(&path, &true_name).unwrap();
    signal(&path, &[Signal::KILL]);
    assert!(!innocent.wait().unwrap().success());
}
