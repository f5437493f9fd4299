//! What goes wrong with a model or a client, and how each story ends then: as the design says, with nothing alive.

use serde_json::Value;

use crate::clients::Client;
use crate::model::{Answer, Ask, Kind, Model, Said, honest};
use crate::world::{Run, World};

/// Short delays, so that a second try is seen.
const RETRY: &str = "[retry]\nfirst_delay = \"1s\"\nmax_delay = \"2s\"\nbreaker_pause = \"2s\"\n";

/// One story through `client`, reviewed by another one, with a model that behaves as `model` says.
pub fn one_story(what: &str, client: Client, config: &str, model: Model) -> Option<(World, Run)> {
    let name = format!("{}-{what}", client.name());
    let world = World::new(&name, client, client.other(), &format!("{config}{RETRY}"), model)?;
    // It has much patience by itself; the others have theirs in their configuration.
    let world = world.with("CLAUDE_CODE_MAX_RETRIES", "1");
    world.stories(&["1.1"]);
    let run = world.run(&["stories"]);
    eprintln!("{}\n{}\n{}", run.stdout, run.stderr, world.show("1.1"));
    Some((world, run))
}

/// A model that answers as `fault` says where that says anything.
pub fn faulty(fault: impl Fn(&Ask, usize) -> Option<Answer> + Send + Sync + 'static) -> Model {
    Box::new(move |ask, nth| fault(ask, nth).filter(|_| !ask.aside).unwrap_or_else(|| honest(ask)))
}

/// A fault of the very first request.
fn once(fault: fn() -> Answer) -> Model {
    faulty(move |ask, nth| (ask.is(Kind::Author) && ask.step() == 0 && nth == 0).then(fault))
}

/// A fault that lasts as long as the first session.
fn first_session(fault: fn() -> Answer) -> Model {
    faulty(move |ask, _| (ask.sessions <= 1).then(fault))
}

pub fn refuse(status: u16, kind: &str, message: &str) -> Answer {
    Answer::Refuse { status, headers: Vec::new(), kind: kind.to_owned(), message: message.to_owned() }
}

fn too_many() -> Answer {
    let headers = vec![("retry-after".to_owned(), "1".to_owned())];
    Answer::Refuse {
        status: 429,
        headers,
        kind: "rate_limit_error".to_owned(),
        message: "Too many requests".to_owned(),
    }
}

fn overloaded() -> Answer {
    refuse(503, "overloaded_error", "Overloaded")
}

/// No sentence twice: a client takes repetition for a loop of the model.
fn broken() -> Answer {
    let text: String = (0..40).map(|number| format!("Sentence {number} of {}.\n", number * 7919)).collect();
    Answer::Cut(Said::Text(text))
}

/// Sessions of authors on record, oldest first.
fn authors(world: &World) -> Vec<Value> {
    let shown = world.show("1.1");
    let sessions = shown["sessions"].as_array().unwrap().iter();
    sessions.filter(|session| session["phase"] != "review").cloned().collect()
}

/// Landed with two sessions of the author, the first of which ended with `class`, and the second continued it.
fn assert_continued(world: &World, run: &Run, class: &str) {
    assert_continued_as(world, run, class, false);
}

/// The same after a failure of the very first answer. Gemini takes the prompt out of such a session when it ends by itself and
/// does not find it again: it says so (exit code 42), and a new session begins at once.
fn assert_continued_from_nothing(world: &World, run: &Run, client: Client, class: &str) {
    assert_continued_as(world, run, class, client == Client::Gemini);
}

fn assert_continued_as(world: &World, run: &Run, class: &str, forgotten: bool) {
    world.assert_landed(run, &["1.1"]);
    let sessions = authors(world);
    assert_eq!(sessions.len(), 2 + usize::from(forgotten), "{sessions:?}");
    assert_eq!(sessions[0]["end"]["class"], class, "{sessions:?}");
    assert_eq!(sessions[0]["principal"], sessions[1]["principal"], "the same session goes on");
    if forgotten {
        assert!(world.tails().contains("No previous sessions found"), "{}", world.tails());
        assert_ne!(sessions[1]["principal"], sessions[2]["principal"], "a new session goes on");
    }
}

