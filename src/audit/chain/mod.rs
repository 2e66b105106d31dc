//! What makes the audit log tamper-evident, as pure code.
//!
//! A *writer* is one run of one process. It numbers its rows from 1 for each audit class, and each
//! row holds the hash of the one before it: a *chain* is the rows of one writer and class. So a
//! class can lose its oldest rows to retention without a hole in another's chain.
//!
//! A hash chain alone shows every change but one: whoever can rewrite a row can compute all hashes
//! behind it again, and whoever can delete the last rows leaves a chain that is merely shorter.
//! *Seals* close that: rows of the class [`LOG_CLASS`] that name the heads of chains and are signed
//! (Ed25519). There are four kinds: `open` begins a writer and names the heads that it found in the
//! store, `checkpoint` names the writer's own, `close` says that they are final, and `prune` is the
//! stub of what retention removed. They are rows of a chain themselves, so a seal that is gone is
//! missed as any row is.
//!
//! Every writer must have its `open`, which only the key can make. An `open` names every chain of the
//! writers that have not closed, and the last seal of those that have, unless an earlier `open` names that
//! very row: that one is in a chain which is named itself. So who opens vouches for all that came before.
//! What was written after the last seal that is left is vouched for by nobody. An [`Anchor`], kept
//! elsewhere, says which seal must be left.

mod anchor;
#[cfg(feature = "store")]
mod arranged;
mod canonical;
mod data;
mod hash;
mod key;
mod line;
mod row;
mod seal;
mod tail;
mod verify;
mod view;

use std::time::Duration;

pub use anchor::Anchor;
#[cfg(feature = "store")]
pub(in crate::audit) use arranged::arranged;
pub(in crate::audit) use canonical::canonical_object;
pub(in crate::audit) use data::Data;
pub use hash::Hash;
pub use key::{BadKey, PublicKey, SigningKey};
pub use row::{COLUMNS, Column, Entry, MAX_DATA, MAX_TEXT, Row};
#[cfg(any(feature = "store", test))]
pub(in crate::audit) use seal::vouched;
pub use seal::{Draft, Gap, Mark, SealKind};
pub use tail::Tail;
pub use verify::{Chain, Fault, Finding, Verdict, Verifier};
pub use view::Link;
#[cfg(feature = "store")]
pub(in crate::audit) use view::{Names, View};

/// The class of the rows that the log writes about itself. No policy can declare a class of this name.
pub const LOG_CLASS: &str = ".log";

/// A writer seals its chains after so many rows,
pub const CHECKPOINT_ROWS: u32 = 10_000;
/// and after this time, when there are rows that no seal names.
pub const CHECKPOINT_EVERY: Duration = Duration::from_mins(1);
/// How many heads of others one seal names, so that its line has a bounded length. Where there are
/// more, further checkpoints name them.
pub const HEADS: usize = 1_000;
