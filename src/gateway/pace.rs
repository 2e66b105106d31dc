//! An answer on its way to a caller: in pieces, and no longer than the caller goes on taking them.
//!
//! What asks for the next piece is the connection, when it has room for one. When it does not ask for
//! too long, the answer is dropped with the place and the server's connection that it holds. The
//! bytes themselves are never looked at.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};

use super::body::BoxError;
use crate::pep::Body;

/// The most that a connection is handed at once, so that what waits in it stays small.
const PIECE: usize = 64 * 1024;

/// The rest of an answer.
pub(super) struct Paced {
    rest: Arc<Mutex<Rest>>,
    stall: Duration,
    watched: bool,
}

struct Rest {
    /// `None` when it was given up.
    answer: Option<(Body, Option<OwnedSemaphorePermit>)>,
    /// What of the last frame is still to be handed over.
    piece: Bytes,
    /// Since when the connection has had a piece and not asked for another.
    taken: Option<Instant>,
}

impl Paced {
    pub(super) fn new(body: Body, place: Option<OwnedSemaphorePermit>, stall: Duration) -> Self {
        let rest = Rest { answer: Some((body, place)), piece: Bytes::new(), taken: None };
        Self { rest: Arc::new(Mutex::new(rest)), stall, watched: false }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Rest) -> T) -> T {
        look(&mut self.rest.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Rest {
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.taken = None;
        let Some((body, _)) = &mut self.answer else {
            let error = io::Error::new(io::ErrorKind::TimedOut, "the caller has taken nothing for too long");
            return Poll::Ready(Some(Err(error.into())));
        };
        if self.piece.is_empty() {
            let Some(frame) = ready!(Pin::new(body).poll_frame(cx)?) else { return Poll::Ready(None) };
            match frame.into_data() {
                Ok(data) => self.piece = data,
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        let piece = self.piece.split_to(self.piece.len().min(PIECE));
        self.taken = Some(Instant::now());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_over(&self) -> bool {
        self.piece.is_empty() && self.answer.as_ref().is_some_and(|(body, _)| body.is_end_stream())
    }
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let (next, over) = self.with(|rest| (rest.next(cx), rest.is_over()));
        // Most answers are one piece, which needs no watch.
        if next.is_ready() && !over && !self.watched {
            self.watched = true;
            tokio::spawn(watch(Arc::downgrade(&self.rest), self.stall));
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.with(|rest| rest.is_over())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|rest| {
            let Some((body, _)) = &rest.answer else { return SizeHint::default() };
            let (hint, more) = (body.size_hint(), rest.piece.len() as u64);
            let mut all = SizeHint::new();
            if let Some(upper) = hint.upper() {
                all.set_upper(upper.saturating_add(more));
            }
            all.set_lower(hint.lower().saturating_add(more));
            all
        })
    }
}

/// Gives an answer up when a piece of it was handed over and no other asked for in time.
async fn watch(rest: Weak<Mutex<Rest>>, stall: Duration) {
    loop {
        let Some(held) = rest.upgrade() else { return };
        let next = {
            let mut rest = held.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            match rest.taken {
                Some(since) if since + stall <= now => {
                    rest.piece = Bytes::new();
                    rest.answer.take().map(Err)
                }
                Some(since) => Some(Ok(since + stall)),
                None => Some(Ok(now + stall)),
            }
        };
        drop(held);
        match next {
            Some(Ok(then)) => sleep_until(then).await,
            Some(Err(given_up)) => {
                drop(given_up);
                metrics::counter!("doorward_answers_stalled_total").increment(1);
                return;
            }
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::sync::Semaphore;

    use super::*;

    const STALL: Duration = Duration::from_secs(5);

    fn paced(body: Body) -> (Paced, Arc<Semaphore>) {
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).try_acquire_owned().unwrap();
        (Paced::new(body, Some(place), STALL), places)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_handed_over_in_pieces_and_given_up_when_no_more_are_taken() {
        let (mut body, places) = paced(Body::from(Bytes::from(vec![7; 3 * PIECE])));
        assert_eq!(body.size_hint().exact(), Some(3 * PIECE as u64));
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(piece.len(), PIECE);
        tokio::time::sleep(STALL / 2).await;
        assert_eq!(places.available_permits(), 0);
        body.frame().await.unwrap().unwrap();
        tokio::time::sleep(STALL * 2).await;
        assert_eq!(places.available_permits(), 1, "its place is free");
        assert!(body.frame().await.unwrap().is_err(), "and it does not look complete");
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_waits_for_the_server_is_waited_for() {
        let events = stream::unfold(0, async |n| {
            tokio::time::sleep(STALL * 10).await;
            Some((Ok::<_, io::Error>(Frame::data(Bytes::from_static(b"x"))), n + 1))
        });
        let (mut body, _places) = paced(Body::new(StreamBody::new(events)));
        for _ in 0..3 {
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "x");
        }
    }
}
