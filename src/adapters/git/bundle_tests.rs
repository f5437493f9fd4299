//! What the head of a bundle may look like.

use super::*;

fn read(text: &str) -> Result<Head, PortError> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.bundle");
    fs::write(&file, text).unwrap();
    head(&file)
}

#[test]
fn the_head_is_read_and_nonsense_is_named() {
    let id = "0123456789012345678901234567890123456789";
    let found =
        read(&format!("# v3 git bundle\n@object-format=sha1\n-{id} old\n{id} refs/heads/main\n\nPACK")).unwrap();
    assert_eq!(found.needs, [Oid::new(id)]);
    assert_eq!(found.refs.keys().collect::<Vec<_>>(), ["refs/heads/main"]);
    for wrong in ["", "PACK", "# v2 git bundle\n", "# v2 git bundle\nx refs/heads/main\n\n"] {
        assert!(read(wrong).unwrap_err().message.contains("is no git bundle"), "{wrong}");
    }
    let outside = format!("# v2 git bundle\n{id} refs/heads/../../x\n\n");
    assert!(read(&outside).unwrap_err().message.contains("is no ref"));
}
