//! Placeholder of the half-done states: see below. Must run only what a refusal printed.
