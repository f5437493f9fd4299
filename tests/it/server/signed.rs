//! Required signatures on a server: by the signers that its own branch allows, never by those that a push brings.

use super::Hub;
use crate::support::run;

const SIGNERS: &str = ".orchestrate.signers";
const ITEM: &str = "refs/orchestrate/items/1.1";

/// A key of this name, configured as the one that git signs with; returns its line in the allowed signers.
fn key(hub: &Hub, name: &str) -> String {
    let scratch = &hub.project.scratch;
    let path = scratch.outside().join(name);
    let ran = run(scratch.command("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path));
    assert_eq!(ran.code, 0, "{ran:?}");
    let public = path.with_extension("pub");
    scratch.git(&["config", "gpg.format", "ssh"]);
    scratch.git(&["config", "user.signingKey", public.to_str().unwrap()]);
    let text = std::fs::read_to_string(public).unwrap();
    format!("bob@example.org namespaces=\"git\" {}\n", text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

fn commit_signers(hub: &Hub, line: &str) {
    hub.project.scratch.write(SIGNERS, line);
    hub.project.scratch.commit("signers");
}

/// Runs story 1.1 up to the signed approval, gives it, and lands.
fn approve_and_land(hub: &Hub) {
    let ran = hub.project.stories(&[]);
    assert_eq!(ran.code, 5, "{}\n{}", ran.stdout, ran.stderr);
    let ran = hub.project.as_person("bob@example.org", &["review", "1.1", "--approve", "--sign", "-m", "read it"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = hub.project.orchestrate(&["land", "1.1"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn an_approval_signed_by_an_allowed_key_is_taken() {
    let hub = Hub::empty("[gates]\nsignatures = \"required\"\n");
    let line = key(&hub, "bob");
    commit_signers(&hub, &line);
    hub.git(&["push", "-q", "origin", "main"]);
    assert_eq!(hub.init().code, 0);
    approve_and_land(&hub);
    hub.refused(&["main"], "story 1.1");
    hub.accepted(&["--atomic", "main", ITEM]);
}

#[test]
fn signers_that_the_push_itself_brings_do_not_count() {
    let hub = Hub::empty("[gates]\nsignatures = \"required\"\n");
    commit_signers(&hub, "# nobody yet\n");
    hub.git(&["push", "-q", "origin", "main"]);
    assert_eq!(hub.init().code, 0);
    let line = key(&hub, "eve");
    commit_signers(&hub, &line);
    approve_and_land(&hub);
    hub.refused(&["--atomic", "main", ITEM], "is not allowed to sign for bob@example.org");
    hub.refused(&["main", ITEM], "is not allowed to sign for bob@example.org");
}
