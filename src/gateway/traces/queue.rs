//! The spans that wait, and the task that sends them in batches.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{refused, span};
use crate::gateway::open::random;
use crate::gateway::settings::Refusal;
use crate::pep::{Span, TraceContext, Tracer};

/// Spans that may wait.
const WAITING: usize = 4096;
/// Spans of one export.
const BATCH: usize = 512;
/// How long the first span of an export waits for others.
const LINGER: Duration = Duration::from_secs(1);
/// How long an export may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the spans that wait may take at the end.
const CLOSE: Duration = Duration::from_secs(6);

/// Who keeps the spans of a gateway, and sends them.
pub(in crate::gateway) struct Traces {
    /// Gone once it is closed.
    queue: Mutex<Option<(Sender<SpanData>, JoinHandle<()>)>>,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").finish_non_exhaustive()
    }
}

impl Traces {
    /// Sends to the receiver at a base URL. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// The URL is none that can be sent to. Whether somebody listens there is not asked.
    pub(in crate::gateway) fn open(url: &str) -> Result<Self, Refusal> {
        crate::identity::ensure_crypto();
        let bad = |error: &dyn fmt::Display| {
            refused(
                format!("traces cannot be sent to `{url}`: {error}"),
                "let `traces` be the base URL of an OTLP receiver, as in `http://127.0.0.1:4318`",
            )
        };
        let builder = reqwest::Client::builder();
        // In the clear nobody's certificate is looked at, and a machine may have none to look by.
        let builder = if url.starts_with("http://") { builder.tls_certs_only([]) } else { builder };
        let client = builder.no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE);
        let client = client.build().map_err(|error| bad(&error))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", url.trim_end_matches('/')))
            .with_timeout(PATIENCE)
            .with_http_client(client)
            .build();
        let mut exporter = exporter.map_err(|error| bad(&error))?;
        exporter.set_resource(&resource());
        let (sender, receiver) = channel(WAITING);
        let task = tokio::spawn(send(exporter, receiver));
        Ok(Self { queue: Mutex::new(Some((sender, task))) })
    }

    /// Sends what waits. What comes later is dropped.
    pub(in crate::gateway) async fn close(&self) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((sender, task)) = queue else { return };
        drop(sender);
        let ending = task.abort_handle();
        if timeout(CLOSE, task).await.is_err() {
            ending.abort();
            tracing::warn!("the last traces could not be sent");
        }
    }
}

impl Tracer for Traces {
    fn begin(&self, parent: Option<&TraceContext>) -> (TraceContext, u64) {
        // Without randomness it is in no trace that anyone could find, and no request fails by that.
        let span = random().unwrap_or([1; 8]);
        let context = match parent {
            Some(parent) => TraceContext { span, ..*parent },
            None => TraceContext { trace: random().unwrap_or([1; 16]), span, sampled: true },
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        (context, u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    fn end(&self, span: Span) {
        let data = span::data(span, SystemTime::now());
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.as_ref().is_none_or(|(sender, _)| sender.try_send(data).is_err()) {
            dropped("queue", 1);
        }
    }
}

fn resource() -> Resource {
    Resource::builder_empty()
        .with_service_name("doorward")
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

fn dropped(why: &'static str, count: usize) {
    metrics::counter!("doorward_spans_dropped_total", "why" => why).increment(count as u64);
}

/// Sends until nobody can add any more.
async fn send(exporter: SpanExporter, mut receiver: Receiver<SpanData>) {
    let mut arrives = true;
    let mut batch = Vec::new();
    while let Some(first) = receiver.recv().await {
        batch.push(first);
        let filling = async { while batch.len() < BATCH && receiver.recv_many(&mut batch, BATCH).await > 0 {} };
        let _ = timeout(LINGER, filling).await;
        while !batch.is_empty() {
            let rest = batch.split_off(batch.len().min(BATCH));
            let sent = std::mem::replace(&mut batch, rest);
            let count = sent.len();
            let result = timeout(PATIENCE, exporter.export(sent)).await;
            let arrived = matches!(result, Ok(Ok(())));
            if arrived {
                metrics::counter!("doorward_spans_exported_total").increment(count as u64);
            } else {
                dropped("export", count);
            }
            // Said once, not for every batch.
            match (arrives, arrived) {
                (true, false) => tracing::warn!("traces cannot be sent, and are dropped until they can"),
                (false, true) => tracing::info!("traces are sent again"),
                _ => {}
            }
            arrives = arrived;
        }
    }
}
