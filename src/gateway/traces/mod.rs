//! Spans of what the guard decides, sent to an OTLP receiver.
//!
//! No request waits for that and none fails by it: spans wait in a bounded queue, what does not fit or cannot
//! be sent is dropped, and what was dropped is counted. Without the feature `otel` a policy that asks for
//! traces is refused.

#[cfg(not(feature = "otel"))]
mod none;
#[cfg(feature = "otel")]
mod queue;
#[cfg(feature = "otel")]
mod span;

#[cfg(not(feature = "otel"))]
pub(super) use none::Traces;
#[cfg(feature = "otel")]
pub(super) use queue::Traces;

use super::settings::Refusal;

fn refused(message: impl Into<String>, help: &str) -> Refusal {
    Refusal::new("traces", message, help)
}
