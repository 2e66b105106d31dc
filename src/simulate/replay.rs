//! The replay of rates over calls in order, for what is certain and for what is possible at once.
//!
//! A count is kept twice: of calls that surely count, and of all that may. A call is surely over a
//! rate when the sure ones before it fill the window, and perhaps when the possible ones do.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::bounded::MAX_SAMPLES;
use super::counts::Range;
use super::order::Spot;
use super::rated::{Class, Later, OfRate, Standing};
use super::rates::{MAX_RATE_LINES, RateLine, Rates, WorstWindow};
use super::report::Sample;
use crate::model::{Rate, RateKey, Timestamp};

/// The calls of one window so far.
#[derive(Clone, Copy, Default)]
struct Filling {
    start: i64,
    sure: u64,
    possible: u64,
    limited: u64,
}

impl Filling {
    /// Turns to the window that begins at `start`.
    fn turn(&mut self, start: i64) {
        if self.start != start {
            *self = Self { start, ..Self::default() };
        }
    }
}

/// One rate and one of those that it is counted for; `None` for those of whom that is not known.
struct Lane {
    rate: Rate,
    /// The number of the rate, which its lanes share.
    shared: usize,
    known: bool,
    line: LineKey,
    filling: Filling,
    worst: Option<(Filling, Rate)>,
    limited: u64,
    changed: u64,
    changed_samples: Vec<Sample>,
    samples: Vec<Sample>,
}

/// Over all lanes of one rate: the calls that may be in any lane, and all.
#[derive(Clone, Copy, Default)]
struct Shared {
    anywhere: Filling,
    all: Filling,
}

type LineKey = (String, RateKey, String);

/// Which side a lane belongs to.
const BEFORE: bool = false;
const NOW: bool = true;

#[derive(Default)]
struct Lanes {
    all: Vec<Lane>,
    shared: Vec<Shared>,
    lane_numbers: HashMap<(bool, OfRate, Option<String>), usize, FixedState>,
    shared_numbers: HashMap<(bool, OfRate), usize, FixedState>,
}

impl Lanes {
    fn number(&mut self, side: bool, of: &OfRate, class: &Class) -> usize {
        let key = match of.rate.per {
            RateKey::Subject => class.subject_known.then_some(class.subject.as_str()),
            RateKey::Agent => class.agent_known.then_some(class.agent.as_str()),
            RateKey::All => Some(""),
        };
        let Self { all, shared, lane_numbers, shared_numbers } = self;
        let next = shared.len();
        let shared_number = *shared_numbers.entry((side, of.clone())).or_insert_with(|| {
            shared.push(Shared::default());
            next
        });
        let next = all.len();
        *lane_numbers.entry((side, of.clone(), key.map(str::to_owned))).or_insert_with(|| {
            all.push(Lane {
                rate: of.rate,
                shared: shared_number,
                known: key.is_some(),
                line: (of.of.clone(), of.rate.per, key.unwrap_or_default().to_owned()),
                filling: Filling::default(),
                worst: None,
                limited: 0,
                changed: 0,
                changed_samples: Vec::new(),
                samples: Vec::new(),
            });
            next
        })
    }

    /// Counts a call in its lanes: whether it is surely, and whether it is perhaps, over a rate.
    fn count(&mut self, numbers: &[usize], standing: Standing, time: Timestamp, over: &mut Vec<usize>) -> (bool, bool) {
        let (mut surely, mut perhaps) = (false, false);
        over.clear();
        let sure = standing == Standing::Yes;
        for number in numbers {
            let Some(lane) = self.all.get_mut(*number) else { continue };
            let Some(shared) = self.shared.get_mut(lane.shared) else { continue };
            let (rate, start) = (lane.rate, lane.rate.window(time).0);
            lane.filling.turn(start);
            shared.anywhere.turn(start);
            shared.all.turn(start);
            let before =
                if lane.known { lane.filling.possible + shared.anywhere.possible } else { shared.all.possible };
            perhaps |= rate.is_full(before);
            let limited = sure && rate.is_full(if lane.known { lane.filling.sure } else { 0 });
            surely |= limited;
            shared.all.possible += 1;
            if !lane.known {
                shared.anywhere.possible += 1;
                continue;
            }
            lane.filling.possible += 1;
            lane.filling.sure += u64::from(sure);
            if limited {
                lane.limited += 1;
                lane.filling.limited += 1;
                over.push(*number);
            }
            let filling = lane.filling;
            if filling.limited > 0 && lane.worst.is_none_or(|(w, _)| filling.limited > w.limited || w.start == start) {
                lane.worst = Some((filling, lane.rate));
            }
        }
        (surely, perhaps)
    }
}

