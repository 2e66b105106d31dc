//! The credentials of one edition of the policy, and how the next edition takes over from it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::Instant;

use super::credential::Credential;
use super::door::{Declared, Door};
use super::keeper::{Keeper, Limits};
use super::leases::Overdue;
use super::source::{Caller, Clock, Dice};
use super::unavailable::Unavailable;

/// The credentials of the servers of one edition of a policy. Cheap to clone.
#[derive(Clone)]
pub struct Credentials {
    keeper: Arc<Keeper>,
    doors: Arc<BTreeMap<String, Door>>,
}

/// What an operator may want to know of a server's credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The server, by its name in the policy.
    pub server: String,
    /// Whether one can be used now. Always `false` where each caller has one of its own.
    pub held: bool,
    /// Why the last fetch failed, when it did.
    pub failed: Option<Unavailable>,
}

impl Credentials {
    /// Keeps the credentials of these servers, by their names. Fetches nothing yet.
    pub fn new(declared: BTreeMap<String, Declared>, clock: Clock, dice: Dice, limits: Limits) -> Self {
        let first = Self { keeper: Keeper::new(clock, dice, limits), doors: Arc::default() };
        first.succeed(declared)
    }

    /// The credentials of the next edition. A server whose credential means the same shares what is held;
    /// every other begins with nothing. This edition goes on as before until it is [retired](Self::retire).
    #[must_use]
    pub fn succeed(&self, declared: BTreeMap<String, Declared>) -> Self {
        let door = |(name, declared): (String, Declared)| {
            let means = |door: &Door| door.meaning() == declared.meaning && door.is_bound() == declared.bound;
            let same = |door: &&Door| means(door) && !door.server.is_gone();
            let door = match self.doors.get(&name).filter(same) {
                Some(door) => door.clone(),
                None => Door::new(Arc::clone(&self.keeper), &name, declared),
            };
            (name, door)
        };
        Self { keeper: Arc::clone(&self.keeper), doors: Arc::new(declared.into_iter().map(door).collect()) }
    }

    /// Takes back what this edition has and `next` does not share, once nothing of this edition is under
    /// way. Gives what could not be taken back yet; it is tried on.
    pub async fn retire(&self, next: &Self) -> Vec<(String, Unavailable)> {
        let over = self.doors.iter().filter(|(name, door)| !next.doors.get(*name).is_some_and(|next| next.is(door)));
        stream::iter(over).then(|(_, door)| door.retire()).flat_map(stream::iter).collect().await
    }

    /// The credential of one server.
    pub fn door(&self, server: &str) -> Option<Door> {
        self.doors.get(server).cloned()
    }

    /// The credential for a server, as [`Door::get`].
    ///
    /// # Errors
    ///
    /// There is no such server, or none can be had now.
    pub async fn get(&self, server: &str, caller: Option<&Arc<Caller>>) -> Result<Arc<Credential>, Unavailable> {
        self.doors.get(server).ok_or(Unavailable::Undeclared)?.get(caller).await
    }

    /// Fetches what each server needs, unless each caller has its own, and waits so long for it. Says how
    /// it stands then.
    pub async fn prepare(&self, patience: Duration) -> Vec<Standing> {
        let single = self.doors.values().filter(|door| !door.is_bound());
        stream::iter(single).for_each_concurrent(None, async |door| drop(door.get_within(None, patience).await)).await;
        self.standing()
    }

    /// How it stands with each server, by name.
    pub fn standing(&self) -> Vec<Standing> {
        let of = |(name, door): (&String, &Door)| {
            let (held, failed) = door.standing();
            Standing { server: name.clone(), held, failed }
        };
        self.doors.iter().map(of).collect()
    }

    /// How many credentials, of every edition, may still have to be taken back.
    pub fn owed(&self) -> usize {
        self.keeper.leases.count()
    }

    /// What was to be taken back, of every edition, and is not yet.
    pub fn overdue(&self) -> Vec<Overdue> {
        self.keeper.leases.overdue(Instant::now())
    }

    /// Takes back everything of every edition that is not shared with other gateways, and gives nothing
    /// any more. Gives what could not be taken back by the deadline.
    pub async fn shutdown(&self, deadline: Instant) -> Vec<(String, Unavailable)> {
        self.keeper.shutdown(deadline).await
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("doors", &self.doors.len()).finish_non_exhaustive()
    }
}
