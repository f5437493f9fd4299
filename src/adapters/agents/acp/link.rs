//! The pipes to a client: lines in, lines out, its end, and signals to this process, as one stream of events. Must not know
//! what the lines mean.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::Pid;

use crate::adapters::process::spawn;

/// Longest line that is taken, in bytes; a longer one is passed over.
const LINE: usize = 64 * 1024 * 1024;

/// Longest line of the client's stderr that is kept, in bytes.
const NOISE: usize = 8 * 1024;

/// How long a client may take to end by itself once its stdin is closed, and again once it is asked to.
const PARTING: Duration = Duration::from_secs(2);

/// What comes in.
#[derive(Debug)]
pub(super) enum Heard {
    /// A line of the conversation, without its end.
    Line(Vec<u8>),
    /// A line that was passed over.
    TooLong,
    /// A line of its stderr.
    Noise(String),
    /// It closed its stdout.
    Closed,
    /// Somebody asks this process to end; the signal's number.
    Asked(i32),
    /// Nothing came in time.
    Late,
}

/// A client at work.
pub(super) struct Link {
    child: Child,
    lines: Option<Sender<Vec<u8>>>,
    heard: Receiver<Heard>,
}

impl Link {
    /// Starts a client in a process group of its own, so that a signal to this one does not end it in the middle of a cancel.
    pub(super) fn start(command: &[String], directory: &Path) -> Result<Self, String> {
        let (program, args) = command.split_first().ok_or("there is no command")?;
        let mut child =
            spawn::piped(Path::new(program), args, directory).map_err(|error| format!("{program}: {error}"))?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err("a client without pipes".to_owned());
        };
        // After the start, or the client would be born deaf to them; before the threads, which inherit it.
        let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT]);
        signals.thread_block().map_err(|errno| format!("cannot listen for signals: {errno}"))?;
        // Few: a line may be megabytes long.
        let (tell, heard) = sync_channel(4);
        let (lines, to_write) = channel::<Vec<u8>>();
        let (read, noise) = (tell.clone(), tell.clone());
        thread::spawn(move || read_lines(stdout, &read));
        thread::spawn(move || read_noise(stderr, &noise));
        thread::spawn(move || write_lines(stdin, &to_write));
        thread::spawn(move || {
            while let Ok(signal) = signals.wait() {
                if tell.send(Heard::Asked(signal as i32)).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines: Some(lines), heard })
    }

    /// Sends a line. That the client does not read any more is seen by its end.
    pub(super) fn send(&self, mut line: Vec<u8>) {
        line.push(b'\n');
        if let Some(lines) = &self.lines {
            let _ = lines.send(line);
        }
    }

    /// What comes next, at the latest `until`.
    pub(super) fn hear(&self, until: Option<Instant>) -> Heard {
        let Some(until) = until else { return self.heard.recv().unwrap_or(Heard::Closed) };
        match self.heard.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(heard) => heard,
            Err(RecvTimeoutError::Timeout) => Heard::Late,
            Err(RecvTimeoutError::Disconnected) => Heard::Closed,
        }
    }

    /// Closes its stdin, which ends a client, and waits for it; then asks its group to end, then kills it. `patience` bounds
    /// the waiting. The noises it makes meanwhile go to `noise`.
    pub(super) fn end(mut self, patience: Duration, mut noise: impl FnMut(&str)) -> Option<ExitStatus> {
        self.lines = None;
        let group = i32::try_from(self.child.id()).map(Pid::from_raw);
        for signal in [Some(Signal::SIGTERM), Some(Signal::SIGKILL), None] {
            let until = Instant::now() + PARTING.min(patience / 2);
            if let Some(status) = self.wait(until, &mut noise) {
                return Some(status);
            }
            if let (Ok(group), Some(signal)) = (group, signal) {
                // It was not waited for yet, so that the number is still its own.
                let _ = killpg(group, signal);
            }
        }
        None
    }

    fn wait(&mut self, until: Instant, noise: &mut impl FnMut(&str)) -> Option<ExitStatus> {
        let mut open = true;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                // What it said last.
                while let Heard::Noise(text) = self.hear(Some(Instant::now() + Duration::from_millis(50))) {
                    noise(&text);
                }
                return Some(status);
            }
            let now = Instant::now();
            if now >= until {
                return None;
            }
            let look = until.min(now + Duration::from_millis(20));
            match if open { self.hear(Some(look)) } else { Heard::Closed } {
                Heard::Noise(text) => noise(&text),
                Heard::Closed if !open => thread::sleep(look.saturating_duration_since(now)),
                Heard::Closed => open = false,
                Heard::Asked(_) | Heard::Line(_) | Heard::TooLong | Heard::Late => {}
            }
        }
    }
}

fn read_lines(stdout: impl Read, tell: &SyncSender<Heard>) {
    let mut input = BufReader::with_capacity(64 * 1024, stdout);
    loop {
        let mut line = Vec::new();
        match (&mut input).take(LINE as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let whole = line.last() == Some(&b'\n');
        let heard = if !whole && line.len() == LINE {
            drop(line);
            if input.skip_until(b'\n').is_err() {
                break;
            }
            Heard::TooLong
        } else {
            if whole {
                line.pop();
            }
            Heard::Line(line)
        };
        if tell.send(heard).is_err() {
            return;
        }
    }
    let _ = tell.send(Heard::Closed);
}

fn read_noise(stderr: impl Read, tell: &SyncSender<Heard>) {
    let mut input = BufReader::new(stderr);
    loop {
        let mut line = Vec::new();
        match (&mut input).take(NOISE as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if !text.is_empty() && tell.send(Heard::Noise(text)).is_err() {
            return;
        }
    }
}

fn write_lines(mut stdin: impl Write, lines: &Receiver<Vec<u8>>) {
    while let Ok(line) = lines.recv() {
        if stdin.write_all(&line).and_then(|()| stdin.flush()).is_err() {
            return;
        }
    }
}
