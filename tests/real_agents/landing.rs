//! Three stories through each client, reviewed by another one: all land, and what they cost is on record.

use crate::clients::Client;
use crate::model::{Kind, honest};
use crate::world::World;

const STORIES: [&str; 3] = ["1.1", "1.2", "1.3"];

fn three_stories(author: Client, reviewer: Client) {
    let name = format!("{}-landing", author.name());
    let Some(world) = World::new(&name, author, reviewer, "", Box::new(|ask, _| honest(ask))) else { return };
    world.project.story("1.1", "First", "None").story("1.2", "Second", "None").story("1.3", "Third", "1.1").commit();
    let run = world.run(&["stories", "-j", "3"]);
    world.assert_landed(&run, &STORIES);
    for id in STORIES {
        assert_accounted(&world, author, reviewer, id);
    }
    assert_principals(&world, author, reviewer);
}

fn asked_by(world: &World, kind: Kind, story: &str) -> usize {
    world.asked(kind).iter().filter(|asked| asked.ask.story() == story).count()
}

/// What the ledger says was used is what the server said was used: nothing is unknown, and nothing is guessed.
fn assert_accounted(world: &World, author: Client, reviewer: Client, id: &str) {
    let shown = world.show(id);
    for (session, kind, client) in [(0, Kind::Author, author), (1, Kind::Review, reviewer)] {
        let used = asked_by(world, kind, id) as u64 * client.tokens();
        assert!(used > 0, "{id}");
        let end = &shown["sessions"][session]["end"];
        assert_eq!(end["usage"]["tokens"], used, "{} of {id}: {shown}", client.name());
    }
    assert_eq!(shown["sessions"].as_array().unwrap().len(), 2, "{shown}");
}

/// Authors' commits are the author's client's, and no review is.
fn assert_principals(world: &World, author: Client, reviewer: Client) {
    let names = world.project.scratch.git(&["log", "--no-merges", "--format=%an", "--", "*.txt"]);
    assert_eq!(names.lines().count(), STORIES.len(), "{names}");
    assert!(names.lines().all(|name| name.ends_with(&format!(" via {}", author.name()))), "{names}");
    for id in STORIES {
        let history = world.history(id);
        assert!(history.contains(&format!("agent:{}:", reviewer.name())), "{history}");
    }
}

#[test]
#[ignore = "real agents: see README"]
fn claude_lands_three_stories_that_codex_reviewed() {
    three_stories(Client::Claude, Client::Codex);
}

#[test]
#[ignore = "real agents: see README"]
fn codex_lands_three_stories_that_gemini_reviewed() {
    three_stories(Client::Codex, Client::Gemini);
}

#[test]
#[ignore = "real agents: see README"]
fn gemini_lands_three_stories_that_claude_reviewed() {
    three_stories(Client::Gemini, Client::Claude);
}
