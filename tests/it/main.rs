//! The integration tests, in one binary.

mod codes;
mod decide;
#[cfg(feature = "cli")]
mod docs;
mod layers;
mod oracle;
mod recordings;
mod rehearsals;
mod render;
mod schema;
mod universe;
