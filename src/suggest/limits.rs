//! What a study holds at most, and what was given up when that was not enough.
//!
//! Every limit keeps the lowest keys, so that what is kept is complete and does not depend on order.

/// The most callers of items that are told apart: item, issuer, agent, groups and `sub`.
pub const MAX_CALLERS: usize = 100_000;
/// The most pairs of an item and a kind of caller whose arguments are looked at.
pub const MAX_SHAPED: usize = 5_000;
/// The most arguments of one item that are looked at.
pub const MAX_ARGUMENTS: usize = 24;
/// How deep objects inside arguments are followed.
pub const MAX_DEPTH: usize = 4;
/// The most groups of one caller that are looked at.
pub const MAX_GROUPS: usize = 64;
/// The most items whose tokens are looked at, and the most doors and issuers.
pub const MAX_ITEMS: usize = 10_000;
/// The most strings that a list of allowed values or hosts holds.
pub const MAX_VALUES: usize = 8;
/// The longest string in a list of allowed values, in bytes.
pub const MAX_VALUE: usize = 64;
/// How often each value must have been seen before the list counts as closed.
pub const MIN_SEEN: u64 = 3;
/// The most directories that an argument is held to.
pub const MAX_ROOTS: usize = 4;
/// The most events that are cited.
pub const MAX_EXAMPLES: usize = 3;
/// How far subjects behind an argument are counted.
pub const MAX_COUNTED: usize = 100;
/// The most profiles of which the granted surface is computed.
pub const MAX_PROFILES: usize = 2_000;
/// The most pairs of a profile and an item of which the granted surface is computed.
pub const MAX_PAIRS: usize = 200_000;
/// The most calls out of each class that are shown.
pub const MAX_SHOWN: usize = 5;

/// What was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cap {
    /// [`MAX_CALLERS`]
    Callers,
    /// [`MAX_SHAPED`]
    Shaped,
    /// [`MAX_ARGUMENTS`]
    Arguments,
    /// [`MAX_GROUPS`]
    Groups,
    /// [`MAX_ITEMS`]
    Items,
    /// [`MAX_PROFILES`] or [`MAX_PAIRS`]
    Profiles,
}

impl Cap {
    /// The stable kebab-case code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Callers => "too-many-callers",
            Self::Shaped => "too-many-shapes",
            Self::Arguments => "too-many-arguments",
            Self::Groups => "too-many-groups",
            Self::Items => "too-many-items",
            Self::Profiles => "too-many-profiles",
        }
    }

    /// What it means for the suggestion.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Callers => "more callers of items than are told apart: the calls of the others were not learned",
            Self::Shaped => "more items and kinds of callers than arguments are looked at of: the others got no bounds",
            Self::Arguments => "an item with more arguments than are looked at: the others got no bounds",
            Self::Groups => "callers in more groups than are looked at: the others were not considered",
            Self::Items => "more items, doors or issuers than are looked at: the others were not considered",
            Self::Profiles => "more profiles than the granted surface is computed of: it is that of the first ones",
        }
    }
}
