//! What stands outside this repository: recordings, clients and servers that others made.
//!
//! A variable says where it is, and a switch, `NAME=required`, that it must be there. Without it a test
//! that needs it says that it is skipped; with the switch it fails. Never the one for the other.

use std::path::PathBuf;

/// Whether what the switch is about must be there.
pub(crate) fn is_required(switch: &str) -> bool {
    std::env::var_os(switch).is_some_and(|value| value == "required")
}

/// A file of recorded traffic, from the folder that `DOORWARD_TRAFFIC_DIR` names. `DOORWARD_TRAFFIC=required`
/// makes its lack a failure.
pub(crate) fn traffic(file: &str) -> Option<PathBuf> {
    let path = std::env::var_os("DOORWARD_TRAFFIC_DIR").map(|folder| PathBuf::from(folder).join(file));
    there(path.filter(|path| path.is_file()), "DOORWARD_TRAFFIC", &format!("DOORWARD_TRAFFIC_DIR has no {file}"))
}

/// A program or folder of the MCP clients and servers of others. `DOORWARD_INTEROP=required` makes its lack
/// a failure.
#[cfg(feature = "gateway")]
pub(crate) fn interop(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from);
    there(path.filter(|path| path.exists()), "DOORWARD_INTEROP", &format!("{variable} names nothing that is there"))
}

/// What must be there where the switch says so; its lack is said aloud.
pub(crate) fn there<T>(found: Option<T>, switch: &str, lacking: &str) -> Option<T> {
    assert!(found.is_some() || !is_required(switch), "{lacking}, and {switch} is required");
    if found.is_none() {
        #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
        {
            eprintln!("SKIPPED: {lacking}");
        }
    }
    found
}
