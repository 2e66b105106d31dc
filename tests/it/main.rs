//! The integration tests, in one binary.

mod codes;
#[cfg(feature = "cli")]
mod docs;
mod layers;
mod recordings;
mod rehearsals;
mod render;
mod schema;
