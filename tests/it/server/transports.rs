//! The same verdicts over file://, http and ssh.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::Hub;
use crate::support::{Scratch, run};

/// One push that is refused and one that is taken; the project's `origin` is set already.
fn refused_and_taken(hub: &Hub) {
    hub.run_stories();
    hub.refused(&["main"], "commits of story 1.1 that have no reviewed landing");
    hub.refused(&["--atomic", "--force", "main"], "commits of story 1.1 that have no reviewed landing");
    hub.refused(&["--delete", "main"], "never deleted");
    hub.accepted(&["--atomic", "main", "refs/orchestrate/items/1.1"]);
    assert_eq!(hub.there(&["rev-parse", "main"]), hub.git(&["rev-parse", "main"]));
    hub.refused(&["--delete", "refs/orchestrate/items/1.1"], "the records of reviews only grow");
}

#[test]
fn over_the_file_protocol() {
    let hub = Hub::new("");
    let url = format!("file://{}", hub.url());
    hub.git(&["remote", "set-url", "origin", &url]);
    refused_and_taken(&hub);
}

#[test]
fn over_http() {
    let hub = Hub::new("");
    let programs = PathBuf::from(hub.git(&["--exec-path"]));
    if !["git-http-backend", "git-remote-http"].iter().all(|name| programs.join(name).exists()) {
        eprintln!("skipped: this git has no http");
        return;
    }
    let mut backend = hub.project.scratch.command("git");
    backend.arg("http-backend").current_dir(hub.project.scratch.outside());
    backend.env("GIT_PROJECT_ROOT", hub.project.scratch.outside()).env("GIT_HTTP_EXPORT_ALL", "1");
    let port = serve(hub.project.scratch.outside(), backend);
    hub.git(&["remote", "set-url", "origin", &format!("http://127.0.0.1:{port}/server.git")]);
    refused_and_taken(&hub);
}

/// Answers requests, one after the other, by git's own CGI program, for as long as the test runs; returns the port.
fn serve(root: PathBuf, backend: Command) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut backend = backend;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // The repository goes away with the test.
            if !root.exists() {
                return;
            }
            answer(stream, &mut backend);
        }
    });
    port
}

fn answer(stream: TcpStream, backend: &mut Command) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = headers(&mut reader);
    let header = |name: &str| headers.get(name).map_or("", String::as_str);
    if header("expect").eq_ignore_ascii_case("100-continue") {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    }
    let body = body(&mut reader, header("transfer-encoding"), header("content-length"));
    backend.env("REQUEST_METHOD", method).env("PATH_INFO", path).env("QUERY_STRING", query);
    backend.env("CONTENT_TYPE", header("content-type")).env("CONTENT_LENGTH", body.len().to_string());
    backend.env("HTTP_CONTENT_ENCODING", header("content-encoding")).env("GIT_PROTOCOL", header("git-protocol"));
    backend.env("REMOTE_USER", "ada").env("REMOTE_ADDR", "127.0.0.1");
    let mut child = backend.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may answer before it has read everything.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&body)));
    let output = child.wait_with_output().unwrap().stdout;
    writer.join().unwrap();
    let status = output.strip_prefix(b"Status: ").map_or(b"200 OK".as_slice(), |rest| {
        rest.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default()
    });
    let head = [b"HTTP/1.1 ", status, b"\r\nConnection: close\r\n"].concat();
    drop(stream.write_all(&[head, output].concat()));
}

fn headers(reader: &mut impl BufRead) -> HashMap<String, String> {
    let mut found = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(':') {
            Some((name, value)) => drop(found.insert(name.to_lowercase(), value.trim().to_owned())),
            None => return found,
        }
    }
}

fn body(reader: &mut impl BufRead, encoding: &str, length: &str) -> Vec<u8> {
    let mut body = Vec::new();
    if !encoding.eq_ignore_ascii_case("chunked") {
        let length = length.parse().unwrap_or(0);
        reader.take(length).read_to_end(&mut body).unwrap();
        return body;
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let size = u64::from_str_radix(line.trim(), 16).unwrap();
        reader.take(size).read_to_end(&mut body).unwrap();
        reader.read_line(&mut String::new()).unwrap();
        if size == 0 {
            return body;
        }
    }
}

/// An sshd of the test's own, ended with it.
struct Sshd(Child);

impl Drop for Sshd {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn over_ssh() {
    let Some(sshd) = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/libexec/sshd"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())
    else {
        eprintln!("skipped: no sshd on this machine");
        return;
    };
    let hub = Hub::new("");
    let folder = hub.project.scratch.outside().join("ssh");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    for name in ["host", "user"] {
        let file = folder.join(name);
        let mut keygen = hub.project.scratch.command("ssh-keygen");
        let ran = run(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&file));
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    std::fs::copy(folder.join("user.pub"), folder.join("authorized")).unwrap();
    // The port is free now; another program could take it before sshd does, and then the push fails.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let path = |name: &str| folder.join(name).display().to_string();
    let options = [
        format!("HostKey={}", path("host")),
        format!("AuthorizedKeysFile={}", path("authorized")),
        format!("PidFile={}", path("pid")),
        "StrictModes=no".to_owned(),
        "UsePAM=no".to_owned(),
        "ListenAddress=127.0.0.1".to_owned(),
        "PermitRootLogin=yes".to_owned(),
        // A login does not see the git of this environment otherwise.
        format!("SetEnv=PATH={}", std::env::var("PATH").unwrap()),
    ];
    let mut server = Command::new(sshd);
    server.args(["-D", "-e", "-f", "/dev/null", "-p", &port.to_string()]);
    options.iter().for_each(|option| {
        server.args(["-o", option]);
    });
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let _sshd = Sshd(server.stdin(Stdio::null()).stderr(log).spawn().unwrap());
    crate::project::until("sshd listening", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let ssh = format!(
        "ssh -F /dev/null -i {} -p {port} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes",
        path("user")
    );
    hub.git(&["config", "core.sshCommand", &ssh]);
    let user = user(&hub.project.scratch);
    hub.git(&["remote", "set-url", "origin", &format!("ssh://{user}@127.0.0.1:{port}{}", hub.url())]);
    refused_and_taken(&hub);
}

fn user(scratch: &Scratch) -> String {
    run(scratch.command("id").arg("-un")).stdout.trim().to_owned()
}
