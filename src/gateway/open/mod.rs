//! From a policy to the parts of a gateway: servers, keys, audit log.
//!
//! Everything that would fail later and can be known now is a refusal to start. The environment and
//! files are read below this module and nowhere else in the gateway.

mod audit;
mod issued;
mod system;
mod upstreams;

use std::path::PathBuf;
use std::sync::Arc;

use super::capture::{Capture, CaptureOptions};
use super::run::{Bound, Gateway, Parts};
use super::settings::{Overrides, Refusal, Settings};
use super::upstream::Patience;
use super::watched::Watched;
use crate::audit::Log;
use crate::identity::fetch::Web;
use crate::identity::{Fetch, Limits as KeyLimits, Verifier};
use crate::pep::{ClientFeatures, Guard, Limits, Surroundings};
use crate::policy::CompiledPolicy;

pub(super) use issued::Issued;
pub use system::System;

/// What opens a gateway besides its policy.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where relative paths of the policy begin.
    pub directory: PathBuf,
    /// What the command line says in place of the policy.
    pub overrides: Overrides,
    /// How long servers may take.
    pub patience: Patience,
}

/// Opens the gateway of a policy. Must be called within a tokio runtime.
///
/// # Errors
///
/// Everything that is impossible, unsafe or not there yet, all at once.
pub async fn open(policy: CompiledPolicy, options: &Options) -> Result<Gateway, Vec<Refusal>> {
    let set = policy.set().clone();
    let system = System::new(options.directory.clone());
    let mut refusals = Vec::new();
    if set.servers.is_empty() {
        refusals.push(Refusal::new("no-server", "the policy has no server", "add one: `[servers.NAME]` with a `url`"));
    }
    let issued = Issued::open(&set, &system, None).map_or_else(|more| refusing(&mut refusals, more), Some);
    let upstreams = upstreams::find(&set, options, issued.as_ref());
    let upstreams = upstreams.unwrap_or_else(|more| refusing(&mut refusals, more));
    let log = audit::Named::find(&set.audit, &options.overrides, &system).await;
    let log = log.map_or_else(|more| refusing(&mut refusals, more), Some);
    let settings = Settings::new(&set.gateway, &options.overrides, &options.directory);
    let settings = settings.map_or_else(|more| refusing(&mut refusals, more), Some);
    let (Some(log), Some(settings), Some(issued), true) = (log, settings, issued, refusals.is_empty()) else {
        return Err(refusals);
    };
    // From here on something is made or begun.
    let bound = Bound::new(&settings).map_err(|refusal| vec![refusal])?;
    let audit = log.open().await.map_err(|refusal| vec![refusal])?;
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
    let seal = system::random::<32>().ok_or_else(|| vec![system::no_randomness()])?;
    let surroundings = Surroundings {
        clock: Arc::new(system::now),
        ids: Arc::new(system::request_id),
        key: seal,
        limits: Limits::default(),
        features: ClientFeatures::default(),
    };
    let guard = Guard::new(policy, verifier, Arc::clone(&log) as Arc<dyn Log>, surroundings);
    let parts = Parts { guard, log, ledger: audit.ledger, capture, audit: audit.place, upstreams, issued };
    Ok(Gateway::new(parts, settings, bound))
}

/// Notes refusals, and gives nothing in place of what was refused.
fn refusing<T: Default>(refusals: &mut Vec<Refusal>, more: Vec<Refusal>) -> T {
    refusals.extend(more);
    T::default()
}
