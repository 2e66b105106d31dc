//! Questions about a string as state machines, so that a walk can find a text for every
//! combination of answers.
//!
//! Each machine follows the code in `policy` that answers the question on a whole text; the tests
//! hold the two against each other. Nothing here decides.

use crate::policy::argument::{HostPattern, PathPrefix};
use crate::policy::glob::{Glob, NameGlob, States};
use crate::policy::uri::Reading;

/// One question about a string.
#[derive(Debug)]
pub(crate) enum Machine<'p> {
    /// Whether a glob matches.
    Glob(&'p Glob),
    /// Whether it starts with this.
    Prefix(Vec<char>),
    /// Whether it is a path at or below one.
    Under(UnderPath),
    /// Whether it is a URL with such a host.
    Host(Box<HostOf>),
    /// Whether it is a URI that can be read in one way only.
    Uri,
}

/// Where a machine stands after a text so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum At {
    Glob(States),
    Prefix(Progress),
    Under(UnderAt),
    Host(HostAt),
    Uri(Reading),
}

/// How a text answers a question. The same as the judging outcomes of a matcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Answer {
    No,
    Yes,
    Unfit,
}

/// How far along a fixed text a text so far is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Progress {
    Matched(u32),
    Off,
}

impl Machine<'_> {
    pub(crate) fn prefix(text: &str) -> Self {
        Self::Prefix(text.chars().collect())
    }

    pub(crate) fn under(prefix: &PathPrefix) -> Self {
        let segments = prefix.as_str().split('/').filter(|s| !s.is_empty());
        Self::Under(UnderPath { wanted: segments.map(|s| s.chars().collect()).collect() })
    }

    /// `None` for a pattern that no host can match.
    pub(crate) fn host(pattern: &HostPattern) -> Option<Self> {
        // A host has none of the characters that mean something in a glob.
        let text = pattern.as_str().replace('*', "?*");
        NameGlob::new(&text).ok().map(|glob| Self::Host(Box::new(HostOf { glob })))
    }

    pub(super) fn start(&self) -> At {
        match self {
            Self::Glob(glob) => At::Glob(glob.start()),
            Self::Prefix(_) => At::Prefix(Progress::Matched(0)),
            Self::Under(_) => At::Under(UnderAt::Start),
            Self::Host(_) => At::Host(HostAt::Start),
            Self::Uri => At::Uri(Reading::START),
        }
    }

    pub(super) fn step(&self, at: At, c: char) -> At {
        match (self, at) {
            (Self::Glob(glob), At::Glob(states)) => At::Glob(glob.step(states, c)),
            (Self::Prefix(wanted), At::Prefix(progress)) => At::Prefix(along_prefix(wanted, progress, c)),
            (Self::Under(under), At::Under(state)) => At::Under(under.step(state, c)),
            (Self::Host(host), At::Host(state)) => At::Host(host.step(state, c)),
            (Self::Uri, At::Uri(reading)) => At::Uri(reading.step(c)),
            // A machine is only ever given its own states.
            (_, at) => at,
        }
    }

    pub(super) fn answer(&self, at: At) -> Answer {
        let yes = |holds: bool| if holds { Answer::Yes } else { Answer::No };
        match (self, at) {
            (Self::Glob(glob), At::Glob(states)) => yes(glob.accepts(states)),
            (Self::Prefix(wanted), At::Prefix(progress)) => yes(is_at_end(wanted, progress)),
            (Self::Under(under), At::Under(state)) => under.answer(state),
            (Self::Host(host), At::Host(state)) => host.answer(state),
            (Self::Uri, At::Uri(reading)) => yes(reading.is_complete()),
            _ => Answer::Unfit,
        }
    }

    /// The characters that the question tells apart, beyond those that stand for a class.
    pub(super) fn alphabet(&self) -> Vec<char> {
        match self {
            Self::Glob(glob) => glob.alphabet().chain(['/']).collect(),
            Self::Prefix(wanted) => wanted.clone(),
            // Every other character of such a URI can be had as a letter or is named by a pattern.
            Self::Uri => vec!['/', '?'],
            Self::Under(under) => {
                under.wanted.iter().flatten().copied().chain(['/', '.', '%', '\\', '0', 'a']).collect()
            }
            Self::Host(host) => {
                let both = |c: char| [c, c.to_ascii_uppercase()];
                let classes = [':', '/', '?', '.', '@', '-', '0', '1', 'x', 'a', 'g'];
                host.glob.machine().alphabet().flat_map(both).chain(classes).collect()
            }
        }
    }

    /// An upper bound on how much of a text it can take to settle the answer.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Glob(glob) => glob.len(),
            Self::Prefix(wanted) => wanted.len(),
            Self::Uri => 8,
            Self::Under(under) => under.wanted.iter().map(|s| s.len() + 1).sum::<usize>() + 4,
            Self::Host(host) => host.glob.machine().len() + 12,
        }
    }

    /// How many characters it can fix at the start of a text, and how many elsewhere. A host asks
    /// for none: what it asks can be had within the length that a host may have.
    pub(super) fn fixes(&self) -> (usize, usize) {
        match self {
            Self::Glob(glob) => {
                let mut states = glob.start();
                let literals = glob.alphabet().take_while(|c| {
                    // Where a character that no pattern has leads nowhere, only this one leads on.
                    let only = glob.step(states, char::MAX).is_dead();
                    states = glob.step(states, *c);
                    only
                });
                let leading = literals.count();
                (leading, glob.len().saturating_sub(leading))
            }
            Self::Prefix(wanted) => (wanted.len(), 0),
            Self::Under(under) => (0, under.wanted.iter().map(|s| s.len() + 1).sum()),
            Self::Host(_) | Self::Uri => (0, 0),
        }
    }

    /// Whether no continuation is of interest.
    pub(super) const fn is_over(at: &At) -> bool {
        matches!(at, At::Uri(Reading::Refused))
    }

    pub(super) const fn is_host(&self) -> bool {
        matches!(self, Self::Host(_))
    }
}

