//! Signed approvals with real keys: what a signature is made over, who may sign, and that nothing else lands where the policy
//! requires signatures.

use git_orchestrate::adapters::git::repo::Repo;
use git_orchestrate::adapters::git::signing::verify;
use git_orchestrate::adapters::ledger::store::Store;
use git_orchestrate::domain::event::{Finding, ItemEvent, Review, ReviewVerdict, Signature};
use git_orchestrate::domain::names::{ItemKey, Oid, PolicyVersion, Principal, Timestamp};
use git_orchestrate::domain::statement::{self, Unverified};
use git_orchestrate::engine::ports::{Ledger, Record};

use crate::project::Project;
use crate::support::{Ran, Scratch, run};

const REQUIRED: &str = "[gates]\nsignatures = \"required\"\n";
const SIGNERS: &str = ".orchestrate.signers";

/// A key pair outside the repository.
struct Key(std::path::PathBuf);

impl Key {
    fn new(scratch: &Scratch, name: &str) -> Self {
        let path = scratch.outside().join(name);
        let mut command = scratch.command("ssh-keygen");
        let ran = run(command.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&path));
        assert_eq!(ran.code, 0, "{ran:?}");
        Self(path)
    }

    /// Type and key.
    fn public(&self) -> String {
        let text = std::fs::read_to_string(self.0.with_extension("pub")).unwrap();
        text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    fn line(&self, who: &str) -> String {
        format!("{who} namespaces=\"git\" {}\n", self.public())
    }

    fn fingerprint(&self, scratch: &Scratch) -> String {
        let ran = run(scratch.command("ssh-keygen").arg("-lf").arg(&self.0));
        ran.stdout.split_whitespace().nth(1).unwrap().to_owned()
    }

    /// An armored signature in a namespace.
    fn sign(&self, scratch: &Scratch, namespace: &str, bytes: &[u8]) -> String {
        let file = scratch.outside().join("signed");
        let armored = scratch.outside().join("signed.sig");
        std::fs::write(&file, bytes).unwrap();
        drop(std::fs::remove_file(&armored));
        let ran =
            run(scratch.command("ssh-keygen").args(["-Y", "sign", "-n", namespace, "-f"]).arg(&self.0).arg(&file));
        assert_eq!(ran.code, 0, "{ran:?}");
        std::fs::read_to_string(armored).unwrap()
    }

    /// Makes it the key that git signs with.
    fn use_in(&self, scratch: &Scratch) {
        scratch.git(&["config", "gpg.format", "ssh"]);
        scratch.git(&["config", "user.signingKey", self.0.with_extension("pub").to_str().unwrap()]);
    }
}

fn review() -> Review {
    Review {
        reviewer: bob(),
        verdict: ReviewVerdict::Approve,
        base: Oid::new("b1"),
        head: Oid::new("c1"),
        merge_tree: Oid::new("d1"),
        policy: PolicyVersion::new("p1"),
        story: Oid::new("e1"),
        findings: vec![Finding { path: "a.rs".to_owned(), line: 1, text: "fine".to_owned() }],
        message: "reads well".to_owned(),
        at: Timestamp(7),
        signature: None,
    }
}

fn bob() -> Principal {
    Principal::Person("bob@example.org".to_owned())
}

fn bytes_of(review: &Review) -> Vec<u8> {
    statement::bytes(&ItemKey::new("1.1"), 1, review)
}

