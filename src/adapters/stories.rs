//! Finds and reads story files.
