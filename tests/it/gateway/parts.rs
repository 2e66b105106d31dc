//! Clients, servers and testers that others wrote: where they are.
//!
//! `DOORWARD_MCP_NODE` names a folder whose `node_modules` has those for Node, and `DOORWARD_MCP_PYTHON` a Python that
//! has the others. `tests/run` installs both where it can. What is not there is skipped aloud; with
//! `DOORWARD_INTEROP=required` it fails.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::elsewhere::interop;

/// What runs in Node.
pub(super) struct Node {
    packages: PathBuf,
}

/// The packages for Node, where they are.
pub(super) fn node() -> Option<Node> {
    interop("DOORWARD_MCP_NODE").map(|packages| Node { packages })
}

/// The Python, where it is. Programs of its packages are beside it.
pub(super) fn python() -> Option<PathBuf> {
    interop("DOORWARD_MCP_PYTHON")
}

impl Node {
    /// A Node that is new enough for everything: the one that was installed with the packages, or that of the machine.
    pub(super) fn program(&self) -> PathBuf {
        let own = self.packages.join("bin/node");
        if own.exists() { own } else { "node".into() }
    }

    /// The folder from which scripts find the packages.
    pub(super) fn packages(&self) -> &Path {
        &self.packages
    }

    /// A file of a package of the project of MCP.
    pub(super) fn script(&self, package: &str, file: &str) -> PathBuf {
        let script = self.packages.join("node_modules/@modelcontextprotocol").join(package).join(file);
        assert!(script.is_file(), "{} is not there; `tests/run` installs it", script.display());
        script
    }
}

/// A server over HTTP, which ends with the test.
pub(super) struct Listening {
    child: Child,
    address: SocketAddr,
}

impl Listening {
    /// Starts it on a free port, which the command is told, and waits until it listens.
    pub(super) fn start(command: impl FnOnce(u16) -> Command) -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut child = command(free.port()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begin = Instant::now();
        while TcpStream::connect(free).is_err() {
            assert!(begin.elapsed() < Duration::from_mins(1), "it does not listen");
            assert!(child.try_wait().unwrap().is_none(), "it has ended");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, address: free }
    }

    /// The line of a policy that says where it is.
    pub(super) fn place(&self) -> String {
        format!("url = \"http://{}/mcp\"", self.address)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A script of this project.
pub(super) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(name)
}

/// A port on the loopback that nobody listens on.
pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server made with the Python SDK, over HTTP.
pub(super) fn python_server(python: &Path) -> Listening {
    Listening::start(|port| {
        let mut server = Command::new(python);
        server.arg(script("server.py")).arg(port.to_string());
        server
    })
}
