//! The policy administration point: from TOML sources to an immutable [`CompiledPolicy`].
//!
//! Knows TOML and the policy language. Never knows HTTP, tokens, files, clocks or the environment:
//! texts and variables are handed in, and time is part of a request.

pub mod argument;
pub mod checks;
mod compiled;
mod document;
pub(crate) mod duration;
mod environment;
mod file;
pub mod glob;
mod index;
mod instant;
mod layers;
mod load;
mod lookup;
mod loopback;
pub mod matcher;
mod name;
pub mod number;
mod resolve;
mod secret;
pub mod set;
mod source;
pub mod uri;
mod weight;
mod what_if;

pub use compiled::{CompiledPolicy, Digest, Positions};
pub(crate) use duration::{duration as span_of_time, written};
pub use file::{FORMAT, FileError};
pub(crate) use index::{Door, Entry, Filed, GroupHash, GroupSet, Index, IssuerEntry, Target};
pub use load::{Layers, Loaded, LoadedPolicy, load, load_with};
#[cfg(feature = "guard")]
pub(crate) use loopback::is_loopback;
pub(crate) use name::{hides, is_item, is_plain, is_scope};
pub(crate) use secret::{
    REDACTED, holds as holds_secret, in_argument as looks_secret, is_named as names_secret, mask as mask_secrets,
};
pub use what_if::WhatIf;
