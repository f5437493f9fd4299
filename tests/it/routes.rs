//! Every known route to a protected branch and to the ledger, tried on real git against expectations written by hand.
//! What was seen is the document hooks/ROUTES.md; `GIT_ORCHESTRATE_WRITE_ROUTES=1` writes it anew.

mod bring;
mod copy;
mod document;
mod free;
mod observe;
mod own;
mod records;
mod row;
mod setting;
mod table;
mod undo;
