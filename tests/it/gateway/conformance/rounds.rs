//! Tools and prompts that ask for something before they answer, in rounds (2026-07-28).

use rmcp::model::{ClientCapabilities, ErrorData, InputRequiredResult, InputResponses};
use serde_json::{Map, Value, json};

/// What a tool or prompt asks for: in each round some inputs by name.
pub(super) struct Rounds {
    asks: &'static [&'static [&'static str]],
    /// Whether it says with `requestState` how far a caller has come.
    stateful: bool,
}

/// What that tool or prompt asks for, where it asks.
pub(super) fn of(name: &str) -> Option<Rounds> {
    let (asks, stateful): (&[&[&str]], bool) = match name {
        "test_input_required_result_elicitation" | "test_streaming_elicitation" => (&[&["user_name"]], false),
        "test_input_required_result_sampling" => (&[&["capital_question"]], false),
        "test_input_required_result_list_roots" => (&[&["client_roots"]], false),
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => {
            (&[&["confirm"]], true)
        }
        "test_input_required_result_multiple_inputs" => (&[&["user_name", "greeting", "client_roots"]], true),
        "test_input_required_result_multi_round" => (&[&["step1"], &["step2"]], true),
        "test_input_required_result_capabilities" => (&[&["user_name", "greeting", "client_roots"]], false),
        "test_input_required_result_prompt" => (&[&["user_context"]], false),
        _ => return None,
    };
    Some(Rounds { asks, stateful })
}

fn input(key: &str) -> Value {
    let ask = |message: &str, property: &str, kind: &str| {
        let schema = json!({"type": "object", "properties": {property: {"type": kind}}, "required": [property]});
        json!({"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}})
    };
    let sample = |text: &str| {
        let messages = json!([{"role": "user", "content": {"type": "text", "text": text}}]);
        json!({"method": "sampling/createMessage", "params": {"messages": messages, "maxTokens": 100}})
    };
    match key {
        "client_roots" => json!({"method": "roots/list", "params": {}}),
        "capital_question" => sample("What is the capital of France?"),
        "greeting" => sample("Generate a greeting"),
        "confirm" => ask("Please confirm", "ok", "boolean"),
        "step1" => ask("Step 1: What is your name?", "name", "string"),
        "step2" => ask("Step 2: What is your favorite color?", "color", "string"),
        "user_context" => ask("What context should the prompt use?", "context", "string"),
        _ => ask("What is your name?", "name", "string"),
    }
}

/// What to ask next, or nothing when all was given.
///
/// # Errors
///
/// A state that this server did not make for this name.
pub(super) fn ask(
    name: &str,
    given: Option<&InputResponses>,
    state: Option<&str>,
    client: &ClientCapabilities,
) -> Result<Option<InputRequiredResult>, ErrorData> {
    let Some(Rounds { asks, stateful }) = of(name) else { return Ok(None) };
    let sealed = |round: usize| format!("{name}/{round}");
    let round = match state {
        None => 0,
        Some(state) => (0..asks.len())
            .find(|round| sealed(*round) == state)
            .ok_or_else(|| ErrorData::invalid_params("this is no state of mine", None))?,
    };
    let answered = |key: &&str| given.and_then(|given| given.get(*key)).is_some_and(Value::is_object);
    let complete = asks[round].iter().all(answered) && (state.is_some() || !stateful);
    let Some(keys) = asks.get(round + usize::from(complete)) else { return Ok(None) };
    let may = |input: &Value| match input["method"].as_str() {
        Some("sampling/createMessage") => client.sampling.is_some(),
        Some("roots/list") => client.roots.is_some(),
        _ => client.elicitation.is_some(),
    };
    let inputs: Map<String, Value> =
        keys.iter().map(|key| ((*key).to_owned(), input(key))).filter(|(_, input)| may(input)).collect();
    let mut ask = json!({"resultType": "input_required", "inputRequests": inputs});
    if stateful {
        ask["requestState"] = json!(sealed(round + usize::from(complete)));
    }
    Ok(Some(super::server::of(ask)))
}