/// Replays calls that are in order.
pub(super) fn replay(classes: &[Class], calls: &[(Spot, u32)], later: Later, sources: &[String]) -> Rates {
    let mut lanes = Lanes::default();
    // A class may be known by calls that are not replayed here. It says nothing then, whatever split left it over.
    let mut replayed = vec![false; classes.len()];
    for (_, number) in calls {
        if let Some(seen) = replayed.get_mut(*number as usize) {
            *seen = true;
        }
    }
    let of_class: Vec<(Vec<usize>, Vec<usize>)> = classes
        .iter()
        .zip(replayed)
        .map(|(class, replayed)| {
            if !replayed {
                return (Vec::new(), Vec::new());
            }
            let before = class.rates_before.iter().map(|of| lanes.number(BEFORE, of, class)).collect();
            let now = class.rates_now.iter().map(|of| lanes.number(NOW, of, class)).collect();
            (before, now)
        })
        .collect();
    let mut rates = Rates { replayed: calls.len() as u64, not_replayed: later.calls, ..Rates::default() };
    let none = (Vec::new(), Vec::new());
    let (mut over_before, mut over_now) = (Vec::new(), Vec::new());
    for (spot, number) in calls {
        let Some(class) = classes.get(*number as usize) else { continue };
        let (lanes_before, lanes_now) = of_class.get(*number as usize).unwrap_or(&none);
        let (before, perhaps_before) = lanes.count(lanes_before, class.before, spot.time, &mut over_before);
        let (now, perhaps_now) = lanes.count(lanes_now, class.now, spot.time, &mut over_now);
        let both = class.before == Standing::Yes && class.now == Standing::Yes;
        let passes = |standing| matches!(standing, Standing::Perhaps | Standing::Yes);
        let perhaps_both = passes(class.before) && passes(class.now);
        let newly = both && now && !perhaps_before;
        let no_longer = both && before && !perhaps_now;
        let add = |range: &mut Range, sure: bool, perhaps: bool| {
            range.at_least += u64::from(sure);
            range.at_most += u64::from(sure || perhaps);
        };
        add(&mut rates.before, before, perhaps_before);
        add(&mut rates.now, now, perhaps_now);
        add(&mut rates.newly_limited, newly, perhaps_both && perhaps_now && !before);
        add(&mut rates.no_longer_limited, no_longer, perhaps_both && perhaps_before && !now);
        for (over, changed) in [(&over_before, no_longer), (&over_now, newly)] {
            for number in over {
                let Some(lane) = lanes.all.get_mut(*number) else { continue };
                lane.changed += u64::from(changed);
                let samples = if changed { &mut lane.changed_samples } else { &mut lane.samples };
                if samples.len() < MAX_SAMPLES {
                    samples.push(spot.sample(sources, class.subject.clone(), class.agent.clone()));
                }
            }
        }
    }
    for (range, more) in [
        (&mut rates.before, later.before),
        (&mut rates.now, later.now),
        (&mut rates.newly_limited, later.newly),
        (&mut rates.no_longer_limited, later.no_longer),
    ] {
        range.at_most += more;
    }
    rates.list = lines(lanes);
    rates.more = rates.list.len().saturating_sub(MAX_RATE_LINES) as u64;
    rates.list.truncate(MAX_RATE_LINES);
    rates
}

/// One line for each rate and key with a call over it, of both sides together.
fn lines(lanes: Lanes) -> Vec<RateLine> {
    let sides: HashMap<usize, bool, FixedState> =
        lanes.lane_numbers.into_iter().map(|((side, ..), number)| (number, side)).collect();
    let mut rates: BTreeMap<LineKey, (Option<Lane>, Option<Lane>)> = BTreeMap::new();
    for (number, lane) in lanes.all.into_iter().enumerate().filter(|(_, lane)| lane.known) {
        let sides_of = rates.entry(lane.line.clone()).or_default();
        *(if sides.get(&number) == Some(&NOW) { &mut sides_of.1 } else { &mut sides_of.0 }) = Some(lane);
    }
    let mut list: Vec<RateLine> = rates
        .into_iter()
        .filter_map(|((of, per, key), (before, now))| {
            let worst = now.as_ref().and_then(|l| l.worst).or(before.as_ref().and_then(|l| l.worst));
            let (worst, rate) = worst?;
            let sum = |lane: &Option<Lane>, count: fn(&Lane) -> u64| lane.as_ref().map_or(0, count);
            let mut line = RateLine {
                of,
                per,
                key,
                before: before.as_ref().map(|lane| lane.rate),
                now: now.as_ref().map(|lane| lane.rate),
                limited_before: sum(&before, |lane| lane.limited),
                limited_now: sum(&now, |lane| lane.limited),
                newly_limited: sum(&now, |lane| lane.changed),
                no_longer_limited: sum(&before, |lane| lane.changed),
                worst: WorstWindow {
                    start: Timestamp(worst.start),
                    seconds: rate.seconds,
                    calls: worst.sure,
                    limited: worst.limited,
                },
                samples: Vec::new(),
            };
            let samples = [now, before].into_iter().flatten().flat_map(|lane| [lane.changed_samples, lane.samples]);
            line.samples = samples.into_iter().find(|samples| !samples.is_empty()).unwrap_or_default();
            Some(line)
        })
        .collect();
    list.sort_by_key(|line| {
        Reverse((line.newly_limited, line.no_longer_limited, line.limited_now, line.limited_before))
    });
    list
}
