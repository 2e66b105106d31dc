//! A real server and real clients over TCP, in both eras, with the guard as a layer of the router.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use doorward::audit::{Journal, JournalOptions, Log, Row};
use doorward::pep::{GuardLayer, Limits};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult, PaginatedRequestParams,
    ProtocolVersion, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ClientLifecycleMode, ClientServiceExt as _, ErrorData, ServerHandler};
use serde_json::{Map, json};

use super::world::{ALL_SCOPES, POLICY, guard};
use crate::identity::{claims, header, with};

/// A server with tools, which counts its calls.
#[derive(Clone, Default)]
struct Desk(Arc<AtomicUsize>);

impl ServerHandler for Desk {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = Map::from_iter([("type".to_owned(), json!("object"))]);
        let tool = |name: &'static str| Tool::new(name, name, Arc::new(schema.clone()));
        Ok(ListToolsResult::with_all_items(vec![tool("find"), tool("pay"), tool("refund")]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(CallToolResult::success(vec![ContentBlock::text(format!("{} done", request.name))]).into())
    }
}

async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/mcp")
}

#[tokio::test]
async fn clients_of_both_eras_see_and_use_what_they_may() {
    doorward::identity::ensure_crypto();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let journal: Arc<dyn Log> = Arc::new(Journal::open(&path, &JournalOptions::default()).unwrap());
    let (guard, signer, _) = guard(POLICY, Limits::default(), journal);
    let desk = Desk::default();
    let calls = Arc::clone(&desk.0);
    let service = StreamableHttpService::new(
        move || Ok(desk.clone()),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    let url =
        serve(axum::Router::new().nest_service("/mcp", service).layer(GuardLayer::new(guard.clone(), "desk"))).await;
    let token = |change| signer.sign(&header(), &with(with(claims(), &json!({ "scope": ALL_SCOPES })), &change));
    let transport = |token: String| {
        let config = StreamableHttpClientTransportConfig::with_uri(url.clone()).auth_header(token);
        StreamableHttpClientTransport::from_config(config)
    };
    let modern = || ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    for (round, mode) in [ClientLifecycleMode::Initialize, modern()].into_iter().enumerate() {
        let client = ().serve_with_lifecycle(transport(token(json!({}))), mode).await.unwrap();
        let tools = client.list_all_tools().await.unwrap();
        assert_eq!(tools.iter().map(|tool| &*tool.name).collect::<Vec<_>>(), ["find", "pay"]);
        let amount = |amount: i64| {
            CallToolRequestParams::new("pay").with_arguments(Map::from_iter([("amount".to_owned(), json!(amount))]))
        };
        let call = async |params| tokio::time::timeout(Duration::from_mins(1), client.call_tool(params)).await.unwrap();
        assert!(format!("{:?}", call(amount(5)).await.unwrap()).contains("pay done"));
        let denied = format!("{:?}", call(amount(99)).await.unwrap_err());
        assert!(denied.contains("args") || denied.contains("403"), "{denied}");
        assert!(call(CallToolRequestParams::new("refund")).await.is_err());
        assert_eq!(calls.load(Ordering::SeqCst), round + 1);
        client.cancel().await.unwrap();
    }
    assert!(().serve_with_lifecycle(transport("junk".to_owned()), ClientLifecycleMode::Initialize).await.is_err());
    let stranger = token(json!({ "realm": null }));
    assert!(().serve_with_lifecycle(transport(stranger), modern()).await.is_err());
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    let text = std::fs::read_to_string(&path).unwrap();
    let rows: Vec<Row> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.iter().zip(0..).all(|(row, number)| row.sequence == number));
}

#[tokio::test]
async fn an_axum_router_behind_the_layer_gets_the_permit_and_its_metadata_is_public() {
    let log = Arc::new(super::world::Rows::default());
    let (guard, signer, _) = guard(POLICY, Limits::default(), log);
    let handler = async |axum::Extension(permit): axum::Extension<doorward::pep::Permit>,
                         body: axum::Json<serde_json::Value>| {
        axum::Json(json!({ "jsonrpc": "2.0", "id": body["id"], "result": { "who": permit.principal().subject() } }))
    };
    let router = axum::Router::new()
        .route("/mcp", axum::routing::post(handler))
        .fallback(async || http::StatusCode::IM_A_TEAPOT);
    let url = serve(router.layer(GuardLayer::new(guard, "desk"))).await;
    doorward::identity::ensure_crypto();
    let client = reqwest::Client::new();
    let token = signer.sign(&header(), &with(claims(), &json!({ "scope": ALL_SCOPES })));
    let send = async |token: &str| {
        let request = client.post(&url).header("authorization", format!("Bearer {token}"));
        let request =
            request.header("content-type", "application/json").header("accept", "application/json, text/event-stream");
        let response = request.body(super::world::call(1, "find", &json!({})).to_string()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (status, text) = send(&token).await;
    assert!(status == 200 && text.contains(r#""result":{"who":"ana"}"#), "{status} {text}");
    assert_eq!(send("junk").await.0, 401);
    let metadata = url.replace("/mcp", "/.well-known/oauth-protected-resource/desk/mcp");
    let response = client.get(metadata).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    assert!(response.text().await.unwrap().contains("\"resource\":\"https://mcp.example.com/desk/mcp\""));
}
