//! Discovery of story files on a real disk: strange files and names are named, never followed, waited for or run.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use git_orchestrate::adapters::stories::{Loaded, load, read};
use git_orchestrate::domain::diagnostic::{Diagnostic, Severity};
use git_orchestrate::report::diagnostics::render;

use crate::support::Scratch;

const STORY: &str = "# Story 3.1: a\n\nStatus: Ready\n\n## Story\n";

fn loaded(scratch: &Scratch) -> Loaded {
    load(&scratch.root(), &["docs/stories".to_owned()]).unwrap()
}

fn about<'a>(loaded: &'a Loaded, path: &str) -> &'a Diagnostic {
    let at = |finding: &&Diagnostic| finding.place.as_ref().is_some_and(|place| place.path == path);
    loaded.diagnostics.iter().find(at).unwrap_or_else(|| panic!("{path}: {:#?}", loaded.diagnostics))
}

#[test]
fn stories_are_found_at_any_depth_even_when_ignored() {
    let scratch = Scratch::unborn();
    scratch.write(".gitignore", "docs/\n");
    scratch.write("docs/stories/epic-3/deep/3.1.a.md", STORY);
    scratch.write("docs/stories/3.2.a.md", STORY.replace("3.1", "3.2"));
    scratch.write("docs/stories/README.md", "# Stories\n");
    scratch.write("docs/stories/notes.txt", "x");
    scratch.write("docs/stories/.hidden/3.3.a.md", STORY);
    let loaded = loaded(&scratch);
    assert!(loaded.present);
    let paths: Vec<_> = loaded.items.iter().map(|item| item.path.as_str()).collect();
    assert_eq!(paths, ["docs/stories/epic-3/deep/3.1.a.md", "docs/stories/3.2.a.md"]);
    assert!(loaded.diagnostics.iter().all(|finding| finding.severity == Severity::Info));
    assert_eq!(read(&scratch.root(), "docs/stories/epic-3/deep/3.1.a.md").unwrap(), STORY.as_bytes());
}

#[test]
fn absent_roots_are_no_error_and_roots_outside_are() {
    let scratch = Scratch::unborn();
    assert!(!loaded(&scratch).present);
    let error = load(&scratch.root(), &["../home".to_owned()]).unwrap_err();
    assert!(error.to_string().contains("`../home` is not a folder of the repository"));
    scratch.write("docs/stories", "a file");
    let error = load(&scratch.root(), &["docs/stories".to_owned()]).unwrap_err();
    assert!(error.to_string().contains("is not a folder"));
}

