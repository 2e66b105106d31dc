//! One child process: started without a shell, in a group and an environment of its own, and ended
//! for certain.
//!
//! Its argv is the policy's alone. What it says on stderr is shown only where an operator asks for
//! it, because it may repeat what a caller sent.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::ExposeSecret as _;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::sync::CancellationToken;

use super::super::failure::{Failure, FailureCode};
use super::Program;
use crate::credentials::Credential;

/// How long a child may take to end after its stdin is closed, and again after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);
/// The longest line of stderr that is looked at, in bytes.
const STDERR_LINE: usize = 2048;
/// Lines that wait to be written or read.
const QUEUE: usize = 16;

/// A running child.
#[derive(Debug)]
pub(super) struct Process {
    /// Lines for its stdin.
    pub(super) stdin: mpsc::Sender<Bytes>,
    /// Lines from its stdout, until it ends.
    pub(super) stdout: mpsc::Receiver<Bytes>,
    /// Ends it when cancelled.
    pub(super) stop: CancellationToken,
    /// Cancelled when it has ended.
    pub(super) ended: CancellationToken,
    /// Whether it stopped speaking, or said what no child may, before anyone wanted it to end.
    pub(super) failed: Arc<AtomicBool>,
    /// What it said last on stderr.
    pub(super) last_words: Arc<Mutex<String>>,
}

/// Starts a program with a credential in its environment. The permit is held until its process is gone.
pub(super) fn start(
    program: &Program,
    shown: Option<&Credential>,
    permit: OwnedSemaphorePermit,
) -> Result<Process, Failure> {
    let (name, arguments) = program.argv.split_first().ok_or_else(|| unreachable("the command names no program"))?;
    let mut command = Command::new(name);
    command.args(arguments).env_clear().envs(program.environment.iter().map(|(k, v)| (k, v)));
    command
        .envs(shown.into_iter().flat_map(Credential::variables).map(|(name, secret)| (name, secret.expose_secret())));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    let mut child =
        command.spawn().map_err(|error| unreachable(&format!("`{name}` does not start: {}", error.kind())))?;
    let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(unreachable("the child has no pipes"));
    };
    let (to_child, for_child) = mpsc::channel(QUEUE);
    let (from_child, of_child) = mpsc::channel(QUEUE);
    let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
    let (last_words, failed) = (Arc::new(Mutex::new(String::new())), Arc::new(AtomicBool::new(false)));
    tokio::spawn(write(stdin, for_child, stop.clone()));
    tokio::spawn(read(
        stdout,
        from_child,
        program.longest_line,
        program.door.clone(),
        stop.clone(),
        Arc::clone(&failed),
    ));
    tokio::spawn(overhear(stderr, program.door.clone(), Arc::clone(&last_words)));
    tokio::spawn(supervise(child, stop.clone(), ended.clone(), permit));
    Ok(Process { stdin: to_child, stdout: of_child, stop, ended, failed, last_words })
}

fn unreachable(detail: &str) -> Failure {
    Failure::new(FailureCode::Unreachable, detail)
}

async fn write(mut stdin: ChildStdin, mut lines: mpsc::Receiver<Bytes>, stop: CancellationToken) {
    // Whoever stops the child drops what was still to be said; stdin closes at the end of this function.
    let say = async {
        while let Some(line) = lines.recv().await {
            if stdin.write_all(&line).await.is_err() || stdin.write_all(b"\n").await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = say => {}
        () = stop.cancelled() => {}
    }
}

async fn read(
    stdout: ChildStdout,
    lines: mpsc::Sender<Bytes>,
    longest: usize,
    door: Arc<str>,
    stop: CancellationToken,
    failed: Arc<AtomicBool>,
) {
    let mut framed = FramedRead::new(stdout, LinesCodec::new_with_max_length(longest));
    while let Some(line) = framed.next().await {
        match line {
            Ok(line) if line.trim().is_empty() => {}
            Ok(line) => {
                if lines.send(line.into()).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                let what = match error {
                    LinesCodecError::MaxLineLengthExceeded => "a line was too long",
                    LinesCodecError::Io(_) => "its output is not UTF-8 or cannot be read",
                };
                tracing::warn!(door = &*door, what, "a child is stopped for what it said");
                break;
            }
        }
    }
    // Known before anyone hears that nothing more comes.
    if !stop.is_cancelled() {
        failed.store(true, Ordering::Relaxed);
    }
    stop.cancel();
}

async fn overhear(stderr: ChildStderr, door: Arc<str>, last_words: Arc<Mutex<String>>) {
    let mut framed = FramedRead::new(stderr, LinesCodec::new_with_max_length(STDERR_LINE));
    while let Some(line) = framed.next().await {
        match line {
            Ok(line) => {
                tracing::debug!(target: "doorward::child", door = &*door, line, "stderr");
                if !line.trim().is_empty() {
                    *last_words.lock().unwrap_or_else(PoisonError::into_inner) = line;
                }
            }
            // The rest of the line is skipped, or the pipe is at its end and the next item says so.
            Err(LinesCodecError::MaxLineLengthExceeded) => {}
            Err(LinesCodecError::Io(_)) => break,
        }
    }
}

async fn supervise(mut child: Child, stop: CancellationToken, ended: CancellationToken, permit: OwnedSemaphorePermit) {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let signal = |signal| {
        // A group that is gone already needs no signal.
        if let Some(group) = group {
            let _ = kill_process_group(group, signal);
        }
    };
    tokio::select! {
        _ = child.wait() => {}
        () = stop.cancelled() => {
            if timeout(GRACE, child.wait()).await.is_err() {
                signal(Signal::TERM);
                if timeout(GRACE, child.wait()).await.is_err() {
                    signal(Signal::KILL);
                    let _ = child.wait().await;
                }
            }
        }
    }
    // What the child itself started and left behind goes with it.
    signal(Signal::KILL);
    drop(permit);
    ended.cancel();
}
