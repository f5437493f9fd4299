//! Reads what a client prints, while it prints it or afterwards: session, model, answer, what was consumed, failures that
//! its events prove, and entry by entry what the agent did and said. Must hold no more of a log than a bounded line, and
//! must not fail: what no parser knows is passed over.

mod acp;
mod claude;
mod codex;
mod copilot;
mod event;
pub mod follow;
mod gemini;
mod lines;
mod meaning;
mod opencode;
pub mod when;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::UNIX_EPOCH;

use jiff::tz::TimeZone;

use self::event::Event;
pub(super) use self::event::micros;
use self::lines::{Line, Lines};
use super::adapter::Parser;
use crate::domain::diagnostic::escape;
use crate::domain::event::FailureClass;
use crate::domain::names::Timestamp;
use crate::domain::transcript::{Entry, Kind, cut};
use crate::domain::usage::{Counting, Usage};

/// Bytes of a log that are read at once.
pub(super) const CHUNK: usize = 64 * 1024;

/// Longest last message that is handed on, in bytes.
const SAID: usize = 4096;

/// What the supervisor writes into a log in the place of what it left out.
const LEFT_OUT: &str = "[git-orchestrate: about ";

/// What the events say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    /// Session id as the client reports it.
    pub session: Option<String>,
    /// Structured answer of the last event that has one, whole.
    pub structured: Option<Vec<u8>>,
    /// Failure that the events prove.
    pub class: Option<FailureClass>,
    /// Failure that lines between the events speak of. It says something only of a client that failed and does not say why.
    pub hint: Option<FailureClass>,
    /// What the client says it has consumed.
    pub usage: Usage,
    /// The same by model, where it says so.
    pub by_model: Vec<(String, Usage)>,
    /// Which of these numbers count on over a session's invocations.
    pub counting: Counting,
    /// The model, as the client names it.
    pub model: String,
    /// When a rate limit ends.
    pub until: Option<Timestamp>,
    /// The agent's last message, escaped.
    pub said: String,
    /// Tools that it asked for and was refused.
    pub denied: u32,
    /// Whether a part of the log is missing: then what is summed up over events is not known.
    pub gap: bool,
}

/// Takes entries as they are read.
pub type Sink<'a> = dyn FnMut(Entry) + 'a;

/// What one client's events mean.
trait Client {
    /// Takes an event.
    fn event(&mut self, event: &Event<'_>, transcript: &mut Transcript, tell: &mut Sink<'_>);

    /// Takes the end of the log.
    fn end(&mut self, _transcript: &mut Transcript, _tell: &mut Sink<'_>) {}
}

/// A client of which nothing is known.
struct Plain;

impl Client for Plain {
    fn event(&mut self, _event: &Event<'_>, _transcript: &mut Transcript, _tell: &mut Sink<'_>) {}
}

/// Reads a stream piece by piece. How it is cut into pieces makes no difference.
pub struct Reader {
    parser: Parser,
    lines: Lines,
    client: Box<dyn Client>,
    transcript: Transcript,
    clock: when::Clock,
}

impl Reader {
    /// A reader of a client's output; relative and clock times in it are counted from `at`, in the zone of this machine.
    pub fn new(parser: Parser, at: Timestamp) -> Self {
        let client: Box<dyn Client> = match parser {
            Parser::Plain => Box::new(Plain),
            Parser::ClaudeStreamJson => Box::new(claude::Claude::default()),
            Parser::CodexJsonl => Box::new(codex::Codex::default()),
            Parser::GeminiStreamJson => Box::new(gemini::Gemini::default()),
            Parser::OpencodeJsonl => Box::new(opencode::Opencode::default()),
            Parser::CopilotJsonl => Box::new(copilot::Copilot::default()),
            Parser::Acp => Box::new(acp::Acp::default()),
        };
        let clock = when::Clock { now: at, zone: TimeZone::system() };
        Self { parser, lines: Lines::default(), client, transcript: Transcript::default(), clock }
    }

