//! An MCP server made with rmcp, which knows nothing of doorward: a program that speaks over stdin and stdout, or with
//! an address as its argument over HTTP: `notes_server 127.0.0.1:9000`.
//!
//! `docs/quickstart.md` puts the gateway in front of it.

use std::error::Error;
use std::sync::Arc;

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServiceExt as _, tool, tool_router};
use serde::Deserialize;

const NOTES: [&str; 4] = ["call the printer", "order paper", "call Lea about the offer", "print the offer"];

#[derive(Deserialize, JsonSchema)]
struct Search {
    /// A word of the notes that are wanted
    word: String,
    /// How many are wanted
    limit: usize,
}

#[derive(Deserialize, JsonSchema)]
struct Delete {
    /// The number of the note
    number: usize,
}

struct Notes;

#[tool_router(server_handler)]
impl Notes {
    #[tool(description = "Finds notes with a word in them")]
    fn search(Parameters(Search { word, limit }): Parameters<Search>) -> String {
        let found: Vec<_> = NOTES.iter().filter(|note| note.contains(&word)).take(limit).copied().collect();
        found.join(", ")
    }

    #[tool(description = "Deletes a note")]
    fn delete(Parameters(Delete { number }): Parameters<Delete>) -> String {
        format!("note {number} is gone")
    }
}

/// Whatever name it is asked by: only the gateway reaches it.
async fn over_http(address: &str) -> Result<(), Box<dyn Error>> {
    let config = StreamableHttpServerConfig::default().disable_allowed_hosts();
    let service: StreamableHttpService<Notes, LocalSessionManager> =
        StreamableHttpService::new(|| Ok(Notes), Arc::default(), config);
    let listener = tokio::net::TcpListener::bind(address).await?;
    Ok(axum::serve(listener, axum::Router::new().nest_service("/mcp", service)).await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if let Some(address) = std::env::args().nth(1) {
        return over_http(&address).await;
    }
    Notes.serve(rmcp::transport::stdio()).await?.waiting().await?;
    Ok(())
}
