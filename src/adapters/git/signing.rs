//! SSH signatures of reviews: signing as git is configured to, verifying with `ssh-keygen` alone. Must not believe the
//! repository's configuration when verifying: an agent can write it.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::cli::{output, shown};
use super::content;
use super::repo::Repo;
use crate::adapters::process::spawn;
use crate::domain::names::{ItemKey, Oid, Principal};
use crate::domain::policy::Policy;
use crate::domain::state::ItemState;
use crate::domain::statement::{self, Signatures, Unverified, Verified};
use crate::engine::ports::PortError;

/// The namespace of git's own signatures, so that one allowed signers file serves both.
const NAMESPACE: &str = "git";

/// How an SSH signature begins.
const ARMOR: &str = "-----BEGIN SSH SIGNATURE-----";

/// Makes OpenSSH verify.
const KEYGEN: &str = "ssh-keygen";

/// The key that git is configured to sign with.
#[derive(Clone, Debug)]
pub struct Signer {
    program: OsString,
    key: Key,
    /// Relative keys are relative to the root, as for git.
    root: PathBuf,
}

#[derive(Clone, Debug)]
enum Key {
    /// A private key, or a public one whose private part an agent or its neighbour file holds.
    File(PathBuf),
    /// A public key whose private part `ssh-agent` holds.
    Literal(String),
}

impl Signer {
    /// Reads `gpg.format`, `user.signingKey` and `gpg.ssh.program`; an error names the commands that set them.
    pub fn configured(repo: &Repo) -> Result<Self, PortError> {
        let git = repo.gix();
        let config = git.config_snapshot();
        let text = |key: &str| config.string(key).map(|value| value.to_string()).filter(|value| !value.is_empty());
        let unreadable = |error| PortError::new("cannot read how git signs").because(error);
        let help = "git config gpg.format ssh && git config user.signingKey ~/.ssh/id_ed25519.pub";
        match text("gpg.format").as_deref() {
            Some("ssh") => {}
            Some(other) => {
                let message = format!("only ssh keys can sign a review; gpg.format is {}", other.escape_debug());
                return Err(PortError::new(message).hint(help));
            }
            None => {
                return Err(
                    PortError::new("git is not set up to sign with an ssh key: gpg.format is not set").hint(help)
                );
            }
        }
        let key = match text("user.signingKey") {
            None => return Err(PortError::new("no signing key is configured: user.signingKey is not set").hint(help)),
            Some(key) if key.starts_with("key::") => Key::Literal(key["key::".len()..].to_owned()),
            Some(key) if key.starts_with("ssh-") => Key::Literal(key),
            Some(key) => {
                let path = config.trusted_path("user.signingKey").map_err(unreadable)?;
                Key::File(path.unwrap_or_else(|| PathBuf::from(key)))
            }
        };
        let program = config.trusted_path("gpg.ssh.program").map_err(unreadable)?;
        let program = program.map_or_else(|| KEYGEN.into(), PathBuf::into_os_string);
        Ok(Self { program, key, root: repo.root().to_owned() })
    }

    /// Signs a statement; the answer is armored. May ask for a passphrase on the terminal.
    pub fn sign(&self, statement: &[u8]) -> Result<String, PortError> {
        let folder = folder()?;
        let file = put(&folder, "statement", statement)?;
        let mut command = self.command();
        command.args(["-Y", "sign", "-n", NAMESPACE, "-f"]);
        match &self.key {
            Key::File(path) => drop(command.arg(path)),
            Key::Literal(key) => drop(command.arg(put(&folder, "key.pub", key.as_bytes())?).arg("-U")),
        }
        let made = output(command.arg(&file))?;
        if !made.status.success() {
            let message = format!("the review could not be signed: {}", shown(&made.stderr));
            return Err(PortError::new(message).hint("see: git config user.signingKey; ssh-add -l"));
        }
        let armored = folder.path().join("statement.sig");
        std::fs::read_to_string(&armored)
            .map_err(|error| PortError::new("the signing program wrote no signature").because(error))
    }

    /// The line that allows this key to sign for `address`, as the allowed signers file wants it.
    pub fn line(&self, address: &str) -> String {
        format!("{address} namespaces=\"{NAMESPACE}\" {}", self.public_key())
    }

