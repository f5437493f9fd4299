//! The same verdicts over file://, http and ssh.
