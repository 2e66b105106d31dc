//! The integration tests, in one binary.

mod codes;
#[cfg(feature = "cli")]
mod docs;
mod decide;
mod layers;
mod oracle;
mod recordings;
mod rehearsals;
mod render;
mod schema;
mod universe;
