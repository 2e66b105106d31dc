//! An MCP client made with rmcp that brings an access token: `call_tool URL TOKEN TOOL ARGUMENTS`.
//!
//! `docs/quickstart.md` calls a server through the gateway with it.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use rmcp::ServiceExt as _;
use rmcp::model::CallToolRequestParams;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, token, tool, arguments] = words.as_slice() else {
        return Err("call_tool URL TOKEN TOOL ARGUMENTS".into());
    };
    doorward::identity::ensure_crypto();
    let config = StreamableHttpClientTransportConfig::with_uri(url.as_str()).auth_header(token.as_str());
    let client = match ().serve(StreamableHttpClientTransport::from_config(config)).await {
        Ok(client) => client,
        Err(error) => {
            println!("not connected: {}", said(&error));
            return Ok(());
        }
    };
    let tools = client.list_all_tools().await?;
    println!("tools: {}", tools.iter().map(|tool| &*tool.name).collect::<Vec<_>>().join(" "));
    let call = CallToolRequestParams::new(tool.clone()).with_arguments(serde_json::from_str(arguments)?);
    match client.call_tool(call).await {
        Ok(result) => {
            let texts = result.content.iter().filter_map(|content| content.as_text());
            println!("{tool}: {}", texts.map(|text| text.text.as_str()).collect::<String>());
        }
        Err(error) => println!("{tool} was refused: {}", said(&error)),
    }
    client.cancel().await?;
    Ok(())
}

/// What the gateway said, without what the client says about itself.
fn said(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    text.rsplit("] error: ").next().unwrap_or_default().to_owned()
}
