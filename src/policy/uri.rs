//! URIs that every reader reads alike.
//!
//! A pattern matches the text of a URI, and a server reads what the text means. Where one thing can
//! be written in several ways, a deny could be walked around and a grant walked out of: so a URI in
//! any but the one usual spelling is refused. Nothing here resolves, decodes or looks up.
//!
//! The usual spelling: a scheme in lower case; of `file` then `///`, of `http` and `https` a host in
//! lower case without user information; no `.`, `..` or empty segment (but the last may be empty);
//! visible ASCII without ``"<>\^`|`` and without a fragment; of `file` no query. `%HH`, in upper
//! case, only for what cannot stand there by itself: space, ``"<>^`|#?`` and UTF-8 beyond ASCII.

use super::glob::PathGlob;

/// How far a URI has been read. Taken character by character, so that analysis can walk it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reading {
    /// No text that begins like this is read alike everywhere.
    Refused,
    /// In the scheme, with how much of each special name it has spelled so far.
    Scheme { file: u8, web: u8 },
    /// Behind the scheme.
    In { kind: Kind, part: Part, encoded: Encoded },
}

/// What the scheme says of the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    File,
    Web,
    Other,
}

/// Where in the URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Colon,
    Slash,
    /// Behind `//`.
    Slashes,
    Authority,
    Path(Segment),
    Query,
}

/// What the segment so far is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Segment {
    Empty,
    Dot,
    DotDot,
    Name,
}

/// How far a percent encoding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Encoded {
    No,
    /// After `%`.
    Sign(Rest),
    /// After the first digit.
    Digit(u8, Rest),
    /// Between two bytes of one character.
    Within(Rest),
}

/// What is left of a character beyond ASCII: so many bytes, the next within these limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rest {
    bytes: u8,
    low: u8,
    high: u8,
}

const WHOLE: Rest = Rest { bytes: 0, low: 0, high: 0 };
const FILE: &[u8] = b"file";
const WEB: &[u8] = b"https";
/// A scheme that is not, or no longer, a special one.
const OTHER: u8 = u8::MAX;

/// Whether a URI is in the one usual spelling.
pub fn is_plain_uri(uri: &str) -> bool {
    let mut reading = Reading::START;
    for c in uri.chars() {
        reading = reading.step(c);
        if reading == Reading::Refused {
            return false;
        }
    }
    reading.is_complete()
}

/// A URI in the usual spelling that a pattern matches, with `x` for each wildcard. `None` where the
/// text of the pattern itself is in no such URI.
pub fn example(pattern: &PathGlob) -> Option<String> {
    // The first wildcard may have to stand for the slashes behind a scheme.
    let filled = |first: &str| {
        let mut wildcards = std::iter::once(first).chain(std::iter::repeat("x"));
        pattern.filled(|| wildcards.next().unwrap_or("x"))
    };
    ["x", "/x", "//x", "///x"].into_iter().map(filled).find(|uri| is_plain_uri(uri) && pattern.matches(uri))
}

impl Reading {
    /// Before the first character.
    pub(crate) const START: Self = Self::Scheme { file: 0, web: 0 };

    /// After one more character.
    pub(crate) fn step(self, c: char) -> Self {
        let Some(byte) = u8::try_from(c).ok().filter(u8::is_ascii_graphic) else { return Self::Refused };
        match self {
            Self::Refused => Self::Refused,
            Self::Scheme { file, web } => scheme(file, web, byte),
            Self::In { kind, part, encoded } => match encode(encoded, byte) {
                Some(Encoded::No) if encoded == Encoded::No => match next(kind, part, byte) {
                    Some(part) => Self::In { kind, part, encoded: Encoded::No },
                    None => Self::Refused,
                },
                // A special scheme has nothing encoded before its path.
                Some(encoded) if kind == Kind::Other || matches!(part, Part::Path(_) | Part::Query) => {
                    let part = match part {
                        Part::Query => Part::Query,
                        Part::Slashes | Part::Authority => Part::Authority,
                        Part::Colon | Part::Slash | Part::Path(_) => Part::Path(Segment::Name),
                    };
                    Self::In { kind, part, encoded }
                }
                _ => Self::Refused,
            },
        }
    }

