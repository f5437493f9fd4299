//! The composition root: makes the real adapters and hands them to the engine. Must not decide anything itself.
