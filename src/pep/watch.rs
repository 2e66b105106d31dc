//! What becomes of a request that is on record. Written once, at the latest when nobody waits any more.

use tokio::time::Instant;

use super::guard::Guard;
use super::trace::{Span, TraceContext};
use crate::audit::{Outcome, Receipt};

/// The end of a request whose caller went away.
const DISCONNECTED: &str = "disconnected";

/// Writes the outcome when it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    guard: Guard,
    receipt: Option<Receipt>,
    sequence: u64,
    started: Instant,
    end: &'static str,
    pub(super) status: Option<u16>,
    pub(super) error: Option<i64>,
    pub(super) bytes: u64,
    trace: Option<TraceContext>,
    span: Option<Box<Span>>,
}

impl Watch {
    /// `trace` is where the server is to stand, and `span` what is told of the request, where that is.
    pub(super) fn new(guard: Guard, receipt: Receipt, trace: Option<TraceContext>, span: Option<Box<Span>>) -> Self {
        let sequence = receipt.sequence();
        Self {
            guard,
            receipt: Some(receipt),
            sequence,
            started: Instant::now(),
            end: DISCONNECTED,
            status: None,
            error: None,
            bytes: 0,
            trace,
            span,
        }
    }

    /// Where the server is to stand in a trace.
    pub(super) const fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_ref()
    }

    pub(super) const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Says how it ended.
    pub(super) const fn end(&mut self, end: &'static str) {
        self.end = end;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(receipt) = self.receipt.take() else { return };
        if let (Some(span), Some(tracer)) = (self.span.take(), self.guard.tracer()) {
            tracer.end(Span { end: self.end, status: self.status, error: self.error, ..*span });
        }
        let outcome = Outcome {
            time: self.guard.now(),
            of: self.sequence,
            end: self.end.into(),
            status: self.status,
            error: self.error,
            milliseconds: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            bytes: self.bytes,
        };
        self.guard.0.log.outcome(receipt, outcome);
    }
}