    /// Whether a URI may end here.
    pub(crate) fn is_complete(self) -> bool {
        let Self::In { kind, part, encoded: Encoded::No } = self else { return false };
        match part {
            Part::Colon | Part::Path(Segment::Dot | Segment::DotDot) => false,
            Part::Slash | Part::Slashes => kind == Kind::Other,
            Part::Authority | Part::Path(_) | Part::Query => true,
        }
    }
}

fn scheme(file: u8, web: u8, byte: u8) -> Reading {
    let at_start = file == 0 && web == 0;
    match byte {
        b':' if at_start => Reading::Refused,
        b':' => {
            let kind = match (usize::from(file) == FILE.len(), usize::from(web)) {
                (true, _) => Kind::File,
                (_, 4 | 5) => Kind::Web,
                _ => Kind::Other,
            };
            Reading::In { kind, part: Part::Colon, encoded: Encoded::No }
        }
        b'a'..=b'z' => Reading::Scheme { file: along(FILE, file, byte), web: along(WEB, web, byte) },
        b'0'..=b'9' | b'+' | b'-' | b'.' if !at_start => Reading::Scheme { file: OTHER, web: OTHER },
        _ => Reading::Refused,
    }
}

fn along(word: &[u8], spelled: u8, byte: u8) -> u8 {
    if word.get(usize::from(spelled)) == Some(&byte) { spelled + 1 } else { OTHER }
}

/// The part after a character that is not encoded; `None` when it may not stand there.
#[expect(clippy::match_same_arms, reason = "a table of steps, in the order of a URI")]
fn next(kind: Kind, part: Part, byte: u8) -> Option<Part> {
    if matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'|' | b'#') {
        return None;
    }
    let segment = |before: Segment| match (before, byte) {
        // `..;x` is `..` to some.
        (Segment::Dot | Segment::DotDot, b';') => None,
        (Segment::Empty, b'.') => Some(Part::Path(Segment::Dot)),
        (Segment::Dot, b'.') => Some(Part::Path(Segment::DotDot)),
        _ => Some(Part::Path(Segment::Name)),
    };
    match (part, byte) {
        (Part::Colon, b'/') => Some(Part::Slash),
        (Part::Slash, b'/') => Some(Part::Slashes),
        (Part::Colon | Part::Slash, _) if kind != Kind::Other => None,
        // `file:///` and no host; for the web a host.
        (Part::Slashes, b'/' | b'?') if kind == Kind::Web => None,
        (Part::Slashes | Part::Authority, b'/') => Some(Part::Path(Segment::Empty)),
        (Part::Slashes | Part::Authority, _) if kind == Kind::File => None,
        (Part::Slashes | Part::Authority, b'@' | b'A'..=b'Z') if kind == Kind::Web => None,
        (Part::Path(Segment::Empty | Segment::Dot | Segment::DotDot), b'/') => None,
        (Part::Path(Segment::Name), b'/') => Some(Part::Path(Segment::Empty)),
        (Part::Path(Segment::Dot | Segment::DotDot), b'?') => None,
        (Part::Path(_), b'?') if kind == Kind::File => None,
        (Part::Query, _) | (_, b'?') => Some(Part::Query),
        (Part::Slashes | Part::Authority, _) => Some(Part::Authority),
        (Part::Colon | Part::Slash, _) => segment(Segment::Empty),
        (Part::Path(before), _) => segment(before),
    }
}

/// How far an encoding is after one more character; `None` when it may not be so.
fn encode(encoded: Encoded, byte: u8) -> Option<Encoded> {
    let digit = match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    match (encoded, byte) {
        (Encoded::No, b'%') => Some(Encoded::Sign(WHOLE)),
        (Encoded::No, _) => Some(Encoded::No),
        (Encoded::Within(rest), b'%') => Some(Encoded::Sign(rest)),
        (Encoded::Within(_), _) => None,
        (Encoded::Sign(rest), _) => digit.map(|high| Encoded::Digit(high, rest)),
        (Encoded::Digit(high, rest), _) => {
            let rest = after(rest, (high << 4) | digit?)?;
            Some(if rest.bytes == 0 { Encoded::No } else { Encoded::Within(rest) })
        }
    }
}