fn one_rate_limit(client: Client) {
    let Some((world, run)) = one_story("429-once", client, "", once(too_many)) else { return };
    world.assert_landed(&run, &["1.1"]);
}

fn one_overload(client: Client) {
    let Some((world, run)) = one_story("503-once", client, "", once(overloaded)) else { return };
    world.assert_landed(&run, &["1.1"]);
}

fn rate_limit(client: Client) {
    let Some((world, run)) = one_story("429", client, "", first_session(too_many)) else { return };
    assert_continued_from_nothing(&world, &run, client, "rate-limited");
}

fn overload(client: Client) {
    let Some((world, run)) = one_story("overload", client, "", first_session(overloaded)) else { return };
    assert_continued_from_nothing(&world, &run, client, "overloaded");
}

fn cut(client: Client) {
    let Some((world, run)) = one_story("cut", client, "", first_session(broken)) else { return };
    assert_continued_from_nothing(&world, &run, client, "overloaded");
}

/// A session that has done something by then goes on with every client.
fn overload_in_the_middle(client: Client) {
    let model = faulty(|ask, _| (ask.sessions <= 1 && ask.step() >= 2).then(overloaded));
    let Some((world, run)) = one_story("overload-later", client, "", model) else { return };
    assert_continued(&world, &run, "overloaded");
}

fn hang(client: Client) {
    let config = "[agents.idle_timeouts]\nimplementation = \"12s\"\n";
    let Some((world, run)) = one_story("hang", client, config, first_session(|| Answer::Hang)) else { return };
    assert_continued(&world, &run, "idle-timeout");
}

fn no_commit(client: Client) {
    let lazy = faulty(|ask, nth| {
        let done = ask.is(Kind::Author) && ask.step() == 2 && nth == 0;
        done.then(|| Answer::Say(Said::Text("Done.".to_owned())))
    });
    let Some((world, run)) = one_story("no-commit", client, "", lazy) else { return };
    world.assert_landed(&run, &["1.1"]);
    let sessions = authors(&world);
    if client == Client::Claude {
        assert_eq!(sessions.len(), 1, "our hook asks it before it ends: {sessions:?}");
        assert!(world.output().contains("there is no commit since"), "{}", world.tails());
    } else {
        assert_eq!(sessions.len(), 2, "it is asked once for its commit: {sessions:?}");
        assert_eq!(sessions[0]["principal"], sessions[1]["principal"], "the same session goes on");
    }
    let name = world.project.scratch.git(&["log", "--no-merges", "--format=%s", "--", "1.1.txt"]);
    assert_eq!(name, "work on 1.1", "it made the commit itself");
}

fn never_commits(client: Client) {
    let lazy = faulty(|ask, _| {
        let done = !ask.is(Kind::Review) && ask.step() == 2;
        done.then(|| Answer::Say(Said::Text("Done.".to_owned())))
    });
    let Some((world, run)) = one_story("never-commits", client, "", lazy) else { return };
    world.assert_landed(&run, &["1.1"]);
    assert_eq!(authors(&world).len(), 2, "it is asked once, then it is done for it");
}

/// Codex without its own sandbox, and in words that our hook for Claude does not see through: nothing is in the way.
pub const OPEN: &str = "[agents.codex]\nauthor = \"full\"\n";

/// Moves main to the story's work.
pub const HIDDEN: &str = "printf 'git %s-ref refs/heads/main HEAD' update | sh";

fn self_merge(client: Client) {
    let Some((world, run)) = one_story("self-merge", client, OPEN, bold(HIDDEN)) else { return };
    assert_eq!(run.code, 3, "{run:?}");
    let shown = world.show("1.1");
    assert_eq!(shown["status"], "Failed");
    assert_eq!(shown["failure"]["failure"]["class"], "tampering", "{shown}");
    assert_eq!(world.asked(Kind::Review).len(), 0, "what went around the gate is not reviewed");
    let verify = world.project.orchestrate(&["verify"]);
    assert_eq!(verify.code, 3, "{verify:?}");
}

/// A model that moves main to its own work, in these words.
fn bold(words: &'static str) -> Model {
    faulty(move |ask, _| {
        let merge = format!("{words}; git log -1 --format=%s main");
        (ask.is(Kind::Author) && ask.step() == 3).then(|| Answer::Say(ask.shell(&merge)))
    })
}

