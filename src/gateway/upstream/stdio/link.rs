//! What is said with one child: many requests at once, each answered to the caller that made it.
//!
//! Callers choose their ids and progress tokens without knowing of each other, so the child hears
//! numbers of ours instead, and each message goes back to the one that it belongs to, under the
//! names that this one chose. No caller ever hears what belongs to another.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::super::failure::{Failure, FailureCode};
use super::child::{self, Process};
use super::frame::{Kind, Members, Raw, as_number, number};
use super::{Era, Program};
use crate::credentials::Credential;

/// Messages that wait for one caller.
const QUEUE: usize = 16;
/// How long a child waits for a caller that does not read, and a caller for a child that does not.
const STUCK: Duration = Duration::from_secs(10);
/// Messages that are kept until someone listens for them.
const KEPT: usize = 64;

/// What a caller hears.
#[derive(Debug)]
pub(super) enum Said {
    /// A notification or request of the server that comes before the answer.
    Message(Bytes),
    /// The answer, and the code of the error that it carries, if it does.
    Answer(Bytes, Option<i64>),
}

/// A child and what is under way with it.
#[derive(Debug)]
pub(super) struct Link {
    table: Arc<Mutex<Table>>,
    stdin: mpsc::Sender<Bytes>,
    stop: CancellationToken,
    ended: CancellationToken,
    failed: Arc<AtomicBool>,
    last_words: Arc<Mutex<String>>,
    /// The credential in its environment.
    shown: Mutex<Option<Arc<Credential>>>,
}

#[derive(Debug)]
struct Table {
    era: Era,
    next: i64,
    flights: BTreeMap<i64, Flight>,
    listener: Option<mpsc::Sender<Bytes>>,
    unheard: VecDeque<Bytes>,
    used: Instant,
    /// Whether the child has ever said a message.
    heard: bool,
}

/// A request that has no answer yet.
#[derive(Debug)]
struct Flight {
    id: Raw,
    progress: Option<Raw>,
    listens: bool,
    to: mpsc::Sender<Said>,
}

/// A request under way. When it is dropped before its answer came, no one waits for that any more.
#[derive(Debug)]
pub(super) struct Exchange {
    link: Arc<Link>,
    number: i64,
    said: mpsc::Receiver<Said>,
    /// Whether leaving cancels it at the server (MCP 2026-07-28).
    cancels: bool,
    listens: bool,
}

impl Link {
    /// Starts a child with a credential in its environment.
    pub(super) fn start(
        program: &Program,
        shown: Option<Arc<Credential>>,
        era: Era,
        permit: OwnedSemaphorePermit,
    ) -> Result<Arc<Self>, Failure> {
        let Process { stdin, stdout, stop, ended, failed, last_words } =
            child::start(program, shown.as_deref(), permit)?;
        let table = Arc::new(Mutex::new(Table {
            era,
            next: 1,
            flights: BTreeMap::new(),
            listener: None,
            unheard: VecDeque::new(),
            used: Instant::now(),
            heard: false,
        }));
        tokio::spawn(route(Arc::clone(&table), stdout, program.door.clone()));
        Ok(Arc::new(Self { table, stdin, stop, ended, failed, last_words, shown: Mutex::new(shown) }))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }

    /// Sends a request.
    pub(super) async fn request(
        self: &Arc<Self>,
        mut message: Members,
        id: Raw,
        method: &str,
    ) -> Result<Exchange, Failure> {
        let (to, said) = mpsc::channel(QUEUE);
        let (number, cancels) = {
            let mut table = self.table();
            let name = table.next;
            table.next += 1;
            table.used = Instant::now();
            let progress = message.rename_progress(name);
            message.replace("id", number(name));
            table.flights.insert(name, Flight { id, progress, listens: method == "subscriptions/listen", to });
            (name, table.era == Era::Modern)
        };
        let listens = method == "subscriptions/listen";
        let exchange = Exchange { link: Arc::clone(self), number, said, cancels, listens };
        self.say(message.line()).await?;
        Ok(exchange)
    }