    /// Type and key; a placeholder where only a private key is at hand.
    fn public_key(&self) -> String {
        let text = match &self.key {
            Key::Literal(key) => Some(key.clone()),
            Key::File(path) => {
                let path = self.root.join(path);
                let mut beside = path.clone().into_os_string();
                beside.push(".pub");
                let texts = [PathBuf::from(beside), path].map(|path| std::fs::read_to_string(path).ok());
                texts.into_iter().flatten().find(|text| !text.contains("PRIVATE KEY"))
            }
        };
        let words: Vec<String> =
            text.iter().flat_map(|text| text.split_whitespace().take(2)).map(str::to_owned).collect();
        if words.len() == 2 { words.join(" ") } else { "<the text of your public key>".to_owned() }
    }

    fn command(&self) -> Command {
        let mut command = spawn::command(&self.program);
        command.current_dir(&self.root).env("LC_ALL", "C");
        command
    }
}

/// What is known of the signature of the review that counts (the newest), by the signers that `base` allows. Empty, and without
/// any effect, where the policy asks for no signature.
pub fn known(
    repo: &Repo,
    base: &Oid,
    policy: &Policy,
    key: &ItemKey,
    state: &ItemState,
) -> Result<Signatures, PortError> {
    let none = Signatures::unknown();
    let Some(review) = state.reviews.last().filter(|_| policy.signatures_required) else { return Ok(none) };
    let Some(signature) = &review.signature else { return Ok(none) };
    let allowed = allowed_signers(repo, base, policy)?;
    let statement = statement::bytes(key, state.round, review);
    Ok(none.with(review, verify(&statement, &signature.armored, &review.reviewer, &allowed)))
}

/// The allowed signers as they stand in a commit of the protected branch; nobody is allowed where there is no such file.
pub fn allowed_signers(repo: &Repo, base: &Oid, policy: &Policy) -> Result<Vec<u8>, PortError> {
    Ok(content::file_at(repo, base, &policy.allowed_signers)?.unwrap_or_default())
}

/// Verifies an armored signature over `statement` by `reviewer`, among the allowed signers given as the bytes of their file.
/// Needs no repository and no working directory; runs `ssh-keygen` from `PATH` on files in a temporary folder of its own.
pub fn verify(statement: &[u8], signature: &str, reviewer: &Principal, allowed: &[u8]) -> Result<Verified, Unverified> {
    let Principal::Person(address) = reviewer else { return Err(Unverified::NotAPerson(reviewer.to_string())) };
    if !signature.trim_start().starts_with(ARMOR) {
        return Err(Unverified::NotSsh);
    }
    let work = Bench::new(statement, signature, allowed)?;
    let answer = work.ask(&["-Y", "verify", "-I", address, "-f", ALLOWED])?;
    if answer.status.success() {
        // An answer without a fingerprint is not the one that was asked for.
        let fingerprint = fingerprint_in(&answer.stdout).ok_or(Unverified::Altered)?;
        return Ok(Verified { principal: address.clone(), fingerprint });
    }
    let fingerprint = work.fingerprint()?;
    let mut detail = said(&answer.stderr);
    if broad(allowed) {
        detail.push_str("; lines with a pattern for a name prove nobody's identity and are passed over");
    }
    Err(Unverified::NotAllowed { fingerprint, reviewer: address.clone(), detail })
}

/// Fingerprint of the key that made a signature over `statement`, whoever's it is.
pub fn fingerprint(statement: &[u8], signature: &str) -> Result<String, Unverified> {
    if !signature.trim_start().starts_with(ARMOR) {
        return Err(Unverified::NotSsh);
    }
    Bench::new(statement, signature, &[])?.fingerprint()
}

/// Addresses that the allowed signers give the key of a signature; none when the key is not listed.
pub fn principals(signature: &str, allowed: &[u8]) -> Result<Vec<String>, Unverified> {
    let work = Bench::new(&[], signature, allowed)?;
    let answer = work.run(&["-Y", "find-principals", "-f", ALLOWED, "-s", SIGNATURE])?;
    if !answer.status.success() {
        return Ok(Vec::new());
    }
    Ok(String::from_utf8_lossy(&answer.stdout).lines().map(str::to_owned).collect())
}

