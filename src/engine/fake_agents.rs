//! Scripted agents and commands for tests. Must not end on their own accord while a script says they hang.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;

use async_trait::async_trait;

use super::fake_git::{FakeGit, Files};
use super::fake_ledger::FakeLedger;
use super::ports::{
    Abilities, AgentEnd, AgentRequest, Agents, Cancel, CancelSignal, CommandEnd, CommandRequest, Ended, Executor,
    LeftSession, Watcher,
};
use crate::domain::event::ItemEvent;
use crate::domain::state::OpenSession;
use crate::domain::workflow::Phase;

/// What a session does.
type Script = Rc<dyn Fn(Session) -> Pin<Box<dyn Future<Output = AgentEnd>>>>;

/// A session in progress, in the hands of its script.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) request: AgentRequest,
    /// How many sessions this item had in this phase before.
    pub(crate) turn: usize,
    pub(crate) git: FakeGit,
    pub(crate) ledger: FakeLedger,
    pub(crate) cancel: CancelSignal,
}

impl Session {
    /// Writes a file in the worktree without committing it.
    pub(crate) fn write(&self, path: &str, content: &str) {
        let mut repo = self.git.repo();
        let desk = repo.desks.get_mut(&self.request.worktree).expect("the worktree exists while a session runs");
        desk.files.insert(path.to_owned(), content.to_owned());
    }

    /// Commits everything in the worktree.
    pub(crate) fn commit(&self, author: &str) {
        self.git.repo().commit_desk(&self.request.worktree, author, "work");
    }

    /// Merges the target into the worktree and resolves conflicts so that both sides stay.
    pub(crate) fn merge_target(&self) {
        let author = "general via fake <git-orchestrate-agent@localhost>";
        self.git.repo().merge_into_desk(&self.request.worktree, "refs/heads/main", author);
    }

    /// Ends with an exit code and no result.
    pub(crate) fn exit(&self, code: i32) -> AgentEnd {
        self.end(Ended::Exit(code), None)
    }

    /// Ends with a result file.
    pub(crate) fn result(&self, text: &str) -> AgentEnd {
        self.end(Ended::Exit(0), Some(text.as_bytes().to_vec()))
    }

    /// Approves.
    pub(crate) fn approve(&self) -> AgentEnd {
        self.result(r#"{"version":1,"verdict":"approve","findings":[]}"#)
    }

    /// Asks for a change.
    pub(crate) fn request_changes(&self, text: &str) -> AgentEnd {
        self.result(&format!(
            r#"{{"version":1,"verdict":"request-changes","findings":[{{"path":"","line":0,"text":"{text}"}}]}}"#
        ))
    }

    /// Ends only when asked at least this urgently.
    pub(crate) async fn hang_until(&mut self, urgency: Cancel) -> AgentEnd {
        // The sender lives as long as the run; without it nobody can ask any more.
        drop(self.cancel.wait_for(|now| *now >= urgency).await);
        self.end(Ended::Cancelled, None)
    }

    /// Ends in a given way.
    pub(crate) fn end(&self, ended: Ended, result: Option<Vec<u8>>) -> AgentEnd {
        let session = self.request.session.clone();
        let tail = "last words".to_owned();
        AgentEnd { result, tail, millis: 1, ..AgentEnd::of(ended, session) }
    }
}

/// What the agents did.
#[derive(Default)]
pub(crate) struct Played {
    /// Every request in order.
    pub(crate) requests: Vec<AgentRequest>,
    /// Sessions that were not in the ledger when they started.
    pub(crate) unnoted: Vec<String>,
    /// Sessions running now and at most.
    pub(crate) live: usize,
    pub(crate) most: usize,
}

/// Agents that follow scripts; by default authors write a file named after their item, and reviewers approve.
#[derive(Clone)]
pub(crate) struct FakeAgents {
    git: FakeGit,
    ledger: FakeLedger,
    scripts: Rc<RefCell<BTreeMap<(String, Phase), Script>>>,
    pub(crate) played: Rc<RefCell<Played>>,
    /// What is found of any interrupted session.
    pub(crate) left: Rc<RefCell<LeftSession>>,
    /// What every client can do: by default it knows no session, and what it leaves is committed for it.
    pub(crate) able: Rc<Cell<Abilities>>,
}

impl FakeAgents {
    /// Agents without scripts.
    pub(crate) fn new(git: FakeGit, ledger: FakeLedger) -> Self {
        let able = Abilities { resumes: false, commits: true, commit_for_it: true };
        Self {
            git,
            ledger,
            scripts: Rc::default(),
            played: Rc::default(),
            left: Rc::default(),
            able: Rc::new(Cell::new(able)),
        }
    }

    /// Sets what the sessions of an item (`*`: all without one of their own) that begin with a phase do.
    pub(crate) fn on<F, T>(&self, key: &str, phase: Phase, script: F)
    where
        F: Fn(Session) -> T + 'static,
        T: Future<Output = AgentEnd> + 'static,
    {
        let script: Script = Rc::new(move |session| Box::pin(script(session)));
        self.scripts.borrow_mut().insert((key.to_owned(), phase), script);
    }

