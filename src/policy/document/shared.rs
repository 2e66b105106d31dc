//! Patterns and paths, read once however often they are written.
//!
//! A large policy names the same tools, groups and arguments in most of its statements. One copy of
//! each is less to allocate, and what a decision compares with stays in a cache.

use crate::policy::argument::{ArgPath, ArgPathError};
use crate::policy::glob::{GlobError, NameGlob};
use crate::policy::lookup::Lookup;
use crate::policy::set::ItemPattern;

/// What has been read so far, by its text.
#[derive(Debug, Default)]
pub(super) struct Shared {
    globs: Lookup<String, NameGlob>,
    paths: Lookup<String, ArgPath>,
}

impl Shared {
    pub(super) fn glob(&mut self, text: &str) -> Result<NameGlob, GlobError> {
        once(&mut self.globs, text, NameGlob::new)
    }

    pub(super) fn path(&mut self, text: &str) -> Result<ArgPath, ArgPathError> {
        once(&mut self.paths, text, ArgPath::new)
    }

    /// As [`ItemPattern::parse`].
    pub(super) fn pattern(&mut self, text: &str) -> Result<Option<ItemPattern>, GlobError> {
        ItemPattern::parse_with(text, |glob| self.glob(glob))
    }
}

fn once<T: Clone, E>(read: &mut Lookup<String, T>, text: &str, new: fn(&str) -> Result<T, E>) -> Result<T, E> {
    if let Some(known) = read.get(text) {
        return Ok(known.clone());
    }
    let value = new(text)?;
    read.insert(text.to_owned(), value.clone());
    Ok(value)
}