fn along_prefix(wanted: &[char], progress: Progress, c: char) -> Progress {
    match progress {
        Progress::Matched(n) => match wanted.get(n as usize) {
            None => progress,
            Some(w) if *w == c => Progress::Matched(n + 1),
            Some(_) => Progress::Off,
        },
        Progress::Off => Progress::Off,
    }
}

fn is_at_end(wanted: &[char], progress: Progress) -> bool {
    matches!(progress, Progress::Matched(n) if wanted.len() == n as usize)
}

/// A path and everything below it, as [`PathPrefix`] judges it.
#[derive(Debug)]
pub(crate) struct UnderPath {
    wanted: Vec<Vec<char>>,
}

/// What the segment so far is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    Empty,
    Dot,
    DotDot,
    Name,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum UnderAt {
    Start,
    /// Not a path that its text alone judges.
    Unfit,
    In {
        /// Characters of `%HH` so far.
        percent: u8,
        segment: Segment,
        along: Progress,
        /// Wanted segments so far; off once one differed.
        path: Progress,
    },
}

impl UnderPath {
    fn step(&self, at: UnderAt, c: char) -> UnderAt {
        let fresh = |path| UnderAt::In { percent: 0, segment: Segment::Empty, along: Progress::Matched(0), path };
        let (percent, segment, along, path) = match at {
            UnderAt::Unfit => return at,
            UnderAt::Start if c == '/' => return fresh(Progress::Matched(0)),
            UnderAt::Start => return UnderAt::Unfit,
            UnderAt::In { percent, segment, along, path } => (percent, segment, along, path),
        };
        let percent = match (percent, c) {
            (_, '%') => 1,
            (1, c) if c.is_ascii_hexdigit() => 2,
            (2, c) if c.is_ascii_hexdigit() => return UnderAt::Unfit,
            _ => 0,
        };
        match c {
            '\\' | '\0' => UnderAt::Unfit,
            '/' if segment == Segment::DotDot => UnderAt::Unfit,
            '/' => fresh(self.close(segment, along, path)),
            _ => {
                let segment = match (segment, c) {
                    (Segment::Empty, '.') => Segment::Dot,
                    (Segment::Dot, '.') => Segment::DotDot,
                    _ => Segment::Name,
                };
                let along = match path {
                    Progress::Matched(n) => {
                        self.wanted.get(n as usize).map_or(Progress::Off, |w| match along_prefix(w, along, c) {
                            // Past the end of the wanted segment is another segment.
                            same if same == along => Progress::Off,
                            moved => moved,
                        })
                    }
                    Progress::Off => Progress::Off,
                };
                UnderAt::In { percent, segment, along, path }
            }
        }
    }

    /// How far along the path is once the segment ends.
    fn close(&self, segment: Segment, along: Progress, path: Progress) -> Progress {
        match path {
            Progress::Matched(n) if segment == Segment::Name => match self.wanted.get(n as usize) {
                None => path,
                Some(wanted) if is_at_end(wanted, along) => Progress::Matched(n + 1),
                Some(_) => Progress::Off,
            },
            _ => path,
        }
    }

    fn answer(&self, at: UnderAt) -> Answer {
        match at {
            UnderAt::Start | UnderAt::Unfit | UnderAt::In { segment: Segment::DotDot, .. } => Answer::Unfit,
            UnderAt::In { segment, along, path, .. } => match self.close(segment, along, path) {
                Progress::Matched(n) if n as usize == self.wanted.len() => Answer::Yes,
                _ => Answer::No,
            },
        }
    }
}

/// The host of a URL, as `canonical_host` and [`HostPattern`] judge it; but for the length of the
/// host, which the walk refuses to bring near its limit.
#[derive(Debug)]
pub(crate) struct HostOf {
    glob: NameGlob,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum HostAt {
    Start,
    Scheme,
    Colon,
    Slash,
    Unfit,
    In {
        name: States,
        label: Label,
        /// Labels closed so far, up to four.
        closed: u8,
        /// Whether each of them is an octet.
        octets: bool,
    },
    Port {
        matched: bool,
        digits: u8,
    },
    Rest {
        matched: bool,
    },
}

/// What the label so far is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Label {
    Empty,
    /// Digits only: their value, or `None` when they are no octet.
    Digits(Option<u8>),
    /// `0x` and hexadecimal digits.
    Hex,
    Name,
}

