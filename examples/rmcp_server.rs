//! An rmcp server behind a guard: its clients see and call only what the policy gives them.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod shared;

use std::error::Error;
use std::sync::Arc;

use doorward::pep::GuardLayer;
use rmcp::model::{CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult};
use rmcp::model::{PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, ServerHandler, ServiceExt as _};

struct Notes;
impl ServerHandler for Notes {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    #[rustfmt::skip]
    async fn list_tools(&self, _: Option<PaginatedRequestParams>, _: RequestContext<RoleServer>) -> Result<ListToolsResult, ErrorData> {
        let schema = Arc::new(serde_json::Map::from_iter([("type".to_owned(), "object".into())]));
        Ok(ListToolsResult::with_all_items(["search", "delete"].map(|name| Tool::new(name, name, Arc::clone(&schema))).to_vec()))
    }
    #[rustfmt::skip]
    async fn call_tool(&self, request: CallToolRequestParams, _: RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
        Ok(CallToolResult::success(vec![ContentBlock::text(format!("{} done", request.name))]).into())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (guard, token) = shared::guard("rmcp")?;
    let service = StreamableHttpService::new(
        || Ok(Notes),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    let router = axum::Router::new().nest_service("/notes/mcp", service).layer(GuardLayer::new(guard, "notes"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/notes/mcp", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });

    doorward::identity::ensure_crypto();
    let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(token);
    let client = ().serve(StreamableHttpClientTransport::from_config(config)).await?;
    println!("listed: {:?}", client.list_all_tools().await?.iter().map(|tool| &*tool.name).collect::<Vec<_>>());
    for tool in ["search", "delete"] {
        let call = CallToolRequestParams::new(tool)
            .with_arguments(serde_json::Map::from_iter([("limit".to_owned(), 1.into())]));
        println!("{tool}: {}", client.call_tool(call).await.is_ok());
    }
    Ok(())
}
