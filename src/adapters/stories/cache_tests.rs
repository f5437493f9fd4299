//! Tests of `adapters::stories::cache`: what is kept comes back whole or not at all.

use proptest::prelude::*;

use super::*;
use crate::domain::source::story;

fn kept(number: u64) -> Kept {
    let text = format!(
        "# Story 1.{number}: Page \u{e9}\n\n**Status**: Done\n**Dependencies**: 1.900\n\n## Tasks\n\n- [ ] It\n"
    );
    let path = format!("docs/stories/1.{number}.page.md");
    let brief = Brief::of(&story::parse(&path, text.as_bytes()));
    Kept { path, stamp: Stamp(1, number, 3, 4, 5, 6, 7), brief }
}

#[test]
fn what_is_kept_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut files: Vec<Kept> = (1..20).map(kept).collect();
    files[3].brief = None;
    write(folder.path(), &files);
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [FILE]);
    assert_eq!(read(folder.path()), files);
}

#[test]
fn another_program_and_another_format_do_not_count() {
    let bytes = encode(&[kept(1)], "this one");
    assert_eq!(decode(&bytes, "this one"), Some(vec![kept(1)]));
    assert_eq!(decode(&bytes, "another one"), None);
    let newer = [b"git-orchestrate stories 2\n", &bytes[FORMAT.len()..]].concat();
    assert_eq!(decode(&newer, "this one"), None);
    assert_eq!(decode(b"", "this one"), None);
}

#[test]
fn a_state_folder_that_is_not_there_is_not_made_and_what_is_in_the_way_stays() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("orchestrate"), &[kept(1)]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    fs::create_dir(folder.path().join(FILE)).unwrap();
    write(folder.path(), &[kept(1)]);
    assert!(read(folder.path()).is_empty());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a draft was left behind");
}

#[test]
fn a_stamp_is_settled_when_the_coarsest_clock_has_ticked_since_both_times() {
    let now = Timestamp(100_000);
    let settled = |changed, status| Stamp(1, 2, 3, changed, 0, status, 0).is_settled(now);
    assert!(settled(95, 95));
    assert!(!settled(97, 95) && !settled(95, 97) && !settled(4_000, 95) && !settled(i64::MAX, 95));
}

proptest! {
    #[test]
    fn a_damaged_file_is_no_file(at in any::<prop::sample::Index>(), flip in 1_u8.., length in any::<prop::sample::Index>()) {
        let bytes = encode(&[kept(1), kept(2)], "this one");
        let mut damaged = bytes.clone();
        damaged[at.index(bytes.len())] ^= flip;
        prop_assert_eq!(decode(&damaged, "this one"), None);
        prop_assert_eq!(decode(&bytes[..length.index(bytes.len())], "this one"), None);
        prop_assert_eq!(decode(&[bytes.as_slice(), &bytes].concat(), "this one"), None);
    }
}
