//! An MCP server that is a program of this machine, spoken to over stdin and stdout.
//!
//! Towards the caller it is a Streamable HTTP server of whichever era the program speaks. Which
//! program runs, and with which arguments and variables, is the operator's choice alone: nothing of
//! a request ever becomes part of it.

mod child;
mod children;
mod declared;
mod face;
mod frame;
mod link;
mod restarts;
mod stream;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use tower_service::Service;

use super::failure::Failure;
use super::patience::Patience;
use crate::credentials::Door;
use crate::gateway::body::{Body, BoxError};
use children::Children;
use declared::Declared;

/// The revision from which every request stands for itself.
const MODERN: &str = "2026-07-28";

/// Which protocol a child is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Era {
    /// With a handshake and a session (up to 2025-11-25).
    Legacy,
    /// Without either (from 2026-07-28).
    Modern,
}

/// What to run.
#[derive(Clone)]
pub struct Program {
    /// The door, for logs.
    pub door: Arc<str>,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Its environment, without what a credential adds. May hold secrets, so it is never shown.
    pub environment: Vec<(String, String)>,
    /// The longest line that it may say, in bytes.
    pub longest_line: usize,
}

/// How many children there may be, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Children of this door at once.
    pub children: usize,
    /// Sessions of one principal at once, in the eras that have them.
    pub sessions: usize,
    /// How long a child that no one uses is kept.
    pub idle: Duration,
    /// The longest request, in bytes.
    pub request: usize,
}

impl Default for Limits {
    /// 64 children, 8 sessions, 10 minutes and 8 MiB.
    fn default() -> Self {
        Self { children: 64, sessions: 8, idle: Duration::from_mins(10), request: 8 << 20 }
    }
}

/// An MCP server over stdio. Cheap to clone.
#[derive(Clone)]
pub struct Stdio {
    children: Arc<Children>,
    declared: Arc<Declared>,
    limits: Limits,
    patience: Patience,
}

impl Stdio {
    /// The server that a program is, and the credential whose variables are added to its environment.
    /// Nothing starts before the first request. Must be called within a tokio runtime.
    pub fn new(program: Program, credential: Option<Door>, limits: Limits, patience: Patience) -> Self {
        Self { children: Children::new(program, credential, limits), declared: Arc::default(), limits, patience }
    }

    /// Whether its program keeps ending and is left alone for a while.
    pub fn is_resting(&self) -> bool {
        self.children.is_resting()
    }

    /// Ends every child and waits until all are gone.
    pub async fn shutdown(&self) {
        self.children.shutdown().await;
    }
}

impl<B> Service<Request<B>> for Stdio
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let this = self.clone();
        let (parts, body) = request.into_parts();
        let body = body.map_err(Into::into).boxed_unsync();
        Box::pin(async move { this.answer(parts, body).await })
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.environment.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Program")
            .field("door", &self.door)
            .field("argv", &self.argv)
            .field("environment", &names)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Stdio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stdio").field("limits", &self.limits).finish_non_exhaustive()
    }
}
