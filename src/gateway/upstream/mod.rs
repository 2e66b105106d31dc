//! What is behind a door: an MCP server over HTTP or a child process, each as a tower service.
//!
//! A service here takes what the guard has let through and gives the server's answer as it comes.
//! It never sees the caller's token, cookies or addresses, and never answers in the server's name:
//! what goes wrong is a [`Failure`].

mod breaker;
mod credential;
mod failure;
mod headers;
mod http;
mod patience;
mod quick;
pub mod stdio;

use std::sync::Arc;

pub use breaker::{Breaker, Standing};
pub use credential::{BadReference, Bearer};
pub use failure::{Failure, FailureCode};
pub use http::{BadUrl, Http};
pub use patience::Patience;
pub use stdio::Stdio;

/// Who a request is for: one text a principal. An upstream that keeps state keeps it apart by this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(pub Arc<str>);

/// Sees to it that TLS has its cryptography. Another's choice, made earlier in the process, stays.
fn ensure_crypto() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}
