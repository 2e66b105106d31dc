//! The integration tests, in one binary.

mod codes;
mod layers;
mod recordings;
mod rehearsals;
mod render;
mod schema;
