//! The audit log: every access on record, in chains that show what was changed.

#[cfg(feature = "store")]
pub mod chain;