#[test]
fn what_is_no_regular_file_is_named_and_hides_nothing() {
    let scratch = Scratch::unborn();
    let root = scratch.root().join("docs/stories");
    scratch.write("docs/stories/3.1.a.md", STORY);
    std::fs::create_dir(root.join("3.2.folder.md")).unwrap();
    symlink("/etc/passwd", root.join("3.3.link.md")).unwrap();
    nix::unistd::mkfifo(&root.join("3.4.pipe.md"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    symlink("nowhere", root.join("3.5.gone.md")).unwrap();
    symlink(scratch.outside(), root.join("outside")).unwrap();
    symlink(".", root.join("circle")).unwrap();
    symlink("3.1.a.md", root.join("3.6.same.md")).unwrap();
    let loaded = loaded(&scratch);
    for (name, message) in [
        ("3.2.folder.md", "not a regular file"),
        ("3.3.link.md", "symlink leaves the repository"),
        ("3.4.pipe.md", "not a regular file"),
        ("3.5.gone.md", "the file is gone, or a symlink points nowhere"),
    ] {
        let finding = about(&loaded, &format!("docs/stories/{name}"));
        assert_eq!((finding.severity, finding.message.as_str()), (Severity::Error, message), "{name}");
    }
    let ids: Vec<_> = loaded.items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids, ["3.1"]);
    let error = read(&scratch.root(), "docs/stories/3.3.link.md").unwrap_err();
    assert!(error.to_string().contains("symlink leaves the repository"));
}

#[test]
fn a_file_without_permission_is_named() {
    let scratch = Scratch::unborn();
    scratch.write("docs/stories/3.1.a.md", STORY);
    scratch.write("docs/stories/3.2.a.md", STORY);
    let closed = scratch.root().join("docs/stories/3.2.a.md");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(&closed).is_ok() {
        eprintln!("skipped: this user reads files without permission");
        return;
    }
    let loaded = loaded(&scratch);
    assert_eq!(about(&loaded, "docs/stories/3.2.a.md").message, "permission denied");
    assert_eq!(loaded.items.len(), 1);
}

#[test]
fn large_and_damaged_files_are_named_and_hide_nothing() {
    let scratch = Scratch::unborn();
    scratch.write("docs/stories/3.1.a.md", STORY);
    scratch.write("docs/stories/3.2.big.md", vec![b'x'; 3 << 20]);
    scratch.write("docs/stories/3.3.empty.md", "");
    scratch.write("docs/stories/3.4.nul.md", b"# Story\0 3.4");
    let loaded = loaded(&scratch);
    assert_eq!(about(&loaded, "docs/stories/3.2.big.md").message, "larger than 1 MiB");
    assert_eq!(about(&loaded, "docs/stories/3.3.empty.md").message, "the file is empty");
    assert_eq!(about(&loaded, "docs/stories/3.4.nul.md").message, "NUL at byte 7");
    assert_eq!(loaded.items.len(), 1);
}

#[test]
fn strange_names_are_skipped_with_their_escaped_name() {
    let scratch = Scratch::unborn();
    let names = [
        ".._.._pwn.md",
        "-f.md",
        "--upload-pack=touch${IFS}pwn.md",
        "3.1..lock.md",
        "3.1.x.lock.md",
        "3.1 a.md",
        "$(touch pwn).md",
        "3.1.`touch pwn`.md",
        "3.1;touch pwn.md",
        "3.1\ntouch pwn.md",
        "3.1\u{1b}]0;x.md",
        "3.1@{x.md",
        "a~b^c:d?e*f[g.md",
        "CON.md",
        "99999999999999999999.1.md",
        "3.-1.md",
        "%2e%2e%2f.md",
        "3.1\u{202e}.md",
    ];
    scratch.write("docs/stories/3.1.a.md", STORY);
    for name in names {
        scratch.write(&format!("docs/stories/{name}"), STORY);
    }
    let loaded = loaded(&scratch);
    assert_eq!(loaded.items.len(), 1);
    assert_eq!(loaded.items[0].path, "docs/stories/3.1.a.md");
    for name in names {
        let finding = about(&loaded, &format!("docs/stories/{name}"));
        assert_eq!((finding.severity, finding.code), (Severity::Warning, "skipped-name"), "{name:?}");
        assert!(finding.message.contains(": not <epic>.<story>.<slug>.md"));
    }
    let shown = render(&loaded.diagnostics, false);
    assert!(shown.contains("3.1\\x1b]0;x.md") && shown.contains("3.1\\x0atouch pwn.md") && shown.contains("\\u202e"));
    assert!(!shown.chars().any(|c| c != '\n' && c.is_control()));
    assert!(!scratch.root().join("pwn").exists() && !scratch.root().join("docs/stories/pwn").exists());
}

#[test]
fn long_slugs_and_twins_by_case() {
    let scratch = Scratch::unborn();
    let long = format!("3.1.{}.md", "x".repeat(236));
    scratch.write(&format!("docs/stories/{long}"), STORY);
    scratch.write("docs/stories/3.2.login.md", STORY.replace("3.1", "3.2"));
    scratch.write("docs/stories/3.2.LOGIN.md", STORY.replace("3.1", "3.2"));
    let loaded = loaded(&scratch);
    assert_eq!(loaded.items.len(), 2);
    let duplicate = loaded.diagnostics.iter().find(|finding| finding.code == "duplicate-id").unwrap();
    let paths = [&duplicate.place.as_ref().unwrap().path, &duplicate.related[0].0.path];
    assert_eq!(paths, ["docs/stories/3.2.login.md", "docs/stories/3.2.LOGIN.md"]);
}

#[test]
fn control_bytes_in_a_title_are_shown_escaped() {
    let scratch = Scratch::unborn();
    scratch.write("docs/stories/3.1.a.md", "# Story 3.2: \u{1b}]0;pwn\u{7}\u{202e}\n\n## Story\n");
    let shown = render(&loaded(&scratch).diagnostics, false);
    assert!(shown.contains("\\x1b]0;pwn\\x07\\u202e"), "{shown}");
    assert!(shown.contains("docs/stories/3.1.a.md:1:9"));
    assert!(!shown.chars().any(|c| c != '\n' && c.is_control()));
}

#[test]
fn twenty_thousand_stories_are_loaded_in_order() {
    let scratch = Scratch::unborn();
    scratch.write("docs/stories/README.md", "");
    let root = scratch.root().join("docs/stories");
    for number in 0..20_000 {
        let id = format!("{}.{}", number / 100, number % 100);
        std::fs::write(root.join(format!("{id}.a.md")), format!("# Story {id}: a\n\n## Story\n")).unwrap();
    }
    let loaded = loaded(&scratch);
    assert_eq!(loaded.items.len(), 20_000);
    assert!(loaded.items.is_sorted_by_key(|item| &item.id));
}
