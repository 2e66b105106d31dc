//! The policy administration point: from TOML sources to an immutable [`CompiledPolicy`].
//!
//! Knows TOML and the policy language. Never knows HTTP, tokens, files, clocks or the environment:
//! texts and variables are handed in, and time is part of a request.

pub mod argument;
pub mod checks;
mod compiled;
mod file;
pub mod glob;
mod index;
mod load;
pub mod matcher;
pub mod number;
pub mod set;

pub use compiled::{CompiledPolicy, Digest, Positions};
pub use file::{FORMAT, FileError};
pub(crate) use index::{Door, Entry, Filed, Index, IssuerEntry, Target, group_hash};
pub use load::{Layers, Loaded, LoadedPolicy, load};
