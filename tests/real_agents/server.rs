//! The model server: HTTP on loopback, one thread for each connection, no keep-alive. Knows nothing of stories: what to answer
//! is asked of the model, how it looks on the wire is `wire`'s.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::model::{Answer, Ask, Model};
use crate::wire::Protocol;

/// What was asked, and when.
#[derive(Clone, Debug)]
pub struct Asked {
    pub at: SystemTime,
    pub ask: Ask,
}

/// A server; it ends when dropped.
pub struct Server {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// What every connection needs.
#[derive(Clone)]
struct Shared {
    model: Arc<Model>,
    sessions: Arc<dyn Fn() -> usize + Send + Sync>,
    over: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<Asked>>>,
    log: Arc<Mutex<std::fs::File>>,
}

impl Server {
    /// Starts one that answers as `model` says and writes what it was asked to `log`; `sessions` counts those of the engine.
    pub fn start(model: Model, sessions: impl Fn() -> usize + Send + Sync + 'static, log: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared {
            model: Arc::new(model),
            sessions: Arc::new(sessions),
            over: Arc::default(),
            asked: Arc::default(),
            log: Arc::new(Mutex::new(std::fs::File::create(log).unwrap())),
        };
        let server = Self { address, over: shared.over.clone(), asked: shared.asked.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.over.load(Ordering::SeqCst) {
                    return;
                }
                let shared = shared.clone();
                // A client that hangs up in the middle is none of our business.
                std::thread::spawn(move || drop(serve(stream, &shared)));
            }
        });
        server
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that was asked about a task so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let body = body(&mut reader)?;
    let request: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let row = json!({"method": method, "path": path, "body": request});
    writeln!(shared.log.lock().unwrap(), "{row}")?;
    let Some(protocol) = Protocol::of(&method, &path) else {
        return other(stream, &method, &path);
    };
    let ask = Ask { sessions: (shared.sessions)(), ..protocol.read(&path, &request) };
    let answer = {
        let mut asked = shared.asked.lock().unwrap();
        let nth = asked.iter().filter(|earlier| earlier.ask.step_key() == ask.step_key()).count();
        let answer = (shared.model)(&ask, nth);
        if ask.task.is_some() && !ask.aside {
            asked.push(Asked { at: SystemTime::now(), ask: ask.clone() });
        }
        answer
    };
    respond(stream, protocol, &ask, &answer, shared)
}

/// Header lines up to the empty one, then as many bytes as they say.
fn body(reader: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let line = line.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
    }
    let mut body = Vec::new();
    if !chunked {
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        return Ok(body);
    }
    loop {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = u64::from_str_radix(size.trim(), 16).unwrap_or(0);
        reader.by_ref().take(size).read_to_end(&mut body)?;
        reader.read_line(&mut String::new())?;
        if size == 0 {
            return Ok(body);
        }
    }
}

/// Anything that is no question to a model: reachability, lists of models, counting, telemetry that was switched off.
fn other(mut stream: TcpStream, method: &str, path: &str) -> std::io::Result<()> {
    let body = if path.contains("count_tokens") {
        json!({"input_tokens": 1000})
    } else if path.contains(":countTokens") {
        json!({"totalTokens": 1000})
    } else if path.contains("/models") {
        json!({"object": "list", "data": [], "models": []})
    } else {
        json!({})
    };
    let known = path.contains("ount") || path.contains("/models") || method == "HEAD";
    let status = if known { "200 OK" } else { "404 Not Found" };
    let body = if method == "HEAD" { String::new() } else { body.to_string() };
    head(&mut stream, status, "application/json", &[], Some(body.len()))?;
    stream.write_all(body.as_bytes())
}

fn head(
    stream: &mut TcpStream,
    status: &str,
    kind: &str,
    headers: &[(String, String)],
    length: Option<usize>,
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(length) = length {
        head.push_str(&format!("content-length: {length}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())
}

fn respond(
    mut stream: TcpStream,
    protocol: Protocol,
    ask: &Ask,
    answer: &Answer,
    shared: &Shared,
) -> std::io::Result<()> {
    match answer {
        Answer::Say(said) => {
            if !ask.stream {
                let body = protocol.whole(ask, said).to_string();
                head(&mut stream, "200 OK", "application/json", &[], Some(body.len()))?;
                return stream.write_all(body.as_bytes());
            }
            head(&mut stream, "200 OK", "text/event-stream", &[], None)?;
            stream.write_all(protocol.events(ask, said).concat().as_bytes())
        }
        Answer::Cut(said) if !ask.stream => {
            let body = protocol.whole(ask, said).to_string();
            head(&mut stream, "200 OK", "application/json", &[], Some(body.len()))?;
            stream.write_all(&body.as_bytes()[..body.len() / 2])
        }
        Answer::Cut(said) => {
            // Chunked and never ended: that, and not a closed connection as such, is a broken stream.
            let headers = [("transfer-encoding".to_owned(), "chunked".to_owned())];
            head(&mut stream, "200 OK", "text/event-stream", &headers, None)?;
            let events = protocol.events(ask, said);
            for event in &events[..events.len() / 2] {
                write!(stream, "{:x}\r\n{event}\r\n", event.len())?;
            }
            stream.flush()
        }
        Answer::Refuse { status, headers, kind, message } => {
            let body = protocol.refusal(*status, kind, message, headers).to_string();
            head(&mut stream, &format!("{status} Refused"), "application/json", headers, Some(body.len()))?;
            stream.write_all(body.as_bytes())
        }
        Answer::Hang => {
            // Until the client gives up, or the test is over.
            stream.set_read_timeout(Some(Duration::from_millis(100)))?;
            let mut byte = [0];
            while !shared.over.load(Ordering::SeqCst) {
                match stream.read(&mut byte) {
                    Ok(0) => return Ok(()),
                    Err(error)
                        if !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
                    {
                        return Ok(());
                    }
                    Ok(_) | Err(_) => {}
                }
            }
            Ok(())
        }
    }
}
