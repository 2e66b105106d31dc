//! The guard as a tower layer, around any HTTP service that speaks MCP.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::body::{Body, BoxError};
use super::flow;
use super::guard::Guard;

/// Puts a guard in front of a service, as one door of its policy.
///
/// The service gets requests whose body holds the very bytes that were judged, without the caller's
/// token and cookies, and with a [`super::Permit`] among the extensions.
#[derive(Clone, Debug)]
pub struct GuardLayer {
    guard: Guard,
    door: Arc<str>,
}

impl GuardLayer {
    /// A layer for a door, by its name in the policy. A door that the policy in force does not have
    /// lets nothing pass.
    pub fn new(guard: Guard, door: impl Into<Arc<str>>) -> Self {
        Self { guard, door: door.into() }
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> GuardService<S> {
        GuardService { inner, layer: self.clone() }
    }
}

/// A service behind a guard.
#[derive(Clone, Debug)]
pub struct GuardService<S> {
    inner: S,
    layer: GuardLayer,
}

impl<S, B, A> Service<Request<B>> for GuardService<S>
where
    S: Service<Request<Body>, Response = Response<A>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    A: http_body::Body<Data = Bytes> + Send + 'static,
    A::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    /// Always ready: the service below is asked when a request may reach it.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut inner = self.inner.clone();
        let GuardLayer { guard, door } = self.layer.clone();
        let next: flow::Next = Box::new(move |request| {
            Box::pin(async move {
                poll_fn(|cx| inner.poll_ready(cx)).await.map_err(Into::into)?;
                let response = inner.call(request).await.map_err(Into::into)?;
                Ok(response.map(Body::new))
            })
        });
        let request = request.map(Body::new);
        Box::pin(async move { Ok(flow::serve(guard, &door, request, next).await) })
    }
}
