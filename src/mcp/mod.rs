//! MCP messages: from the bytes of one body to a typed message, and from there to what it reaches.
//!
//! One strict parser for the revisions 2025-06-18, 2025-11-25 and 2026-07-28. What two parsers might
//! read differently is refused, never repaired, so that the bytes that were judged can be forwarded
//! as they are. Nothing here knows HTTP, tokens or a policy, and nothing is ever rewritten.

mod catalogue;
pub mod json;
mod malformed;
mod message;
mod numbers;
mod parameters;
mod reach;
mod routing;

pub use catalogue::Catalogue;
pub use malformed::{Malformed, MalformedCode};
pub use message::{Id, Limits, Message, Notification, Request, Response, parse};
pub use parameters::{Disagrees, PARAMETER, Parameters};
pub use reach::{Listen, Reach};
pub use routing::{Mismatch, Routing};
