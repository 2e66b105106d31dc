//! Recorded traffic: the format of doorward's own recordings, and importers for foreign logs.
//!
//! Never holds a token, never decides and never drops a record: one that cannot be read comes out
//! as an [`Unreadable`] with its place and a code. Nothing here opens a file or asks the clock.

mod batch;
pub mod chat;
#[cfg(feature = "parquet")]
pub mod columns;
mod declared;
mod documents;
mod event;
pub mod fieldmap;
mod flat;
mod foreign;
mod gap;
mod imported;
mod incoming;
mod keep;
mod last;
mod lines;
pub mod log;
mod look;
pub mod mapping;
mod newline;
mod observed;
mod otlp;
mod pointer;
mod reader;
mod rpc;
mod scan;
mod secrets;
mod single;
mod strict;
mod table;
mod wire;
mod writer;

pub use batch::Batch;
pub use event::{Decided, DecidedRule, Event, Field, Header, Identity, SCHEMA, TokenFacts};
pub use foreign::Foreign;
pub use gap::Gap;
pub use imported::Imported;
pub use keep::{Everything, Keep, Wants};
pub use lines::{Line, Lines};
pub(crate) use look::holds_any_secret;
pub use observed::{Glance, Numbers, Observed};
pub use reader::{MAX_LINE, Numbered, Place, Reader, Unreadable, UnreadableCode};
pub(crate) use secrets::mask_value;
pub use single::{read_arguments, read_event};
pub use strict::MAX_DEPTH;
#[cfg(feature = "guard")]
pub(crate) use wire::{missing, states_kind};
pub use writer::{WriteError, Writer, line, object};
