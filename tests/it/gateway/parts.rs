//! Clients, servers and testers that others wrote: where they are.
//!
//! `DOORWARD_MCP_NODE` names a folder whose `node_modules` has those for Node, and `DOORWARD_MCP_PYTHON` a Python that
//! has the others. `tests/run` installs both where it can. What is not there is skipped aloud; with
//! `DOORWARD_INTEROP=required` it fails.

use std::path::{Path, PathBuf};

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
