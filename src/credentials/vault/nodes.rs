//! The nodes of one Vault: what each says of itself, and which of them is asked.
//!
//! `sys/health` needs no login and is shown none, so nothing secret goes to a node that is only looked at. However
//! many want to know, one looks, and seldom: nothing here may ask a Vault in trouble the more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Url;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::call::{Call, headers, send};
use super::client::Vault;
use crate::credentials::unavailable::Unavailable;

/// For how long whoever only wants to see it is content with what was said.
const FRESH: Duration = Duration::from_secs(10);

/// What a node says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Unsealed and in charge.
    Active,
    /// Unsealed and waiting to be in charge.
    Standby,
    /// Sealed.
    Sealed,
    /// Never initialised.
    Uninitialised,
}

/// A node of a Vault, as it was last looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it is.
    pub address: String,
    /// Whether it is the one that is asked for credentials.
    pub asked: bool,
    /// What it said of itself, or why it said nothing.
    pub health: Result<Health, Unavailable>,
}

impl Node {
    /// What it is in a word: `in-charge`, `standby`, `sealed`, `uninitialised`, or the code of why it did not say.
    pub const fn word(&self) -> &'static str {
        match self.health {
            Ok(Health::Active) => "in-charge",
            Ok(Health::Standby) => "standby",
            Ok(Health::Sealed) => "sealed",
            Ok(Health::Uninitialised) => "uninitialised",
            Err(reason) => reason.code(),
        }
    }
}

/// What is wrong where no node is in charge, by the one that is asked. `None` when one is, or when there is no node.
pub fn none_in_charge(nodes: &[Node]) -> Option<Unavailable> {
    if nodes.iter().any(|node| node.health == Ok(Health::Active)) {
        return None;
    }
    nodes.iter().find(|node| node.asked).map(|node| match node.health {
        Ok(Health::Sealed | Health::Uninitialised) => Unavailable::Sealed,
        Ok(_) => Unavailable::Standby,
        Err(reason) => reason,
    })
}

type Said = Vec<Result<Health, Unavailable>>;

/// The nodes, and which of them is asked.
pub(super) struct Nodes {
    /// The first, and the others of the same cluster. Never empty.
    all: Vec<Url>,
    /// A count that grows with every turn to another; what is left of it by their number is the one that is asked.
    at: AtomicUsize,
    /// What they said, and when. Whoever looks holds it.
    said: Mutex<Option<(Instant, Said)>>,
}

