//! Chains of agents: the next client takes a story that the first one cannot have, and the record says why.

use crate::clients::Client;
use crate::failures::{faulty, refuse};
use crate::limits::until;
use crate::model::{Answer, Kind, Model};
use crate::world::World;

/// Whether a request comes from this client, by the model it asks for.
fn is_of(client: Client, model: &str) -> bool {
    let prefix = match client {
        Client::Claude => "claude",
        Client::Codex => "gpt",
        Client::Gemini => "gemini",
    };
    model.starts_with(prefix)
}

/// A model that answers authors that use `client` with a fault.
fn closed(client: Client, fault: impl Fn() -> Answer + Send + Sync + 'static) -> Model {
    faulty(move |ask, _| (ask.is(Kind::Author) && is_of(client, &ask.model)).then(&fault))
}

/// `first` ends with `class` and is not tried again; `second` takes the story, is told so, and lands it.
fn takes_over(what: &str, [first, second, reviewer]: [Client; 3], class: &str, model: Model) {
    let name = format!("{}-{what}", first.name());
    let Some(world) = World::with_chain(&name, &[first, second], reviewer, "", model) else { return };
    let world = world.with("CLAUDE_CODE_MAX_RETRIES", "1");
    world.stories(&["1.1"]);
    let run = world.run(&["stories"]);
    eprintln!("{}\n{}\n{}", run.stdout, run.stderr, world.show("1.1"));
    world.assert_landed(&run, &["1.1"]);
    let shown = world.show("1.1");
    let authors: Vec<_> = shown["sessions"].as_array().unwrap().iter().filter(|one| one["phase"] != "review").collect();
    assert_eq!(authors.len(), 2, "{shown}");
    assert_eq!(authors[0]["end"]["class"], class, "{shown}");
    for (session, client) in authors.iter().zip([first, second]) {
        let principal = session["principal"].as_str().unwrap();
        assert!(principal.starts_with(&format!("agent:{}:", client.name())), "{shown}");
    }
    let name = world.project.scratch.git(&["log", "--no-merges", "--format=%an", "--", "1.1.txt"]);
    assert!(name.ends_with(&format!(" via {}", second.name())), "{name}");
    let why = format!("{} is", first.name());
    assert!(world.history("1.1").contains(&why), "the record says why: {}", world.history("1.1"));
}

fn unauthorized() -> Answer {
    refuse(401, "authentication_error", "invalid x-api-key")
}

#[test]
#[ignore = "real agents: see README"]
fn codex_takes_the_story_of_a_claude_whose_key_is_refused() {
    let clients = [Client::Claude, Client::Codex, Client::Gemini];
    takes_over("refused", clients, "auth", closed(Client::Claude, unauthorized));
}

#[test]
#[ignore = "real agents: see README"]
fn claude_takes_the_story_of_a_codex_whose_key_is_refused() {
    let clients = [Client::Codex, Client::Claude, Client::Gemini];
    takes_over("refused", clients, "auth", closed(Client::Codex, unauthorized));
}

#[test]
#[ignore = "real agents: see README"]
fn claude_takes_the_story_of_a_gemini_whose_key_is_refused() {
    let clients = [Client::Gemini, Client::Claude, Client::Codex];
    takes_over("refused", clients, "auth", closed(Client::Gemini, unauthorized));
}

/// It ends with code 173, which is 429 modulo 256, where it would have to wait an hour.
#[test]
#[ignore = "real agents: see README"]
fn claude_takes_the_story_of_a_gemini_that_is_limited_for_an_hour() {
    let clients = [Client::Gemini, Client::Claude, Client::Codex];
    takes_over("hour", clients, "rate-limited", closed(Client::Gemini, || until(Client::Gemini, 3600).1));
}

#[test]
#[ignore = "real agents: see README"]
fn claude_takes_the_story_of_a_codex_that_is_limited_for_an_hour() {
    let clients = [Client::Codex, Client::Claude, Client::Gemini];
    takes_over("hour", clients, "rate-limited", closed(Client::Codex, || until(Client::Codex, 3600).1));
}