#[test]
fn a_signature_is_good_for_exactly_one_statement() {
    let scratch = Scratch::empty();
    let key = Key::new(&scratch, "bob");
    let allowed = key.line("bob@example.org");
    let armored = key.sign(&scratch, "git", &bytes_of(&review()));
    let good = verify(&bytes_of(&review()), &armored, &bob(), allowed.as_bytes()).unwrap();
    assert_eq!((good.principal.as_str(), good.fingerprint), ("bob@example.org", key.fingerprint(&scratch)));
    let alter: [fn(&mut Review); 10] = [
        |review| review.verdict = ReviewVerdict::RequestChanges,
        |review| review.base = Oid::new("b2"),
        |review| review.head = Oid::new("c2"),
        |review| review.merge_tree = Oid::new("d2"),
        |review| review.policy = PolicyVersion::new("p2"),
        |review| review.story = Oid::new("e2"),
        |review| review.reviewer = Principal::Person("eve@example.org".to_owned()),
        |review| review.findings.clear(),
        |review| review.message.clear(),
        |review| review.at = Timestamp(8),
    ];
    for alter in alter {
        let mut altered = review();
        alter(&mut altered);
        let found = verify(&bytes_of(&altered), &armored, &bob(), allowed.as_bytes());
        assert_eq!(found, Err(Unverified::Altered), "{altered:?}");
    }
    for other in
        [statement::bytes(&ItemKey::new("1.2"), 1, &review()), statement::bytes(&ItemKey::new("1.1"), 2, &review())]
    {
        assert_eq!(verify(&other, &armored, &bob(), allowed.as_bytes()), Err(Unverified::Altered));
    }
    let elsewhere = key.sign(&scratch, "file", &bytes_of(&review()));
    let found = verify(&bytes_of(&review()), &elsewhere, &bob(), allowed.as_bytes());
    assert_eq!(found, Err(Unverified::Altered), "a signature made for another purpose");
    let cut = &armored[..armored.len() / 2];
    assert_eq!(verify(&bytes_of(&review()), cut, &bob(), allowed.as_bytes()), Err(Unverified::Altered));
}

#[test]
fn only_a_key_that_is_listed_for_the_reviewer_signs() {
    let scratch = Scratch::empty();
    let (key, other) = (Key::new(&scratch, "bob"), Key::new(&scratch, "other"));
    let statement = bytes_of(&review());
    let armored = key.sign(&scratch, "git", &statement);
    let public = key.public();
    let refused = [
        ("an empty file", String::new(), ""),
        ("an unknown key", other.line("bob@example.org"), ""),
        ("another person's key", key.line("ada@example.org"), ""),
        ("another namespace", format!("bob@example.org namespaces=\"file\" {public}\n"), "namespace"),
        ("an expired key", format!("bob@example.org valid-before=\"20200101\" {public}\n"), "expired"),
        ("a pattern for a name", format!("*@example.org {public}\n"), "pattern"),
        ("no allowed signers file", "junk\n\u{1b}[2J\n".to_owned(), ""),
    ];
    for (what, allowed, detail) in refused {
        match verify(&statement, &armored, &bob(), allowed.as_bytes()) {
            Err(Unverified::NotAllowed { fingerprint, reviewer, detail: said }) => {
                assert_eq!((fingerprint, reviewer.as_str()), (key.fingerprint(&scratch), "bob@example.org"), "{what}");
                assert!(said.contains(detail) && !said.contains('\u{1b}'), "{what}: {said}");
            }
            found => panic!("{what}: {found:?}"),
        }
    }
    let several = format!("# people\n{}ada@example.org,bob@example.org {public}\n", other.line("bob@example.org"));
    assert!(verify(&statement, &armored, &bob(), several.as_bytes()).is_ok());
}

/// A project that requires signatures and allows these people.
fn strict(script: &str, signers: &[(&str, &str)]) -> (Project, Vec<Key>) {
    let project = Project::new(script, REQUIRED);
    let keys: Vec<Key> = signers.iter().map(|(name, _)| Key::new(&project.scratch, name)).collect();
    let lines: String = keys.iter().zip(signers).map(|(key, (_, who))| key.line(who)).collect();
    project.scratch.write(SIGNERS, lines);
    project.story("1.1", "First", "None").commit();
    (project, keys)
}

