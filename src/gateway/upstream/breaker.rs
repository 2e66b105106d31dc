//! The circuit breaker of a door: a server that keeps failing is left alone for a while.
//!
//! It knows no clock: instants are handed in. It never makes a caller wait; it refuses.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row before the circuit opens.
const PATIENCE: u32 = 5;
/// The first rest. Each further one is twice as long.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// How a circuit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Everything passes.
    Closed,
    /// Nothing passes.
    Open,
    /// One request passes, to see whether the server is well again.
    HalfOpen,
}

/// The circuit of one server.
#[derive(Debug)]
pub struct Breaker {
    failures: u32,
    rest: Duration,
    until: Option<Instant>,
    probing: bool,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 0, rest: FIRST_REST, until: None, probing: false }
    }
}

impl Breaker {
    /// Lets a request pass, or says how long it would have to wait. Each admitted request must end in
    /// one of [`Self::succeeded`], [`Self::failed`] and [`Self::abandoned`].
    pub fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        match self.until {
            None => Ok(()),
            Some(until) if now < until => Err(until - now),
            Some(_) if self.probing => Err(Duration::from_secs(1)),
            Some(_) => {
                self.probing = true;
                Ok(())
            }
        }
    }

    /// The server answered.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The server began an answer: it is left alone no longer. Its failures are forgotten when it ends well.
    pub fn began(&mut self) {
        if self.until.is_some() {
            *self = Self::default();
        }
    }

    /// The server failed. `opens` says whether that is enough to leave it alone when it was not yet.
    pub fn failed(&mut self, now: Instant, opens: bool) {
        self.failures = self.failures.saturating_add(1);
        if self.probing || (opens && self.until.is_none() && self.failures >= PATIENCE) {
            self.until = Some(now + self.rest);
            self.rest = (self.rest * 2).min(LONGEST_REST);
        }
        self.probing = false;
    }

    /// The caller went away before anything was known.
    pub fn abandoned(&mut self) {
        self.probing = false;
    }

    /// How it stands.
    pub fn standing(&self, now: Instant) -> Standing {
        match self.until {
            None => Standing::Closed,
            Some(until) if now < until => Standing::Open,
            Some(_) => Standing::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_keeps_failing_rests_longer_and_longer_and_one_answer_ends_it() {
        let (mut breaker, mut now) = (Breaker::default(), Instant::now());
        for _ in 0..PATIENCE {
            breaker.admit(now).unwrap();
            breaker.failed(now, true);
        }
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(breaker.standing(now), Standing::Open);
            assert_eq!(breaker.admit(now), Err(Duration::from_secs(seconds)));
            now += Duration::from_secs(seconds);
            assert_eq!(breaker.standing(now), Standing::HalfOpen);
            breaker.admit(now).unwrap();
            assert!(breaker.admit(now).is_err(), "only one looks whether it is well again");
            breaker.failed(now, true);
        }
        now += LONGEST_REST;
        breaker.admit(now).unwrap();
        breaker.succeeded();
        assert_eq!(breaker.standing(now), Standing::Closed);
        for _ in 1..PATIENCE {
            breaker.failed(now, true);
            breaker.admit(now).unwrap();
        }
    }

    #[test]
    fn whoever_leaves_while_looking_makes_room_for_the_next() {
        let (mut breaker, mut now) = (Breaker::default(), Instant::now());
        for _ in 0..PATIENCE {
            breaker.failed(now, true);
        }
        now += FIRST_REST;
        breaker.admit(now).unwrap();
        breaker.abandoned();
        breaker.admit(now).unwrap();
    }

    #[test]
    fn failures_that_come_late_do_not_make_the_rest_longer() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..100 {
            breaker.failed(now, true);
        }
        assert_eq!(breaker.admit(now), Err(FIRST_REST));
    }
}