impl Nodes {
    pub(super) fn new(all: Vec<Url>) -> Self {
        Self { all, at: AtomicUsize::new(0), said: Mutex::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn all(&self) -> &[Url] {
        &self.all
    }

    /// Which node is asked now, as a count of the turns.
    pub(super) fn turned(&self) -> usize {
        self.at.load(Ordering::Relaxed)
    }

    /// The place in the list of the node that is asked at a turn.
    fn place(&self, at: usize) -> usize {
        at % self.all.len().max(1)
    }

    pub(super) fn get(&self, at: usize) -> Result<&Url, Unavailable> {
        self.all.get(self.place(at)).ok_or(Unavailable::Address)
    }

    /// The turn to the node in charge, from the one that is not: the next of those that say they are. Where none says so, the
    /// next.
    fn after(&self, at: usize, said: &[Result<Health, Unavailable>]) -> usize {
        let in_charge = |turn: &usize| said.get(self.place(*turn)) == Some(&Ok(Health::Active));
        (at + 1..at + self.len()).find(in_charge).unwrap_or(at + 1)
    }
}

impl Vault {
    /// What the node says of itself that is asked now. Needs no login.
    ///
    /// # Errors
    ///
    /// It does not say.
    pub async fn health(&self) -> Result<Health, Unavailable> {
        self.ask(self.nodes.get(self.nodes.turned())?).await
    }

    /// What every node says of itself, as of some seconds ago at most. Needs no login.
    pub async fn nodes(&self) -> Vec<Node> {
        let mut said = self.nodes.said.lock().await;
        let all = self.look(&mut said, FRESH, None).await;
        let asked = self.nodes.place(self.nodes.turned());
        let told = self.nodes.all().iter().zip(all).enumerate();
        told.map(|(place, (url, &health))| Node {
            address: url.as_str().trim_end_matches('/').to_owned(),
            asked: place == asked,
            health,
        })
        .collect()
    }

    /// Turns to the node in charge, unless somebody did, where this one does not answer or is not in charge.
    pub(super) async fn turn(&self, at: usize, reason: Unavailable) -> bool {
        let known = match reason {
            Unavailable::Unreachable | Unavailable::TimedOut | Unavailable::Cut => Err(reason),
            Unavailable::Sealed => Ok(Health::Sealed),
            Unavailable::Standby => Ok(Health::Standby),
            _ => return false,
        };
        if self.nodes.len() < 2 {
            return false;
        }
        // One looks, and the others go where it has turned to.
        let mut said = self.nodes.said.lock().await;
        if self.nodes.turned() == at {
            let all = self.look(&mut said, self.patience.backoff, Some((at, known))).await;
            self.nodes.at.store(self.nodes.after(at, all), Ordering::Relaxed);
            tracing::warn!(code = reason.code(), "another node of Vault is asked");
        }
        true
    }

    /// What every node says, no older than that. Of one it may be known already.
    async fn look<'s>(
        &self,
        said: &'s mut Option<(Instant, Said)>,
        fresh: Duration,
        known: Option<(usize, Result<Health, Unavailable>)>,
    ) -> &'s [Result<Health, Unavailable>] {
        let known = known.map(|(at, health)| (self.nodes.place(at), health));
        if said.as_ref().is_none_or(|(at, _)| at.elapsed() >= fresh) {
            let asking = self.nodes.all().iter().enumerate().map(async |(place, url)| match known {
                Some((at, health)) if at == place => health,
                _ => self.ask(url).await,
            });
            *said = Some((Instant::now(), join_all(asking).await));
        }
        let (_, all) = said.get_or_insert_with(|| (Instant::now(), Said::new()));
        if let Some((place, health)) = known
            && let Some(of_it) = all.get_mut(place)
        {
            *of_it = health;
        }
        all
    }

    /// Asks one node how it is.
    async fn ask(&self, node: &Url) -> Result<Health, Unavailable> {
        // The answer of the library's own function lacks a field at OpenBao; and no namespace has it.
        let call = Call::get("sys/health");
        let asked = send(&self.http, node, headers("", None)?, &call);
        match timeout(self.patience.look, asked).await.unwrap_or_else(|_| Err(Unavailable::TimedOut.into())) {
            Ok(_) => Ok(Health::Active),
            Err(failure) => match failure.reason {
                Unavailable::Busy | Unavailable::Standby => Ok(Health::Standby),
                Unavailable::Sealed if failure.says("\"initialized\":false") => Ok(Health::Uninitialised),
                Unavailable::Sealed => Ok(Health::Sealed),
                reason => Err(reason),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_that_is_in_charge_is_turned_to_and_without_one_the_next() {
        let nodes = Nodes::new((1..=3).map(|n| Url::parse(&format!("http://127.0.0.{n}")).unwrap()).collect());
        let (active, standby, away) = (Ok(Health::Active), Ok(Health::Standby), Err(Unavailable::Unreachable));
        for (at, said, to) in [
            (0, [away, standby, active], 2),
            (0, [away, active, active], 1),
            (1, [active, away, standby], 3),
            (5, [standby, active, away], 7),
            // The one that failed may believe that it is in charge.
            (0, [active, standby, standby], 1),
            (2, [away, away, away], 3),
        ] {
            assert_eq!(nodes.after(at, &said), to, "{at} {said:?}");
        }
        assert_eq!(nodes.after(0, &[]), 1);
    }

    #[test]
    fn there_is_trouble_where_nobody_is_in_charge_whoever_is_asked() {
        let node = |asked, health| Node { address: String::new(), asked, health };
        let standby = node(true, Ok(Health::Standby));
        assert_eq!(none_in_charge(&[]), None);
        assert_eq!(none_in_charge(&[standby.clone(), node(false, Ok(Health::Active))]), None);
        let away = node(false, Err(Unavailable::TimedOut));
        assert_eq!(none_in_charge(&[standby, away.clone()]), Some(Unavailable::Standby));
        assert_eq!(none_in_charge(&[node(true, Ok(Health::Uninitialised)), away]), Some(Unavailable::Sealed));
        assert_eq!(none_in_charge(&[node(true, Err(Unavailable::Cut))]), Some(Unavailable::Cut));
    }
}
