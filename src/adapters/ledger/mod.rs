//! The append-only record in `refs/orchestrate/`. Nothing outside this folder knows how a fact is written down.
