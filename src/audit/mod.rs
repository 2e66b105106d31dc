//! The audit log: what was decided is on record before it takes effect.
//!
//! [`Log::intent`] resolves when the row can no longer be lost; only then may a call be forwarded.
//! [`Log::outcome`] says afterwards what became of it. Where a row cannot be written the answer is
//! [`Unavailable`], and the caller of this seam must refuse the request. A row never holds a token
//! or a session id, only digests of them, and of arguments the values that a rule of the policy reads
//! or that the tool declares.
//!
//! There are two logs: [`Ledger`] in a database, which the gateway keeps, and [`Journal`] in one file of
//! lines, for whoever embeds the guard without one. Promising that a row is durable means writing and
//! flushing it: beside them nothing here opens a file, and what is read for it is handed in.
//!
//! Gateways that have one log in common have [`rates`] in common there.

mod beside;
pub mod chain;
mod event;
mod journal;
#[cfg(feature = "store")]
mod ledger;
pub mod rates;
mod recorded;
mod row;
#[cfg(feature = "store")]
mod signer;
#[cfg(feature = "store")]
pub mod store;
mod writer;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
#[cfg(feature = "store")]
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

pub use beside::{Beside, spare_threads};
pub use event::{Asker, EventText};
pub use journal::{Journal, JournalError, JournalOptions};
#[cfg(feature = "store")]
pub use ledger::Ledger;
#[cfg(feature = "store")]
pub use recorded::recorded;
pub use row::{Entry, Intent, Outcome, Refusals, Row, RowRule, SCHEMA, Verdict, Who, digest};
#[cfg(feature = "store")]
pub use signer::{NotSigned, Signer};

/// A future on the heap, so that a log can be used as `Arc<dyn Log>`.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where rows go.
pub trait Log: Send + Sync + fmt::Debug + 'static {
    /// Writes what is about to be done, or what was refused. Resolves when the row is durable.
    ///
    /// Dropping the future does not take the row back.
    fn intent(&self, intent: Intent) -> Pending<'_, Result<Receipt, Unavailable>>;

    /// Writes what became of it. Never waits; a log keeps room for the outcome of every receipt that
    /// it gave.
    fn outcome(&self, receipt: Receipt, outcome: Outcome);

    /// Writes how many requests were refused before anyone was known. Never waits, and may be left
    /// out when the log is full: such rows are counts, and the next one carries on.
    fn refusals(&self, refusals: Refusals);

    /// Whether rows can be written, as far as is known.
    fn is_available(&self) -> bool;

    /// Whether a row can be written now, by a look at where it would go.
    fn check(&self) -> Pending<'_, bool> {
        Box::pin(std::future::ready(self.is_available()))
    }

    /// What became of rows that were durable and that the store has lost since.
    fn lost(&self) -> Lost {
        Lost::default()
    }

    /// Why what proves the rows waits, where it does. Rows are written meanwhile.
    fn unsigned(&self) -> Option<String> {
        None
    }
}

/// How many durable rows a store has lost, as one does that falls back to a copy that lagged behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Rows that are gone.
    pub gone: u64,
    /// Rows that were put back in their places.
    pub restored: u64,
}

/// A row cannot be made durable now. The request is refused: 503 and `audit-unavailable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the audit log cannot be written (audit-unavailable)")
    }
}

impl std::error::Error for Unavailable {}

/// That an intent is durable, and room for its outcome.
#[derive(Debug)]
pub struct Receipt {
    sequence: u64,
    room: Option<OwnedSemaphorePermit>,
    #[cfg(feature = "store")]
    about: Option<About>,
}

/// What an outcome repeats of its intent.
#[cfg(feature = "store")]
#[derive(Clone, Debug)]
struct About {
    class: Arc<str>,
    request: Arc<str>,
    door: Arc<str>,
}

impl Receipt {
    /// A receipt of a log that bounds its memory by itself.
    pub const fn new(sequence: u64) -> Self {
        Self {
            sequence,
            room: None,
            #[cfg(feature = "store")]
            about: None,
        }
    }

    const fn with_room(sequence: u64, room: OwnedSemaphorePermit) -> Self {
        Self {
            sequence,
            room: Some(room),
            #[cfg(feature = "store")]
            about: None,
        }
    }

    #[cfg(feature = "store")]
    const fn about(sequence: u64, room: OwnedSemaphorePermit, about: About) -> Self {
        Self { sequence, room: Some(room), about: Some(about) }
    }

    /// The class that the row is numbered in; empty for a log that numbers all of its rows together.
    pub fn class(&self) -> &str {
        #[cfg(feature = "store")]
        let class = self.about.as_ref().map_or("", |about| &about.class);
        #[cfg(not(feature = "store"))]
        let class = "";
        class
    }

    /// The door and the request of the row, where its log is one in a database.
    #[cfg(feature = "store")]
    pub fn place(&self) -> Option<(&str, &str)> {
        self.about.as_ref().map(|about| (&*about.door, &*about.request))
    }

    /// The number of the row in its class.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }
}
