//! One process from its start to its end: limits, output, and after it everything it left. Single-threaded; waits in one
//! place, for signals, for the engine, for output and for the clock. Must not know what the process is for.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Child;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, pipe2, read};
use rustix::process::WaitStatus;

use super::super::run::Ask;
use super::super::spawn;
use super::control::{Control, Word};
use super::memory;
use super::reaper;
use super::signals::Signals;
use super::wire::{Finish, Report, STARTED, Spec};
use super::{output::Output, why};

/// Read from the child at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// Runs what the engine asks for over stdin. `said` is where it is told that the process runs.
pub(super) fn work(said: &mut impl Write) -> Report {
    let mut control = Control::stdin();
    let Some(spec) = control.spec() else { return Report::of(Finish::Interrupted) };
    // Every orphan among the descendants becomes a child of this process, so that none gets away.
    let _ = set_child_subreaper(true);
    match Work::start(&spec, control) {
        Ok(work) => {
            let _ = said.write_all(format!("{STARTED}\n").as_bytes()).and_then(|()| said.flush());
            work.to_the_end()
        }
        Err(reason) => Report::of(Finish::NotStarted(reason)),
    }
}

/// A process at work.
struct Work<'a> {
    spec: &'a Spec,
    child: Child,
    /// How the child ended, once it was collected; from then on its number may be another's.
    status: Option<WaitStatus>,
    control: Control,
    signals: Signals,
    output: Output,
    pipe: Option<OwnedFd>,
    deadline: Instant,
    active: Instant,
    stopping: Option<Stopping>,
    memory: memory::Kills,
}

/// Why it is being ended, and when asking turns into killing; `None` = now.
struct Stopping {
    finish: Finish,
    kill_at: Option<Instant>,
}

impl<'a> Work<'a> {
    fn start(spec: &'a Spec, control: Control) -> Result<Self, String> {
        let launch = spec.launch();
        let output = Output::open(&launch.log, spec.log_cap, &spec.secrets)
            .map_err(|error| format!("cannot write {}: {error}", launch.log.display()))?;
        let (pipe, end) = pipe2(OFlag::O_CLOEXEC).map_err(|errno| format!("cannot make a pipe: {errno}"))?;
        let memory = memory::Kills::now();
        let child = spawn::launch(&launch, end).map_err(|error| why(&launch.program, &launch.directory, &error))?;
        memory::prefer(child.id());
        // After the start, or the child would be born deaf to them.
        let signals = Signals::listen().map_err(|errno| format!("cannot listen for signals: {errno}"))?;
        let now = Instant::now();
        let deadline = now.checked_add(spec.timeout).unwrap_or(now + Duration::from_secs(u32::MAX.into()));
        let pipe = Some(pipe);
        Ok(Self {
            spec,
            child,
            status: None,
            control,
            signals,
            output,
            pipe,
            deadline,
            active: now,
            stopping: None,
            memory,
        })
    }

    fn to_the_end(mut self) -> Report {
        self.control.early().into_iter().for_each(|word| self.hear(word));
        loop {
            self.status = self.status.or_else(|| reaper::collect(self.pid()));
            self.on_time(Instant::now());
            if self.status.is_some() || self.stopping.as_ref().is_some_and(|stopping| stopping.kill_at.is_none()) {
                return self.end();
            }
            self.wait();
        }
    }

    /// Waits for whatever comes first, and takes note of it.
    fn wait(&mut self) {
        let [signals, words, output] = self.ready();
        if signals {
            if self.signals.asked_to_end() {
                self.stop_now(Finish::Interrupted);
            }
        }
        if words {
            self.control.words().into_iter().for_each(|word| self.hear(word));
        }
        if output {
            self.take_output();
        }
    }

    fn hear(&mut self, word: Word) {
        match word {
            Word::Ask if self.stopping.is_none() => self.ask(Finish::Cancelled),
            Word::Ask => {}
            Word::Kill => self.stop_now(Finish::Cancelled),
            Word::Gone => self.stop_now(Finish::Interrupted),
        }
    }

