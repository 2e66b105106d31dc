//! Which arguments the tools of a program want repeated in headers, as far as it has listed them.
//!
//! A program hears no headers, so they are held against the body before it hears of the call. A tool that was not
//! listed since the gateway started is called by its body alone: no client can know its headers either.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, HeaderValue};
use serde_json::Value;

use super::frame::Members;
use crate::mcp::{Disagrees, Parameters};

/// Tools of which this is remembered.
const MOST: usize = 4096;

/// The tools that declare any.
#[derive(Debug, Default)]
pub(super) struct Declared(Mutex<HashMap<String, Parameters>>);

impl Declared {
    /// Remembers what a page of `tools/list` declares.
    pub(super) fn learn(&self, answer: &[u8]) {
        let Ok(answer) = serde_json::from_slice::<Value>(answer) else { return };
        let Some(tools) = answer.pointer("/result/tools").and_then(Value::as_array) else { return };
        let mut declared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for tool in tools {
            let Some(name) = tool.get("name").and_then(Value::as_str) else { continue };
            let parameters = tool.get("inputSchema").map(Parameters::of).unwrap_or_default();
            if parameters.is_empty() {
                declared.remove(name);
            } else if declared.len() < MOST || declared.contains_key(name) {
                declared.insert(name.to_owned(), parameters);
            }
        }
    }

    /// Whether the headers of a call say what its arguments say.
    pub(super) fn agree(&self, call: &Members, headers: &HeaderMap) -> Result<(), Disagrees> {
        let params = call.param("name").and_then(|name| serde_json::from_str::<String>(name.get()).ok());
        let declared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(parameters) = params.and_then(|name| declared.get(&name)) else { return Ok(()) };
        let arguments = call.param("arguments").and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
        parameters.agree(arguments.as_ref().and_then(Value::as_object), |name| {
            headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
        })
    }
}
