//! A pseudo terminal with a program on it: what a person types, what reaches the screen as bytes, and the terminal's modes.
//! Must not interpret more of the bytes than where one drawing of the progress display ends and the next begins.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use nix::pty::{Winsize, openpty};
use nix::sys::termios::{Termios, tcgetattr};

use crate::project::{Project, until};
use crate::support::run;

/// What begins a drawing of the display: everything below the cursor is erased.
pub const DRAWN: &str = "\r\u{1b}[J";

/// A terminal of 80 columns and 24 rows, and the session on it.
pub struct Pty {
    master: File,
    slave: OwnedFd,
    child: Child,
    written: Arc<Mutex<Vec<u8>>>,
    before: Termios,
}

impl Pty {
    /// Starts a shell script as the first process of a session of its own; `$0` in it is the program. `None` where the
    /// machine has no setsid(1) that can do it.
    pub fn start(project: &Project, script: &str) -> Option<Self> {
        if run(project.scratch.command("setsid").arg("--version")).code != 0 {
            eprintln!("skipped: no setsid(1) of util-linux");
            return None;
        }
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).unwrap();
        let end = || pair.slave.try_clone().unwrap();
        let mut command: Command = project.scratch.command("setsid");
        command.args(["--ctty", "env", "--default-signal", "sh", "-c", script, env!("CARGO_BIN_EXE_git-orchestrate")]);
        command.env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end());
        let before = tcgetattr(&pair.slave).unwrap();
        let child = command.spawn().unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let (kept, mut master) = (written.clone(), File::from(pair.master.try_clone().unwrap()));
        // Ends with an error when the last slave is closed, at the latest when this value is dropped.
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = master.read(&mut bytes) {
                kept.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Some(Self { master: File::from(pair.master), slave: pair.slave, child, written, before })
    }

    /// A person types.
    pub fn type_in(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Everything that reached the terminal so far.
    pub fn seen(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// Waits for a text behind the first `from` bytes and returns where it ends.
    pub fn wait_for(&self, text: &str, from: usize) -> usize {
        let find = || self.seen().get(from..).and_then(|seen| seen.find(text));
        let mut at = None;
        until(&format!("{text:?} on the terminal"), || {
            at = find();
            at.is_some()
        });
        from + at.unwrap() + text.len()
    }

    /// The drawings behind the first `from` bytes that are complete: each of them up to where the next one begins.
    pub fn drawings(&self, from: usize) -> Vec<String> {
        let seen = self.seen();
        let mut parts: Vec<String> = seen[from..].split(DRAWN).skip(1).map(str::to_owned).collect();
        parts.pop();
        parts
    }

    /// The terminal gets other columns, as when a window is made smaller.
    pub fn resize(&self, project: &Project, columns: u16) {
        let name = nix::unistd::ttyname(&self.slave).unwrap();
        let ran =
            run(project.scratch.command("stty").args(["-F", name.to_str().unwrap(), "cols", &columns.to_string()]));
        assert_eq!(ran.code, 0, "{ran:?}");
    }

    /// Process id of the session's first process.
    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// Waits for the end and returns the exit code and everything that reached the terminal. The terminal's modes are as
    /// they were, and nothing was said to it that outlasts the program (a hidden cursor, another screen).
    pub fn finish(mut self) -> (i32, String) {
        let mut status = None;
        until("the end of the program on the terminal", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(tcgetattr(self.slave.as_fd()).unwrap(), self.before, "the terminal's modes");
        // What the program wrote last may still be on its way to the reader.
        self.type_in("end of test\n");
        self.wait_for("end of test", 0);
        let seen = self.seen();
        assert!(!seen.contains("\u{1b}[?") && !seen.contains("\u{1b}7"), "{seen:?}");
        let status = status.unwrap();
        let code = status.code().or_else(|| Some(128 + status.signal()?)).unwrap();
        (code, seen)
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // After a failed assertion nothing may go on; what has ended cannot be killed, and that is fine.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