    /// Takes the next bytes; `tell` gets what they complete.
    pub fn push(&mut self, bytes: &[u8], tell: &mut Sink<'_>) {
        let Self { parser, lines, client, transcript, clock } = self;
        lines.push(bytes, &mut |line| take(line, *parser, client.as_mut(), transcript, clock, tell));
    }

    /// Something is missing here: what follows may begin in the middle of a line.
    pub fn skip(&mut self) {
        self.transcript.gap = true;
        self.lines.forget();
    }

    /// Takes the end.
    pub fn finish(mut self, tell: &mut Sink<'_>) -> Transcript {
        let Self { parser, lines, client, transcript, clock } = &mut self;
        lines.end(&mut |line| take(line, *parser, client.as_mut(), transcript, clock, tell));
        client.end(transcript, tell);
        let mut said = escape(transcript.said.trim());
        cut(&mut said, SAID);
        transcript.said = said;
        self.transcript
    }
}

fn take(
    line: Line,
    parser: Parser,
    client: &mut dyn Client,
    transcript: &mut Transcript,
    clock: &when::Clock,
    tell: &mut Sink<'_>,
) {
    match line {
        Line::Event { json, cut } if parser != Parser::Plain => {
            if let Some(value) = event::parse(&json) {
                client.event(&Event { value: &value, cut: &cut, clock }, transcript, tell);
            }
        }
        Line::Event { json, .. } => text(&String::from_utf8_lossy(&json), parser, transcript, clock, tell),
        Line::Text(line) => text(&line, parser, transcript, clock, tell),
    }
}

/// A line that is no event.
fn text(line: &str, parser: Parser, transcript: &mut Transcript, clock: &when::Clock, tell: &mut Sink<'_>) {
    if line.starts_with(LEFT_OUT) {
        transcript.gap = true;
    } else if parser == Parser::Plain {
        line.clone_into(&mut transcript.said);
    } else if let Some(class) = meaning::of_text(line) {
        transcript.hint = Some(class);
        if class == FailureClass::RateLimited {
            transcript.until = when::reset(line, clock).or(transcript.until);
        }
    }
    if !line.is_empty() {
        tell(Entry::new(Kind::Output, line));
    }
}

/// Reads a log that is not written any more.
pub fn read(path: &Path, parser: Parser) -> Transcript {
    entries(path, parser, &mut |_| {})
}

/// Reads a log and tells what is in it.
pub fn entries(path: &Path, parser: Parser, tell: &mut Sink<'_>) -> Transcript {
    let Ok(mut file) = File::open(path) else { return Transcript::default() };
    // Its last change is about when the client said what it said last.
    let changed = file.metadata().and_then(|metadata| metadata.modified()).ok();
    let millis = changed.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_millis());
    let mut reader = Reader::new(parser, Timestamp(i64::try_from(millis).unwrap_or(0)));
    // What could be read counts; a log that breaks off holds no final event.
    let _ = read_all(&mut file, &mut reader, tell);
    reader.finish(tell)
}

fn read_all(file: &mut File, reader: &mut Reader, tell: &mut Sink<'_>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = match file.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if chunk[..length].iter().all(|byte| *byte == 0) {
            past_hole(file)?;
            reader.skip();
        } else {
            reader.push(&chunk[..length], tell);
        }
    }
}

/// Goes on behind the hole of a log whose middle was left out: it can be many times as long as what is left.
fn past_hole(file: &mut File) -> io::Result<()> {
    let here = file.stream_position()?;
    let from = i64::try_from(here).map_err(io::Error::other)?;
    if let Ok(data) = nix::unistd::lseek(&*file, from, nix::unistd::Whence::SeekData) {
        let data = u64::try_from(data).map_err(io::Error::other)?;
        file.seek(SeekFrom::Start(data.max(here)))?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
