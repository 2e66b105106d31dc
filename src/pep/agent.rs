//! The guard inside an agent: the same checks and the same record, with no gateway in between.

use std::fmt;
use std::future::Future;

use serde_json::{Map, Value};

use super::caller::Ask;
use super::guard::Guard;
use super::refusal::Refusal;

/// Why a call has no result.
#[derive(Debug)]
pub enum NotCalled<E> {
    /// It was refused before anything happened.
    Refused(Box<Refusal>),
    /// It was made and failed.
    Failed(E),
}

impl<E: fmt::Display> fmt::Display for NotCalled<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for NotCalled<E> {}

impl Guard {
    /// Calls a tool for the holder of a token: authenticates, decides, records, and only then runs
    /// `call` with the name and arguments that were decided.
    ///
    /// # Errors
    ///
    /// When it is refused, and nothing was called; or when `call` fails.
    pub async fn call<T, E, F>(
        &self,
        token: &str,
        (server, tool): (&str, &str),
        arguments: Map<String, Value>,
        call: impl FnOnce(String, Map<String, Value>) -> F,
    ) -> Result<T, NotCalled<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let refused = |refusal| NotCalled::Refused(Box::new(refusal));
        let message = serde_json::to_vec(&arguments).unwrap_or_default();
        let who = self.authenticate(server, Some(token)).await.map_err(refused)?;
        let permitted = who.permit(Ask::tool(tool, arguments.clone())).await.map_err(refused)?;
        let recorded = permitted.record(Some(&message)).await.map_err(refused)?;
        recorded.run(call(tool.to_owned(), arguments)).await.map_err(NotCalled::Failed)
    }
}
