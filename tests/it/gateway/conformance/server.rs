//! A server with everything that the official conformance suite asks of one, made with rmcp.
//!
//! Names and answers are those that the suite documents. It checks no caller: that is the gateway's.

#![expect(deprecated, reason = "the older revisions have sampling and logging, and the suite tests them")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, ClientCapabilities,
    CompleteRequestParams, CompleteResult, ContentBlock, ElicitRequestParams, ErrorData, GetPromptRequestParams,
    GetPromptResponse, GetPromptResult, GetTaskParams, GetTaskResult, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, LoggingLevel, LoggingMessageNotificationParam, PaginatedRequestParams,
    ProgressNotificationParam, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, ServerCapabilities,
    ServerConfig, ServerRequest, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter, Tool,
    UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{RequestContext, SubscriptionContext, SubscriptionSink};
use rmcp::task_manager::TaskManager;
use rmcp::{RoleServer, ServerHandler};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{content, rounds, tasks};

/// The server. Clones share its subscribers and tasks.
#[derive(Clone, Default)]
pub(super) struct Fixture {
    subscribers: Arc<Mutex<BTreeMap<u64, SubscriptionSink>>>,
    next: Arc<AtomicU64>,
    tasks: TaskManager,
}

type Context = RequestContext<RoleServer>;

/// A value of the protocol from its JSON.
pub(super) fn of<T: DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).expect("the fixture's own JSON")
}

fn said(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text.into())])
}

impl Fixture {
    /// Tells everyone who listens that a list has changed.
    async fn changed(&self, tools: bool) -> CallToolResult {
        let subscribers: Vec<_> = self.subscribers.lock().await.values().cloned().collect();
        for subscriber in subscribers {
            // Who did not ask for it is told nothing, which is an error here and none of the call.
            let _ = if tools {
                subscriber.notify_tool_list_changed().await
            } else {
                subscriber.notify_prompt_list_changed().await
            };
        }
        said("changed")
    }

    /// Asks the user, as the older revisions do.
    async fn elicit(&self, context: &Context, message: &str, schema: Value) -> CallToolResult {
        let params: ElicitRequestParams = of(json!({"mode": "form", "message": message, "requestedSchema": schema}));
        let request = ServerRequest::ElicitRequest(rmcp::model::ElicitRequest::new(params));
        match context.peer.send_request(request).await {
            Ok(answer) => said(format!("answer: {}", serde_json::to_string(&answer).expect("JSON"))),
            Err(error) => CallToolResult::error(vec![ContentBlock::text(error.to_string())]),
        }
    }

    async fn log(context: &Context, level: LoggingLevel, text: &str) {
        let message = LoggingMessageNotificationParam::new(level, json!(text)).with_logger("fixture");
        let _ = context.peer.notify_logging_message(message).await;
    }
}

