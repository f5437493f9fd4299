//! Tests of who a number stands for.

use super::*;

#[test]
fn a_name_may_hold_brackets_and_spaces() {
    let fields = "S 7 8 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
    let expected = Stat { parent: 7, session: 9, start: 4242, dead: false };
    assert_eq!(parse(&format!("12 (a) R 1 2) {fields}\n")), Some(expected));
    assert_eq!(parse("12 (cut"), None);
    assert_eq!(parse("12 (a) S 7"), None);
}

#[test]
fn this_process_is_found_again_and_another_of_its_number_is_not() {
    let own = Identity::own().unwrap();
    assert_eq!(Identity::read(&own.to_string()), Some(own.clone()));
    assert!(own.open().is_some());
    assert!(Identity { start: own.start + 1, ..own.clone() }.open().is_none());
    assert!(Identity { boot: "another".to_owned(), ..own.clone() }.open().is_none());
    assert!(Identity { pid: 0, ..own }.open().is_none());
    assert_eq!(Identity::read("12"), None);
    assert_eq!(Identity::read("12 13 boot and more"), None);
}
