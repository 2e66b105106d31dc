//! One process in front of many MCP servers: a door for each, an upstream behind each door.
//!
//! The gateway carries what the guard (`pep`) has let through, and nothing else. It never decides,
//! never turns a decision into an answer, and never sends the caller's token to a server.

mod body;
mod issuer;
pub mod upstream;

pub use body::{Body, BoxError, empty, full};
pub use issuer::serve_dev_issuer;
