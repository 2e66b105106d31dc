//! Whom something belongs to: issuer, `sub` and agent together.

use std::fmt;
use std::sync::Arc;

use super::held::Weigh;
use crate::identity::Verified;
use crate::model::Fact;
use crate::policy::set::Issuer;

/// The owner of a session, a task or a request. Cheap to clone.
///
/// Another agent of the same user is another principal: what one started, the other cannot go on with.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal(Arc<Parts>);

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Parts {
    voucher: Arc<str>,
    issuer: String,
    subject: String,
    agent: Option<String>,
}

/// Who vouches for the callers of an issuer: its name, its `iss` and where its keys are. Should a name be
/// given to another issuer, a `sub` there is another's, and owns nothing of what was.
pub(super) fn voucher(name: &str, issuer: &Issuer) -> Arc<str> {
    serde_json::json!([name, issuer.url, issuer.keys]).to_string().into()
}

impl Principal {
    #[cfg(test)]
    pub(super) fn new(issuer: &str, subject: &str, agent: Option<&str>) -> Self {
        Self::vouched(issuer.into(), issuer, subject, agent)
    }

    fn vouched(voucher: Arc<str>, issuer: &str, subject: &str, agent: Option<&str>) -> Self {
        let [issuer, subject] = [issuer, subject].map(str::to_owned);
        Self(Arc::new(Parts { voucher, issuer, subject, agent: agent.map(str::to_owned) }))
    }

    pub(super) fn of(verified: &Verified, voucher: Arc<str>) -> Self {
        let agent = match verified.facts(&[]).0.agent {
            Fact::Known(agent) => Some(agent),
            Fact::Absent | Fact::Unknown => None,
        };
        Self::vouched(voucher, verified.issuer(), verified.subject(), agent)
    }

    /// Who vouches for it: one text an issuer, which changes when the issuer becomes another under its name.
    pub fn voucher(&self) -> &str {
        &self.0.voucher
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
        // What stands for the issuer is shared by all that it vouches for.
        let Parts { issuer, subject, agent, .. } = &*self.0;
        issuer.len() + subject.len() + agent.as_ref().map_or(0, String::len)
    }
}

impl fmt::Debug for Principal {
    /// The issuer only: the rest may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal").field("issuer", &self.0.issuer).finish_non_exhaustive()
    }
}
