//! What is taken from the allowed signers and from the answers of `ssh-keygen`; real keys are in the integration tests.

use super::*;

#[test]
fn lines_whose_name_is_a_pattern_are_passed_over() {
    let file = b"# * is no name\na@x.org ssh-ed25519 A\n* ssh-ed25519 B\n\"*@x.org,b@x.org\" ssh-ed25519 C\n\
                 *@x.org cert-authority ssh-ed25519 D\n";
    let kept = String::from_utf8(narrow(file)).unwrap();
    assert_eq!(kept, "# * is no name\na@x.org ssh-ed25519 A\n\n\n*@x.org cert-authority ssh-ed25519 D\n");
    assert!(broad(file) && !broad(kept.as_bytes()));
}

#[test]
fn only_a_good_answer_names_a_key() {
    let good = b"Good \"git\" signature for a b@x.org with ED25519 key SHA256:abc\n";
    assert_eq!(fingerprint_in(good).as_deref(), Some("SHA256:abc"));
    assert_eq!(fingerprint_in(b""), None);
    assert_eq!(fingerprint_in(b"Good \"git\" signature for a\n"), None);
    assert_eq!(fingerprint_in(b"Bad signature with key SHA256:abc\n"), None);
}

#[test]
fn agents_and_other_formats_are_refused_without_asking_anybody() {
    let agent = Principal::Agent { adapter: "a".to_owned(), session: "s".to_owned() };
    assert!(matches!(verify(b"", ARMOR, &agent, b""), Err(Unverified::NotAPerson(_))));
    let person = Principal::Person("a@x.org".to_owned());
    assert_eq!(verify(b"", "-----BEGIN PGP SIGNATURE-----", &person, b""), Err(Unverified::NotSsh));
}
