//! What is behind a door: an MCP server over HTTP or a child process, each as a tower service.
//!
//! A service here takes what the guard has let through and gives the server's answer as it comes.
//! It never sees the caller's token, cookies or addresses, and never answers in the server's name:
//! what goes wrong is a [`Failure`].

mod breaker;
mod circuits;
mod failure;
mod headers;
mod http;
mod patience;
mod quick;
pub mod stdio;

use std::sync::Arc;

pub use breaker::{Breaker, Standing};
pub use circuits::{Circuits, Fault};
pub use failure::{Failure, FailureCode};
pub use http::{BadUrl, Http};
pub use patience::Patience;
pub use stdio::Stdio;

use crate::credentials::{Caller as Asking, Credential, Door, Unavailable};

/// Who a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// One text a principal. An upstream that keeps state keeps it apart by this.
    pub key: Arc<str>,
    /// The same for a credential that is this caller's alone.
    pub asking: Arc<Asking>,
}

/// The credential of a server for a request, where it has one.
async fn credential(door: Option<&Door>, caller: Option<&Caller>) -> Result<Option<Arc<Credential>>, Failure> {
    let Some(door) = door else { return Ok(None) };
    let asking = caller.map(|caller| &caller.asking);
    let failed = |reason: Unavailable| Failure::new(FailureCode::NoCredential, reason.to_string());
    door.get(asking).await.map(Some).map_err(failed)
}

/// Sees to it that TLS has its cryptography. Another's choice, made earlier in the process, stays.
fn ensure_crypto() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}
