//! Whom a failing server is kept from: one caller, or all.
//!
//! A connection that cannot be made is the server's own fault, and counts for everyone. What a request
//! brings about, it may bring about on purpose: an error, an answer that breaks off. That counts against
//! the one who asked, and for everyone only when it has happened to another as well. A call that takes
//! long says nothing of the server to others, and counts against its own caller alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{Breaker, Standing};

/// Callers of whom failures are counted at once. Of more, only what counts for all is.
const MOST: usize = 1024;

/// What speaks against a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No connection.
    Connection,
    /// No answer, an answer of a server that is overloaded, or one that broke off.
    Answer,
    /// An answer that did not begin in time.
    Slow,
}

/// The circuits of one server.
#[derive(Debug, Default)]
pub struct Circuits {
    all: Breaker,
    own: HashMap<Arc<str>, Breaker>,
    /// Who failed last, since anyone was answered; and whether another did before.
    last: Option<Arc<str>>,
    several: bool,
}

impl Circuits {
    /// Lets a request of a caller pass, or says how long it would have to wait. Each admitted request
    /// must end in one of the other calls.
    pub fn admit(&mut self, caller: &Arc<str>, now: Instant) -> Result<(), Duration> {
        if let Some(own) = self.own.get_mut(caller) {
            own.admit(now)?;
        }
        self.all.admit(now).inspect_err(|_| {
            if let Some(own) = self.own.get_mut(caller) {
                own.abandoned();
            }
        })
    }

    /// The server answered.
    pub fn succeeded(&mut self, caller: &Arc<str>) {
        self.all.succeeded();
        self.own.remove(caller);
        (self.last, self.several) = (None, false);
    }

    /// The server failed.
    pub fn failed(&mut self, caller: &Arc<str>, fault: Fault, now: Instant) {
        if self.own.len() < MOST || self.own.contains_key(caller) {
            self.own.entry(Arc::clone(caller)).or_default().failed(now, true);
        }
        match fault {
            Fault::Connection => self.all.failed(now, true),
            Fault::Answer => {
                self.several |= self.last.as_ref().is_some_and(|last| last != caller);
                self.last = Some(Arc::clone(caller));
                self.all.failed(now, self.several);
            }
            // Whoever looked whether it is well again has not learned it.
            Fault::Slow => self.all.abandoned(),
        }
    }

    /// The server began an answer that may go on for long.
    pub fn began(&mut self, caller: &Arc<str>) {
        self.all.began();
        if let Some(own) = self.own.get_mut(caller) {
            own.began();
        }
    }

    /// The caller went away before anything was known.
    pub fn abandoned(&mut self, caller: &Arc<str>) {
        self.all.abandoned();
        if let Some(own) = self.own.get_mut(caller) {
            own.abandoned();
        }
    }

    /// How it stands for all.
    pub fn standing(&self, now: Instant) -> Standing {
        self.all.standing(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who() -> (Arc<str>, Arc<str>) {
        ("ana".into(), "ben".into())
    }

    #[test]
    fn a_server_that_cannot_be_reached_is_left_alone_by_all() {
        let ((ana, ben), now) = (who(), Instant::now());
        let mut circuits = Circuits::default();
        for _ in 0..5 {
            circuits.admit(&ana, now).unwrap();
            circuits.failed(&ana, Fault::Connection, now);
        }
        assert!(circuits.admit(&ben, now).is_err());
        assert_eq!(circuits.standing(now), Standing::Open);
    }

    #[test]
    fn what_one_caller_brings_about_closes_the_door_for_that_caller_alone() {
        let ((ana, ben), now) = (who(), Instant::now());
        for fault in [Fault::Answer, Fault::Slow] {
            let mut circuits = Circuits::default();
            for _ in 0..20 {
                circuits.failed(&ana, fault, now);
            }
            assert!(circuits.admit(&ana, now).is_err(), "{fault:?}");
            assert_eq!(circuits.admit(&ben, now), Ok(()), "{fault:?}");
            circuits.succeeded(&ben);
            assert!(circuits.admit(&ana, now).is_err(), "another's success is not hers");
        }
    }

    #[test]
    fn what_happens_to_two_happens_to_all_but_not_that_a_call_takes_long() {
        let ((ana, ben), now) = (who(), Instant::now());
        let cid: Arc<str> = "cid".into();
        for (fault, closed) in [(Fault::Answer, true), (Fault::Slow, false)] {
            let mut circuits = Circuits::default();
            for caller in [&ana, &ana, &ana, &ana, &ben] {
                circuits.failed(caller, fault, now);
            }
            assert_eq!(circuits.admit(&cid, now).is_err(), closed, "{fault:?}");
            let later = now + Duration::from_secs(1);
            assert_eq!(circuits.admit(&cid, later), Ok(()));
            circuits.succeeded(&cid);
            assert_eq!(circuits.standing(later), Standing::Closed);
        }
    }

    #[test]
    fn whoever_is_not_let_in_by_all_has_not_used_up_its_own_try() {
        let ((ana, _), mut now) = (who(), Instant::now());
        let mut circuits = Circuits::default();
        for _ in 0..5 {
            circuits.failed(&ana, Fault::Connection, now);
        }
        now += Duration::from_secs(1);
        circuits.admit(&"ben".into(), now).unwrap();
        assert!(circuits.admit(&ana, now).is_err(), "another looks already");
        circuits.succeeded(&"ben".into());
        circuits.admit(&ana, now).unwrap();
    }

    #[test]
    fn callers_are_counted_within_bounds() {
        let now = Instant::now();
        let mut circuits = Circuits::default();
        for n in 0..2 * MOST {
            circuits.failed(&format!("{n}").into(), Fault::Slow, now);
        }
        assert_eq!(circuits.own.len(), MOST);
    }
}