const ALLOWED: &str = "allowed";
const SIGNATURE: &str = "signature";
const STATEMENT: &str = "statement";

/// A temporary folder with the files that `ssh-keygen` wants.
struct Bench(TempDir);

impl Bench {
    fn new(statement: &[u8], signature: &str, allowed: &[u8]) -> Result<Self, Unverified> {
        let made = || {
            let folder = folder()?;
            put(&folder, STATEMENT, statement)?;
            put(&folder, SIGNATURE, signature.as_bytes())?;
            put(&folder, ALLOWED, &narrow(allowed))?;
            Ok(Self(folder))
        };
        made().map_err(|error: PortError| unable(&error))
    }

    /// Asks about the signature over the statement.
    fn ask(&self, args: &[&str]) -> Result<Output, Unverified> {
        let all: Vec<&str> = args.iter().copied().chain(["-n", NAMESPACE, "-s", SIGNATURE]).collect();
        self.run(&all)
    }

    fn run(&self, args: &[&str]) -> Result<Output, Unverified> {
        let statement =
            File::open(self.0.path().join(STATEMENT)).map_err(|error| Unverified::Unable(error.to_string()))?;
        let mut command = spawn::command(KEYGEN);
        command.args(args).current_dir(self.0.path()).env("LC_ALL", "C").stdin(statement);
        output(&mut command).map_err(|error| unable(&error))
    }

    fn fingerprint(&self) -> Result<String, Unverified> {
        let answer = self.ask(&["-Y", "check-novalidate"])?;
        let good = answer.status.success().then(|| fingerprint_in(&answer.stdout)).flatten();
        good.ok_or(Unverified::Altered)
    }
}

/// The last word of `Good "git" signature ... with ED25519 key SHA256:...`.
fn fingerprint_in(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    let word = text.lines().find(|line| line.starts_with("Good "))?.rsplit(' ').next()?;
    word.starts_with("SHA256:").then(|| word.to_owned())
}

/// What the program said about a line of the file, if anything; the bare "could not verify" says nothing new.
fn said(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().find_map(|line| line.strip_prefix(ALLOWED)?.strip_prefix(':'));
    line.map(|line| format!(" (line {})", line.trim().escape_debug().to_string().replace("\\\"", "\"")))
        .unwrap_or_default()
}

/// Lines whose name is a pattern would let one key sign for many addresses, an author's own among them. Certificate authorities
/// stay: a certificate names its holder.
fn narrow(allowed: &[u8]) -> Vec<u8> {
    let lines = allowed.split_inclusive(|byte| *byte == b'\n');
    // An empty line in its place keeps the numbers that a message names.
    lines.flat_map(|line| if is_broad(line) { b"\n".as_slice() } else { line }).copied().collect()
}

fn broad(allowed: &[u8]) -> bool {
    allowed.split(|byte| *byte == b'\n').any(is_broad)
}

fn is_broad(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_start();
    let (name, rest) = match text.strip_prefix('"').and_then(|text| text.split_once('"')) {
        Some(parts) => parts,
        None => text.split_once([' ', '\t']).unwrap_or((text, "")),
    };
    !name.starts_with('#') && name.contains(['*', '?', '!']) && !rest.contains("cert-authority")
}

fn unable(error: &PortError) -> Unverified {
    let cause = error.source.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
    Unverified::Unable(format!("{error}{cause}"))
}

fn folder() -> Result<TempDir, PortError> {
    let made = tempfile::Builder::new().prefix("git-orchestrate-sign-").tempdir();
    made.map_err(|error| PortError::new("cannot make a temporary folder").because(error))
}

fn put(folder: &TempDir, name: &str, bytes: &[u8]) -> Result<PathBuf, PortError> {
    let path: &Path = folder.path();
    let path = path.join(name);
    std::fs::write(&path, bytes)
        .map_err(|error| PortError::new(format!("cannot write {}", path.display())).because(error))?;
    Ok(path)
}

#[cfg(test)]
#[path = "signing_tests.rs"]
mod tests;
