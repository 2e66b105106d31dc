//! What a command leaves behind when it is stopped: no file in the making.
//!
//! Never keeps a command from being stopped, and never removes a file that has its name already.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// The exit code of a command that was stopped: 128 and the number of the signal, as shells say it.
const STOPPED: i32 = 130;

/// The files that have no name of their own yet.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A file in the making, for as long as this is held.
#[derive(Debug)]
pub(super) struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    /// Sees to it that the file is removed when the command is stopped.
    pub(super) fn new(path: &Path) -> Self {
        static HANDLER: Once = Once::new();
        // Without a handler a stopped command leaves the file, and that is all.
        HANDLER.call_once(|| drop(ctrlc::set_handler(stop)));
        unfinished().push(path.to_owned());
        Self { path: path.to_owned() }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        unfinished().retain(|path| *path != self.path);
    }
}

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs on a thread of its own, so it may do what a signal handler may not.
fn stop() {
    // Held to the end: from here on no file is begun or gets its name.
    let files = unfinished();
    for path in files.iter() {
        let _ = std::fs::remove_file(path);
    }
    #[expect(clippy::exit, reason = "the command was told to stop, and this is where it does")]
    std::process::exit(STOPPED);
}
