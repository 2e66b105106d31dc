//! The guard: a policy in force with everything that holding requests to it needs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::door::Door;
use super::limits::{ClientFeatures, Limits};
use super::memory::Memory;
use super::rates::Rates;
use super::state::StateKey;
use super::tally::Tally;
use crate::audit::Log;
use crate::identity::Verifier;
use crate::model::Timestamp;
use crate::policy::CompiledPolicy;

/// What a guard cannot make by itself.
#[derive(Clone)]
pub struct Surroundings {
    /// The time of day. Tokens and rates are judged by it.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// A new identifier for each request, for the audit log and the server's logs.
    pub ids: Arc<dyn Fn() -> String + Send + Sync>,
    /// What `requestState` is sealed with: 32 random bytes, the same for all that serve one client.
    pub key: [u8; 32],
    /// Bounds.
    pub limits: Limits,
    /// What servers may ask of clients.
    pub features: ClientFeatures,
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// One policy with what is derived from it.
pub(super) struct Rules {
    pub(super) policy: CompiledPolicy,
    pub(super) verifier: Verifier,
    doors: BTreeMap<String, Arc<Door>>,
}

impl Rules {
    fn new(policy: CompiledPolicy, verifier: Verifier) -> Self {
        let names = policy.set().servers.keys();
        let doors = names.filter_map(|name| Some((name.clone(), Arc::new(Door::of(&policy, name)?)))).collect();
        Self { policy, verifier, doors }
    }

    pub(super) fn door(&self, name: &str) -> Arc<Door> {
        self.doors.get(name).cloned().unwrap_or_else(|| Arc::new(Door::closed(name)))
    }
}

pub(super) struct Inner {
    pub(super) rules: ArcSwap<Rules>,
    pub(super) log: Arc<dyn Log>,
    pub(super) surroundings: Surroundings,
    pub(super) rates: Rates,
    pub(super) memory: Memory,
    pub(super) state: StateKey,
    pub(super) tally: Tally,
}

/// Holds requests to the policy in force. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Guard(pub(super) Arc<Inner>);

impl Guard {
    /// A guard that enforces a policy. `verifier` verifies for the issuers of this very policy.
    pub fn new(policy: CompiledPolicy, verifier: Verifier, log: Arc<dyn Log>, surroundings: Surroundings) -> Self {
        let limits = &surroundings.limits;
        Self(Arc::new(Inner {
            rates: Rates::new(limits.rates),
            memory: Memory::new(limits),
            state: StateKey::new(&surroundings.key),
            tally: Tally::default(),
            rules: ArcSwap::from_pointee(Rules::new(policy, verifier)),
            log,
            surroundings,
        }))
    }

    /// Puts another policy in force. Requests under way are judged by the one they came under; what
    /// they are told later, such as the next event of a subscription, by this one.
    pub fn replace(&self, policy: CompiledPolicy) {
        let verifier = self.0.rules.load().verifier.for_policy(policy.set());
        self.0.rules.store(Arc::new(Rules::new(policy, verifier)));
    }

    /// The policy in force.
    pub fn policy(&self) -> CompiledPolicy {
        self.0.rules.load().policy.clone()
    }

    /// What verifies tokens now.
    pub fn verifier(&self) -> Verifier {
        self.0.rules.load().verifier.clone()
    }

    /// A door as the policy in force has it; `None` when it has none of that name.
    pub fn door(&self, name: &str) -> Option<Arc<Door>> {
        self.0.rules.load().doors.get(name).cloned()
    }

    /// The names of all doors of the policy in force.
    pub fn doors(&self) -> Vec<String> {
        self.0.rules.load().doors.keys().cloned().collect()
    }

    /// Whether accesses can be put on record, as far as is known.
    pub fn is_recording(&self) -> bool {
        self.0.log.is_available()
    }

    /// Writes the counts of refused requests that were not written yet. To be called now and then,
    /// and before the log closes.
    pub fn flush(&self) {
        self.0.tally.flush(&*self.0.log, self.now());
    }

    /// How much is remembered of callers' sessions, tasks and requests, in bytes.
    pub fn remembered(&self) -> usize {
        self.0.memory.bytes()
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.0.surroundings.clock)()
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.0.surroundings.limits
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("policy", &self.policy().digest()).finish_non_exhaustive()
    }
}
