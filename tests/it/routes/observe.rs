//! Tries operations and says what came of them. Must not know what is expected.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use super::row::{Expected, Outcome, Row, Setting, Watch};
use super::setting::{Fixture, Mode};
use super::table;

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Outcome(Outcome),
    /// Nothing moved, and it was not a hook that stopped it; git's exit code.
    Failed(i32),
    /// It succeeded and did nothing.
    NoEffect,
    /// It was to move nothing and did.
    Moved,
    /// What was to be done before it failed.
    Unready,
}

/// One cell of the table.
#[derive(Clone, Debug)]
pub struct Cell {
    pub row: Row,
    pub setting: Setting,
    pub mode: Mode,
    pub seen: Seen,
    /// Whether hooks were configuration, as from git 2.54 on.
    configured: bool,
    /// Whether `verify` found it afterwards, where work of a story came to main and no hook refused it.
    pub found: Option<bool>,
    /// Everything it printed.
    pub said: String,
}

impl Cell {
    /// What the table expects of this git.
    pub fn expected(&self) -> Option<Outcome> {
        let Expected::Modes(stories, all) = self.row.expected[self.setting as usize] else { return None };
        let with_files = if self.mode == Mode::Stories { stories } else { all };
        Some(self.row.with_config_hooks.filter(|_| self.configured).unwrap_or(with_files))
    }
}

/// The minor version of the git 2 under test.
pub fn git_minor() -> u32 {
    static MINOR: OnceLock<u32> = OnceLock::new();
    *MINOR.get_or_init(|| {
        let said = crate::support::Scratch::empty().try_git(&["version"]).stdout;
        let version = said.split_whitespace().nth(2).unwrap_or_default();
        version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or_else(|| panic!("{said}"))
    })
}

/// Every cell of a setting, tried once per process.
pub fn all(setting: Setting) -> &'static [Cell] {
    static SEEN: [OnceLock<Vec<Cell>>; 3] = [const { OnceLock::new() }; 3];
    SEEN[setting as usize].get_or_init(|| {
        let fixtures = Mode::BOTH.map(|mode| Fixture::new(setting, mode));
        let jobs = Mode::BOTH.into_iter().flat_map(|mode| present(setting).into_iter().map(move |row| (mode, row)));
        in_parallel(jobs.collect(), |(mode, row)| {
            let fixture = &fixtures[*mode as usize];
            let (seen, found, said) = attempt(fixture, row);
            let configured = fixture.configured;
            Cell { row: row.clone(), setting, mode: *mode, seen, found, configured, said }
        })
    })
}

/// Of every operation that is to move something: its name, whether that moved without hooks (none when it failed), and what
/// was printed.
pub fn without_hooks(setting: Setting) -> Vec<(String, Option<bool>, String)> {
    let fixture = Fixture::new(setting, Mode::Stories);
    let moving = present(setting).into_iter().filter(|row| row.moves).collect();
    in_parallel(moving, |row| {
        let place = fixture.copy(row.needs_clone());
        fixture.disarm(&place);
        if let Err(said) = fixture.prepare(&place, &row.setup) {
            return (row.name(), None, said);
        }
        let before = watched(&fixture.refs(&place), row.watch);
        let ran = fixture.run(&place, &row.line);
        let moved = before != watched(&fixture.refs(&place), row.watch);
        let seen = (ran.code == 0).then_some(moved);
        (row.name(), seen, format!("{}{}", ran.stdout, ran.stderr))
    })
}

/// Rows that exist in a setting and in this git.
fn present(setting: Setting) -> Vec<Row> {
    let here = |row: &Row| matches!(row.expected[setting as usize], Expected::Modes(..)) && row.since <= git_minor();
    table::rows().into_iter().filter(here).collect()
}

fn attempt(fixture: &Fixture, row: &Row) -> (Seen, Option<bool>, String) {
    let place = fixture.copy(row.needs_clone());
    if let Err(said) = fixture.prepare(&place, &row.setup) {
        return (Seen::Unready, None, said);
    }
    let before = watched(&fixture.refs(&place), row.watch);
    let ran = fixture.run(&place, &row.line);
    let asked = place.asked();
    // A configured hook that refuses keeps the spy beside it from being asked; without hooks the operation succeeds, as
    // another test sees.
    let silently = row.mute && fixture.configured && ran.code != 0;
    let vetoed = place.vetoed() || silently || ran.stderr.contains("git-orchestrate: refused");
    let after = watched(&fixture.refs(&place), row.watch);
    let gone = before.iter().filter(|pair| !after.contains(pair));
    let come = after.iter().filter(|pair| !before.contains(pair));
    let changed: Vec<&String> = gone.chain(come).map(|(name, _)| name).collect();
    let seen = if changed.is_empty() {
        match (vetoed, ran.code) {
            (true, _) => Seen::Outcome(Outcome::Refused),
            (false, 0) if row.moves => Seen::NoEffect,
            (false, 0) => Seen::Outcome(Outcome::Allowed),
            (false, code) => Seen::Failed(code),
        }
    } else if !row.moves {
        Seen::Moved
    } else if row.own_writer || changed.iter().all(|name| asked.contains(name)) {
        Seen::Outcome(Outcome::Allowed)
    } else {
        Seen::Outcome(Outcome::NotSeen)
    };
    let slipped = match seen {
        Seen::Outcome(Outcome::NotSeen) => row.watch == Watch::Main,
        Seen::Outcome(Outcome::Allowed) => row.copies,
        _ => false,
    };
    let found = slipped.then(|| fixture.run(&place, "\"$ORCHESTRATE\" verify").code == 3);
    (seen, found, format!("{}{}", ran.stdout, ran.stderr))
}

fn watched(refs: &[(String, String)], watch: Watch) -> Vec<(String, String)> {
    refs.iter().filter(|(name, _)| watch.sees(name)).cloned().collect()
}

/// Does all jobs on as many threads as there are cores; results in the jobs' order.
fn in_parallel<J: Sync, R: Send>(jobs: Vec<J>, work: impl Fn(&J) -> R + Sync) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((at, job)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, jobs.get(at)?)))
                {
                    let result = work(job);
                    done.lock().unwrap().push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
