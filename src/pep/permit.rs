//! What a request that passed carries to the server below, as an extension.

use std::fmt;
use std::sync::Arc;

use super::guard::Beside;
use super::principal::Principal;
use crate::mcp::Message;
use crate::model::Timestamp;

/// That a request passed the door, who made it, and what it says. Cheap to clone.
///
/// Only the guard makes one. An upstream uses it to keep one child or session a principal.
#[derive(Clone)]
pub struct Permit(pub(super) Arc<Parts>);

pub(super) struct Parts {
    pub(super) door: Arc<str>,
    pub(super) principal: Principal,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) scopes: Vec<String>,
    pub(super) request: Arc<str>,
    pub(super) session: Option<String>,
    pub(super) revision: Option<String>,
    pub(super) message: Option<Message>,
    pub(super) sequence: u64,
    pub(super) beside: Beside,
    pub(super) generation: u64,
}

impl Permit {
    /// The server, by its name in the policy.
    pub fn door(&self) -> &str {
        &self.0.door
    }

    /// Who made the request.
    pub fn principal(&self) -> &Principal {
        &self.0.principal
    }

    /// When the token of the request ends. Nothing that is made for this caller lives longer.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.0.expires_at
    }

    /// The scopes of the token of the request.
    pub fn scopes(&self) -> &[String] {
        &self.0.scopes
    }

    /// The identifier of the request in the audit log.
    pub fn request(&self) -> &str {
        &self.0.request
    }

    /// The session of the older revisions, which is this principal's.
    pub fn session(&self) -> Option<&str> {
        self.0.session.as_deref()
    }

    /// The protocol revision that the request states.
    pub fn revision(&self) -> Option<&str> {
        self.0.revision.as_deref()
    }

    /// The message, as it was judged; `None` for a `GET` or `DELETE`. The body may hold less of it:
    /// what the caller may not have is taken out.
    pub fn message(&self) -> Option<&Message> {
        self.0.message.as_ref()
    }

    /// What is kept beside the policy that allowed the request, if it is of this type.
    pub fn kept<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        Arc::clone(&self.0.beside).downcast().ok()
    }

    /// How many policies were in force before the one that allowed the request.
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// The number of its row in the audit log.
    pub fn sequence(&self) -> u64 {
        self.0.sequence
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("door", &self.0.door).field("request", &self.0.request).finish_non_exhaustive()
    }
}