    /// Phases of the sessions of an item in order.
    pub(crate) fn phases_of(&self, key: &str) -> Vec<Phase> {
        let played = self.played.borrow();
        played.requests.iter().filter(|request| request.key.as_str() == key).map(|request| request.phase).collect()
    }

    /// Prompts of the sessions of an item that began with a phase.
    pub(crate) fn prompts_of(&self, key: &str, phase: Phase) -> Vec<String> {
        let played = self.played.borrow();
        let of = |request: &&AgentRequest| request.key.as_str() == key && request.phase == phase;
        played.requests.iter().filter(of).map(|request| request.prompt.clone()).collect()
    }

    fn script(&self, key: &str, phase: Phase) -> Option<Script> {
        let scripts = self.scripts.borrow();
        let of = |key: &str| scripts.get(&(key.to_owned(), phase)).cloned();
        of(key).or_else(|| of("*"))
    }

    fn note(&self, request: &AgentRequest) -> usize {
        let turn = self.phases_of(request.key.as_str()).iter().filter(|phase| **phase == request.phase).count();
        let noted = self.ledger.events(request.key.as_str()).iter().any(|event| {
            matches!(event, ItemEvent::SessionStarted { principal, .. } if principal.to_string().ends_with(&request.session))
        });
        let mut played = self.played.borrow_mut();
        if !noted {
            played.unnoted.push(request.session.clone());
        }
        played.requests.push(request.clone());
        played.live += 1;
        played.most = played.most.max(played.live);
        turn
    }
}

/// What a session without a script does.
fn by_default(session: &Session) -> AgentEnd {
    if session.request.phase == Phase::Review {
        return session.approve();
    }
    let key = &session.request.key;
    session.write(&format!("{key}.txt"), &format!("{key} {:?} {}\n", session.request.phase, session.turn));
    session.exit(0)
}

#[async_trait(?Send)]
impl Agents for FakeAgents {
    fn left(&self, _open: &OpenSession) -> LeftSession {
        self.left.borrow().clone()
    }

    fn abilities(&self, _adapter: &str) -> Abilities {
        self.able.get()
    }

    async fn invoke(&self, request: AgentRequest, cancel: CancelSignal, _watcher: Watcher) -> AgentEnd {
        let turn = self.note(&request);
        assert!(turn < 50, "{} goes round in circles in {}", request.key, request.phase);
        let script = self.script(request.key.as_str(), request.phase);
        let session = Session { request, turn, git: self.git.clone(), ledger: self.ledger.clone(), cancel };
        let end = if let Some(script) = script {
            script(session).await
        } else {
            tokio::task::yield_now().await;
            by_default(&session)
        };
        self.played.borrow_mut().live -= 1;
        end
    }
}

/// One run of a command.
pub(crate) struct Run {
    pub(crate) request: CommandRequest,
    /// Files of the directory it ran in.
    pub(crate) files: Files,
    /// Runs of the same name before.
    pub(crate) turn: usize,
}

type Judge = Rc<dyn Fn(&Run) -> Ended>;

/// Commands that succeed unless a test says otherwise.
#[derive(Clone)]
pub(crate) struct FakeExecutor {
    git: FakeGit,
    judge: Rc<RefCell<Judge>>,
    pub(crate) ran: Rc<RefCell<Vec<CommandRequest>>>,
}

impl FakeExecutor {
    /// Commands that succeed.
    pub(crate) fn new(git: FakeGit) -> Self {
        let judge: Judge = Rc::new(|_| Ended::Exit(0));
        Self { git, judge: Rc::new(RefCell::new(judge)), ran: Rc::default() }
    }

    /// Sets how commands end; `Cancelled` is a command that hangs until it is asked to end.
    pub(crate) fn judged_by(&self, judge: impl Fn(&Run) -> Ended + 'static) {
        *self.judge.borrow_mut() = Rc::new(judge);
    }

    /// Names of the commands that ran, in order, with the last part of their directory.
    pub(crate) fn names(&self) -> Vec<String> {
        let place = |request: &CommandRequest| {
            let directory = request.directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
            format!("{} in {directory}", request.log_name)
        };
        self.ran.borrow().iter().map(place).collect()
    }
}

#[async_trait(?Send)]
impl Executor for FakeExecutor {
    async fn run(&self, request: CommandRequest, mut cancel: CancelSignal) -> CommandEnd {
        // A second of virtual time: what is under way elsewhere gets done meanwhile.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let turn = self.ran.borrow().iter().filter(|ran| ran.log_name == request.log_name).count();
        let desk = self.git.repo().desks.get(&request.directory).cloned();
        let files = desk.map(|desk| desk.files).unwrap_or_default();
        self.ran.borrow_mut().push(request.clone());
        let judge = self.judge.borrow().clone();
        let mut ended = judge(&Run { request: request.clone(), files, turn });
        if ended == Ended::Cancelled {
            // A command that hangs; the sender lives as long as the run.
            drop(cancel.wait_for(|urgency| *urgency != Cancel::No).await);
        } else if *cancel.borrow() != Cancel::No {
            ended = Ended::Cancelled;
        }
        let tail = format!("output of {}", request.log_name);
        CommandEnd { ended, tail, log: PathBuf::new(), millis: 1 }
    }
}
