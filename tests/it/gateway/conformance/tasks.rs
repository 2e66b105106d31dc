//! Tools that become tasks where the client can follow them (the extension `io.modelcontextprotocol/tasks`).

use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, CreateTaskResult,
    ErrorData, InputRequest,
};
use rmcp::service::RequestContext;
use rmcp::task_manager::{TaskContext, TaskExit, TaskManager, TaskOptions};
use serde_json::{Value, json};

use super::{rounds, server};

fn said(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text.into())])
}

/// Calls the tool: as a task where the client knows tasks, else at once where that can be.
pub(super) async fn call(
    tasks: &TaskManager,
    call: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let client = context.client_capabilities().unwrap_or_default();
    let name = call.name.to_string();
    let arguments = json!(call.arguments.clone().unwrap_or_default());
    match &*name {
        "greet" => return Ok(said(format!("Hello, {}!", arguments["name"].as_str().unwrap_or("friend"))).into()),
        "test_tool_with_task" | "failing_job" | "confirm_delete" | "multi_input" if !client.supports_tasks() => {
            let needed = ClientCapabilities::builder().enable_tasks().build();
            return Err(ErrorData::missing_required_client_capability(needed));
        }
        "slow_compute" | "protocol_error_job" if !client.supports_tasks() => {
            return Ok(compute(&name, &arguments).await?.into());
        }
        "test_tool_with_task" => {
            if let Some(ask) =
                rounds::ask("test_input_required_result_elicitation", call.input_responses.as_ref(), None, &client)?
            {
                return Ok(ask.into());
            }
        }
        "slow_compute" | "protocol_error_job" | "failing_job" | "confirm_delete" | "multi_input" => {}
        _ => return Err(ErrorData::invalid_params(format!("Unknown tool: {name}"), None)),
    }
    let given = json!(call.input_responses);
    let work = move |task: TaskContext| Box::pin(async move { run(&task, &name, &arguments, &given).await }) as _;
    Ok(CreateTaskResult::new(tasks.spawn(TaskOptions::default(), work)).into())
}

async fn compute(name: &str, arguments: &Value) -> Result<CallToolResult, ErrorData> {
    if name == "protocol_error_job" {
        return Err(ErrorData::internal_error("as documented", None));
    }
    tokio::time::sleep(Duration::from_secs_f64(arguments["seconds"].as_f64().unwrap_or(1.0))).await;
    Ok(said("computed"))
}

async fn run(task: &TaskContext, name: &str, arguments: &Value, given: &Value) -> Result<CallToolResult, TaskExit> {
    match name {
        "failing_job" => Ok(CallToolResult::error(vec![ContentBlock::text("as documented")])),
        "test_tool_with_task" => Ok(said(format!("Hello, {}!", given["user_name"]["content"]["name"]))),
        "confirm_delete" => {
            let answer = task.request_input("confirm", question("confirm", "boolean")).await?;
            Ok(said(format!("confirmed: {}", answer["content"]["confirm"])))
        }
        "multi_input" => {
            let (a, b) = tokio::join!(
                task.request_input("input-a", question("value", "string")),
                task.request_input("input-b", question("value", "string")),
            );
            Ok(said(format!("{} and {}", a?["content"]["value"], b?["content"]["value"])))
        }
        _ => tokio::select! {
            () = task.cancelled() => Err(TaskExit::Cancelled),
            done = compute(name, arguments) => done.map_err(TaskExit::Error),
        },
    }
}

fn question(property: &str, kind: &str) -> InputRequest {
    let schema = json!({"type": "object", "properties": {property: {"type": kind}}, "required": [property]});
    server::of(json!({"method": "elicitation/create", "params": {"message": "?", "requestedSchema": schema}}))
}
