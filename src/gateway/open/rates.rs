//! Where rates across gateways are counted: in the database of the audit log, where that is one for several.

use std::sync::Arc;

use crate::audit::rates::SharedRates as _;
use crate::audit::store::{RateCounter, Store};
use crate::gateway::settings::Refusal;
use crate::policy::set::PolicySet;

/// Why a policy cannot be held to with this store, if that is so. A file would count for those of one machine alone,
/// and nobody would notice that the others count too.
pub(in crate::gateway) fn uncounted(set: &PolicySet, store: &Store) -> Option<Refusal> {
    let shared = set.rates().find(|rate| rate.shared)?;
    store.is_sqlite().then(|| {
        let message = format!("the rate `{shared}` needs an audit log in PostgreSQL, and this one is `{store}`");
        let help = "set `store` of [audit] to `postgres://…`, or count by each gateway: leave out `across gateways`";
        Refusal::new("shared-rates", message, help)
    })
}

/// What counts in this store, tried once where the policy needs it.
pub(super) async fn counter(set: &PolicySet, store: &Store) -> Result<Option<Arc<RateCounter>>, Refusal> {
    let counter = RateCounter::new(store.clone()).map(Arc::new);
    if let Some(counter) = &counter
        && set.rates().any(|rate| rate.shared)
        && counter.count(Vec::new()).await.is_err()
    {
        let why = counter.away().unwrap_or_else(|| "the server does not answer".to_owned());
        let message = format!("rates across gateways cannot be counted in `{store}`: {why}");
        let help = "run `doorward audit init` as the owner of the audit log, with the role of this gateway";
        return Err(Refusal::new("rates-unavailable", message, help));
    }
    Ok(counter)
}
