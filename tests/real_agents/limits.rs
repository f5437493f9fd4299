//! Limits with a time at which they end, and answers of many megabytes.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::clients::Client;
use crate::model::{Answer, Kind, Said, honest};
use crate::world::{Run, World};

/// Most memory that a long line may cost our processes, in KiB.
const FLAT: u64 = 25 * 1024;

/// Length of what is printed, in bytes.
const LONG: usize = 5_000_000;

/// A refusal that ends `seconds` after the first one, in the words of each client's provider.
pub fn until(client: Client, seconds: u64) -> (SystemTime, Answer) {
    let at = SystemTime::now() + Duration::from_secs(seconds);
    let epoch = at.duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
    let (kind, names): (&str, &[(&str, &str)]) = match client {
        Client::Claude => (
            "rate_limit_error",
            &[
                ("anthropic-ratelimit-unified-status", "rejected"),
                ("anthropic-ratelimit-unified-representative-claim", "five_hour"),
                ("anthropic-ratelimit-unified-reset", "@"),
                ("anthropic-ratelimit-unified-5h-status", "rejected"),
                ("anthropic-ratelimit-unified-5h-reset", "@"),
            ],
        ),
        Client::Codex => ("usage_limit_reached", &[("x-resets-at", "@")]),
        Client::Gemini => ("RESOURCE_EXHAUSTED", &[]),
    };
    let mut headers: Vec<(String, String)> =
        names.iter().map(|(name, value)| ((*name).to_owned(), value.replace('@', &epoch))).collect();
    if client == Client::Gemini {
        headers.push(("retry-after".to_owned(), seconds.to_string()));
    }
    let message = "You exceeded your current quota".to_owned();
    (at, Answer::Refuse { status: 429, headers, kind: kind.to_owned(), message })
}

/// A story whose first session runs into a plan's limit of `seconds`.
fn limited(client: Client, seconds: u64, variables: &[(&str, &str)]) -> Option<(World, Run)> {
    let limit: OnceLock<(SystemTime, Answer)> = OnceLock::new();
    let model = move |ask: &_, _| {
        let (at, refusal) = limit.get_or_init(|| until(client, seconds));
        if SystemTime::now() < *at { refusal.clone() } else { honest(ask) }
    };
    let name = format!("{}-reset", client.name());
    let mut world = World::new(
        &name,
        client,
        client.other(),
        "[retry]\nfirst_delay = \"1s\"\nbreaker_pause = \"2s\"\n",
        Box::new(model),
    )?;
    for (name, value) in variables {
        world = world.with(name, value);
    }
    world.stories(&["1.1"]);
    let run = world.run(&["stories"]);
    eprintln!("{}\n{}\n{}", run.stdout, run.stderr, world.show("1.1"));
    Some((world, run))
}

/// Between the refusal and the reset nothing was asked, and then the same session went on.
fn assert_waited(world: &World) {
    let shown = world.show("1.1");
    let sessions: Vec<_> =
        shown["sessions"].as_array().unwrap().iter().filter(|one| one["phase"] != "review").collect();
    assert_eq!(sessions.len(), 2, "one try before the reset, one after it: {shown}");
    assert_eq!(sessions[0]["end"]["class"], "rate-limited", "{shown}");
    assert_eq!(sessions[0]["principal"], sessions[1]["principal"], "the same session goes on: {shown}");
}

#[test]
#[ignore = "real agents: see README"]
fn claude_waits_for_the_reset_of_its_plan_and_goes_on_with_its_session() {
    let login = [("CLAUDE_CODE_OAUTH_TOKEN", "dummy-login-for-loopback"), ("ANTHROPIC_API_KEY", "")];
    let Some((world, run)) = limited(Client::Claude, 10, &login) else { return };
    world.assert_landed(&run, &["1.1"]);
    assert_waited(&world);
}

#[test]
#[ignore = "real agents: see README"]
fn codex_waits_for_the_reset_of_its_plan_and_goes_on_with_its_session() {
    let Some((world, run)) = limited(Client::Codex, 10, &[]) else { return };
    world.assert_landed(&run, &["1.1"]);
    assert_waited(&world);
}

/// A tool prints 5 MB in one line, and the last answer is such a line too.
fn long_lines(client: Client) {
    let peak = |what: &str, length: usize| -> Option<u64> {
        let model = move |ask: &crate::model::Ask, _| {
            if length == 0 || ask.aside || !ask.is(Kind::Author) {
                return honest(ask);
            }
            match ask.step() {
                0 => Answer::Say(ask.shell(&format!("head -c {length} /dev/zero | tr '\\0' x"))),
                1 => Answer::Say(ask.shell("pwd")),
                2 => Answer::Say(ask.write("1.1.txt", "work on 1.1\n")),
                3 => Answer::Say(ask.shell(&crate::model::commit("1.1"))),
                _ => Answer::Say(Said::Text("word ".repeat(length / 5))),
            }
        };
        let name = format!("{}-{what}", client.name());
        let world = World::new(&name, client, client.other(), "", Box::new(model))?;
        world.stories(&["1.1"]);
        let run = world.run(&["stories"]);
        world.assert_landed(&run, &["1.1"]);
        let longest = world.logs().iter().flat_map(|(_, log)| log.split(|byte| *byte == b'\n').map(<[u8]>::len)).max();
        eprintln!("{name}: {} KiB, longest line {longest:?}", run.peak);
        Some(run.peak)
    };
    let (Some(usual), Some(long)) = (peak("short", 0), peak("long", LONG)) else { return };
    assert!(long < usual + FLAT, "{usual} KiB without, {long} KiB with lines of 5 MB");
}

#[test]
#[ignore = "real agents: see README"]
fn long_lines_of_claude_cost_no_memory() {
    long_lines(Client::Claude);
}

#[test]
#[ignore = "real agents: see README"]
fn long_lines_of_codex_cost_no_memory() {
    long_lines(Client::Codex);
}

#[test]
#[ignore = "real agents: see README"]
fn long_lines_of_gemini_cost_no_memory() {
    long_lines(Client::Gemini);
}
