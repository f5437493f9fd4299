//! What is remembered, for how much, and what a look finds.

use gix::objs::Kind;

use super::*;

fn object(number: u8, size: usize) -> Object {
    let mut id = [0; 20];
    id[0] = number;
    (ObjectId::from(id), (Kind::Blob, vec![number; size]))
}

fn ids(lost: &[Object]) -> Vec<u8> {
    lost.iter().map(|(id, _)| id.as_bytes()[0]).collect()
}

#[test]
fn a_look_finds_what_is_gone_and_lines_only_when_asked() {
    let memory = Memory::default();
    memory.remember(vec![object(1, 1), object(2, 1)]);
    memory.remember_line("refs/heads/story/1.1-a", vec![object(3, 1)]);
    let gone = |id: &ObjectId| id.as_bytes()[0] == 1;
    assert_eq!(ids(&memory.lost(Look::Written, gone)), [2]);
    assert_eq!(ids(&memory.lost(Look::Everything, gone)), [2, 3]);
}

#[test]
fn a_branch_is_remembered_as_it_is_now() {
    let memory = Memory::default();
    memory.remember_line("refs/heads/story/1.1-a", vec![object(1, 1)]);
    memory.remember_line("refs/heads/story/1.1-a", vec![object(2, 1)]);
    assert_eq!(ids(&memory.lost(Look::Everything, |_| false)), [2]);
}

#[test]
fn the_oldest_goes_when_there_is_too_much() {
    let memory = Memory::default();
    let clone = memory.clone();
    for number in 1..=3 {
        memory.remember(vec![object(number, MOST / 2)]);
        memory.remember_line(&format!("refs/heads/story/1.{}-a", 4 - number), vec![object(number + 10, MOST / 2)]);
    }
    let mut all = ids(&clone.lost(Look::Everything, |_| false));
    all.sort_unstable();
    assert_eq!(all, [2, 3, 12, 13]);
}
