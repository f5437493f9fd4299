//! Merges in memory against those of git.

use super::*;

/// Something done to the main checkout.
type Edit = fn(&Bed);

/// A history in which `ours` and `theirs` change the same start.
struct Shape {
    name: &'static str,
    ours: Edit,
    theirs: Edit,
}

fn text(from: usize, to: usize) -> String {
    (from..to).fold(String::new(), |text, number| text + "line " + &number.to_string() + "\n")
}

fn put(bed: &Bed, path: &str, content: &str) {
    bed.scratch.write(path, content);
}

fn shapes() -> Vec<Shape> {
    let edit_top: Edit = |bed| put(bed, "a.txt", &text(0, 30).replace("line 2\n", "two\n"));
    let edit_end: Edit = |bed| put(bed, "a.txt", &text(0, 30).replace("line 27\n", "x\n"));
    let edit_top_otherwise: Edit = |bed| put(bed, "a.txt", &text(0, 30).replace("line 2\n", "deux\n"));
    let rename: Edit = |bed| _ = bed.scratch.git(&["mv", "a.txt", "dir/renamed.txt"]);
    let rename_otherwise: Edit = |bed| _ = bed.scratch.git(&["mv", "a.txt", "dir/other.txt"]);
    let delete: Edit = |bed| _ = bed.scratch.git(&["rm", "-q", "a.txt"]);
    let executable: Edit = |bed| _ = bed.scratch.git(&["update-index", "--chmod=+x", "a.txt"]);
    let binary: Edit = |bed| put(bed, "bin", "a\0b");
    let binary_otherwise: Edit = |bed| put(bed, "bin", "a\0c");
    let add: Edit = |bed| put(bed, "dir/new.txt", "new\n");
    let add_otherwise: Edit = |bed| put(bed, "dir/new.txt", "other\n");
    let rename_directory: Edit = |bed| _ = bed.scratch.git(&["mv", "dir", "folder"]);
    let edit_in_directory: Edit = |bed| put(bed, "dir/b.txt", &text(50, 80).replace("line 60\n", "sixty\n"));
    let file_to_directory: Edit = |bed| {
        bed.scratch.git(&["rm", "-q", "a.txt"]);
        put(bed, "a.txt/inner.txt", "x\n");
    };
    let shape = |name, ours, theirs| Shape { name, ours, theirs };
    vec![
        shape("both ends of one file", edit_top, edit_end),
        shape("the same line", edit_top, edit_top_otherwise),
        shape("the same edit", edit_top, edit_top),
        shape("rename and edit", rename, edit_end),
        shape("edit and rename", edit_end, rename),
        shape("rename and the same rename", rename, rename),
        shape("rename and another rename", rename, rename_otherwise),
        shape("rename and delete", rename, delete),
        shape("delete and edit", delete, edit_end),
        shape("edit and delete", edit_end, delete),
        shape("delete and delete", delete, delete),
        shape("add and add the same", add, add),
        shape("add and add another", add, add_otherwise),
        shape("mode and edit", executable, edit_end),
        shape("edit and mode", edit_top, executable),
        shape("mode and mode", executable, executable),
        shape("binary and binary", binary, binary_otherwise),
        shape("directory renamed, file in it edited", rename_directory, edit_in_directory),
        shape("directory renamed, file added to it", rename_directory, add),
        shape("file added, its directory renamed", add, rename_directory),
        shape("file becomes a directory, file edited", file_to_directory, edit_end),
        shape("file becomes a directory, another edited", file_to_directory, edit_in_directory),
        shape("nothing and an edit", |_| {}, edit_end),
    ]
}

#[test]
fn merges_in_memory_are_git_s() {
    for shape in shapes() {
        let bed = Bed::new();
        put(&bed, "a.txt", &text(0, 30));
        put(&bed, "dir/b.txt", &text(50, 80));
        put(&bed, "bin", "a\0a");
        bed.scratch.commit("start");
        for (name, change) in [("ours", shape.ours), ("theirs", shape.theirs)] {
            bed.scratch.git(&["switch", "-q", "-c", name, "main"]);
            change(&bed);
            let staged_mode = bed.scratch.git(&["diff", "--cached", "--summary"]).contains("mode change");
            if !staged_mode {
                bed.scratch.git(&["add", "-A"]);
            }
            bed.scratch.git(&["commit", "-q", "--allow-empty", "-m", name]);
            bed.scratch.git(&["reset", "-q", "--hard"]);
        }
        let git =
            bed.scratch.try_git(&["merge-tree", "--write-tree", "--name-only", "--no-messages", "ours", "theirs"]);
        let mut lines = git.stdout.lines();
        let tree = lines.next().unwrap_or_default().to_owned();
        match bed.merge("ours", "theirs") {
            Merged::Clean { tree: ours } => {
                assert_eq!((git.code, ours.as_str()), (0, tree.as_str()), "{}: {git:?}", shape.name);
            }
            Merged::Conflict { paths } => {
                assert_eq!(git.code, 1, "{}: {paths:?} {git:?}", shape.name);
                assert!(
                    lines.any(|path| paths.iter().any(|ours| ours == path.trim_end_matches("~theirs"))),
                    "{}: {paths:?} {git:?}",
                    shape.name
                );
                assert!(paths.is_sorted());
            }
        }
    }
}

