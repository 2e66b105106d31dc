//! What stands behind the doors of one policy, and how it gives way to that of the next.
//!
//! A server of which the next policy means the same is carried over as it is, with its children and its
//! circuit. One that is gone, or is reached otherwise, takes nothing new; its streams end, its calls may go
//! on for a while, and then it is shut down. A request never leaves the edition that it was decided under.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::door::Upstream;
use super::open::Issued;
use super::settings::Names;
use crate::policy::set::{PolicySet, Server};

/// Everything of the gateway that belongs to one policy.
#[derive(Debug)]
pub(super) struct Edition {
    /// By the name of the door.
    behind: BTreeMap<String, Arc<Behind>>,
    /// Whom it lets in.
    pub(super) names: Names,
    /// What is shown to its servers.
    pub(super) issued: Issued,
}

/// The server behind one door.
pub(super) struct Behind {
    door: Arc<str>,
    means: Means,
    pub(super) upstream: Upstream,
    /// Ends what would never end by itself.
    pub(super) ending: CancellationToken,
    /// Ends everything.
    pub(super) over: CancellationToken,
    /// What is under way.
    pub(super) uses: TaskTracker,
}

/// What makes a server this one and no other.
#[derive(PartialEq)]
struct Means {
    server: Server,
    plain: bool,
}

impl Means {
    /// Only what the gateway acts on: who may do what there is for the guard.
    fn of(set: &PolicySet, server: &Server) -> Self {
        let mut server = server.clone();
        server.tools.clear();
        server.prompts.clear();
        server.resources.clear();
        server.callers.clear();
        (server.issuers, server.token_ttl, server.rate, server.identity) = (None, None, None, None);
        server.audit.clear();
        server.resource.clear();
        Self { server, plain: set.gateway.danger_plain_http }
    }
}

impl Edition {
    /// The first one.
    pub(super) fn first(
        set: &PolicySet,
        names: Names,
        made: Vec<(String, Upstream)>,
        issued: Issued,
        draining: &CancellationToken,
    ) -> Self {
        let nothing = Self { behind: BTreeMap::new(), names: Names::default(), issued: issued.clone() };
        nothing.followed(set, names, made, issued, draining)
    }

    /// The servers of the next policy that are not behind any door yet, as a policy of their own.
    pub(super) fn lacking(&self, next: &PolicySet, issued: &Issued) -> PolicySet {
        let mut lacking = next.clone();
        lacking.servers.retain(|name, server| !self.has(name, &Means::of(next, server), issued));
        lacking
    }

    /// Whether a server is behind that door, and is shown what it will be shown.
    fn has(&self, name: &str, means: &Means, issued: &Issued) -> bool {
        let shown = match (self.issued.door(name), issued.door(name)) {
            (Some(before), Some(after)) => before.is(&after),
            (None, None) => true,
            _ => false,
        };
        shown && self.behind.get(name).is_some_and(|behind| behind.means == *means)
    }

    /// The edition after this one. `made` is what is behind the doors that this one lacks.
    pub(super) fn followed(
        &self,
        set: &PolicySet,
        names: Names,
        made: Vec<(String, Upstream)>,
        issued: Issued,
        draining: &CancellationToken,
    ) -> Self {
        let mut made: BTreeMap<String, Upstream> = made.into_iter().collect();
        let behind = set.servers.iter().filter_map(|(name, server)| {
            let means = Means::of(set, server);
            let behind = match made.remove(name) {
                Some(upstream) => Arc::new(Behind {
                    door: name.as_str().into(),
                    means,
                    upstream,
                    ending: draining.child_token(),
                    over: CancellationToken::new(),
                    uses: TaskTracker::new(),
                }),
                None => self.behind.get(name).filter(|behind| behind.means == means).cloned()?,
            };
            Some((name.clone(), behind))
        });
        Self { behind: behind.collect(), names, issued }
    }

    /// What is behind a door.
    pub(super) fn behind(&self, door: &str) -> Option<&Arc<Behind>> {
        self.behind.get(door)
    }

    /// What is behind all doors.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Behind>> {
        self.behind.values()
    }

    /// What of this edition the next one does without.
    pub(super) fn retired(&self, next: &Self) -> Vec<Arc<Behind>> {
        let kept = |old: &Arc<Behind>| next.behind(&old.door).is_some_and(|new| Arc::ptr_eq(old, new));
        self.all().filter(|old| !kept(old)).cloned().collect()
    }
}

impl Behind {
    /// The door.
    pub(super) const fn door(&self) -> &Arc<str> {
        &self.door
    }

    /// Takes leave: what lasts ends now, calls may go on for so long, and then nothing of it is left.
    pub(super) async fn retire(&self, drain: Duration) {
        self.ending.cancel();
        self.uses.close();
        if timeout(drain, self.uses.wait()).await.is_err() {
            tracing::warn!(door = &*self.door, calls = self.uses.len(), "calls to a server that is gone are cut off");
        }
        self.over.cancel();
        self.upstream.shutdown().await;
    }
}

impl fmt::Debug for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Behind").field("door", &self.door).finish_non_exhaustive()
    }
}
