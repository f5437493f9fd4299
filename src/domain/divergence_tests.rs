//! The rule for what two machines recorded apart.
