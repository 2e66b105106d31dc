//! The guard: a policy in force with everything that holding requests to it needs.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::code::GuardCode;
use super::door::Door;
use super::limits::Limits;
use super::memory::Memory;
use super::places::Places;
use super::principal;
use super::rates::Rates;
use super::state::StateKey;
use super::tally::Tally;
use super::trace::Tracer;
use crate::attest::Cleared;
use crate::audit::Log;
use crate::audit::rates::SharedRates;
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
    /// What it may have been sealed with besides, by others or before.
    pub other_keys: Vec<[u8; 32]>,
    /// Where rates across gateways are counted. Without it what has such a rate is refused.
    pub shared_rates: Option<Arc<dyn SharedRates>>,
    /// Bounds.
    pub limits: Limits,
    /// Who keeps a span of every message that is decided. Without one, what callers say of their traces is passed on.
    pub tracer: Option<Arc<dyn Tracer>>,
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
    /// How many policies were in force before it.
    pub(super) generation: u64,
    /// What whoever serves behind the doors keeps with this very policy.
    pub(super) beside: Beside,
    doors: BTreeMap<String, Arc<Door>>,
    vouchers: BTreeMap<String, Arc<str>>,
    /// What every row says of the policy.
    digest: Arc<str>,
    /// The audit classes of its servers.
    classes: BTreeSet<Arc<str>>,
}

/// What is kept with one policy by whoever serves behind its doors, so that a request which one policy
/// allowed is never carried by what belongs to another.
pub type Beside = Arc<dyn Any + Send + Sync>;

impl Rules {
    fn new(policy: CompiledPolicy, verifier: Verifier, generation: u64, beside: Beside) -> Self {
        let names = policy.set().servers.keys();
        let doors = names.filter_map(|name| Some((name.clone(), Arc::new(Door::of(&policy, name)?)))).collect();
        let issuers = policy.set().issuers.iter();
        let vouchers = issuers.map(|(name, issuer)| (name.clone(), principal::voucher(name, issuer))).collect();
        let classes = policy.set().servers.values().map(|server| server.audit.as_str().into()).collect();
        let digest = policy.digest().to_string().into();
        Self { policy, verifier, generation, beside, doors, vouchers, digest, classes }
    }

    /// Who vouches for the callers of an issuer, beyond its name.
    pub(super) fn voucher(&self, issuer: &str) -> Option<&Arc<str>> {
        self.vouchers.get(issuer)
    }

    /// The digest of the policy.
    pub(super) const fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// An audit class, shared where it is that of a server.
    pub(super) fn class(&self, name: &str) -> Arc<str> {
        self.classes.get(name).cloned().unwrap_or_else(|| name.into())
    }

    pub(super) fn door(&self, name: &str) -> Arc<Door> {
        self.doors.get(name).cloned().unwrap_or_else(|| Arc::new(Door::closed(name)))
    }
}

pub(super) struct Inner {
    pub(super) rules: ArcSwap<Rules>,
    /// Held while a policy is put in force, so that two never mix.
    replacing: Mutex<()>,
    /// The generation of the policy in force.
    pub(super) generation: watch::Sender<u64>,
    pub(super) log: Arc<dyn Log>,
    pub(super) surroundings: Surroundings,
    pub(super) rates: Rates,
    pub(super) memory: Memory,
    pub(super) places: Arc<Places>,
    pub(super) state: StateKey,
    pub(super) tally: Tally,
}

/// Holds requests to the policy in force. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Guard(pub(super) Arc<Inner>);

impl Guard {
    /// A guard that enforces a policy. `verifier` verifies for the issuers of this very policy.
    pub fn new(policy: CompiledPolicy, verifier: Verifier, log: Arc<dyn Log>, surroundings: Surroundings) -> Self {
        Self::beside(policy, verifier, log, surroundings, Arc::new(()))
    }

    /// The same, with what is kept beside the policy: each [`super::Permit`] leads to what stood beside the
    /// policy that it was given under.
    pub fn beside(
        policy: CompiledPolicy,
        verifier: Verifier,
        log: Arc<dyn Log>,
        surroundings: Surroundings,
        beside: Beside,
    ) -> Self {
        let limits = &surroundings.limits;
        warn_of_uncounted(&policy, &surroundings);
        Self(Arc::new(Inner {
            rates: Rates::new(limits.rates, surroundings.shared_rates.clone()),
            memory: Memory::new(limits),
            places: Arc::default(),
            state: StateKey::new(&surroundings.key, &surroundings.other_keys),
            tally: Tally::default(),
            rules: ArcSwap::from_pointee(Rules::new(policy, verifier, 0, beside)),
            replacing: Mutex::new(()),
            generation: watch::Sender::new(0),
            log,
            surroundings,
        }))
    }

    /// Puts another policy in force, with what is kept beside it. Gives how many came before it.
    ///
    /// Requests that were decided are carried by what stood beside the policy they were decided by. Streams
    /// that are open are judged anew at once, and end when their caller may no longer.
    pub fn replace(&self, cleared: &Cleared, beside: Beside) -> u64 {
        let _alone = self.0.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.0.rules.load();
        let generation = before.generation + 1;
        let policy = cleared.policy().clone();
        warn_of_uncounted(&policy, &self.0.surroundings);
        let verifier = before.verifier.for_policy(policy.set());
        self.0.rules.store(Arc::new(Rules::new(policy, verifier, generation, beside)));
        self.0.generation.send_replace(generation);
        generation
    }

    /// What is kept beside the policy in force, if it is of this type.
    pub fn kept<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        Arc::clone(&self.0.rules.load().beside).downcast().ok()
    }

    /// How many policies were in force before this one.
    pub fn generation(&self) -> u64 {
        self.0.rules.load().generation
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

    pub(super) fn tracer(&self) -> Option<&dyn Tracer> {
        self.0.surroundings.tracer.as_deref()
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.0.surroundings.limits
    }
}

/// Says of a policy that what has a rate across gateways will be refused.
fn warn_of_uncounted(policy: &CompiledPolicy, surroundings: &Surroundings) {
    if surroundings.shared_rates.is_none() && policy.set().rates().any(|rate| rate.shared) {
        tracing::error!(
            code = GuardCode::RatesUnavailable.as_str(),
            "the policy has rates across gateways, and this guard has nothing that counts them: what has one is refused"
        );
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("policy", &self.policy().digest()).finish_non_exhaustive()
    }
}
