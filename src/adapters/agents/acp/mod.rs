//! Clients that speak the Agent Client Protocol: this program's hidden `acp-client` talks to one and prints what happens in the
//! form that logs are read in. It runs under a supervisor as any client does. Must not know the engine.

mod asking;
mod faults;
mod git_rules;
mod launch;
mod link;
mod places;
pub mod policy;
mod says;
mod session;
mod spec;
mod talk;
mod turn;
mod words;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;

pub use launch::{conversation, look_around};
pub use places::Facts;
pub use spec::Spec;

/// The hidden first argument.
pub const ACP_CLIENT: &str = "acp-client";

/// The arguments after the hidden one, when this program was started as a client.
pub fn called(argv: &[OsString]) -> Option<&[OsString]> {
    let (first, rest) = argv.get(1..)?.split_first()?;
    (first == ACP_CLIENT).then_some(rest)
}

/// Holds the conversation that the file in `args` describes; returns the exit code: 0 for a turn that ended well, 1 for one
/// that did not, 128 and the signal's number when asked to end, else the client's own.
pub fn main(args: &[OsString], out: &mut dyn Write, errors: &mut dyn Write) -> u8 {
    let [path] = args else {
        let _ = writeln!(errors, "error: {ACP_CLIENT} needs one file; it is started by git-orchestrate itself");
        return 2;
    };
    match Spec::read(Path::new(path)) {
        Ok(spec) => turn::run(&spec, out),
        Err(error) => {
            let _ = writeln!(errors, "error: {}: {error}", Path::new(path).display());
            2
        }
    }
}
