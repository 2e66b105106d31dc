//! Which events are held out: whole sessions, by a hash with a seed.

use sha2::{Digest as _, Sha256};

use crate::traffic::{Event, Field};

/// A share of the sessions, chosen by a seed and by nothing else.
///
/// An event is held out when SHA-256 over the seed and its session, read as a fraction, is below
/// the share. Of an event without a session, the issuer, the `sub` and the hour stand for one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// The share, from 0 to 1.
    pub share: f64,
    /// The seed.
    pub seed: u64,
}

impl Split {
    /// Whether an event is held out.
    pub fn holds_out(&self, event: &Event) -> bool {
        let mut hasher = Sha256::new();
        hasher.update(self.seed.to_le_bytes());
        let mut part = |text: Option<&String>| {
            let bytes = text.map_or(&[][..], |t| t.as_bytes());
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        if let Field::Present(session) = &event.session {
            part(Some(session));
        } else {
            part(event.subject.issuer.present());
            part(event.subject.sub.present());
            hasher.update(event.time.0.div_euclid(3600).to_le_bytes());
        }
        let digest: [u8; 32] = hasher.finalize().into();
        let high = digest.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        f64::from(high) / (f64::from(u32::MAX) + 1.0) < self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Action, Timestamp};

    #[test]
    fn a_session_is_held_out_whole_and_the_seed_decides() {
        let event = |session: usize, time: i64| {
            let mut event = Event::new(Timestamp(time), "d", Action::ToolsCall, "t");
            event.session = Field::Present(format!("s-{session}"));
            event
        };
        let split = Split { share: 0.3, seed: 7 };
        let held: Vec<usize> = (0..1000).filter(|s| split.holds_out(&event(*s, 1))).collect();
        assert!((250..350).contains(&held.len()), "{}", held.len());
        assert!(held.iter().all(|s| split.holds_out(&event(*s, 999_999))));
        let other = Split { share: 0.3, seed: 8 };
        assert!(held.iter().any(|s| !other.holds_out(&event(*s, 1))));
        assert!((0..100).all(|s| Split { share: 1.0, seed: 1 }.holds_out(&event(s, 1))));
        assert!((0..100).all(|s| !Split { share: 0.0, seed: 1 }.holds_out(&event(s, 1))));
    }

    #[test]
    fn without_a_session_the_subject_and_the_hour_stand_for_one() {
        let event = |sub: &str, time: i64| {
            let mut event = Event::new(Timestamp(time), "d", Action::ToolsCall, "t");
            event.subject.sub = Field::Present(sub.to_owned());
            event
        };
        let split = Split { share: 0.5, seed: 1 };
        for sub in ["ana", "ben", "kim"] {
            assert_eq!(split.holds_out(&event(sub, 7200)), split.holds_out(&event(sub, 10_799)));
        }
        assert!((0..50).any(|h| split.holds_out(&event("ana", h * 3600)) != split.holds_out(&event("ana", 0))));
    }
}