    /// Sends a notification, or an answer to a request of the server.
    pub(super) async fn pass(&self, mut message: Members, kind: &Kind) -> Result<(), Failure> {
        self.table().used = Instant::now();
        if let Kind::Notification { method } = kind
            && method == "notifications/cancelled"
        {
            let named = message.param("requestId");
            let known = named.and_then(|id| self.table().named(&id));
            // What is not under way cannot be cancelled, and another's is not this caller's to cancel.
            let Some(known) = known else { return Ok(()) };
            message.replace_param("requestId", number(known));
        }
        self.say(message.line()).await
    }

    async fn say(&self, line: Bytes) -> Result<(), Failure> {
        match timeout(STUCK, self.stdin.send(line)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.gone()),
            Err(_) => Err(Failure::new(FailureCode::TimedOut, "the child does not read its stdin")),
        }
    }

    /// Everything that belongs to no request, from now on. Whoever listened before hears no more.
    pub(super) fn listen(&self) -> mpsc::Receiver<Bytes> {
        let (to, heard) = mpsc::channel(KEPT + QUEUE);
        let mut table = self.table();
        table.used = Instant::now();
        for message in std::mem::take(&mut table.unheard) {
            let _ = to.try_send(message);
        }
        table.listener = Some(to);
        heard
    }

    /// Why nothing more comes from a child that has ended.
    pub(super) fn gone(&self) -> Failure {
        // Before it has heard from any caller, its words can hold nothing of theirs.
        let words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let detail = if self.table().heard || words.is_empty() {
            "the child has ended".to_owned()
        } else {
            format!("the child ended before it said anything; its last words were `{words}`")
        };
        Failure::new(FailureCode::Unreachable, detail)
    }

    /// Whether it can be spoken to.
    pub(super) fn is_alive(&self) -> bool {
        !self.stop.is_cancelled() && !self.ended.is_cancelled()
    }

    /// Whether its environment is what it would be with this credential. If so, it lives as long as that.
    pub(super) fn shows(&self, now: Option<&Arc<Credential>>) -> bool {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let same = match (shown.as_ref(), now) {
            (Some(shown), Some(now)) => Arc::ptr_eq(shown, now) || shown.same_variables(now),
            (shown, now) => shown.is_none() && now.is_none(),
        };
        if same {
            *shown = now.cloned();
        }
        same
    }

    /// When the credential in its environment is over.
    pub(super) fn shows_until(&self) -> Option<Instant> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|shown| shown.until())
    }

    /// For how long nothing has been under way.
    pub(super) fn idle(&self, now: Instant) -> Option<Duration> {
        let table = self.table();
        let listened = table.listener.as_ref().is_some_and(|listener| !listener.is_closed());
        (table.flights.is_empty() && !listened).then(|| now.saturating_duration_since(table.used))
    }

    /// Begins to end the child.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Set when it ends without anyone having wanted it to.
    pub(super) fn failed(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.failed)
    }

    /// Cancelled when the child has ended.
    pub(super) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Exchange {
    /// What comes next; nothing after the answer, or when the child has ended.
    pub(super) async fn next(&mut self) -> Option<Said> {
        self.said.recv().await
    }

    /// Whether it is a subscription, which a server may end without an answer.
    pub(super) const fn listens(&self) -> bool {
        self.listens
    }

    /// Why nothing came.
    pub(super) fn gone(&self) -> Failure {
        self.link.gone()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut table = self.link.table();
        table.used = Instant::now();
        if table.flights.remove(&self.number).is_none() || !self.cancels {
            return;
        }
        drop(table);
        let params = serde_json::json!({"requestId": self.number, "reason": "the caller has left"});
        let line = serde_json::json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
        // A child that does not even read is ended by other means.
        let _ = self.link.stdin.try_send(line.to_string().into());
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Table {
    /// Our name of a request, by the id that its caller chose.
    fn named(&self, id: &RawValue) -> Option<i64> {
        self.flights.iter().find(|(_, flight)| flight.id.get() == id.get()).map(|(name, _)| *name)
    }

    /// Where a message of the server goes that names no request.
    fn anyone(&mut self, line: Bytes) -> Option<(mpsc::Sender<Said>, Said)> {
        let mut waiting = self.flights.values().filter(|flight| !flight.listens);
        let (last, more) = (waiting.next_back(), waiting.next().is_some());
        let listener = self.listener.as_ref().filter(|listener| !listener.is_closed());
        match (last, listener) {
            // A request of the server is most likely about the one call that is under way.
            (Some(flight), None) => return Some((flight.to.clone(), Said::Message(line))),
            (Some(flight), Some(_)) if !more => return Some((flight.to.clone(), Said::Message(line))),
            (_, Some(listener)) => drop(listener.try_send(line)),
            (None, None) if self.era == Era::Legacy => {
                if self.unheard.len() >= KEPT {
                    self.unheard.pop_front();
                }
                self.unheard.push_back(line);
            }
            (None, None) => {}
        }
        None
    }

    /// Where a message goes, under the names that its caller knows.
    fn place(&mut self, mut message: Members, kind: &Kind) -> Option<(mpsc::Sender<Said>, Said)> {
        match kind {
            Kind::Response { id } => {
                let flight = self.flights.remove(&as_number(id)?)?;
                self.used = Instant::now();
                if flight.listens {
                    message.rename_subscription(&flight.id);
                }
                let code = message.error_code();
                message.replace("id", flight.id);
                Some((flight.to, Said::Answer(message.line(), code)))
            }
            Kind::Notification { method } if method == "notifications/progress" => {
                let flight = self.flights.get(&message.about("progressToken")?)?;
                message.replace_param("progressToken", flight.progress.clone()?);
                Some((flight.to.clone(), Said::Message(message.line())))
            }
            Kind::Notification { method } => {
                if method == "notifications/cancelled"
                    && let Some(name) = message.about("requestId")
                    && self.flights.get(&name).is_some_and(|flight| flight.listens)
                {
                    // The server ends a subscription: its stream ends.
                    self.flights.remove(&name);
                    return None;
                }
                if let Some(name) = message.subscription() {
                    let flight = self.flights.get(&name)?;
                    message.rename_subscription(&flight.id);
                    return Some((flight.to.clone(), Said::Message(message.line())));
                }
                self.anyone(message.line())
            }
            // Since 2026-07-28 a server asks nothing.
            Kind::Request { .. } if self.era == Era::Modern => None,
            Kind::Request { .. } => self.anyone(message.line()),
        }
    }
}

async fn route(table: Arc<Mutex<Table>>, mut lines: mpsc::Receiver<Bytes>, door: Arc<str>) {
    while let Some(line) = lines.recv().await {
        let Ok(message) = Members::read(&line) else {
            tracing::debug!(door = &*door, bytes = line.len(), "a child said what is no message");
            continue;
        };
        let Some(kind) = message.kind() else { continue };
        let placed = {
            let mut table = lock(&table);
            table.heard = true;
            table.place(message, &kind)
        };
        let Some((to, said)) = placed else { continue };
        // A caller that does not read holds its own child up, and no longer than this.
        if to.try_reserve().is_ok() {
            let _ = to.try_send(said);
        } else if timeout(STUCK, to.send(said)).await.is_err() {
            tracing::warn!(door = &*door, "a caller does not read its answers");
            lock(&table).flights.retain(|_, flight| !flight.to.same_channel(&to));
        }
    }
    // No one waits for a child that has ended.
    let mut table = lock(&table);
    table.flights.clear();
    table.listener = None;
}

/// A request of our own.
pub(super) fn own(method: &str, params: &serde_json::Value) -> (Members, Raw) {
    let id = to_raw_value("doorward").unwrap_or_default();
    let text = serde_json::json!({"jsonrpc": "2.0", "id": "doorward", "method": method, "params": params}).to_string();
    (Members::read(text.as_bytes()).unwrap_or_default(), id)
}