/// What is left of a character after one of its bytes (RFC 3629, so that none has two encodings).
fn after(rest: Rest, byte: u8) -> Option<Rest> {
    let lead = |bytes, low, high| Some(Rest { bytes, low, high });
    match (rest.bytes, byte) {
        (0, b' ' | b'"' | b'<' | b'>' | b'^' | b'`' | b'|' | b'#' | b'?') => Some(WHOLE),
        (0, 0xc2..=0xdf) => lead(1, 0x80, 0xbf),
        (0, 0xe0) => lead(2, 0xa0, 0xbf),
        (0, 0xed) => lead(2, 0x80, 0x9f),
        (0, 0xe1..=0xef) => lead(2, 0x80, 0xbf),
        (0, 0xf0) => lead(3, 0x90, 0xbf),
        (0, 0xf1..=0xf3) => lead(3, 0x80, 0xbf),
        (0, 0xf4) => lead(3, 0x80, 0x8f),
        (0, _) => None,
        (bytes, _) if (rest.low..=rest.high).contains(&byte) => lead(bytes - 1, 0x80, 0xbf),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_that_two_readers_read_differently_is_refused() {
        for uri in [
            "file:///srv/manuals/a.pdf",
            "file:///srv/",
            "file:///",
            "file:///srv/a%20b%C3%BC%F0%9F%98%80.txt",
            "file:///srv/...",
            "file:///srv/.hidden/..x/[id].tsx",
            "https://example.com/a?b=//../c",
            "https://example.com",
            "http://127.0.0.1:8080/x",
            "https://example.com?q",
            "memo://Insights",
            "db://main/Table",
            "urn:isbn:0451450523",
            "tickets:/42",
            "note:42",
            "docs:///",
            "x:a%20b",
            "file:///{path}",
        ] {
            assert!(is_plain_uri(uri), "{uri}");
        }
        for uri in [
            "",
            "srv/x",
            ":x",
            "x:",
            "file:///srv/manuals/../../etc/passwd",
            "file:///srv/..",
            "file:///srv/./x",
            "file:///srv/.",
            "file:///srv/..;x/y",
            "file:///srv//secret",
            "file:////srv",
            "file:///srv/%2e%2e/x",
            "file:///srv/%2E%2E/x",
            "file:///srv/s%65cret",
            "file:///srv/a%2Fb",
            "file:///srv/a%252Fb",
            "file:///srv/%c3%bc",
            "file:///srv/%C0%AE%C0%AE/x",
            "file:///srv/%E0%80%AE",
            "file:///srv/%C3",
            "file:///srv/%C3x",
            "file:///srv/%",
            "file:///srv/%2",
            "file:///srv/%00",
            "file:///srv/x#y",
            "file:///srv/x?y",
            "file:///srv\\x",
            "file:///srv/a b",
            "file:///srv/\u{fc}",
            "file:///srv/x\n",
            "file://localhost/srv/x",
            "file:/srv/x",
            "file:srv",
            "FILE:///srv/x",
            "File:///srv/x",
            "https://Example.com/",
            "https://a@example.com/",
            "https://ex%20ample.com/",
            "https:///example.com/",
            "https:/example.com/",
            "https:example.com",
            "https://example.com/a/../b",
            "urn:a/../b",
            "note:..",
        ] {
            assert!(!is_plain_uri(uri), "{uri}");
        }
    }

    #[test]
    fn a_pattern_that_only_matches_refused_uris_is_known() {
        let can = |text: &str| example(&PathGlob::new(text).unwrap()).is_some();
        for text in ["file:///srv/**", "file://**", "file:**", "**:**", "https://*.example.com/a?", r"https://h/x\?a=*"]
        {
            assert!(can(text), "{text}");
        }
        for text in
            ["file:///srv/../x/*", "file:///srv/a b/*", "FILE:///*", "file:///srv/%2e*", "file://host/*", "file:///x#y"]
        {
            assert!(!can(text), "{text}");
        }
    }
}
