//! Packing of our own refs and objects, alone and beside others.

use git_orchestrate::adapters::ledger::pack::Packed;
use git_orchestrate::domain::workflow::Phase;
use git_orchestrate::engine::ports::{Ledger, Record};

use super::fixtures::{done, key, opened, record, started, store};

#[test]
fn nothing_is_packed_below_the_thresholds() {
    let (scratch, mut store, _, _) = opened();
    assert_eq!(store.pack_if_needed().unwrap(), Packed::default());
    assert!(!scratch.root().join(".git/packed-refs").exists());
}

#[test]
fn many_loose_refs_are_packed_and_everything_reads_as_before() {
    let (scratch, mut writer, base, story) = opened();
    scratch.git(&["update-ref", "refs/heads/other", base.as_str()]);
    let mut reader = store(&scratch);
    reader.items().unwrap();
    let records: Vec<Record> =
        (0..260).map(|n| record(&format!("2.{n}"), started(1, None, "Title", &base, &story))).collect();
    writer.append(&records).unwrap();
    let before = writer.items().unwrap();
    let packed = writer.pack_if_needed().unwrap();
    // 261 items and the format; one commit each, with the empty tree, the tree that holds the story, and the story.
    assert_eq!(packed, Packed { objects: 262 + 3, refs: 262 });
    assert_eq!(writer.items().unwrap(), before);
    assert_eq!(reader.items().unwrap(), before);
    assert_eq!(store(&scratch).items().unwrap(), before);
    assert!(scratch.root().join(".git/refs/heads/other").is_file(), "other people's refs stay as they are");
    assert_eq!(scratch.try_git(&["fsck", "--strict", "--no-dangling"]).stderr, "");
    assert_eq!(scratch.git(&["prune-packed", "--dry-run"]), "");
    reader.append(&[record("2.7", done(1, Phase::Setup, "x"))]).unwrap();
    assert_eq!(writer.history(&key("2.7")).unwrap().len(), 2);
}

#[test]
fn many_loose_objects_are_packed() {
    let (scratch, mut store, _, _) = opened();
    let records: Vec<Record> = (0..1_000).map(|n| record("1.1", done(1, Phase::Setup, &n.to_string()))).collect();
    store.append(&records).unwrap();
    let packed = store.pack_if_needed().unwrap();
    assert_eq!(packed.objects, 1_000 + 1 + 1 + 3);
    assert_eq!(store.history(&key("1.1")).unwrap().len(), 1_001);
    assert_eq!(store.pack_if_needed().unwrap(), Packed::default());
    let loose = scratch.git(&["count-objects"]);
    assert!(loose.starts_with("3 objects"), "the commit, tree and blob of the user stay loose: {loose}");
}

#[test]
fn packing_and_appending_at_once_loses_nothing() {
    let (scratch, mut packer, _, _) = opened();
    std::thread::scope(|scope| {
        for n in 0..3 {
            let mut store = store(&scratch);
            scope.spawn(move || {
                for m in 0..10 {
                    store.append(&[record("1.1", done(1, Phase::Setup, &format!("{n}-{m}")))]).unwrap();
                }
            });
        }
        for _ in 0..8 {
            packer.pack().unwrap();
        }
    });
    assert_eq!(packer.history(&key("1.1")).unwrap().len(), 1 + 30);
    assert_eq!(packer.refold(&key("1.1")).unwrap(), packer.item(&key("1.1")).unwrap().unwrap());
    assert_eq!(scratch.try_git(&["fsck", "--strict", "--no-dangling"]).stderr, "");
}
