//! One process in front of many MCP servers: a door for each, an upstream behind each door.
//!
//! The gateway carries what the guard (`pep`) has let through, and nothing else. It never decides,
//! never turns a decision into an answer, and never sends the caller's token to a server.

mod admin;
mod body;
mod capture;
mod control;
mod door;
mod edition;
mod issuer;
mod listener;
mod open;
mod pace;
mod pem;
mod reload;
mod router;
mod run;
mod settings;
mod socket;
mod traces;
pub mod upstream;
mod watched;

pub use admin::Metrics;
pub use body::{Body, BoxError, empty, full};
pub use capture::{Capture, CaptureOptions, Captured};
pub use door::Upstream;
pub use issuer::serve_dev_issuer;
pub use open::{Options, System, open};
pub use reload::{Ask, Candidates, Cause, Evidence, InForce, NotCleared, Reloads};
pub use run::Gateway;
pub use settings::{Admin, Bounds, Names, Overrides, Refusal, Settings, TlsFiles};
pub use watched::Watched;
