//! What a guard holds at most, and how long it waits.

use std::time::Duration;

use crate::mcp;

/// Bounds of everything that a caller or a server can make grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The body of a request. Default: 4 MiB, 64 levels.
    pub message: mcp::Limits,
    /// How long a body may take to come. Default: 30 s.
    pub body_time: Duration,
    /// The body of an answer that is not a stream, and one event of a stream. Default: 16 MiB, 64 levels.
    pub answer: mcp::Limits,
    /// Entries of one page of a list. Default: 10,000.
    pub entries: usize,
    /// What is remembered of sessions, tasks, and requests under way, of each in all. Default: 65,536.
    pub remembered: usize,
    /// The same for one principal, whose oldest goes first. Default: 1,024.
    pub remembered_each: usize,
    /// The same in bytes, of each in all. Default: 128 MiB.
    pub remembered_bytes: usize,
    /// The same in bytes for one principal. Default: 2 MiB.
    pub remembered_bytes_each: usize,
    /// Seconds that a session may rest, and a task or an unanswered request lasts. Default: a day.
    pub remembered_for: u32,
    /// Seconds in which a call may be continued with its `requestState`. Default: an hour.
    pub state_for: u32,
    /// Keys that rates are counted for at once. Default: 262,144.
    pub rates: usize,
    /// Steps that may be spent on whether one entry of a list could be used. Default: 20,000.
    pub steps: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: mcp::Limits::default(),
            body_time: Duration::from_secs(30),
            answer: mcp::Limits { bytes: 16 << 20, depth: 64 },
            entries: 10_000,
            remembered: 65_536,
            remembered_each: 1024,
            remembered_bytes: 128 << 20,
            remembered_bytes_each: 2 << 20,
            remembered_for: 86_400,
            state_for: 3600,
            rates: 262_144,
            steps: 20_000,
        }
    }
}
