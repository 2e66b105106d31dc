//! An MCP server made with rmcp, whose only tool leaves a line in a file. It runs as a process of its own:
//! this test binary, started again.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ServerCapabilities, ServerConfig};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};

/// What stands before the address in the line that says it.
const AT: &str = "the journal is kept at ";

/// The process. It ends with its stdin.
pub(in crate::gateway) struct Server {
    pub(in crate::gateway) address: SocketAddr,
    journal: PathBuf,
    child: Child,
    _directory: tempfile::TempDir,
}

impl Server {
    pub(in crate::gateway) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let journal = directory.path().join("journal");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "gateway::fixture::serves_other_tests", "--nocapture"])
            .env("FIXTURE", "journal")
            .env("JOURNAL", &journal)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut lines = said.lines().map(Result::unwrap);
        let address =
            lines.find_map(|line| Some(line.split_once(AT)?.1.parse().unwrap())).expect("it says where it is");
        // Whatever else it says: a pipe that nobody reads would end it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { address, journal, child, _directory: directory }
    }

    /// What was entered, in the order in which it was.
    pub(in crate::gateway) fn entered(&self) -> Vec<u64> {
        std::fs::read_to_string(&self.journal).unwrap().lines().map(|line| line.parse().unwrap()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Number {
    n: u64,
}

#[derive(Clone, Debug)]
struct Books {
    tool_router: ToolRouter<Self>,
    journal: Arc<Mutex<File>>,
}

#[tool_router]
impl Books {
    #[tool(description = "Enters a number in the journal")]
    fn enter(&self, Parameters(Number { n }): Parameters<Number>) -> String {
        // In one piece, whatever happens next.
        self.journal.lock().unwrap().write_all(format!("{n}\n").as_bytes()).unwrap();
        format!("entered {n}")
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Books {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

/// The process itself: serves until its stdin ends.
#[expect(clippy::print_stdout, reason = "how the process that started it learns the address")]
pub(in crate::gateway) fn serve() {
    let journal = OpenOptions::new().create(true).append(true).open(std::env::var("JOURNAL").unwrap()).unwrap();
    let journal = Arc::new(Mutex::new(journal));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.spawn(async move {
        let service: StreamableHttpService<Books, LocalSessionManager> = StreamableHttpService::new(
            move || Ok(Books { tool_router: Books::tool_router(), journal: Arc::clone(&journal) }),
            Arc::default(),
            StreamableHttpServerConfig::default(),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{AT}{}", listener.local_addr().unwrap());
        axum::serve(listener, axum::Router::new().nest_service("/mcp", service)).await
    });
    let mut rest = Vec::new();
    let _ = std::io::stdin().lock().read_to_end(&mut rest);
    runtime.shutdown_background();
}
