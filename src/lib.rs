//! A zero-trust guard for the Model Context Protocol.
//!
//! An operator declares servers, tools, scopes, token lifetimes and audit retention in one
//! `policies.toml`. This crate compiles it, proves what it can about it, rehearses it against
//! recorded traffic and decides requests with it.
//!
//! The layers, lowest first; a module names only lower ones (`tests/it/layers.rs` checks it):
//!
//! | layer | module | job |
//! | --- | --- | --- |
//! | 0 | [`model`] | requests and decisions as plain data |
//! | 0 | [`diagnostics`] | problems with a code, a place and a help line |
//! | 1 | [`policy`] | from TOML to an immutable, digested policy |
//! | 2 | [`pdp`] | the decision and its explanation |
//! | 2 | [`analyze`] | exact questions about one policy or two |
//! | 3 | [`traffic`] | recordings and importers |
//! | 3 | [`simulate`] | rehearsals |
//! | 3 | [`report`] | one renderer a format |
//! | 5 | `cli` | the commands |
//!
//! Layers 0 to 3 never touch the file system, the clock, the environment or the network.

pub mod analyze;
#[cfg(feature = "cli")]
pub mod cli;
pub mod diagnostics;
pub mod model;
pub mod pdp;
pub mod policy;
pub mod report;
pub mod simulate;
pub mod traffic;