/// What the adapters come with stops it: our hook for Claude, Codex's own sandbox. The story lands by the gate, and once.
/// Nothing stops Gemini: see `self_merge`.
fn self_merge_that_is_stopped(client: Client) {
    let why = match client {
        Client::Claude => "it moves refs by hand",
        Client::Codex => "Read-only file system",
        Client::Gemini => return,
    };
    let Some((world, run)) = one_story("self-merge-stopped", client, "", bold("git update-ref refs/heads/main HEAD"))
    else {
        return;
    };
    world.assert_landed(&run, &["1.1"]);
    let results: Vec<_> = world.asked(Kind::Author).into_iter().flat_map(|asked| asked.ask.results).collect();
    assert!(results.iter().any(|text| text.contains(why)), "{results:?}");
}

/// More than fits, in the words of each client's provider.
fn too_long(client: Client) -> Answer {
    match client {
        Client::Claude => refuse(400, "invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum"),
        Client::Codex => refuse(400, "context_length_exceeded", "Your input exceeds the context window of this model."),
        Client::Gemini => refuse(
            400,
            "INVALID_ARGUMENT",
            "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576).",
        ),
    }
}

fn full_context(client: Client) {
    let model = faulty(move |ask, _| (ask.sessions <= 1 && ask.step() >= 2).then(|| too_long(client)));
    let Some((world, run)) = one_story("context", client, "", model) else { return };
    world.assert_landed(&run, &["1.1"]);
    let sessions = authors(&world);
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    assert_eq!(sessions[0]["end"]["class"], "context-full", "{sessions:?}");
    assert_ne!(sessions[0]["principal"], sessions[1]["principal"], "a new session goes on");
    let told = |asked: &crate::server::Asked| asked.ask.prompts.iter().any(|text| text.contains("An earlier session"));
    assert!(world.asked(Kind::Author).iter().any(told), "it is told what git holds");
}

fn prose(client: Client) {
    // Of a session, not of a request: claude itself asks a second time.
    let talker = faulty(|ask, _| {
        let talks = ask.is(Kind::Review) && ask.sessions <= 2;
        talks.then(|| Answer::Say(Said::Text("Looks good to me, approved!".to_owned())))
    });
    let name = format!("{}-prose", client.name());
    let Some(world) = World::new(&name, client.other(), client, RETRY, talker) else { return };
    world.stories(&["1.1"]);
    let run = world.run(&["stories"]);
    eprintln!("{}\n{}\n{}", run.stdout, run.stderr, world.show("1.1"));
    world.assert_landed(&run, &["1.1"]);
    let shown = world.show("1.1");
    let reviews = shown["sessions"].as_array().unwrap().iter().filter(|session| session["phase"] == "review");
    assert_eq!(reviews.count(), 2, "{shown}");
    assert_eq!(shown["reviews"].as_array().unwrap().len(), 1, "prose is no review: {shown}");
}

fn bad_key(client: Client) {
    let refused =
        faulty(|ask, _| ask.is(Kind::Author).then(|| refuse(401, "authentication_error", "invalid x-api-key")));
    let Some((world, run)) = one_story("bad-key", client, "", refused) else { return };
    assert_eq!(run.code, 4, "{run:?}");
    assert_eq!(world.show("1.1")["failure"]["failure"]["class"], "auth");
    assert_eq!(authors(&world).len(), 1, "a key that was refused is not tried again");
}

macro_rules! for_each_client {
    ($($scenario:ident)*) => {$(
        mod $scenario {
            use crate::clients::Client;

            #[test]
            #[ignore = "real agents: see README"]
            fn claude() {
                super::$scenario(Client::Claude);
            }

            #[test]
            #[ignore = "real agents: see README"]
            fn codex() {
                super::$scenario(Client::Codex);
            }

            #[test]
            #[ignore = "real agents: see README"]
            fn gemini() {
                super::$scenario(Client::Gemini);
            }
        }
    )*};
}

for_each_client! {
    one_rate_limit one_overload rate_limit overload overload_in_the_middle cut hang no_commit never_commits self_merge
    self_merge_that_is_stopped prose bad_key full_context
}
