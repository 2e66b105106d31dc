//! Another policy, put in force without a restart: found, cleared, swapped in, reported.
//!
//! One task does it, one candidate after the other. What is not [`Cleared`] stays out, and so does what this
//! process cannot become without a restart. Whatever goes wrong, the policy in force stays in force.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::capture::{Capture, Captured};
use super::edition::Edition;
use super::open::{self, Options, System};
use super::settings::{Refusal, Settings};
use crate::attest::{Cleared, Gate};
use crate::audit::store::Store;
use crate::pep::{Beside, Guard};
use crate::policy::CompiledPolicy;
use crate::policy::set::PolicySet;
use crate::report::status::{Attempt, Reloaded};

/// How often it is looked whether the files say something else.
const LOOK: Duration = Duration::from_secs(1);
/// How long the recording of the traffic may take to close its file.
const SETTLE: Duration = Duration::from_secs(10);

/// Where the next policy comes from, and what clears it. It is asked where it may block.
pub trait Candidates: fmt::Debug + Send + Sync + 'static {
    /// What there is now, as a digest of its texts. `None` when it cannot be read, or is not to be watched.
    fn fingerprint(&self) -> Option<[u8; 32]>;

    /// The next policy, if nothing stands against it.
    ///
    /// # Errors
    ///
    /// Whatever keeps it out.
    fn next(&self, in_force: &InForce, ask: Ask) -> Result<(Cleared, Evidence), Box<NotCleared>>;

    /// Keeps the report of an attempt, as JSON, and says where.
    fn keep(&self, report: &str) -> Option<String>;
}

/// What a candidate is held against.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The policy in force.
    pub policy: CompiledPolicy,
    /// What is asked of the one after it.
    pub gate: Gate,
    /// Where the audit log is, which holds the last traffic.
    pub audit: Store,
    /// What was recorded for rehearsals, where that is asked.
    pub captured: Option<Captured>,
}

/// What is told of a rehearsal.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The report of the rehearsal as JSON, where there was one.
    pub simulation: Option<serde_json::Value>,
}

/// A candidate that stays out.
#[derive(Clone, Debug)]
pub struct NotCleared {
    /// Its digest, as far as it has one.
    pub digest: Option<String>,
    /// Why.
    pub why: Refusal,
    /// The problems in full, for a person.
    pub detail: String,
    /// What is told of its rehearsal.
    pub evidence: Evidence,
}

/// What is wanted of a reload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Whether a policy passes also when it takes away what the traffic uses, if it is proved to give nobody
    /// anything.
    pub revoke: bool,
}

/// What asks for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The files say something else.
    Files,
    /// A signal.
    Signal,
    /// The admin listener.
    Admin,
}

impl Cause {
    const fn word(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Signal => "signal",
            Self::Admin => "admin",
        }
    }
}

/// What came of asking.
type Reply = oneshot::Sender<Attempt>;
/// A wish that waits.
type Asked = (Cause, Ask, Option<Reply>);

/// Asks for reloads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reloads {
    queue: mpsc::Sender<Asked>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    gate: Mutex<Gate>,
    state: Mutex<State>,
    watching: bool,
}

/// What is known of the policy in force and of the last attempt at another.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// Since when, in RFC 3339.
    pub(super) since: String,
    /// Why it may be in force: one word, and a line.
    pub(super) evidence: (&'static str, String),
    /// The last attempt.
    pub(super) last: Option<Attempt>,
}

impl Reloads {
    /// Asks for a reload. Nothing happens when one waits already: it will read what is there then.
    pub fn ask(&self, cause: Cause) {
        let _ = self.queue.try_send((cause, Ask::default(), None));
    }

    /// Asks for a reload and waits for what comes of it; `None` when one waits already, or the gateway is
    /// going down.
    pub(super) async fn wait(&self, ask: Ask) -> Option<Attempt> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send((Cause::Admin, ask, Some(reply))).ok()?;
        answer.await.ok()
    }

    pub(super) fn state(&self) -> State {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn gate(&self) -> Gate {
        self.shared.gate.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether changed files are noticed.
    pub(super) fn is_watching(&self) -> bool {
        self.shared.watching
    }
}

/// What reloads.
#[derive(Debug)]
pub(super) struct Reloader {
    pub(super) guard: Guard,
    pub(super) options: Options,
    pub(super) settings: Settings,
    pub(super) system: System,
    pub(super) audit: Store,
    pub(super) capture: Option<Arc<Capture>>,
    pub(super) draining: CancellationToken,
    inbox: mpsc::Receiver<Asked>,
    shared: Arc<Shared>,
    retiring: TaskTracker,
}

/// The parts that both ends of a reload share.
pub(super) struct Beginning<'c> {
    pub(super) cleared: &'c Cleared,
    pub(super) guard: Guard,
    pub(super) options: Options,
    pub(super) settings: Settings,
    pub(super) system: System,
    pub(super) audit: Store,
    pub(super) capture: Option<Arc<Capture>>,
    pub(super) draining: CancellationToken,
}

