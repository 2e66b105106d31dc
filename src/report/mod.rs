//! Renderers: from problems, tests and answers to text, one file a format.
//!
//! A renderer is a pure function from data to a string. It never decides, reads, prints or asks
//! whether a terminal is there: the caller says whether to colour.

pub mod access;
pub mod decision;
pub mod diff;
#[cfg(feature = "cli")]
mod excerpt;
pub mod explain;
pub mod github;
#[cfg(feature = "cli")]
pub mod human;
pub mod json;
pub mod junit;
pub mod pages;
mod place;
pub mod sarif;
pub mod scenarios;
pub mod schema;
pub mod simulate;
pub mod status;
mod style;
pub mod suggest;
pub mod suite;
mod text;
pub mod token;
mod toml;
pub mod witness;

#[cfg(test)]
mod sample;

pub use style::{Style, Styled};
pub use text::{Cell, Columns, harmless, plural, summary};
