//! Parsers: file text to items and diagnostics.
