//! A whole run of 64 independent stories with an instant agent, against the shell loop with the same agent. What the agent
//! and its git cost is noted by the agent and left out on both sides, the reviewer's invocations included.

use std::time::Duration;

use crate::agent;
use crate::fixture::{Scratch, beside, id, story};
use crate::meter::{self, Cost, RUNS, interleaved, program};

/// Stories of a run.
const STORIES: u32 = 64;

/// Files of the repository, story files included.
const FILES: usize = 100;

pub fn measure() {
    let (mut looped, mut noted) = (Vec::new(), Vec::new());
    // Kept to the end: ext4 is slow to make files for a while after many were deleted, on whichever side comes next.
    let kept = std::cell::RefCell::new(Vec::new());
    let shell = Box::new(|| {
        let scratch = project();
        let agent = scratch.outside().join(agent::NAME);
        let mut sh = scratch.command("sh");
        sh.arg(beside("loop.sh")).arg(scratch.root()).arg(&agent).arg(STORIES.to_string());
        let cost = program(&mut sh);
        kept.borrow_mut().push(scratch);
        without(cost, &agent::spent(&agent), STORIES, &mut looped)
    }) as Box<dyn FnMut() -> Cost + '_>;
    let ours = Box::new(|| {
        let scratch = project();
        let agent = scratch.outside().join(agent::NAME);
        let cost = program(&mut scratch.orchestrate(&["stories"]));
        let landed = scratch.git(&["log", "--first-parent", "--merges", "--format=%s", "main"]);
        assert_eq!(landed.lines().count(), STORIES as usize, "{landed}");
        kept.borrow_mut().push(scratch);
        // One author and one reviewer for each story.
        without(cost, &agent::spent(&agent), 2 * STORIES, &mut noted)
    });
    let [shell, ours] = interleaved(RUNS, [shell, ours]);
    meter::line("shell loop: a story, agent left out", shell);
    meter::line("git orchestrate stories: a story, agents left out", ours);
    meter::ratio("git orchestrate / shell loop", ours.cpu, shell.cpu);
    println!("  left out for a story: {} by the loop, {} by the run", shown(&looped), shown(&noted));
}

/// A repository of 100 files, the stories and the policy among them.
fn project() -> Scratch {
    let scratch = Scratch::repository();
    let agent = agent::install(&scratch.outside());
    let policy = format!("[agents]\ndefault = \"instant\"\n[agents.instant]\ncommand = [\"{}\"]\n", agent.display());
    scratch.write(".orchestrate.toml", &policy);
    scratch.write(".gitignore", "/.worktrees\n");
    for number in 0..STORIES as usize {
        scratch.write(&format!("docs/stories/{}.page-{number}.md", id(number)), &story(number, &[], 2_048));
    }
    for number in 0..FILES - STORIES as usize - 2 {
        scratch.write(&format!("src/part{}/file-{number}.txt", number % 6), &"A line of text.\n".repeat(128));
    }
    scratch.commit();
    scratch
}

/// The share of one story, without what the agents noted.
fn without(cost: Cost, spent: &[u64], invocations: u32, notes: &mut Vec<Duration>) -> Cost {
    assert_eq!(spent.len(), invocations as usize, "every invocation notes its cost once");
    let agents = Duration::from_micros(spent.iter().sum());
    notes.push(agents / STORIES);
    Cost { cpu: cost.cpu.saturating_sub(agents) / STORIES, wall: cost.wall / STORIES }
}

fn shown(notes: &[Duration]) -> String {
    let mut sorted = notes.to_vec();
    sorted.sort();
    format!("{:.2} ms", meter::ms(sorted[sorted.len() / 2]))
}
