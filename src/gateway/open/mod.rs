//! From a policy to the parts of a gateway: servers, keys, audit log.
//!
//! Everything that would fail later and can be known now is a refusal to start. The environment and
//! files are read below this module and nowhere else in the gateway.

mod audit;
mod issued;
mod rates;
mod state;
mod system;
mod trust;
mod upstreams;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::admin::Metrics;
use super::capture::{Capture, CaptureOptions};
use super::control::{About, Key};
use super::door::Upstream;
use super::edition::Edition;
use super::reload::{Beginning, Candidates, Reloader};
use super::run::{Bound, Gateway, Parts};
use super::settings::{Admin, Overrides, Refusal, Settings};
use super::traces::Traces;
use super::upstream::Patience;
use super::watched::Watched;
use crate::attest::Cleared;
use crate::audit::Log;
use crate::audit::rates::SharedRates;
use crate::identity::fetch::Web;
use crate::identity::{Fetch, Limits as KeyLimits, Verifier};
use crate::pep::{Guard, Limits, Surroundings, Tracer};
use crate::policy::set::PolicySet;

pub(super) use issued::Issued;
pub(super) use rates::uncounted;
use state::StateKeys;
pub use system::System;
#[cfg(feature = "otel")]
pub(super) use system::random;

/// What opens a gateway besides its policy.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where relative paths of the policy begin.
    pub directory: PathBuf,
    /// What the command line says in place of the policy.
    pub overrides: Overrides,
    /// How long servers may take.
    pub patience: Patience,
    /// Where the next policy comes from. Without it there is no reload.
    pub candidates: Option<Arc<dyn Candidates>>,
    /// Whether it is looked now and then whether there is a next policy.
    pub watch: bool,
    /// Where metrics are read; without it they are not shown.
    pub metrics: Option<Metrics>,
}

/// What is shown to the servers of the policy after another.
pub(super) fn shown(set: &PolicySet, system: &System, before: &Issued) -> Result<Issued, Vec<Refusal>> {
    Issued::open(set, system, Some(before))
}

/// What is behind the doors of a policy.
pub(super) fn behind(
    set: &PolicySet,
    options: &Options,
    issued: &Issued,
) -> Result<Vec<(String, Upstream)>, Vec<Refusal>> {
    upstreams::find(set, options, Some(issued))
}

/// The time of day, in RFC 3339.
pub(super) fn time() -> String {
    system::now().to_string()
}

/// Opens the gateway of a policy that was cleared. Must be called within a tokio runtime.
///
/// # Errors
///
/// Everything that is impossible, unsafe or not there yet, all at once.
pub async fn open(cleared: &Cleared, options: &Options) -> Result<Gateway, Vec<Refusal>> {
    let set = cleared.policy().set().clone();
    let system = System::new(options.directory.clone());
    let mut refusals = Vec::new();
    if set.servers.is_empty() {
        refusals.push(Refusal::no_server());
    }
    let issued = Issued::open(&set, &system, None).map_or_else(|more| refusing(&mut refusals, more), Some);
    let upstreams = upstreams::find(&set, options, issued.as_ref());
    let upstreams = upstreams.unwrap_or_else(|more| refusing(&mut refusals, more));
    let log = audit::Named::find(&set, &options.overrides, &system, issued.as_ref()).await;
    let log = log.map_or_else(|more| refusing(&mut refusals, more), Some);
    refusals.extend(log.as_ref().and_then(|log| uncounted(&set, log.store())));
    let keys = StateKeys::read(&set.gateway.state_keys, &system).await;
    let keys = keys.map_or_else(|refusal| refusing(&mut refusals, vec![refusal]), Some);
    let settings = Settings::new(&set.gateway, &options.overrides, &options.directory);
    let settings = settings.map_or_else(|more| refusing(&mut refusals, more), Some);
    let (Some(log), Some(settings), Some(issued), Some(state), true) =
        (log, settings, issued, keys, refusals.is_empty())
    else {
        return Err(refusals);
    };
    // From here on something is made or begun.
    let bound = Bound::new(&settings).map_err(|refusal| vec![refusal])?;
    let audit = log.open().await.map_err(|refusal| vec![refusal])?;
    let counter = rates::counter(&set, &audit.store).await.map_err(|refusal| vec![refusal])?;
    let ledger = Arc::clone(&audit.ledger) as Arc<dyn Log>;
    let capture = set.gateway.capture.as_ref().map(|declared| {
        let options = CaptureOptions::of(declared, &options.directory);
        Capture::new(Arc::clone(&ledger), options, &system::request_id(), system::now).map(Arc::new)
    });
    let capture = capture.transpose().map_err(|refusal| vec![refusal])?;
    let log = Arc::new(Watched::new(capture.clone().map_or(ledger, |capture| capture as Arc<dyn Log>)));
    let keys = system.clone();
    let fetch: Arc<dyn Fetch> = Arc::new(Web::new(move |path: &str| keys.keys(path)));
    let verifier = Verifier::new(&set, fetch, KeyLimits::default());
    let traces = match set.gateway.traces.as_deref().map(Traces::open).transpose() {
        Ok(traces) => traces.map(Arc::new),
        Err(refusal) => return Err(vec![refusal]),
    };
    let surroundings = Surroundings {
        clock: Arc::new(system::now),
        ids: Arc::new(system::request_id),
        key: state.first,
        other_keys: state.others,
        shared_rates: counter.map(|counter| counter as Arc<dyn SharedRates>),
        limits: Limits { body_time: Duration::from_secs(set.gateway.limits.body_time.into()), ..Limits::default() },
        tracer: traces.clone().map(|traces| traces as Arc<dyn Tracer>),
    };
    let draining = CancellationToken::new();
    let edition = Arc::new(Edition::first(&set, settings.names.clone(), upstreams, issued, &draining));
    let policy = cleared.policy().clone();
    let guard = Guard::beside(policy, verifier, Arc::clone(&log) as Arc<dyn Log>, surroundings, edition);
    let key = match (&settings.admin, &set.gateway.admin_token) {
        (Admin::Unix(_), _) => Key::Socket,
        (Admin::Tcp(_), Some(reference)) => Key::Token(reference.clone()),
        (Admin::Tcp(_), None) => Key::None,
    };
    let beginning = Beginning {
        cleared,
        guard: guard.clone(),
        options: options.clone(),
        settings: settings.clone(),
        system: system.clone(),
        audit: audit.store,
        capture: capture.clone(),
        draining: draining.clone(),
    };
    let reloading = Reloader::new(beginning);
    let about = About { audit: audit.place, node: system::node(), started: time() };
    let parts = Parts {
        guard,
        log,
        ledger: audit.ledger,
        capture,
        traces,
        about,
        key,
        system,
        draining,
        reloading,
        metrics: options.metrics.clone(),
    };
    Ok(Gateway::new(parts, settings, bound))
}

/// Notes refusals, and gives nothing in place of what was refused.
fn refusing<T: Default>(refusals: &mut Vec<Refusal>, more: Vec<Refusal>) -> T {
    refusals.extend(more);
    T::default()
}