impl Reloader {
    /// Both ends.
    pub(super) fn new(beginning: Beginning<'_>) -> (Self, Reloads) {
        let Beginning { cleared, guard, options, settings, system, audit, capture, draining } = beginning;
        let (queue, inbox) = mpsc::channel(1);
        let evidence = cleared.evidence();
        let state = State { since: open::time(), evidence: (evidence.word(), evidence.to_string()), last: None };
        let watching = options.candidates.is_some() && options.watch;
        let shared = Arc::new(Shared { gate: Mutex::new(cleared.gate().clone()), state: Mutex::new(state), watching });
        let reloads = Reloads { queue, shared: Arc::clone(&shared) };
        let retiring = TaskTracker::new();
        (Self { guard, options, settings, system, audit, capture, draining, inbox, shared, retiring }, reloads)
    }

    /// Reloads whenever it is asked to, or the files say so, until the gateway goes down. Then waits for what is
    /// on its way out.
    pub(super) async fn run(mut self) {
        let draining = self.draining.clone();
        draining.run_until_cancelled(self.attend()).await;
        self.retiring.close();
        self.retiring.wait().await;
    }

    async fn attend(&mut self) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tried = self.look().await;
        let mut seen = tried;
        loop {
            let (cause, ask, reply) = tokio::select! {
                asked = self.inbox.recv() => match asked {
                    Some(asked) => asked,
                    None => return,
                },
                _ = ticks.tick(), if self.shared.watching => {
                    let now = self.look().await;
                    // What changed is taken once it holds still: a file may be half written.
                    let settled = now == seen && now.is_some() && now != tried;
                    seen = now;
                    if !settled {
                        continue;
                    }
                    (Cause::Files, Ask::default(), None)
                }
            };
            tried = self.look().await;
            let attempt = self.attempt(cause, ask).await;
            if let Some(reply) = reply {
                // Nobody need wait for it.
                let _ = reply.send(attempt);
            }
        }
    }

    async fn look(&self) -> Option<[u8; 32]> {
        let candidates = self.options.candidates.clone()?;
        spawn_blocking(move || candidates.fingerprint()).await.ok().flatten()
    }

    /// Tries once, and tells of it wherever it is asked about.
    async fn attempt(&self, cause: Cause, ask: Ask) -> Attempt {
        let before = self.guard.policy().digest().to_string();
        let tried = self.try_next(ask).await;
        let mut attempt =
            Attempt { time: open::time(), cause: cause.word().to_owned(), in_force: before, ..Attempt::default() };
        let (evidence, detail) = match tried {
            Ok((cleared, evidence)) => {
                let unchanged = *cleared.evidence() == crate::attest::Evidence::Unchanged;
                attempt.result = if unchanged { Reloaded::Unchanged } else { Reloaded::InForce };
                attempt.candidate = Some(cleared.policy().digest().to_string());
                attempt.message = cleared.evidence().to_string();
                (evidence, String::new())
            }
            Err(not_cleared) => {
                let NotCleared { digest, why, detail, evidence } = *not_cleared;
                attempt.result = Reloaded::Refused;
                attempt.candidate = digest;
                attempt.code = Some(why.code.to_owned());
                (attempt.message, attempt.help) = (why.message, Some(why.help));
                (evidence, detail)
            }
        };
        self.keep(&mut attempt, &evidence, detail).await;
        let Attempt { result, candidate, code, message, report, .. } = &attempt;
        let (result, candidate, code, report) =
            (result.word(), candidate.as_deref(), code.as_deref(), report.as_deref());
        metrics::counter!("doorward_reloads_total", "result" => result).increment(1);
        if attempt.result == Reloaded::Refused {
            tracing::error!(cause = cause.word(), result, policy = candidate, code, message, report, "reloaded");
        } else {
            tracing::info!(cause = cause.word(), result, policy = candidate, message, report, "reloaded");
        }
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).last = Some(attempt.clone());
        attempt
    }

    /// Puts the report where whoever was refused finds it.
    async fn keep(&self, attempt: &mut Attempt, evidence: &Evidence, detail: String) {
        let Some(candidates) = self.options.candidates.clone() else { return };
        let report = crate::report::status::attempt(attempt, &detail, evidence.simulation.as_ref());
        attempt.report = spawn_blocking(move || candidates.keep(&report)).await.ok().flatten();
    }

    async fn try_next(&self, ask: Ask) -> Result<(Cleared, Evidence), Box<NotCleared>> {
        let refused =
            |why| Box::new(NotCleared { digest: None, why, detail: String::new(), evidence: Evidence::default() });
        let Some(candidates) = self.options.candidates.clone() else {
            let message = "the policy of this gateway comes from no file";
            return Err(refused(Refusal::new("no-candidate", message, "start it with a policy in a file")));
        };
        let gate = self.shared.gate.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let captured = self.captured().await.map_err(refused)?;
        let in_force = InForce { policy: self.guard.policy(), gate, audit: self.audit.clone(), captured };
        let next = spawn_blocking(move || candidates.next(&in_force, ask)).await;
        let next = next.unwrap_or_else(|_| {
            let message = "a fault in doorward: the candidate could not be judged";
            Err(refused(Refusal::new("internal", message, "report it with the policy that led to it")))
        });
        let (cleared, evidence) = next?;
        match self.swap(&cleared) {
            Ok(()) => Ok((cleared, evidence)),
            Err(mut refusals) => {
                let detail: Vec<String> = refusals.iter().map(ToString::to_string).collect();
                let digest = Some(cleared.policy().digest().to_string());
                let why = if refusals.is_empty() {
                    Refusal::new("internal", "the candidate could not be put in force", "try again")
                } else {
                    refusals.swap_remove(0)
                };
                Err(Box::new(NotCleared { digest, why, detail: detail.join("\n"), evidence }))
            }
        }
    }

    /// Everything that was recorded until now, where that is asked.
    async fn captured(&self) -> Result<Option<Captured>, Refusal> {
        let Some(capture) = self.capture.clone() else { return Ok(None) };
        let settled = timeout(SETTLE, spawn_blocking(move || capture.settle())).await;
        settled.ok().and_then(Result::ok).map_or_else(
            || {
                let message = "the recording of the traffic does not answer";
                Err(Refusal::new(
                    "capture",
                    message,
                    "see that the disk of `gateway.capture` answers, and reload again",
                ))
            },
            Ok,
        )
    }

    /// Puts what was cleared in force, and sends off what it does without.
    fn swap(&self, cleared: &Cleared) -> Result<(), Vec<Refusal>> {
        let set = cleared.policy().set();
        let before = self.guard.kept::<Edition>().ok_or_else(Vec::new)?;
        let settings = self.same_place(set)?;
        if let Some(refusal) = open::uncounted(set, &self.audit) {
            return Err(vec![refusal]);
        }
        let issued = open::shown(set, &self.system, &before.issued)?;
        let made = open::behind(&before.lacking(set, &issued), &self.options, &issued)?;
        let next = Arc::new(before.followed(set, settings.names, made, issued, &self.draining));
        let retired = before.retired(&next);
        self.guard.replace(cleared, Arc::clone(&next) as Beside);
        *self.shared.gate.lock().unwrap_or_else(PoisonError::into_inner) = cleared.gate().clone();
        {
            let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            let evidence = cleared.evidence();
            // What decides as before is still in force for the reason it came with.
            if *evidence != crate::attest::Evidence::Unchanged {
                (state.since, state.evidence) = (open::time(), (evidence.word(), evidence.to_string()));
            }
        }
        let drain = self.settings.bounds.drain;
        for behind in &retired {
            tracing::info!(door = &**behind.door(), "a server that the policy does without is sent off");
        }
        let after = Arc::clone(&next);
        self.retiring.spawn(async move {
            futures_util::future::join_all(retired.iter().map(|behind| behind.retire(drain))).await;
            before.issued.retire(&after.issued).await;
        });
        let verifier = self.guard.verifier();
        let preparing = async move { drop(tokio::join!(verifier.prepare(), next.issued.prepare())) };
        let draining = self.draining.clone();
        self.retiring.spawn(async move {
            let _ = draining.run_until_cancelled(preparing).await;
        });
        Ok(())
    }

    /// Refuses what cannot change while the gateway runs.
    fn same_place(&self, set: &PolicySet) -> Result<Settings, Vec<Refusal>> {
        let Options { overrides, directory, .. } = &self.options;
        if set.servers.is_empty() {
            return Err(vec![Refusal::no_server()]);
        }
        let next = Settings::new(&set.gateway, overrides, directory)?;
        let policy = self.guard.policy();
        let now = policy.set();
        let audit = overrides.audit.is_none() && now.audit.store != set.audit.store
            || overrides.signing_key.is_none() && now.audit.signing_key != set.audit.signing_key;
        let changed = [
            (next.listen != self.settings.listen, "gateway.listen"),
            (next.admin != self.settings.admin, "gateway.admin"),
            (next.tls != self.settings.tls, "gateway.tls"),
            (set.gateway.traces != now.gateway.traces, "gateway.traces"),
            (set.gateway.capture != now.gateway.capture, "gateway.capture"),
            (set.gateway.admin_token != now.gateway.admin_token, "gateway.admin_token"),
            (set.gateway.state_keys != now.gateway.state_keys, "gateway.state_keys"),
            (audit, "audit"),
        ];
        let changed: Vec<&str> = changed.iter().filter(|(changed, _)| *changed).map(|(_, what)| *what).collect();
        if changed.is_empty() {
            return Ok(next);
        }
        let message = format!("`{}` cannot change while the gateway runs", changed.join("`, `"));
        Err(vec![Refusal::new("needs-restart", message, "restart the gateway with this policy")])
    }
}