impl HostOf {
    fn step(&self, at: HostAt, c: char) -> HostAt {
        match at {
            HostAt::Start if c.is_ascii_alphabetic() => HostAt::Scheme,
            HostAt::Scheme if c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-') => HostAt::Scheme,
            HostAt::Scheme if c == ':' => HostAt::Colon,
            HostAt::Colon if c == '/' => HostAt::Slash,
            HostAt::Slash if c == '/' => {
                HostAt::In { name: self.glob.machine().start(), label: Label::Empty, closed: 0, octets: true }
            }
            HostAt::In { name, label, closed, octets } => self.in_host(name, label, closed, octets, c),
            HostAt::Port { matched, .. } if matches!(c, '/' | '?' | '#') => HostAt::Rest { matched },
            HostAt::Port { matched, digits } if c.is_ascii_digit() && digits < 5 => {
                HostAt::Port { matched, digits: digits + 1 }
            }
            HostAt::Rest { .. } => at,
            HostAt::Start | HostAt::Scheme | HostAt::Colon | HostAt::Slash | HostAt::Unfit | HostAt::Port { .. } => {
                HostAt::Unfit
            }
        }
    }

    fn in_host(&self, name: States, label: Label, closed: u8, octets: bool, c: char) -> HostAt {
        let end = || is_host(label, closed, octets).then(|| self.glob.machine().accepts(name));
        match c {
            '/' | '?' | '#' => return end().map_or(HostAt::Unfit, |matched| HostAt::Rest { matched }),
            ':' => return end().map_or(HostAt::Unfit, |matched| HostAt::Port { matched, digits: 0 }),
            '.' if label == Label::Empty => return HostAt::Unfit,
            c if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') => {}
            _ => return HostAt::Unfit,
        }
        let name = self.glob.machine().step(name, c.to_ascii_lowercase());
        if c == '.' {
            let octets = octets && matches!(label, Label::Digits(Some(_)));
            return HostAt::In { name, label: Label::Empty, closed: closed.saturating_add(1).min(4), octets };
        }
        let digit = c.to_digit(10).and_then(|d| u8::try_from(d).ok());
        let label = match (label, digit) {
            (Label::Empty, Some(d)) => Label::Digits(Some(d)),
            // A leading zero is no plain decimal.
            (Label::Digits(None | Some(0)), Some(_)) => Label::Digits(None),
            (Label::Digits(Some(v)), Some(d)) => Label::Digits(v.checked_mul(10).and_then(|v| v.checked_add(d))),
            (Label::Digits(Some(0)), None) if matches!(c, 'x' | 'X') => Label::Hex,
            (Label::Hex, _) if c.is_ascii_hexdigit() => Label::Hex,
            _ => Label::Name,
        };
        HostAt::In { name, label, closed, octets }
    }

    fn answer(&self, at: HostAt) -> Answer {
        let matched = match at {
            HostAt::In { name, label, closed, octets } if is_host(label, closed, octets) => {
                self.glob.machine().accepts(name)
            }
            HostAt::Port { matched, .. } | HostAt::Rest { matched } => matched,
            _ => return Answer::Unfit,
        };
        if matched { Answer::Yes } else { Answer::No }
    }
}

fn is_host(last: Label, closed: u8, octets: bool) -> bool {
    match last {
        Label::Empty | Label::Hex => false,
        Label::Name => true,
        Label::Digits(value) => value.is_some() && octets && closed == 3,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::policy::matcher::{Match, Test};

    fn run(machine: &Machine<'_>, text: &str) -> Match {
        let at = text.chars().fold(machine.start(), |at, c| machine.step(at, c));
        match machine.answer(at) {
            Answer::Yes => Match::Yes,
            Answer::No => Match::No,
            Answer::Unfit => Match::Unfit,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_path_machine_agrees_with_the_test(text in "/?[a./%2\\\\]{0,8}", base in "/[ab](/[ab]{1,2})?|/") {
            let prefix = PathPrefix::new(&base).unwrap();
            let expected = Test::Under(vec![prefix.clone()]).on(&Value::from(text.as_str()));
            prop_assert_eq!(run(&Machine::under(&prefix), &text), expected, "{} under {}", text, base);
        }

        #[test]
        fn the_host_machine_agrees_with_the_test(
            text in "(a1?://)?[0-9]{0,3}([ab.x0-9:@/?-]{0,6}|(\\.[0-9]{1,3}){1,4}|0x[a0]?|\\.[aA]\\.b)[:/]?[0-9/]{0,6}",
            base in "a|b|(\\*\\.)?a\\.b|1\\.1\\.1\\.1",
        ) {
            let Some(pattern) = HostPattern::new(&base) else { return Ok(()) };
            let expected = Test::Host(vec![pattern.clone()]).on(&Value::from(text.as_str()));
            prop_assert_eq!(run(&Machine::host(&pattern).unwrap(), &text), expected, "{} for {}", text, base);
        }
    }
}
