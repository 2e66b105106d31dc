//! `none`, and for development `env` and `file`: secrets that whoever runs the gateway hands in.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::credential::{Handle, Place, Placed};
use super::source::{Asked, Given, Secrets, Source};
use super::unavailable::Unavailable;

/// No credential.
#[derive(Debug)]
pub(super) struct Nothing;

impl Source for Nothing {
    fn fetch<'a>(&'a self, _: &'a Asked) -> BoxFuture<'a, Result<Given, Unavailable>> {
        ready(Ok(Given { placed: Vec::new(), lease: None, within: None, handle: Handle::default() })).boxed()
    }

    fn revoke<'a>(&'a self, _: &'a Asked, _: &'a Handle) -> BoxFuture<'a, Result<(), Unavailable>> {
        ready(Ok(())).boxed()
    }

    fn is_near(&self) -> bool {
        true
    }
}

/// What a variable or a file holds.
pub(super) struct Referred {
    pub(super) secrets: Arc<dyn Secrets>,
    pub(super) reference: String,
    pub(super) place: Place,
}

impl Source for Referred {
    fn fetch<'a>(&'a self, _: &'a Asked) -> BoxFuture<'a, Result<Given, Unavailable>> {
        async move {
            let secret = self.secrets.read(&self.reference).await?;
            let placed = vec![Placed::new(self.place.clone(), secret)?];
            Ok(Given { placed, lease: None, within: None, handle: Handle::default() })
        }
        .boxed()
    }

    fn revoke<'a>(&'a self, _: &'a Asked, _: &'a Handle) -> BoxFuture<'a, Result<(), Unavailable>> {
        ready(Ok(())).boxed()
    }

    fn is_near(&self) -> bool {
        true
    }
}
