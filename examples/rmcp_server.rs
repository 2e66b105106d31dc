//! An rmcp server behind a guard: its clients see and call only what the policy gives them.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod shared;

use std::error::Error;
use std::sync::Arc;

use doorward::pep::GuardLayer;
use rmcp::model::CallToolRequestParams;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServiceExt as _, tool, tool_router};

struct Notes;

#[tool_router(server_handler)]
impl Notes {
    #[tool(description = "Searches the notes")]
    fn search() -> String {
        "search done".to_owned()
    }

    #[tool(description = "Deletes a note")]
    fn delete() -> String {
        "delete done".to_owned()
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
