//! Tests of `adapters::stories::briefs`, in folders of real files: it answers what reading everything would.

use std::fs::{File, FileTimes};
use std::os::unix::fs::{MetadataExt as _, symlink};

use proptest::prelude::*;

use super::super::load;
use super::*;

/// More than [`WORTH`], so that what they say is kept.
const STORIES: usize = 20;

struct Folder {
    folder: tempfile::TempDir,
}

/// What becomes of a file between two looks.
#[derive(Clone, Debug)]
enum Change {
    /// Other content of the same length, in place.
    Edit,
    /// The same content, in place.
    Touch,
    /// Another file of the same length and the same time of last change is renamed over it.
    Replace,
    /// Other content in place, and the time of last change put back.
    Disguise,
    /// It trades places with the next one.
    Swap,
    Remove,
    /// It becomes a link to the next one.
    Link,
    /// It becomes a folder.
    Folder,
    /// The folder it lies in is renamed, and a copy with other content takes its place.
    Move,
}

impl Folder {
    fn new() -> Self {
        let folder = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(folder.root().join("docs/stories")).unwrap();
        fs::create_dir_all(folder.state_dir()).unwrap();
        for number in 0..STORIES {
            fs::write(folder.story(number), text(number, "First")).unwrap();
        }
        folder
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn state_dir(&self) -> PathBuf {
        self.root().join(".git/orchestrate")
    }

    fn story(&self, number: usize) -> PathBuf {
        self.root().join(format!("docs/stories/1.{number}.page.md"))
    }

    /// As if it were asked long after the last change.
    fn briefs(&self) -> BTreeMap<ItemKey, Brief> {
        self.briefs_at(now(60_000))
    }

    fn briefs_at(&self, now: Timestamp) -> BTreeMap<ItemKey, Brief> {
        briefs(self.root(), &["docs/stories".to_owned()], &self.state_dir(), now).unwrap()
    }

    /// What reading everything gives.
    fn truth(&self) -> Vec<(ItemKey, String, Vec<String>)> {
        let loaded = load(self.root(), &["docs/stories".to_owned()]).unwrap();
        let shown = |item: &crate::domain::item::WorkItem| {
            let needed = item.dependencies.iter().map(|needed| needed.id.to_string()).collect();
            (ItemKey::from(&item.id), item.title.clone(), needed)
        };
        let mut all: Vec<_> = loaded.items.iter().map(shown).collect();
        all.sort();
        all
    }

    fn shown(&self) -> Vec<(ItemKey, String, Vec<String>)> {
        self.briefs().into_values().map(|brief| (brief.key, brief.title, brief.dependencies)).collect()
    }

    fn change(&self, number: usize, change: &Change, nth: usize) {
        let (path, next) = (self.story(number), self.story((number + 1) % STORIES));
        let other = self.root().join("other");
        // The n-th text is as long as every other one.
        let content = text(number, &format!("{nth:05}"));
        let time = fs::metadata(&path).and_then(|about| about.modified());
        match change {
            Change::Edit if path.is_file() => fs::write(&path, content).unwrap(),
            Change::Touch if path.is_file() => fs::write(&path, fs::read(&path).unwrap()).unwrap(),
            Change::Replace if path.is_file() => {
                fs::write(&other, content).unwrap();
                set_time(&other, time.unwrap());
                fs::rename(&other, &path).unwrap();
            }
            Change::Disguise if path.is_file() => {
                fs::write(&path, content).unwrap();
                set_time(&path, time.unwrap());
            }
            Change::Swap if path.exists() && next.exists() => {
                fs::rename(&path, &other).unwrap();
                fs::rename(&next, &path).unwrap();
                fs::rename(&other, &next).unwrap();
            }
            Change::Remove if path.is_file() => fs::remove_file(&path).unwrap(),
            Change::Link if path.is_file() => {
                fs::remove_file(&path).unwrap();
                symlink(&next, &path).unwrap();
            }
            Change::Folder if path.is_file() => {
                fs::remove_file(&path).unwrap();
                fs::create_dir(&path).unwrap();
            }
            Change::Move => {
                let (here, away) = (self.root().join("docs"), self.root().join(format!("away-{nth}")));
                fs::rename(&here, &away).unwrap();
                fs::create_dir_all(here.join("stories")).unwrap();
                fs::write(&path, content).unwrap();
            }
            _ => {}
        }
    }
}

fn text(number: usize, title: &str) -> String {
    let needed = format!("1.{}", title.bytes().map(usize::from).sum::<usize>() % 10 + 50);
    format!("# Story 1.{number}: {title}\n\n**Status**: Ready\n**Dependencies**: {needed}\n\n## Tasks\n\n- [ ] It\n")
}

fn set_time(path: &Path, time: std::time::SystemTime) {
    File::options().write(true).open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
}

fn now(later: i64) -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond() + later)
}

