//! Traces (W3C Trace Context): where a request stands in one, and what is told of it when it has ended.
//!
//! A span says what was asked, what was decided and why, and what became of it. It never holds a subject,
//! an argument, a session id or a token.

use std::fmt;

use super::refusal::Refusal;
use crate::audit::Intent;
use crate::mcp::Id;
use crate::model::{Action, Effect};
use crate::policy::mask_secrets;

/// The longest id of a request that a span repeats, in characters.
const ID: usize = 64;

/// A place in a trace, as a `traceparent` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: [u8; 16],
    /// The span within it.
    pub span: [u8; 8],
    /// Whether whoever began the trace keeps it.
    pub sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent` (section 3.2). What a later version adds behind it is left.
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let [version] = bytes(parts.next()?)?;
        let context =
            Self { trace: bytes(parts.next()?)?, span: bytes(parts.next()?)?, sampled: flags(parts.next()?)? & 1 == 1 };
        let nothing = context.trace == [0; 16] || context.span == [0; 8];
        let more = parts.next().is_some();
        (version != 0xff && !nothing && !(version == 0 && more)).then_some(context)
    }

    /// The trace in hexadecimal.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.trace))
    }
}

impl fmt::Display for TraceContext {
    /// As a `traceparent`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (u128::from_be_bytes(self.trace), u64::from_be_bytes(self.span));
        write!(f, "00-{trace:032x}-{span:016x}-{:02x}", u8::from(self.sampled))
    }
}

fn flags(text: &str) -> Option<u8> {
    bytes(text).map(|[flags]| flags)
}

/// So many bytes in lower-case hexadecimal, and no more.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * N {
        return None;
    }
    let mut read = [0; N];
    for (byte, pair) in read.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair.first()?)? << 4 | digit(pair.get(1)?)?;
    }
    Some(read)
}

/// Whoever keeps spans. Neither of the two may wait or fail.
pub trait Tracer: Send + Sync {
    /// A span below where the caller stands, or the first of a new trace, and the time in nanoseconds since 1970 UTC.
    fn begin(&self, parent: Option<&TraceContext>) -> (TraceContext, u64);

    /// A span has ended just now.
    fn end(&self, span: Span);
}

/// Where a request stands, on its way through the guard.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    parent: Option<TraceContext>,
    own: Option<Own>,
}

/// The span of a request.
#[derive(Clone, Debug)]
struct Own {
    context: TraceContext,
    begun: u64,
    id: Option<String>,
}

impl Trace {
    /// Of which nothing is told.
    pub(super) const fn passed_on(parent: TraceContext) -> Self {
        Self { parent: Some(parent), own: None }
    }

    /// Begins the span of a message, where spans are kept.
    pub(super) fn begin(tracer: Option<&dyn Tracer>, parent: Option<TraceContext>, id: Option<&Id>) -> Option<Self> {
        let own = tracer.map(|tracer| {
            let (context, begun) = tracer.begin(parent.as_ref());
            let id = id.map(|id| match id {
                Id::Text(text) => mask_secrets(text).chars().take(ID).collect(),
                Id::Number(number) => number.to_string(),
            });
            Own { context, begun, id }
        });
        (own.is_some() || parent.is_some()).then_some(Self { parent, own })
    }

    /// The trace in hexadecimal.
    pub(super) fn id(&self) -> Option<String> {
        self.own.as_ref().map(|own| &own.context).or(self.parent.as_ref()).map(TraceContext::trace_id)
    }

    /// Where the server is to stand; `None` to leave what the caller said.
    pub(super) fn own(&self) -> Option<&TraceContext> {
        self.own.as_ref().map(|own| &own.context)
    }

    /// The span of what was decided, if one is told.
    pub(super) fn span(&self, intent: &Intent) -> Option<Box<Span>> {
        let own = self.own.as_ref().filter(|own| own.context.sampled)?;
        Some(Box::new(Span {
            context: own.context,
            parent: self.parent.map(|parent| parent.span),
            begun: own.begun,
            id: own.id.clone(),
            request: intent.request.to_string(),
            door: intent.door.to_string(),
            // An unknown method is the caller's own text.
            method: match Action::from_method(&intent.method) {
                Action::Unknown if !intent.method.starts_with("notifications/") => "unknown".to_owned(),
                _ => intent.method.clone(),
            },
            name: intent.name.clone(),
            era: intent.era.clone(),
            session: intent.session.clone(),
            effect: intent.verdict.effect,
            reason: intent.verdict.reason.to_string(),
            rule: intent.verdict.rule.as_ref().map(|rule| rule.name.clone()),
            policy: intent.policy.to_string(),
            end: "",
            status: None,
            error: None,
        }))
    }
}

/// What is told of one decided message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its own place in the trace.
    pub context: TraceContext,
    /// The span that it is below.
    pub parent: Option<[u8; 8]>,
    /// When it began, as the tracer said.
    pub begun: u64,
    /// The id of the JSON-RPC request.
    pub id: Option<String>,
    /// The identifier of the request in the audit log.
    pub request: String,
    /// The server, by its name in the policy.
    pub door: String,
    /// The method; `unknown` for one that MCP does not have.
    pub method: String,
    /// The tool, the prompt or the URI, as the audit log has it; empty for the server itself.
    pub name: String,
    /// The protocol revision.
    pub era: Option<String>,
    /// The digest of the session id.
    pub session: Option<String>,
    /// What was decided.
    pub effect: Effect,
    /// Why: the code of the audit log.
    pub reason: String,
    /// The statement that decided.
    pub rule: Option<String>,
    /// The digest of the policy that decided.
    pub policy: String,
    /// What became of it: `answered`, `disconnected`, or the code of a refusal.
    pub end: &'static str,
    /// The HTTP status of the answer.
    pub status: Option<u16>,
    /// The code of a JSON-RPC error.
    pub error: Option<i64>,
}

impl Span {
    /// The end of one that was refused.
    pub(super) fn refused(self, refusal: &Refusal) -> Self {
        let (status, error) = (Some(refusal.status()), Some(refusal.rpc().into()));
        Self { end: refusal.code().as_str(), status, error, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_as_the_specification_says() {
        let read = |text: &str| TraceContext::read(text).map(|context| context.to_string());
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(read(good).as_deref(), Some(good));
        assert_eq!(TraceContext::read(good).unwrap().trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let unsampled = good.replace("-01", "-00");
        assert_eq!(read(&unsampled), Some(unsampled.clone()));
        assert_eq!(
            read(&good.replace("-01", "-03")).as_deref(),
            Some(good),
            "flags that nobody knows are not repeated"
        );
        assert_eq!(
            read(&good.replace("00-4b", "cc-4b").replace("-01", "-01-what-the-future-holds")).as_deref(),
            Some(good)
        );
        for bad in [
            String::new(),
            "00".to_owned(),
            format!("{good}-more"),
            good.replace("00-4b", "ff-4b"),
            good.to_uppercase(),
            good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            good.replace("00f067aa0ba902b7", &"0".repeat(16)),
            good.replace("-01", "-1"),
            good.replace("-01", ""),
            good.replace('4', "é"),
            good.replace("b7-", "-"),
        ] {
            assert_eq!(read(&bad), None, "{bad}");
        }
    }
}