    fn ready(&self) -> [bool; 3] {
        let mut polled = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        let optional: [Option<BorrowedFd<'_>>; 2] = [self.control.open(), self.pipe.as_ref().map(AsFd::as_fd)];
        polled.extend(optional.iter().flatten().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)));
        let until = self.next_wake().saturating_duration_since(Instant::now());
        // One millisecond more: rounded down it would come back too early and spin.
        let until = until + Duration::from_millis(1);
        let timeout = PollTimeout::try_from(until).unwrap_or(PollTimeout::MAX);
        if poll(&mut polled, timeout).is_err() {
            return [true, false, false];
        }
        let mut events = polled.iter().map(|fd| fd.any().unwrap_or(true));
        let mut next = |there: bool| there && events.next().unwrap_or(false);
        [next(true), next(optional[0].is_some()), next(optional[1].is_some())]
    }

    fn next_wake(&self) -> Instant {
        match &self.stopping {
            Some(stopping) => stopping.kill_at.unwrap_or_else(Instant::now),
            None => self.spec.idle.map_or(self.deadline, |idle| self.deadline.min(self.active + idle)),
        }
    }

    fn on_time(&mut self, now: Instant) {
        match &mut self.stopping {
            Some(stopping) if stopping.kill_at.is_some_and(|at| now >= at) => stopping.kill_at = None,
            Some(_) => {}
            None if now >= self.deadline => self.ask(Finish::WallTimeout),
            None if self.spec.idle.is_some_and(|idle| now >= self.active + idle) => self.ask(Finish::IdleTimeout),
            None => {}
        }
    }

    fn take_output(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        let mut chunk = [0; CHUNK];
        match read(pipe, &mut chunk) {
            Ok(0) => self.pipe = None,
            Ok(length) => {
                self.active = Instant::now();
                self.output.push(&chunk[..length]);
            }
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(_) => self.pipe = None,
        }
    }

    fn ask(&mut self, finish: Finish) {
        let signal = match self.spec.ask() {
            Ask::Terminate => Signal::SIGTERM,
            Ask::Interrupt => Signal::SIGINT,
        };
        let _ = killpg(Pid::from_raw(self.pid()), signal);
        // What was stopped could not hear it.
        let _ = killpg(Pid::from_raw(self.pid()), Signal::SIGCONT);
        self.stopping = Some(Stopping { finish, kill_at: Some(Instant::now() + self.spec.grace) });
    }

    fn stop_now(&mut self, finish: Finish) {
        let finish = self.stopping.take().map_or(finish, |stopping| stopping.finish);
        self.stopping = Some(Stopping { finish, kill_at: None });
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid fits the system's pid type")
    }

    /// Kills what is left, takes the last output, and says how it was.
    fn end(mut self) -> Report {
        let ended = reaper::end_all(self.pid());
        self.last_output();
        self.output.finish();
        let own = self.stopping.map(|stopping| stopping.finish);
        let status = self.status.or(ended.leader);
        let note = (own.is_none()).then(|| status.and_then(|status| memory::words(status, &self.memory))).flatten();
        let finish = own.unwrap_or_else(|| how(status));
        let left_out = self.output.left_out();
        Report { left_out, killed: ended.killed, left: ended.left, note, ..Report::of(finish) }
    }

    /// What the dead left in the pipe; a process that could not be killed may hold it open, and is not waited for.
    fn last_output(&mut self) {
        while let Some(pipe) = &self.pipe {
            let mut polled = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
            if !matches!(poll(&mut polled, PollTimeout::ZERO), Ok(1..)) {
                return;
            }
            self.take_output();
        }
    }
}

fn how(status: Option<WaitStatus>) -> Finish {
    let Some(status) = status else { return Finish::Signal(Signal::SIGKILL as i32) };
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Finish::Exit(code),
        (None, Some(signal)) => Finish::Signal(signal),
        (None, None) => Finish::NotStarted("its end is unknown".to_owned()),
    }
}