/// As long as the suite asks to wait between two notifications.
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        let offers = ServerCapabilities::builder()
            .enable_completions()
            .enable_logging()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_tasks();
        ServerConfig::new(offers.build())
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        content::tools().into_iter().find(|tool| tool.name == name)
    }

    async fn list_tools(&self, _: Option<PaginatedRequestParams>, _: Context) -> Result<ListToolsResult, ErrorData> {
        Ok(of(json!({"tools": content::tools(), "resultType": "complete", "ttlMs": 60_000, "cacheScope": "public"})))
    }

    async fn call_tool(&self, call: CallToolRequestParams, context: Context) -> Result<CallToolResponse, ErrorData> {
        let name = &*call.name;
        if let Some(content) = content::fixed(name) {
            return Ok(CallToolResult::success(of(content)).into());
        }
        if rounds::of(name).is_some() {
            let capabilities = context.meta.client_capabilities().unwrap_or_default();
            let state = call.request_state.as_deref();
            return Ok(match rounds::ask(name, call.input_responses.as_ref(), state, &capabilities)? {
                Some(ask) => ask.into(),
                None => said("state-ok").into(),
            });
        }
        let arguments = call.arguments.clone().unwrap_or_default();
        let argument = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(match name {
            "test_error_handling" => {
                let text = "This tool intentionally returns an error for testing";
                CallToolResult::error(vec![ContentBlock::text(text)])
            }
            "test_tool_with_logging" => {
                for text in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
                    Self::log(&context, LoggingLevel::Info, text).await;
                    a_moment().await;
                }
                said("logged")
            }
            "test_logging_tool" => {
                if let Some(level) = context.meta.log_level() {
                    Self::log(&context, level, "as asked").await;
                }
                said("logged")
            }
            "test_tool_with_progress" => {
                for progress in [0.0, 50.0, 100.0] {
                    if let Some(token) = context.meta.get_progress_token() {
                        let progress = ProgressNotificationParam::new(token, progress).with_total(100.0);
                        let _ = context.peer.notify_progress(progress).await;
                    }
                    a_moment().await;
                }
                said("done")
            }
            "test_sampling" => {
                let question = json!({"role": "user", "content": {"type": "text", "text": argument("prompt")}});
                let asked = context.peer.create_message(of(json!({"messages": [question], "maxTokens": 100}))).await;
                match asked {
                    Ok(answer) => {
                        let text = answer.message.content.first().and_then(|content| content.as_text());
                        said(format!("LLM response: {}", text.map_or("", |text| &text.text)))
                    }
                    Err(error) => CallToolResult::error(vec![ContentBlock::text(error.to_string())]),
                }
            }
            "test_elicitation" => self.elicit(&context, &argument("message"), content::contact()).await,
            "test_elicitation_sep1034_defaults" => {
                self.elicit(&context, "all have defaults", content::defaults()).await
            }
            "test_elicitation_sep1330_enums" => self.elicit(&context, "choose", content::choices()).await,
            "test_custom_header" => said(argument("value")),
            "json_schema_2020_12_tool" => said(argument("name")),
            "test_reconnection" => {
                a_moment().await;
                said("done")
            }
            "test_trigger_tool_change" => self.changed(true).await,
            "test_trigger_prompt_change" => self.changed(false).await,
            "test_missing_capability" => {
                if context.meta.client_capabilities().is_none_or(|client| client.sampling.is_none()) {
                    let needed = ClientCapabilities::builder().enable_sampling().build();
                    return Err(ErrorData::missing_required_client_capability(needed));
                }
                said("declared")
            }
            _ => return tasks::call(&self.tasks, &call, &context).await,
        }
        .into())
    }

    async fn get_task(&self, task: GetTaskParams, _: Context) -> Result<GetTaskResult, ErrorData> {
        Ok(GetTaskResult::new(self.tasks.get_task(&task.task_id)?))
    }

    async fn update_task(&self, task: UpdateTaskParams, _: Context) -> Result<(), ErrorData> {
        self.tasks.update_task(&task.task_id, task.input_responses)
    }

    async fn cancel_task(&self, task: CancelTaskParams, _: Context) -> Result<(), ErrorData> {
        self.tasks.cancel_task(&task.task_id)
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.supported_by(&self.get_info().capabilities))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.subscribers.lock().await.insert(number, context.sink().clone());
        context.cancelled().await;
        self.subscribers.lock().await.remove(&number);
        Ok(())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(of(
            json!({"resources": content::resources(), "resultType": "complete", "ttlMs": 60_000, "cacheScope": "public"}),
        ))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(of(
            json!({"resourceTemplates": content::templates(), "resultType": "complete", "ttlMs": 60_000, "cacheScope": "public"}),
        ))
    }

    async fn read_resource(
        &self,
        read: ReadResourceRequestParams,
        _: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let Some(contents) = content::resource(&read.uri) else {
            return Err(ErrorData::resource_not_found("no such resource", Some(json!({"uri": read.uri}))));
        };
        let read: ReadResourceResult =
            of(json!({"contents": [contents], "resultType": "complete", "ttlMs": 60_000, "cacheScope": "public"}));
        Ok(read.into())
    }

    async fn subscribe(&self, _: SubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(&self, _: UnsubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(of(
            json!({"prompts": content::prompts(), "resultType": "complete", "ttlMs": 60_000, "cacheScope": "public"}),
        ))
    }

    async fn get_prompt(&self, get: GetPromptRequestParams, context: Context) -> Result<GetPromptResponse, ErrorData> {
        if rounds::of(&get.name).is_some() {
            let capabilities = context.meta.client_capabilities().unwrap_or_default();
            let state = get.request_state.as_deref();
            if let Some(ask) = rounds::ask(&get.name, get.input_responses.as_ref(), state, &capabilities)? {
                return Ok(ask.into());
            }
        }
        let arguments = json!(get.arguments.unwrap_or_default());
        let messages = content::prompt(&get.name, &arguments);
        let messages = messages.ok_or_else(|| ErrorData::invalid_params("no such prompt", None))?;
        let prompt: GetPromptResult = of(json!({"resultType": "complete", "messages": messages}));
        Ok(prompt.into())
    }

    async fn complete(&self, asked: CompleteRequestParams, _: Context) -> Result<CompleteResult, ErrorData> {
        let values = [asked.argument.value];
        Ok(of(json!({"resultType": "complete", "completion": {"values": values, "total": 1, "hasMore": false}})))
    }

    async fn set_level(&self, _: SetLevelRequestParams, _: Context) -> Result<(), ErrorData> {
        Ok(())
    }
}
