//! The law of a credential's life, as a pure function.
//!
//! A credential lives no longer than the policy declares, no longer than its lease, and where it was
//! made for one caller no longer than what is left of that caller's token. It is renewed before its
//! end by a margin that is never the same twice, so that many gateways do not ask at once.

use std::time::Duration;

/// The longest margin before the end of a life.
const LONGEST_MARGIN: Duration = Duration::from_mins(1);

/// What a life may not exceed. Each is counted from the instant before the credential was asked for,
/// so that the time that asking took is never lived twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The `ttl` that the policy declares.
    pub declared: Duration,
    /// What its giver says is left of it; `None` when it says nothing.
    pub lease: Option<Duration>,
    /// What is left of the caller's token, where the credential is for that caller alone.
    pub caller: Option<Duration>,
}

/// How long a credential may be used, and when to ask for the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// From asking for it to the end of its use.
    pub life: Duration,
    /// From asking for it to asking for the next. Shorter than `life`, and at least 7/10 of it.
    pub renew: Duration,
}

impl Lifetime {
    /// The life within these bounds; `None` when there is none left. `jitter` is uniform over all
    /// its values.
    pub fn within(bounds: Bounds, jitter: u32) -> Option<Self> {
        let ends = [bounds.lease, bounds.caller].into_iter().flatten();
        let life = ends.fold(bounds.declared, Duration::min);
        if life.is_zero() {
            return None;
        }
        // A margin of nothing would renew at the end, when it is too late.
        let margin = margin(life).max(Duration::from_nanos(1));
        let early = (margin / 2).mul_f64(f64::from(jitter) / f64::from(u32::MAX));
        Some(Self { life, renew: life.saturating_sub(margin + early) })
    }
}

/// How long before its end a credential counts as about to expire: a fifth of its life, at most a
/// minute.
pub fn margin(life: Duration) -> Duration {
    (life / 5).min(LONGEST_MARGIN)
}

#[cfg(test)]
mod tests {
    use proptest::option::of;
    use proptest::prelude::*;

    use super::*;

    fn span() -> impl Strategy<Value = Duration> {
        prop_oneof![
            (0_u64..20).prop_map(Duration::from_nanos),
            (0_u64..5_000).prop_map(Duration::from_millis),
            (0_u64..200_000).prop_map(Duration::from_secs),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_credential_outlives_its_policy_its_lease_or_its_caller(
            declared in span(), lease in of(span()), caller in of(span()), jitter in any::<u32>(),
        ) {
            let bounds = Bounds { declared, lease, caller };
            let least = [Some(declared), lease, caller].into_iter().flatten().min().unwrap();
            match Lifetime::within(bounds, jitter) {
                None => prop_assert!(least.is_zero()),
                Some(Lifetime { life, renew }) => {
                    prop_assert_eq!(life, least);
                    prop_assert!(renew < life);
                    prop_assert!(renew >= (life * 7 / 10).saturating_sub(Duration::from_nanos(2)));
                    prop_assert!(life.checked_sub(renew).unwrap() >= margin(life));
                    prop_assert!(life.checked_sub(renew).unwrap() <= LONGEST_MARGIN * 3 / 2 + Duration::from_nanos(2));
                }
            }
        }
    }

    #[test]
    fn the_margin_is_a_fifth_and_at_most_a_minute() {
        assert_eq!(margin(Duration::from_secs(50)), Duration::from_secs(10));
        assert_eq!(margin(Duration::from_hours(4)), Duration::from_mins(1));
        let bounds = Bounds { declared: Duration::from_secs(100), lease: None, caller: None };
        let at = |jitter| Lifetime::within(bounds, jitter).unwrap().renew;
        assert_eq!((at(0), at(u32::MAX)), (Duration::from_secs(80), Duration::from_secs(70)));
    }
}