#[test]
fn no_driver_of_the_configuration_is_run_in_a_merge() {
    let bed = Bed::new();
    let trap = bed.scratch.outside().join("ran");
    let script = format!("touch {}", trap.display());
    for key in
        ["merge.evil.driver", "filter.evil.clean", "filter.evil.smudge", "diff.evil.command", "diff.evil.textconv"]
    {
        bed.scratch.git(&["config", key, &script]);
    }
    bed.scratch.git(&["config", "merge.renormalize", "true"]);
    bed.scratch.git(&["config", "merge.default", "evil"]);
    put(&bed, "a.txt", &text(0, 30));
    let start = bed.scratch.commit("start");
    // Written without a work tree, so that only the merge could run the driver.
    let attributes = bed.scratch.outside().join("attributes");
    std::fs::write(&attributes, "* merge=evil filter=evil diff=evil\n").unwrap();
    let blob = bed.scratch.git(&["hash-object", "-w", "--no-filters", attributes.to_str().unwrap()]);
    for (name, edit) in [("ours", ("line 2\n", "two\n")), ("theirs", ("line 27\n", "x\n"))] {
        std::fs::write(&attributes, text(0, 30).replace(edit.0, edit.1)).unwrap();
        let file = bed.scratch.git(&["hash-object", "-w", "--no-filters", attributes.to_str().unwrap()]);
        bed.scratch.git(&["read-tree", &start]);
        bed.scratch.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},.gitattributes")]);
        bed.scratch.git(&["update-index", "--cacheinfo", &format!("100644,{file},a.txt")]);
        let tree = bed.scratch.git(&["write-tree"]);
        let commit = bed.scratch.git(&["commit-tree", "-p", &start, "-m", name, &tree]);
        bed.scratch.git(&["update-ref", &format!("refs/heads/{name}"), &commit]);
    }
    let bed = Bed::of(bed.scratch);
    let Merged::Clean { tree } = bed.merge("ours", "theirs") else { panic!("a conflict") };
    let merged = bed.scratch.git(&["cat-file", "blob", &format!("{tree}:a.txt")]);
    assert!(merged.contains("two\n") && merged.contains("\nx\n"), "{merged}");
    assert!(!trap.exists());
}

#[test]
fn a_review_carries_over_a_base_that_moved_elsewhere_only() {
    let bed = Bed::new();
    put(&bed, "a.txt", &text(0, 60));
    bed.scratch.commit("start");
    bed.scratch.git(&["switch", "-q", "-c", "story"]);
    put(&bed, "a.txt", &text(0, 60).replace("line 10\n", "ten\n"));
    put(&bed, "new.txt", "new\n");
    bed.scratch.commit("story");
    bed.scratch.git(&["switch", "-q", "main"]);
    let id = |name: &str| Oid::new(bed.scratch.git(&["rev-parse", name]));
    let tree = |base: &Oid| match wait(bed.lander.merge(base, &id("story"))).unwrap() {
        Merged::Clean { tree } => tree,
        Merged::Conflict { paths } => panic!("{paths:?}"),
    };
    let base = id("main");
    let seen = (base.clone(), tree(&base));
    let carries = |path: &str, content: &str| {
        put(&bed, path, content);
        let moved = Oid::new(bed.scratch.commit("moved"));
        let now = (moved.clone(), tree(&moved));
        let carried = wait(bed.lander.same_change((&seen.0, &seen.1), (&now.0, &now.1))).unwrap();
        let by_git = |(base, tree): &(Oid, Oid)| {
            let diff = bed.scratch.outside().join("diff");
            let text = bed.scratch.git(&["diff", "--full-index", base.as_str(), tree.as_str()]) + "\n";
            std::fs::write(&diff, text).unwrap();
            let mut command = bed.scratch.command("git");
            command.args(["patch-id", "--stable"]).stdin(std::fs::File::open(&diff).unwrap());
            run(&mut command).stdout.split(' ').next().unwrap_or_default().to_owned()
        };
        assert_eq!(carried, by_git(&seen) == by_git(&now), "{path}");
        bed.scratch.git(&["reset", "-q", "--hard", base.as_str()]);
        carried
    };
    assert!(carries("other.txt", "x\n"));
    assert!(carries("a.txt", &text(0, 60).replace("line 50\n", "fifty\n")));
    assert!(carries("a.txt", &format!("0\n0\n{}", text(0, 60))));
    assert!(!carries("a.txt", &text(0, 60).replace("line 13\n", "thirteen\n")));
    assert!(!carries("new.txt", "new\n"));
}

#[test]
fn authors_are_persons_unless_the_address_is_the_agents() {
    let bed = Bed::new();
    let spec = bed.spec("1.1-first");
    bed.prepare(&spec).unwrap();
    write(&spec.path, "a.txt", "a\n");
    bed.commit_all(&spec);
    let persons =
        || wait(bed.lander.person_authors(&bed.head(), &Oid::new(bed.inside(&spec.path, &["rev-parse", "HEAD"]))));
    assert_eq!(persons().unwrap(), []);
    bed.inside(&spec.path, &["commit", "-q", "--allow-empty", "-m", "by hand", "--author", "Bob <bob@example.org>"]);
    bed.inside(&spec.path, &["commit", "-q", "--allow-empty", "-m", "by hand"]);
    let person = |address: &str| Principal::Person(address.to_owned());
    assert_eq!(persons().unwrap(), [person("ada@example.org"), person("bob@example.org")]);
}
