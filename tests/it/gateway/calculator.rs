//! A small MCP server made with rmcp, as any author would write it.

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ServerCapabilities, ServerConfig};
use rmcp::{ServerHandler, ServiceExt, tool, tool_handler, tool_router};

/// Two numbers.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Two {
    a: i64,
    b: i64,
}

/// The server.
#[derive(Clone, Debug)]
pub(crate) struct Calculator {
    tool_router: ToolRouter<Self>,
}

#[tool_router]
impl Calculator {
    pub(crate) fn new() -> Self {
        Self { tool_router: Self::tool_router() }
    }

    #[tool(description = "Adds two numbers")]
    fn add(Parameters(Two { a, b }): Parameters<Two>) -> String {
        (a + b).to_string()
    }

    #[tool(description = "The process that answers")]
    fn pid() -> String {
        std::process::id().to_string()
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Calculator {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

/// Serves this process's stdin and stdout until they close.
pub(crate) fn serve_stdio() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let server = Calculator::new().serve(rmcp::transport::stdio()).await.unwrap();
        server.waiting().await.unwrap();
    });
}
