//! Status tables and JSON.
