//! What can be wrong with a log, and where.

use std::fmt;

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $summary:literal;)+) => {
        /// What is wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault {
            $($(#[$doc])* $variant,)+
        }

        impl Fault {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code, which is stable.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            /// What it means.
            pub const fn summary(self) -> &'static str {
                match self {
                    $(Self::$variant => $summary,)+
                }
            }
        }
    };
}

faults! {
    /// The row does not have the hash of what it holds.
    Edited = "edited", "the row was changed after it was written";
    /// Rows are missing from inside the chain.
    Deleted = "deleted", "rows are missing";
    /// Rows that are missing, and that their writer has said to be.
    Lost = "lost", "rows are missing: their writer found them gone when it met the store again, as after a failover, and signed that";
    /// The row is there, behind rows that follow it.
    Reordered = "reordered", "the row stands behind rows that were written after it";
    /// The same row again.
    Repeated = "repeated", "the same row stands there twice";
    /// A row in a place that is taken, or behind the end of a writer.
    Inserted = "inserted", "the row was never written by this writer";
    /// Two rows follow the same one.
    Forked = "forked", "two rows follow the same one: the writer went on twice from one state, as a copied store does";
    /// The second row does not follow the first.
    Unlinked = "unlinked", "the second row does not hold the hash of the first: one of them was written again";
    /// A seal names another row in this place.
    Rewritten = "rewritten", "a seal or an anchor names another row in the last of these places: rows were written again with their hashes";
    /// A seal names rows behind the last one.
    Truncated = "truncated", "a seal or an anchor names rows that are no longer there: the end was cut off";
    /// Rows of a writer that has no `open`.
    Unopened = "unopened", "no seal says that this writer began: its rows may be forged, or its seals are gone";
    /// Rows that should have been sealed long before the last of them.
    Unsealed = "unsealed", "no seal names these rows, and the first should have one by the time of the last: they may be forged, or seals are gone";
    /// The signature of a seal is not of this row.
    BadSignature = "bad-signature", "the signature does not belong to the row";
    /// A seal is signed with a key that was not given.
    UnknownKey = "unknown-key", "the row is signed with a key that was not given";
    /// A seal without signature, where a key was given.
    Unsigned = "unsigned", "the row should be signed and is not";
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub fault: Fault,
    /// The writer of the chain.
    pub writer: String,
    /// The class of the chain.
    pub class: String,
    /// The first row that it may be about.
    pub from: i64,
    /// The last one.
    pub to: i64,
}
