//! An agent that guards itself: each tool call is authenticated, decided and on record before it is made.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod shared;

use std::error::Error;

use doorward::pep::NotCalled;
use serde_json::{Map, Value, json};

/// Whatever the agent calls its servers with.
async fn call_server(tool: String, arguments: Map<String, Value>) -> Result<String, std::io::Error> {
    Ok(format!("{tool} ran with {}", Value::Object(arguments)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (guard, token) = shared::guard("agent")?;
    for (tool, arguments) in
        [("search", json!({ "limit": 5 })), ("search", json!({ "limit": 50 })), ("delete", json!({}))]
    {
        let Value::Object(arguments) = arguments else { continue };
        match guard.call(&token, ("notes", tool), arguments, call_server).await {
            Ok(result) => println!("{result}"),
            Err(NotCalled::Refused(refusal)) => println!("{tool} was refused: {refusal}"),
            Err(NotCalled::Failed(error)) => println!("{tool} failed: {error}"),
        }
    }
    Ok(())
}
