//! Health and metrics, on the loopback.
//!
//! They ask nobody who they are, so they tell nothing of callers, tokens or requests.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use metrics::{counter, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::edition::Edition;
use super::watched::Watched;
use crate::audit::Log as _;
use crate::credentials::Unavailable;
use crate::credentials::vault::{Health, Node, none_in_charge};
use crate::pep::Guard;

/// How long the audit log may take to say that it can be written.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where the metrics of this process are read. A process has one recorder, so that whoever runs it chooses.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Records the metrics of this process from now on. `None` when something else records them already.
    pub fn install() -> Option<Self> {
        let seconds = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];
        PrometheusBuilder::new().set_buckets(&seconds).ok()?.install_recorder().ok().map(Self)
    }

    /// Sums up what was measured since the last time. Until then each measurement is kept by itself, so this must be
    /// done now and then, whether anybody reads the metrics or not.
    pub(super) fn sum_up(&self) {
        self.0.run_upkeep();
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// What can be asked.
pub(super) struct Status {
    pub(super) guard: Guard,
    pub(super) log: Arc<Watched>,
    pub(super) draining: CancellationToken,
    pub(super) metrics: Option<Metrics>,
}

impl Status {
    /// Why no request should be sent here; empty when it may.
    pub(super) async fn unready(&self) -> Vec<&'static str> {
        let mut why = Vec::new();
        if self.draining.is_cancelled() {
            why.push("draining");
        }
        let written = self.guard.is_recording() && timeout(PATIENCE, self.log.check()).await.unwrap_or(false);
        if !written {
            why.push("audit-unavailable");
        }
        let issuers = self.guard.verifier().status();
        if !issuers.is_empty() && issuers.iter().all(|issuer| issuer.keys == 0) {
            why.push("token-keys-unavailable");
        }
        why
    }

    /// What somebody should look at, although requests are taken: their rows are written.
    async fn but(&self) -> Vec<&'static str> {
        let unsigned = self.log.unsigned().map(|_| "audit-unsigned");
        let lost = (self.log.lost().gone > 0).then_some("audit-rows-lost");
        let vault = none_in_charge(&self.vault().await).map(Unavailable::code);
        unsigned.into_iter().chain(lost).chain(vault).collect()
    }

    /// How the nodes of Vault are, where the policy in force needs one.
    pub(super) async fn vault(&self) -> Vec<Node> {
        match self.guard.kept::<Edition>() {
            Some(edition) => edition.issued.nodes().await,
            None => Vec::new(),
        }
    }

    /// Metrics that are looked up and not counted.
    async fn measure(&self) {
        for node in self.vault().await {
            let state = match node.health {
                Ok(Health::Active) => 0,
                Ok(Health::Standby) => 1,
                Ok(Health::Sealed | Health::Uninitialised) => 2,
                Err(_) => 3,
            };
            gauge!("doorward_vault_node_state", "node" => node.address).set(state);
        }
        if let Some(edition) = self.guard.kept::<Edition>() {
            for behind in edition.all() {
                gauge!("doorward_upstream_state", "door" => behind.door().to_string()).set(behind.upstream.standing());
            }
            let credentials = edition.issued.credentials();
            for standing in credentials.standing() {
                let missing = u32::from(!standing.held && standing.failed.is_some());
                gauge!("doorward_credential_missing", "door" => standing.server).set(missing);
            }
            let overdue = u32::try_from(credentials.overdue().len()).unwrap_or(u32::MAX);
            gauge!("doorward_credentials_overdue").set(overdue);
        }
        for issuer in self.guard.verifier().status() {
            let labels = [("issuer", issuer.issuer.clone())];
            gauge!("doorward_issuer_keys", &labels).set(u32::try_from(issuer.keys).unwrap_or(u32::MAX));
            if let Some(age) = issuer.age {
                gauge!("doorward_issuer_keys_age_seconds", &labels).set(age.as_secs_f64());
            }
        }
        gauge!("doorward_audit_waiting").set(u32::try_from(self.log.waiting()).unwrap_or(u32::MAX));
        gauge!("doorward_remembered_bytes").set(f64::from(u32::try_from(self.guard.remembered()).unwrap_or(u32::MAX)));
        gauge!("doorward_audit_available").set(u32::from(self.guard.is_recording()));
        let lost = self.log.lost();
        counter!("doorward_audit_rows_lost_total").absolute(lost.gone);
        counter!("doorward_audit_rows_restored_total").absolute(lost.restored);
        gauge!("doorward_audit_unsigned").set(u32::from(self.log.unsigned().is_some()));
    }
}

/// The router of the admin listener.
pub(super) fn router(status: Arc<Status>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(status)
}

async fn ready(State(status): State<Arc<Status>>) -> impl IntoResponse {
    let (why, but) = tokio::join!(status.unready(), status.but());
    let code = if why.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut said = json!({"ready": why.is_empty(), "because": why});
    if let Some(said) = said.as_object_mut().filter(|_| !but.is_empty()) {
        said.insert("but".to_owned(), json!(but));
    }
    (code, format!("{said}\n"))
}

async fn metrics(State(status): State<Arc<Status>>) -> impl IntoResponse {
    // Counts that are held back for the audit log belong in the numbers.
    status.guard.flush();
    status.measure().await;
    match &status.metrics {
        Some(Metrics(handle)) => (StatusCode::OK, handle.render()),
        None => (StatusCode::NOT_FOUND, "metrics are not recorded in this process\n".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use metrics::{histogram, with_local_recorder};

    use super::*;

    #[test]
    fn what_is_measured_takes_no_more_memory_the_more_it_is() {
        let recorder = PrometheusBuilder::new().set_buckets(&[0.1, 1.0]).unwrap().build_recorder();
        let metrics = Metrics(recorder.handle());
        let measure = || {
            with_local_recorder(&recorder, || (0..10_000).for_each(|n| histogram!("seconds").record(f64::from(n % 2))));
            metrics.sum_up();
        };
        measure();
        // One by one, a million measurements would be 8 MB. What was summed up is given back a while later.
        let kept = allocation_counter::measure(|| (0..100).for_each(|_| measure())).bytes_current;
        assert!(kept < 4 << 20, "{kept} bytes are kept of 1,000,000 measurements");
        assert!(metrics.0.render().contains("seconds_count 1010000"));
    }
}
