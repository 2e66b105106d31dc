//! The body that passes a door: of a request the very bytes that were judged, of an answer what may
//! be seen of it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};

use super::places::Place;

/// What may go wrong below a door.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body of one request or answer.
pub struct Body {
    bytes: UnsyncBoxBody<Bytes, BoxError>,
    /// What the request takes up until all of it has been taken.
    _place: Option<Place>,
}

impl Body {
    /// A body around another.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self { bytes: UnsyncBoxBody::new(body.map_err(Into::into)), _place: None }
    }

    /// The same, and the place is taken as long as it is there.
    pub(super) fn holding(self, place: Place) -> Self {
        Self { _place: Some(place), ..self }
    }

    /// No bytes.
    pub fn empty() -> Self {
        Self::new(Empty::new())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::new(Full::new(bytes))
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body")
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.bytes).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.bytes.size_hint()
    }
}
