//! A seal that was noted down elsewhere.

use std::fmt;
use std::str::FromStr;

use super::LOG_CLASS;
use super::hash::Hash;
use super::row::Row;

/// The place and the hash of a row of the class [`LOG_CLASS`], kept where whoever can write the log
/// cannot. All that the row names, and all that stands before it, must then still be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Its writer.
    pub writer: String,
    /// Its number.
    pub seq: i64,
    /// Its hash.
    pub hash: Hash,
}

impl Anchor {
    /// The anchor that a row of the log about itself is; `None` for any other row.
    pub fn of(row: &Row) -> Option<Self> {
        (*row.entry.class == *LOG_CLASS).then(|| Self { writer: row.writer.to_string(), seq: row.seq, hash: row.hash })
    }
}

impl fmt::Display for Anchor {
    /// `WRITER:SEQ:HASH`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.writer, self.seq, self.hash)
    }
}

impl FromStr for Anchor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = "an anchor looks like `WRITER:SEQ:HASH`";
        let (place, hash) = text.trim().rsplit_once(':').ok_or(bad)?;
        let (writer, seq) = place.rsplit_once(':').ok_or(bad)?;
        let seq = seq.parse().ok().filter(|seq| *seq > 0).ok_or(bad)?;
        let hash = hash.parse().map_err(|()| bad)?;
        if writer.is_empty() { Err(bad) } else { Ok(Self { writer: writer.to_owned(), seq, hash }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_is_read_as_it_is_shown_and_nothing_else_is() {
        let anchor = Anchor { writer: "a:b".to_owned(), seq: 7, hash: Hash::of(b"x") };
        assert_eq!(anchor.to_string().parse(), Ok(anchor));
        let hash = Hash::of(b"x");
        for text in ["", "a", "a:1", &format!(":1:{hash}"), &format!("a:0:{hash}"), &format!("a:x:{hash}"), "a:1:00"] {
            assert!(text.parse::<Anchor>().is_err(), "{text}");
        }
    }
}