/// Returns when a change made now gets another time than one made before.
fn tick(root: &Path) {
    let time = || {
        let probe = root.join("probe");
        fs::write(&probe, "").unwrap();
        let about = fs::metadata(&probe).unwrap();
        (about.ctime(), about.ctime_nsec())
    };
    let before = time();
    while time() == before {
        std::thread::yield_now();
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => Just(Change::Edit),
        1 => Just(Change::Touch),
        3 => Just(Change::Replace),
        3 => Just(Change::Disguise),
        2 => Just(Change::Swap),
        1 => Just(Change::Remove),
        1 => Just(Change::Link),
        1 => Just(Change::Folder),
        1 => Just(Change::Move),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn after_any_changes_it_is_what_reading_everything_gives(
        changes in prop::collection::vec((0..STORIES, change()), 1..8)
    ) {
        let folder = Folder::new();
        prop_assert_eq!(folder.shown(), folder.truth());
        prop_assert!(!cache::read(&folder.state_dir()).is_empty(), "nothing is kept: this test shows nothing");
        for (nth, (number, change)) in changes.iter().enumerate() {
            tick(folder.root());
            folder.change(*number, change, nth);
            prop_assert_eq!(folder.shown(), folder.truth());
        }
    }
}

#[test]
fn what_did_not_change_is_not_read_again() {
    let folder = Folder::new();
    folder.briefs();
    let mut known = cache::read(&folder.state_dir());
    for kept in &mut known {
        kept.brief.as_mut().unwrap().title = "From what was kept".to_owned();
    }
    cache::write(&folder.state_dir(), &known);
    tick(folder.root());
    fs::write(folder.story(3), text(3, "Mended")).unwrap();
    let titles: Vec<String> = folder.briefs().into_values().map(|brief| brief.title).collect();
    assert_eq!(titles.iter().filter(|title| *title == "From what was kept").count(), STORIES - 1);
    assert_eq!(titles.iter().filter(|title| *title == "Mended").count(), 1);
}

#[test]
fn what_changed_a_moment_ago_is_not_kept() {
    let folder = Folder::new();
    assert_eq!(folder.briefs_at(now(0)).len(), STORIES);
    assert!(cache::read(&folder.state_dir()).is_empty());
}

#[test]
fn few_new_files_are_read_each_time_and_what_was_kept_of_others_stays() {
    let folder = Folder::new();
    folder.briefs();
    tick(folder.root());
    let before = fs::read(folder.state_dir().join("stories.cache")).unwrap();
    for number in 0..WORTH - 1 {
        fs::write(folder.story(number), text(number, "Mended")).unwrap();
    }
    assert_eq!(folder.shown(), folder.truth());
    assert_eq!(fs::read(folder.state_dir().join("stories.cache")).unwrap(), before);
    fs::write(folder.story(WORTH), text(WORTH, "Mended")).unwrap();
    assert_eq!(folder.shown(), folder.truth());
    assert_ne!(fs::read(folder.state_dir().join("stories.cache")).unwrap(), before);
}
