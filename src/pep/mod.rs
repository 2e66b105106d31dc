//! The policy enforcement point: nothing passes a door but what was authenticated, decided and put on
//! record.
//!
//! [`Guard`] holds the policy in force. [`GuardLayer`] puts it in front of any HTTP service that
//! speaks MCP, of the revisions 2025-06-18, 2025-11-25 and 2026-07-28. An agent that calls servers by
//! other means uses [`Guard::call`]. The order is held by types (see [`Authenticated`]).
//!
//! Every error, limit, unknown method and fault is a refusal. The bytes that were judged are the bytes
//! that go on; what must not go on is cut out of them and the rest is kept as it was. The caller's
//! token goes no further. Only this module turns a decision into a status, a header or a JSON-RPC error.

mod agent;
mod answer;
mod asked;
mod body;
mod caller;
mod code;
mod door;
mod edit;
mod filter;
mod flow;
mod guard;
mod head;
mod held;
mod kept;
mod known;
mod layer;
mod limits;
mod memory;
mod message;
mod permit;
mod places;
mod principal;
mod rates;
mod refusal;
mod sse;
mod state;
mod steps;
mod stream;
mod tally;
mod trace;
mod upstream;
mod vigil;
mod watch;
mod wire;

pub use agent::NotCalled;
pub use body::{Body, BoxError};
pub use caller::Ask;
pub use code::{Code, GuardCode};
pub use door::Door;
pub use guard::{Beside, Guard, Surroundings};
pub use layer::{GuardLayer, GuardService};
pub use limits::Limits;
pub use permit::Permit;
pub use principal::Principal;
pub use refusal::{REVISIONS, Refusal};
pub use steps::{Authenticated, Permitted, Recorded};
pub use trace::{Span, TraceContext, Tracer};
pub use upstream::UpstreamError;
