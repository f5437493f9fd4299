//! Values of our own environment that must not leave by a log, a record or the terminal. Must not hand them to anyone but a
//! redactor.

use crate::domain::redact::{LEAST, Secret, looks_secret};

/// Values of variables whose names say that they are secret, and of those in `named`, whatever they are called.
#[allow(clippy::disallowed_methods, reason = "the values are kept from leaving, nothing is decided by them")]
pub fn of_environment(named: &[String]) -> Vec<Secret> {
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let mut secrets = Vec::new();
    for (name, value) in variables {
        let value = value.to_string_lossy().into_owned();
        let asked = named.contains(&name) && value.chars().count() >= LEAST;
        if asked || looks_secret(&name, &value) {
            secrets.push(Secret { name, value });
        }
    }
    secrets
}
