//! What clients leave behind: daemons, tools that never end, and moves of the branch that a hook stands in the way of.

use crate::clients::Client;
use crate::failures::{HIDDEN, OPEN, faulty, one_story};
use crate::model::{Answer, Kind};
use crate::world::World;

/// A client that ends well leaves its daemons alive; the tool ends them (looked at after every run).
fn a_daemon(client: Client) {
    let model = faulty(|ask, _| {
        let daemon =
            "setsid nohup tail -f /dev/null >/dev/null 2>&1 & daemon=$!; sleep 1; kill -0 $daemon && echo it runs";
        (ask.is(Kind::Author) && ask.step() == 3).then(|| Answer::Say(ask.shell(daemon)))
    });
    let Some((world, run)) = one_story("daemon", client, "", model) else { return };
    world.assert_landed(&run, &["1.1"]);
    let started =
        world.asked(Kind::Author).iter().any(|asked| asked.ask.results.iter().any(|text| text.contains("it runs")));
    assert!(started, "the agent started no daemon");
}

/// A tool that never ends, in a process group and session of its own, ends with its client.
fn a_tool_that_never_ends(client: Client) {
    let model = faulty(|ask, _| {
        let stuck = ask.is(Kind::Author) && ask.sessions <= 1;
        stuck.then(|| if ask.step() == 0 { Answer::Say(ask.shell("tail -f /dev/null")) } else { Answer::Hang })
    });
    let config = "[agents.idle_timeouts]\nimplementation = \"15s\"\n";
    let Some((world, run)) = one_story("stuck-tool", client, config, model) else { return };
    world.assert_landed(&run, &["1.1"]);
    assert!(world.history("1.1").contains("idle-timeout"), "{}", world.history("1.1"));
}

/// With the hooks installed, a client that runs them cannot move main: its story lands by the gate, and once.
fn a_move_that_a_hook_refuses(client: Client) {
    let model = faulty(|ask, _| {
        // In words that our own hook for Claude lets pass: the one of git is what is tried.
        let moves = format!("({HIDDEN}) 2>&1 || echo not moved");
        (ask.is(Kind::Author) && ask.step() == 3).then(|| Answer::Say(ask.shell(&moves)))
    });
    let name = format!("{}-hooked", client.name());
    // Codex's own sandbox would not let it get so far.
    let Some(world) = World::new(&name, client, client.other(), OPEN, model) else { return };
    world.stories(&["1.1"]);
    let init = world.project.orchestrate(&["init", "--yes"]);
    assert_eq!(init.code, 0, "{init:?}");
    world.project.commit();
    let run = world.run(&["stories"]);
    world.assert_landed(&run, &["1.1"]);
    let results: Vec<_> = world.asked(Kind::Author).into_iter().flat_map(|asked| asked.ask.results).collect();
    assert!(results.iter().any(|text| text.contains("refused") && text.contains("not moved")), "{results:?}");
}

#[test]
#[ignore = "real agents: see README"]
fn a_daemon_of_claude() {
    a_daemon(Client::Claude);
}

#[test]
#[ignore = "real agents: see README"]
fn a_daemon_of_codex() {
    a_daemon(Client::Codex);
}

#[test]
#[ignore = "real agents: see README"]
fn a_daemon_of_gemini() {
    a_daemon(Client::Gemini);
}

#[test]
#[ignore = "real agents: see README"]
fn a_tool_of_claude_that_never_ends() {
    a_tool_that_never_ends(Client::Claude);
}

#[test]
#[ignore = "real agents: see README"]
fn a_tool_of_codex_that_never_ends() {
    a_tool_that_never_ends(Client::Codex);
}

#[test]
#[ignore = "real agents: see README"]
fn a_tool_of_gemini_that_never_ends() {
    a_tool_that_never_ends(Client::Gemini);
}

/// Gemini runs no hook at all: what happens then is `failures::self_merge`.
#[test]
#[ignore = "real agents: see README"]
fn a_move_of_main_by_claude_that_a_hook_refuses() {
    a_move_that_a_hook_refuses(Client::Claude);
}

#[test]
#[ignore = "real agents: see README"]
fn a_move_of_main_by_codex_that_a_hook_refuses() {
    a_move_that_a_hook_refuses(Client::Codex);
}
