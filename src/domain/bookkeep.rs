//! bookkeep
