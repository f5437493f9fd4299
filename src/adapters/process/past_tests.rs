//! Tests of exit files.

use super::*;

fn left(dir: &Path, name: &str, finish: Option<Finish>) -> PathBuf {
    let folder = attempt_folder(dir, "a-1").join(name);
    fs::create_dir_all(&folder).unwrap();
    if let Some(finish) = finish {
        write(&folder.join(EXIT_FILE), &Report::of(finish)).unwrap();
    }
    folder
}

#[test]
fn invocations_are_found_in_order_with_their_ends() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(invocations(dir.path(), "a-1"), []);
    left(dir.path(), "10-review", None);
    left(dir.path(), "9-review-response", Some(Finish::Interrupted));
    let folder = left(dir.path(), "2-implementation", Some(Finish::Exit(0)));
    fs::write(attempt_folder(dir.path(), "a-1").join("1-check.log"), "").unwrap();
    let found = invocations(dir.path(), "a-1");
    assert_eq!(
        found[0],
        Invocation { folder, number: 2, phase: "implementation".to_owned(), ended: Some(Ended::Exit(0)) }
    );
    let rest: Vec<_> = found[1..].iter().map(|one| (one.number, one.phase.as_str(), one.ended.clone())).collect();
    assert_eq!(rest, [(9, "review-response", None), (10, "review", None)]);
}

#[test]
fn an_exit_file_is_read_as_written_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(EXIT_FILE);
    let all = [
        Finish::Exit(3),
        Finish::Signal(9),
        Finish::WallTimeout,
        Finish::IdleTimeout,
        Finish::Cancelled,
        Finish::NotStarted("why".to_owned()),
    ];
    for finish in all {
        let report = Report { left_out: 7, note: Some("n".to_owned()), ..Report::of(finish.clone()) };
        write(&path, &report).unwrap();
        assert_eq!(read(&path), Some(report));
        assert_eq!(ended(dir.path()), Some(finish.ended()));
    }
    for broken in ["", "{", "{\"version\":2,\"ended\":\"cancelled\",\"leftOut\":0,\"killed\":0,\"left\":0}"] {
        fs::write(&path, broken).unwrap();
        assert_eq!(read(&path), None, "{broken}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
}
