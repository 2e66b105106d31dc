//! When a program that keeps ending may be started again.
//!
//! It knows no clock: instants are handed in. It never makes a caller wait; it refuses.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// For how long an end counts.
const REMEMBERED: Duration = Duration::from_mins(10);
/// Ends without any rest after them.
const FREE: u32 = 2;
/// The first rest. Each further one is twice as long.
const FIRST_REST: Duration = Duration::from_millis(500);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// The unexpected ends of the children of one door.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    ends: VecDeque<Instant>,
}

impl Restarts {
    /// A child ended that should not have, or did not start.
    pub(super) fn ended(&mut self, now: Instant) {
        self.forget(now);
        if self.ends.len() >= 16 {
            self.ends.pop_front();
        }
        self.ends.push_back(now);
    }

    /// How long no child may be started.
    pub(super) fn rest(&mut self, now: Instant) -> Option<Duration> {
        self.forget(now);
        let last = *self.ends.back()?;
        let doublings = u32::try_from(self.ends.len()).unwrap_or(u32::MAX).checked_sub(FREE + 1)?;
        let rest = FIRST_REST.saturating_mul(1 << doublings.min(16)).min(LONGEST_REST);
        (last + rest).checked_duration_since(now).filter(|left| !left.is_zero())
    }

    fn forget(&mut self, now: Instant) {
        while self.ends.front().is_some_and(|end| *end + REMEMBERED < now) {
            self.ends.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_get_longer_up_to_a_cap_and_are_forgotten() {
        let (mut restarts, mut now) = (Restarts::default(), Instant::now());
        let mut rests = Vec::new();
        for _ in 0..12 {
            restarts.ended(now);
            let rest = restarts.rest(now).unwrap_or_default();
            rests.push(rest.as_millis());
            now += rest;
            assert_eq!(restarts.rest(now), None, "after its rest it may start");
        }
        assert_eq!(rests, [0, 0, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000, 30000]);
        now += REMEMBERED + Duration::from_secs(1);
        restarts.ended(now);
        assert_eq!(restarts.rest(now), None);
    }
}
