//! The audit log with an ear at it: everything that goes on record is counted, and said in one line.
//!
//! A line names the door, the method, the decision and its reason, and the request, by which the
//! audit log tells the rest. It never holds a subject, an argument, a URI or a token.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{counter, gauge, histogram};
use tokio::sync::Notify;

use crate::audit::{Intent, Log, Lost, Outcome, Pending, Receipt, Refusals, Unavailable};
use crate::model::{Action, Effect};

/// The longest name of a tool or prompt that a line holds, in characters.
const NAME: usize = 128;

/// A log that counts and tells.
pub struct Watched {
    log: Arc<dyn Log>,
    waiting: AtomicU64,
    /// How much was let through and has no outcome yet.
    open: AtomicU64,
    /// Told when nothing is open any more.
    settled: Notify,
}

impl Watched {
    /// Watches a log.
    pub fn new(log: Arc<dyn Log>) -> Self {
        Self { log, waiting: AtomicU64::new(0), open: AtomicU64::new(0), settled: Notify::new() }
    }

    /// Waits until everything that was let through has its outcome.
    pub(super) async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            if self.open.load(Ordering::SeqCst) == 0 {
                return;
            }
            settled.await;
        }
    }

    /// Rows that wait to become durable.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// A row that waits. Dropping it, too, ends the wait.
struct Wait<'a>(&'a AtomicU64);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn told(intent: &Intent) {
    let effect = if intent.verdict.effect == Effect::Allow { "allow" } else { "deny" };
    let (door, reason) = (Arc::clone(&intent.door), intent.verdict.reason.clone());
    counter!("doorward_requests_total", "door" => door, "decision" => effect, "reason" => reason).increment(1);
    let named = matches!(Action::from_method(&intent.method), Action::ToolsCall | Action::PromptsGet);
    let name: String = intent.name.chars().take(if named { NAME } else { 0 }).collect();
    tracing::info!(
        request = &*intent.request,
        trace = intent.trace.as_deref(),
        door = &*intent.door,
        // An unknown method is the caller's own text.
        method = if Action::from_method(&intent.method) == Action::Unknown
            && !intent.method.starts_with("notifications/")
            && !["GET", "DELETE", "response"].contains(&&*intent.method)
        {
            "unknown"
        } else {
            &*intent.method
        },
        name,
        decision = effect,
        reason = &*intent.verdict.reason,
        rule = intent.verdict.rule.as_ref().map(|rule| &*rule.name),
        "decided"
    );
}

impl Log for Watched {
    fn intent(&self, intent: Intent) -> Pending<'_, Result<Receipt, Unavailable>> {
        told(&intent);
        let (allowed, request) = (intent.verdict.effect == Effect::Allow, intent.request.clone());
        Box::pin(async move {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            let wait = Wait(&self.waiting);
            let receipt = self.log.intent(intent).await;
            drop(wait);
            match &receipt {
                Ok(_) if allowed => {
                    self.open.fetch_add(1, Ordering::SeqCst);
                    gauge!("doorward_requests_open").increment(1);
                }
                Ok(_) => {}
                Err(_) => {
                    counter!("doorward_audit_unavailable_total").increment(1);
                    tracing::error!(request = &*request, "the audit log cannot be written");
                }
            }
            receipt
        })
    }

    fn outcome(&self, receipt: Receipt, outcome: Outcome) {
        gauge!("doorward_requests_open").decrement(1);
        if let Some((door, request)) = receipt.place() {
            #[expect(clippy::cast_precision_loss, reason = "no answer takes so long that it matters")]
            let seconds = outcome.milliseconds as f64 / 1000.0;
            let Outcome { end, status, error, milliseconds, bytes, .. } = &outcome;
            histogram!("doorward_request_seconds", "door" => door.to_owned(), "end" => end.clone()).record(seconds);
            let end = &**end;
            tracing::info!(request, door, end, status, error, milliseconds, bytes, "ended");
        }
        self.log.outcome(receipt, outcome);
        // There is one for each intent that was let through.
        if self.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.settled.notify_waiters();
        }
    }

    fn refusals(&self, refusals: Refusals) {
        let (door, reason) = (refusals.door.clone(), refusals.reason.clone());
        counter!("doorward_refusals_total", "door" => door, "reason" => reason).increment(refusals.count);
        self.log.refusals(refusals);
    }

    fn is_available(&self) -> bool {
        self.log.is_available()
    }

    fn check(&self) -> Pending<'_, bool> {
        self.log.check()
    }

    fn lost(&self) -> Lost {
        self.log.lost()
    }

    fn unsigned(&self) -> Option<String> {
        self.log.unsigned()
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("log", &self.log).finish_non_exhaustive()
    }
}
