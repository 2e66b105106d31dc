//! Whom something belongs to: issuer, `sub` and agent together.

use std::fmt;
use std::sync::Arc;

use super::held::Weigh;
use crate::identity::Verified;
use crate::model::Fact;

/// The owner of a session, a task or a request. Cheap to clone.
///
/// Another agent of the same user is another principal: what one started, the other cannot go on with.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal(Arc<Parts>);

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Parts {
    issuer: String,
    subject: String,
    agent: Option<String>,
}

impl Principal {
    pub(super) fn new(issuer: &str, subject: &str, agent: Option<&str>) -> Self {
        let [issuer, subject] = [issuer, subject].map(str::to_owned);
        Self(Arc::new(Parts { issuer, subject, agent: agent.map(str::to_owned) }))
    }

    pub(super) fn of(verified: &Verified) -> Self {
        let agent = match verified.facts(&[]).0.agent {
            Fact::Known(agent) => Some(agent),
            Fact::Absent | Fact::Unknown => None,
        };
        Self::new(verified.issuer(), verified.subject(), agent)
    }

    /// The issuer, by its name in the policy.
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The `sub` claim.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The client that acts.
    pub fn agent(&self) -> Option<&str> {
        self.0.agent.as_deref()
    }
}

impl Weigh for Principal {
    fn weight(&self) -> usize {
        let Parts { issuer, subject, agent } = &*self.0;
        issuer.len() + subject.len() + agent.as_ref().map_or(0, String::len)
    }
}

impl fmt::Debug for Principal {
    /// The issuer only: the rest may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal").field("issuer", &self.0.issuer).finish_non_exhaustive()
    }
}
