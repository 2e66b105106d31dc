//! When a stream must be judged anew: at once when another policy comes into force, and now and then when it
//! is silent, so that it ends with the token, the grant or the policy that it lives by.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, Sleep, sleep};

use super::caller::Caller;

/// How often a stream that lasts is judged while nothing comes.
const EVERY: Duration = Duration::from_secs(5);

/// Wakes whoever streams when it must be judged anew.
pub(super) struct Vigil {
    change: BoxFuture<'static, Receiver<u64>>,
    tick: Option<Pin<Box<Sleep>>>,
}

impl Vigil {
    /// From the policy that a caller came under. A stream that lasts is judged now and then too.
    pub(super) fn new(caller: &Caller, lasts: bool) -> Self {
        let mut generations = caller.guard.0.generation.subscribe();
        // What came between the decision and now counts as a change.
        if *generations.borrow_and_update() != caller.rules.generation {
            generations.mark_changed();
        }
        Self { change: change(generations), tick: lasts.then(|| Box::pin(sleep(EVERY))) }
    }

    /// Ready when the stream must be judged.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut due = false;
        while let Poll::Ready(generations) = self.change.poll_unpin(cx) {
            self.change = change(generations);
            due = true;
        }
        if let Some(tick) = &mut self.tick {
            while tick.as_mut().poll(cx).is_ready() {
                tick.as_mut().reset(Instant::now() + EVERY);
                due = true;
            }
        }
        if due { Poll::Ready(()) } else { Poll::Pending }
    }
}

fn change(mut generations: Receiver<u64>) -> BoxFuture<'static, Receiver<u64>> {
    async move {
        if generations.changed().await.is_err() {
            // The guard is gone, and with it whoever could change anything.
            std::future::pending::<()>().await;
        }
        generations
    }
    .boxed()
}

impl fmt::Debug for Vigil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vigil")
    }
}