/// Runs the stories; everything but the signed approval is there then.
fn until_signature(project: &Project) -> Ran {
    let ran = project.stories(&[]);
    assert_eq!(ran.code, 5, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(project.merges_of("1.1"), 0);
    ran
}

fn sign(project: &Project, who: &str) -> Ran {
    project.as_person(who, &["review", "1.1", "--approve", "--sign", "-m", "read it"])
}

fn reviews(project: &Project) -> Vec<Review> {
    let mut store = Store::new(&Repo::discover(&project.scratch.root()).unwrap());
    store.item(&ItemKey::new("1.1")).unwrap().unwrap().reviews
}

#[test]
fn a_story_waits_for_the_signed_approval_and_lands_with_it() {
    let (project, keys) = strict("", &[("bob", "bob@example.org")]);
    let ran = until_signature(&project);
    assert!(ran.stdout.contains("git orchestrate review 1.1 --approve --sign"), "{}", ran.stdout);
    let unsigned = project.as_person("bob@example.org", &["review", "1.1", "--approve", "-m", "read it"]);
    assert_eq!(unsigned.code, 3, "{unsigned:?}");
    assert!(unsigned.stderr.contains("review 1.1 --approve --sign"), "{}", unsigned.stderr);
    keys[0].use_in(&project.scratch);
    let signed = sign(&project, "bob@example.org");
    assert_eq!(signed.code, 0, "{signed:?}");
    let ran = project.orchestrate(&["resume"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(project.merges_of("1.1"), 1);
    let fingerprint = keys[0].fingerprint(&project.scratch);
    let show = project.orchestrate(&["show", "1.1"]);
    assert!(show.stdout.contains(&format!("signed with key {fingerprint}")), "{}", show.stdout);
    let json: serde_json::Value =
        serde_json::from_str(&project.orchestrate(&["show", "1.1", "--json"]).stdout).unwrap();
    let recorded = json["reviews"].as_array().unwrap().last().unwrap();
    assert_eq!(recorded["signature"]["key"], fingerprint.as_str());
    assert_eq!(recorded["reviewer"], "person:bob@example.org");
    project.assert_tidy();
}

#[test]
fn a_person_s_review_that_the_policy_wants_is_to_be_signed() {
    let (project, keys) = strict("", &[("bob", "bob@example.org")]);
    let policy = project.scratch.read(".orchestrate.toml");
    project.scratch.write(".orchestrate.toml", format!("{policy}\n[review]\nby = \"human\"\n"));
    project.commit();
    let ran = until_signature(&project);
    assert!(ran.stdout.contains("review 1.1 --approve --sign"), "{}", ran.stdout);
    keys[0].use_in(&project.scratch);
    assert_eq!(sign(&project, "bob@example.org").code, 0);
    assert_eq!(project.orchestrate(&["resume"]).code, 0);
    assert_eq!(project.merges_of("1.1"), 1);
}

#[test]
fn the_signer_is_whom_the_key_stands_for_whatever_git_is_told() {
    let (project, keys) = strict("", &[("bob", "bob@example.org")]);
    until_signature(&project);
    keys[0].use_in(&project.scratch);
    let signed = sign(&project, "somebody@example.org");
    assert_eq!(signed.code, 0, "{signed:?}");
    let newest = reviews(&project).pop().unwrap();
    assert_eq!(newest.reviewer, bob());
    assert_eq!(project.orchestrate(&["land", "1.1"]).code, 0);
}

#[test]
fn a_key_that_is_not_listed_is_refused_with_the_line_that_would_list_it() {
    let (project, _) = strict("", &[("bob", "bob@example.org")]);
    until_signature(&project);
    let eve = Key::new(&project.scratch, "eve");
    eve.use_in(&project.scratch);
    let before = reviews(&project);
    let refused = sign(&project, "bob@example.org");
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(
        refused.stderr.contains(SIGNERS) && refused.stderr.contains(eve.line("bob@example.org").trim()),
        "{}",
        refused.stderr
    );
    assert_eq!(reviews(&project), before, "nothing is recorded");
}

#[test]
fn without_the_requirement_an_unlisted_key_is_warned_about_and_kept() {
    let project = Project::new("", "[review]\nby = \"human\"\n");
    project.story("1.1", "First", "None").commit();
    until_signature(&project);
    let key = Key::new(&project.scratch, "bob");
    key.use_in(&project.scratch);
    let signed = sign(&project, "bob@example.org");
    assert_eq!(signed.code, 0, "{signed:?}");
    assert!(signed.stderr.contains("warning:") && signed.stderr.contains("not allowed to sign"), "{}", signed.stderr);
    let newest = reviews(&project).pop().unwrap();
    assert_eq!((newest.reviewer, newest.signature.unwrap().key), (bob(), key.fingerprint(&project.scratch)));
    assert_eq!(project.orchestrate(&["land", "1.1"]).code, 0);
}

#[test]
fn a_signer_who_is_taken_off_the_target_signs_no_landing_any_more() {
    let (project, keys) = strict("", &[("bob", "bob@example.org")]);
    until_signature(&project);
    keys[0].use_in(&project.scratch);
    assert_eq!(sign(&project, "bob@example.org").code, 0);
    project.scratch.write(SIGNERS, "");
    let revoked = project.scratch.commit("bob left");
    for command in ["land", "resume"] {
        let ran = project.orchestrate(&[command]);
        assert_eq!(ran.code, 5, "{}\n{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("not allowed to sign for bob@example.org"), "{}", ran.stdout);
        assert_eq!(project.scratch.git(&["rev-parse", "main"]), revoked);
    }
}

#[test]
fn a_story_cannot_name_its_own_signers() {
    let (project, _) = strict("", &[("bob", "bob@example.org")]);
    let eve = Key::new(&project.scratch, "eve");
    let line = eve.line("eve@example.org").replace('"', "\\\"").trim_end().to_owned();
    let work = format!("{{ write = {{ path = \"{SIGNERS}\", text = \"{line}\\n\" }} }}, {{ commit = \"w\" }}");
    project.script(&format!("[[step]]\nphase = \"implementation\"\ndo = [{work}]\n"));
    until_signature(&project);
    let branch = project.scratch.git(&["for-each-ref", "--format=%(refname)", "refs/heads/story/"]);
    assert!(project.scratch.git(&["show", &format!("{branch}:{SIGNERS}")]).starts_with("eve@example.org"));
    // Neither the pushed tree nor the work tree is asked.
    project.scratch.write(SIGNERS, eve.line("eve@example.org"));
    eve.use_in(&project.scratch);
    let refused = sign(&project, "eve@example.org");
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.stderr.contains("not allowed to sign for eve@example.org"), "{}", refused.stderr);
}

#[test]
fn an_author_signs_nothing_under_any_address() {
    let (project, keys) = strict("", &[("bob", "bob@example.org"), ("ada", "Ada@Example.org")]);
    until_signature(&project);
    let place = project.scratch.root().join(".worktrees");
    let worktree = std::fs::read_dir(place).unwrap().next().unwrap().unwrap().path();
    // Ada adds a commit of her own to the story.
    project.scratch.git(&["-C", worktree.to_str().unwrap(), "commit", "-q", "--allow-empty", "-m", "mine"]);
    let before = reviews(&project);
    keys[1].use_in(&project.scratch);
    for claimed in ["ada@example.org", "somebody@example.org"] {
        let refused = sign(&project, claimed);
        assert_eq!(refused.code, 3, "{claimed}: {refused:?}");
        assert!(refused.stderr.contains("wrote part of story 1.1"), "{claimed}: {}", refused.stderr);
    }
    // Another's key does not help whom git knows as the author.
    keys[0].use_in(&project.scratch);
    assert_eq!(sign(&project, "ada@example.org").code, 3);
    assert_eq!(reviews(&project), before);
    assert_eq!(sign(&project, "bob@example.org").code, 0);
}

#[test]
fn an_agent_s_process_signs_nothing() {
    let (project, keys) = strict("", &[("bob", "bob@example.org")]);
    until_signature(&project);
    keys[0].use_in(&project.scratch);
    let before = reviews(&project);
    let args = ["review", "1.1", "--approve", "--sign", "-m", "x"];
    let mut own = project.scratch.orchestrate_command();
    let mut below = project.scratch.command("sh");
    let binary = env!("CARGO_BIN_EXE_git-orchestrate");
    // The mark is on the parent only: the child sheds it.
    below.args(["-c", "env -u ORCHESTRATE_ATTEMPT \"$@\"; exit $?", "sh", binary]);
    for command in [own.args(args), below.args(args)] {
        let ran = run(command.env("GIT_AUTHOR_EMAIL", "bob@example.org").env("ORCHESTRATE_ATTEMPT", "a-1"));
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(ran.stderr.contains("belongs to an agent's attempt"), "{}", ran.stderr);
    }
    assert_eq!(reviews(&project), before);
}

#[test]
fn without_an_ssh_key_the_commands_that_set_one_up_are_named() {
    let (project, _) = strict("", &[("bob", "bob@example.org")]);
    until_signature(&project);
    let git = |args: &[&str]| project.scratch.git(args);
    let refused = |words: &str| {
        let ran = sign(&project, "bob@example.org");
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
        assert!(ran.stderr.contains("git config gpg.format ssh") && ran.stderr.contains("git config user.signingKey"));
    };
    refused("gpg.format is not set");
    git(&["config", "gpg.format", "openpgp"]);
    refused("only ssh keys can sign a review; gpg.format is openpgp");
    git(&["config", "gpg.format", "ssh"]);
    refused("user.signingKey is not set");
    git(&["config", "user.signingKey", "/nowhere/key.pub"]);
    let ran = sign(&project, "bob@example.org");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("could not be signed"), "{}", ran.stderr);
}

#[test]
fn forged_records_and_a_forged_verifier_land_nothing() {
    let (project, keys) = strict("", &[("bob", "bob@example.org")]);
    until_signature(&project);
    let main = project.scratch.git(&["rev-parse", "main"]);
    keys[0].use_in(&project.scratch);
    // What an agent can write into the repository's configuration is not asked when a signature is verified.
    let signed = sign(&project, "bob@example.org");
    assert_eq!(signed.code, 0, "{signed:?}");
    let genuine = reviews(&project).pop().unwrap();
    let liar = project.scratch.outside().join("liar");
    let good = format!(
        "Good \"git\" signature for bob@example.org with ED25519 key {}",
        keys[0].fingerprint(&project.scratch)
    );
    std::fs::write(&liar, format!("#!/bin/sh\necho '{good}'\n")).unwrap();
    std::fs::set_permissions(&liar, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    project.scratch.git(&["config", "gpg.ssh.program", liar.to_str().unwrap()]);
    let eve = Key::new(&project.scratch, "eve");
    let forged = |change: &dyn Fn(&mut Review)| {
        let mut review = genuine.clone();
        change(&mut review);
        let event = ItemEvent::Reviewed { attempt: None, review, more: false };
        let mut store = Store::new(&Repo::discover(&project.scratch.root()).unwrap());
        let record = Record::Item { key: ItemKey::new("1.1"), event, at: Timestamp(9), artefacts: Vec::new() };
        store.append(&[record]).unwrap();
        let ran = project.orchestrate(&["land", "1.1"]);
        assert_eq!(ran.code, 5, "{}\n{}", ran.stdout, ran.stderr);
        assert_eq!(project.scratch.git(&["rev-parse", "main"]), main);
        ran.stdout
    };
    let said = forged(&|review| review.message = "something else".to_owned());
    assert!(said.contains("made over something else"), "{said}");
    let said = forged(&|review| review.reviewer = Principal::Person("carol@example.org".to_owned()));
    assert!(said.contains("made over something else"), "{said}");
    let said = forged(&|review| review.signature = None);
    assert!(said.contains("did not sign"), "{said}");
    let said = forged(&|review| {
        let armored = eve.sign(&project.scratch, "git", &bytes_of(review));
        review.signature = Some(Signature { armored, key: keys[0].fingerprint(&project.scratch) });
    });
    assert!(said.contains("not allowed to sign for bob@example.org"), "{said}");
    let said = forged(&|review| review.signature.as_mut().unwrap().key = "SHA256:other".to_owned());
    assert!(said.contains("not SHA256:other"), "{said}");
}
