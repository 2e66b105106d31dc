//! What a child says as server-sent events, one message an event.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::Stream;
use futures_util::stream::unfold;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::link::{Exchange, Link, Said};
use crate::gateway::body::{Body, BoxError};

/// How often a silent stream shows that it is there (a comment, which clients skip).
const ALIVE: Duration = Duration::from_secs(15);

/// The rest of an exchange whose first message is known.
pub(super) fn exchange(first: Bytes, exchange: Exchange) -> Body {
    body(unfold((Some(first), Some(exchange)), async |(first, exchange)| {
        let mut exchange = exchange?;
        if let Some(first) = first {
            return Some((Ok(event(&first)), (None, Some(exchange))));
        }
        match timeout(ALIVE, exchange.next()).await {
            Err(_) => Some((Ok(Bytes::from_static(b":\n\n")), (None, Some(exchange)))),
            Ok(Some(Said::Message(line))) => Some((Ok(event(&line)), (None, Some(exchange)))),
            Ok(Some(Said::Answer(line, _))) => Some((Ok(event(&line)), (None, None))),
            // A server may end a subscription; whatever else ends without an answer is broken off.
            Ok(None) if exchange.listens() => None,
            Ok(None) => Some((Err(exchange.gone().into()), (None, None))),
        }
    }))
}

/// What belongs to no request of a session, for as long as the session lasts.
pub(super) fn listening(heard: mpsc::Receiver<Bytes>, link: std::sync::Arc<Link>) -> Body {
    body(unfold((heard, link), async |(mut heard, link)| match timeout(ALIVE, heard.recv()).await {
        Err(_) => Some((Ok(Bytes::from_static(b":\n\n")), (heard, link))),
        Ok(Some(line)) => Some((Ok(event(&line)), (heard, link))),
        Ok(None) => None,
    }))
}

fn event(line: &[u8]) -> Bytes {
    let mut event = BytesMut::with_capacity(line.len() + 24);
    event.put_slice(b"event: message\ndata: ");
    event.put_slice(line);
    event.put_slice(b"\n\n");
    event.freeze()
}

fn body(events: impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static) -> Body {
    StreamBody::new(futures_util::StreamExt::map(events, |event| event.map(Frame::data))).boxed_unsync()
}
