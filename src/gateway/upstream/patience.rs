//! How long a server may take, and a body that gives up when it takes longer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::failure::{Failure, FailureCode};
use crate::gateway::body::BoxError;

/// How long a server may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// To accept a connection.
    pub connect: Duration,
    /// From the end of the request to the head of the answer.
    pub first_byte: Duration,
    /// Between two parts of the answer.
    pub idle: Duration,
}

impl Default for Patience {
    /// 5 seconds, 2 minutes and 5 minutes.
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), first_byte: Duration::from_mins(2), idle: Duration::from_mins(5) }
    }
}

/// The data of another body, as long as it keeps coming. Trailers are dropped.
#[derive(Debug)]
pub(super) struct Patient<B> {
    inner: Pin<Box<B>>,
    idle: Duration,
    /// Runs only while nothing has come: most answers are there at once.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> Patient<B> {
    pub(super) fn new(inner: B, idle: Duration) -> Self {
        Self { inner: Box::pin(inner), idle, timer: None }
    }
}

impl<B> HttpBody for Patient<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: std::error::Error + 'static,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = this.inner.as_mut().poll_frame(cx) else {
            let idle = this.idle;
            ready!(this.timer.get_or_insert_with(|| Box::pin(sleep(idle))).as_mut().poll(cx));
            let detail = format!("nothing came for {:?}", this.idle);
            return Poll::Ready(Some(Err(Failure::new(FailureCode::TimedOut, detail).into())));
        };
        this.timer = None;
        Poll::Ready(match frame {
            Some(Ok(frame)) => frame.into_data().ok().map(|data| Ok(Frame::data(data))),
            Some(Err(error)) => Some(Err(Failure::caused(FailureCode::Garbled, &error).into())),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
