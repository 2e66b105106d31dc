//! The index of a policy set: one lookup from a request to the few statements that can matter.
//!
//! Built once and never changed. Nothing here decides; `pdp` reads it.
//!
//! A statement is filed under each item that it covers, or under the door when it covers all of
//! it, and there under each of its groups. So the cost of a decision follows the statements that
//! name both this item and one of the subject's groups, not the size of the policy.
//!
//! Texts and lists lie end to end in a few long runs instead of each on its own: a decision reads
//! some twenty of them, and spread over a large heap each would cost a walk through page tables.

mod build;

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use self::build::Builder;
use super::compiled::Positions;
use super::glob::{NameGlob, PathGlob};
use super::matcher::ArgRules;
use super::set::PolicySet;
use super::uri::is_plain_uri;
use crate::model::{Position, Rate, ResourceKind};

/// The seed is fixed: the tables are filled by the operator alone, so a caller who finds names
/// that collide gains one longer comparison and no more.
const HASHER: FixedState = FixedState::with_seed(0);

#[derive(Debug, Default)]
pub(crate) struct Index {
    doors: Vec<Door>,
    door_by_name: HashTable<u32>,
    targets: Vec<Target>,
    target_by_name: HashTable<u32>,
    issuers: Vec<IssuerEntry>,
    /// Every [`Text`], end to end.
    texts: String,
    /// The scopes of all targets, end to end.
    scopes: Vec<Text>,
    /// The numbers of the issuers that doors accept, end to end.
    accepted: Vec<u32>,
    /// What is filed by group, end to end, and the hashes of the groups in the same order: the search
    /// runs over the hashes alone, which even of a large policy stay in a cache.
    named: Vec<Named>,
    hashes: Vec<u32>,
    /// The groups that long lists ask for, end to end.
    filters: Vec<GroupSet>,
    /// What is not filed by group.
    entries: Vec<Entry>,
    /// The names of the groups that statements are filed under.
    groups: Vec<Text>,
    /// What statements ask of arguments, by number.
    rules: Vec<ItemRules>,
    /// Issuer, `sub` and server of every server that can be a caller. Sorted.
    identities: Vec<(String, String, String)>,
}

/// A text in the index.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Text(Run);

/// A part of one of the lists.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    start: u32,
    end: u32,
}

impl Run {
    const fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    const fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// A door with the statements that cover all of it.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) name: Text,
    pub(crate) position: Position,
    /// `aud` values accepted from issuers that declare none of their own.
    pub(crate) resource: Text,
    /// The numbers of the issuers accepted here; `None` for all.
    issuers: Option<Run>,
    pub(crate) callers: Box<[Box<str>]>,
    pub(crate) token_ttl: Option<u32>,
    pub(crate) grants: Filed,
    pub(crate) denies: Filed,
    /// The server itself as a target.
    session: u32,
    /// URI patterns, most specific first.
    uris: Vec<(PathGlob, u32)>,
}

/// Something behind a door, or the door itself.
#[derive(Debug)]
pub(crate) struct Target {
    door: u32,
    kind: ResourceKind,
    /// The right side of its reference, as patterns match it.
    pub(crate) item: Text,
    /// `server:item`, as reports name it.
    pub(crate) reference: Text,
    pub(crate) position: Position,
    pub(crate) token_ttl: Option<u32>,
    /// The token scopes of which one is needed; `None` when no scope is.
    scopes: Option<Run>,
    pub(crate) args: ArgRules,
    pub(crate) audit: Text,
    pub(crate) rates: Box<[Rate]>,
    pub(crate) credential_ttl: Option<u32>,
    pub(crate) grants: Filed,
    pub(crate) denies: Filed,
}

#[derive(Debug)]
pub(crate) struct IssuerEntry {
    pub(crate) number: u32,
    pub(crate) name: Box<str>,
    pub(crate) position: Position,
    pub(crate) audiences: Box<[Box<str>]>,
    pub(crate) max_lifetime: u32,
    pub(crate) clock_skew: u32,
}

/// Statements filed under one target or door.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filed {
    /// Those that ask for groups by name, once for each name, sorted by hash and then by number.
    by_group: Run,
    /// The groups that those ask for.
    groups: GroupSet,
    /// Of a long list the same in several sets, a power of two: in one there would hardly be a bit
    /// left that says no.
    filter: Run,
    /// The others.
    others: Run,
}

/// A statement filed under the name of a group.
#[derive(Debug)]
pub(crate) struct Named {
    group: u32,
    entry: Entry,
}

/// The hash of the name of a group.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GroupHash(u64);

impl GroupHash {
    pub(crate) fn of(group: &str) -> Self {
        Self(HASHER.hash_one(group))
    }

    /// What a list is sorted by.
    const fn key(self) -> u32 {
        let [a, b, c, d, ..] = self.0.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// Which of several sets the group is in; how many is a power of two.
    const fn set(self, sets: u32) -> u32 {
        let [.., a, b, c, d] = self.0.to_be_bytes();
        (u32::from_be_bytes([a, b, c, d]) / GroupSet::BITS) & sets.saturating_sub(1)
    }
}

/// A set of groups, one bit for many names: it may hold a name that was never added, and never lacks
/// one that was. Most lists have no group of the subject, and this tells without reading them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GroupSet(u64);

impl GroupSet {
    const BITS: u32 = u64::BITS;

    pub(crate) const fn add(&mut self, group: GroupHash) {
        // Of the bits that the key has no part in.
        self.0 |= 1 << (group.0 % 64);
    }

    const fn may_hold(self, group: GroupHash) -> bool {
        self.0 & (1 << (group.0 % 64)) != 0
    }
}

/// One statement, by its number, with what a decision needs of it: most decisions never touch the
/// statement itself, which keeps them fast when the policy is larger than a cache.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) statement: u32,
    /// Whether the statement selects by the names of groups alone and never expires, so that
    /// nothing but its argument rules is left to ask once one of the groups is the subject's.
    pub(crate) plain: bool,
    /// The rules for this target. Filed under a door, the item must still be matched.
    args: RuleNumbers,
}

/// Most statements lay at most one set of rules on an item, and that one needs no list.
#[derive(Clone, Debug)]
enum RuleNumbers {
    None,
    One(u32),
    Several(Box<[u32]>),
}

/// The argument rules that one statement lays on some items.
#[derive(Debug)]
struct ItemRules {
    /// Over the items of a door; `None` for all.
    item: Option<NameGlob>,
    rules: ArgRules,
}

/// The kind is left out: what differs in kind alone is told apart when found.
fn name_hash(door: &str, name: &str) -> u64 {
    let mut hasher = HASHER.build_hasher();
    hasher.write(door.as_bytes());
    hasher.write(name.as_bytes());
    hasher.finish()
}

impl Index {
    pub(crate) fn new(set: &PolicySet, positions: &Positions) -> Self {
        Builder::new(set, positions).build()
    }

    pub(crate) fn door(&self, name: &str) -> Option<&Door> {
        self.doors.get(self.door_number(name)? as usize)
    }

    /// The tool or prompt of that name, with its door.
    pub(crate) fn target(&self, door: &str, kind: ResourceKind, name: &str) -> Option<(&Door, &Target)> {
        let target = self.targets.get(self.target_number(door, kind, name)? as usize)?;
        Some((self.door_of(target)?, target))
    }

    /// A text of the index. A place that is not in it reads as nothing, and nothing names nothing.
    #[inline]
    pub(crate) fn text(&self, text: Text) -> &str {
        self.texts.get(text.0.range()).unwrap_or("")
    }

    /// The token scopes of which one is needed; `None` when no scope is.
    pub(crate) fn scopes(&self, target: &Target) -> Option<impl Iterator<Item = &str>> {
        let list = self.scopes.get(target.scopes?.range()).unwrap_or(&[]);
        Some(list.iter().map(|scope| self.text(*scope)))
    }

    /// The numbers of the issuers that a door accepts; `None` for all.
    pub(crate) fn accepted(&self, door: &Door) -> Option<&[u32]> {
        door.issuers.map(|run| self.accepted.get(run.range()).unwrap_or(&[]))
    }

    /// The server itself as a target.
    pub(crate) fn session(&self, door: &Door) -> Option<&Target> {
        self.targets.get(door.session as usize)
    }

    /// The URI patterns that match, most specific first. None for a URI that can be read in more
    /// than one way.
    pub(crate) fn uris<'i, 'u>(
        &'i self,
        door: &'i Door,
        uri: &'u str,
    ) -> impl Iterator<Item = &'i Target> + use<'i, 'u> {
        let patterns = if is_plain_uri(uri) { door.uris.as_slice() } else { &[] };
        let matching = patterns.iter().filter(move |(glob, _)| glob.matches(uri));
        matching.filter_map(|(_, number)| self.targets.get(*number as usize))
    }

    pub(crate) fn issuer(&self, name: &str) -> Option<&IssuerEntry> {
        self.issuers.iter().find(|i| *i.name == *name)
    }

    pub(crate) fn issuer_name(&self, number: u32) -> Option<&str> {
        self.issuers.get(number as usize).map(|issuer| &*issuer.name)
    }

    /// Calls `visit` with each entry of `filed` for a group of that name and hash.
    pub(crate) fn each_of_group<'i>(
        &'i self,
        filed: Filed,
        (hash, group): (GroupHash, &str),
        visit: &mut impl FnMut(&'i Entry),
    ) {
        if !self.may_hold(filed, hash) {
            return;
        }
        let key = hash.key();
        let hashes = self.hashes.get(filed.by_group.range()).unwrap_or(&[]);
        let start = hashes.partition_point(|own| *own < key);
        let equal = hashes.iter().skip(start).take_while(|own| **own == key).count();
        let first = filed.by_group.start as usize + start;
        for named in self.named.get(first..first + equal).unwrap_or(&[]) {
            // Equal hashes are not yet equal names.
            if self.groups.get(named.group as usize).is_some_and(|n| self.text(*n) == group) {
                visit(&named.entry);
            }
        }
    }

    fn may_hold(&self, filed: Filed, group: GroupHash) -> bool {
        let Run { start, end } = filed.filter;
        let set = self.filters.get((start + group.set(end - start)) as usize).filter(|_| end > start);
        set.unwrap_or(&filed.groups).may_hold(group)
    }

    /// The entries of `filed` that are not filed by group.
    pub(crate) fn others(&self, filed: Filed) -> &[Entry] {
        self.entries.get(filed.others.range()).unwrap_or(&[])
    }

    /// Every entry; a statement that asks for several groups comes several times.
    pub(crate) fn all(&self, filed: Filed) -> impl Iterator<Item = &Entry> {
        self.all_by_group(filed).chain(self.others(filed))
    }

    /// Every entry that is filed by group.
    pub(crate) fn all_by_group(&self, filed: Filed) -> impl Iterator<Item = &Entry> {
        self.named.get(filed.by_group.range()).unwrap_or(&[]).iter().map(|named| &named.entry)
    }

    /// The argument rules that an entry lays on a target. `at_door` says that it is filed under the
    /// door, where the item is still to be matched.
    pub(crate) fn rules<'i>(
        &'i self,
        entry: &'i Entry,
        target: &'i Target,
        at_door: bool,
    ) -> impl Iterator<Item = &'i ArgRules> {
        let numbers = match &entry.args {
            RuleNumbers::None => &[],
            RuleNumbers::One(number) => std::slice::from_ref(number),
            RuleNumbers::Several(numbers) => &**numbers,
        };
        let laid = numbers.iter().filter_map(|number| self.rules.get(*number as usize));
        laid.filter(move |r| !at_door || r.item.as_ref().is_none_or(|item| item.matches(self.text(target.item))))
            .map(|r| &r.rules)
    }

    /// The server that an issuer and `sub` stand for.
    pub(crate) fn server_of(&self, issuer: &str, subject: &str) -> Option<&str> {
        let order = |(i, s, _): &(String, String, String)| (i.as_str(), s.as_str()).cmp(&(issuer, subject));
        let found = self.identities.binary_search_by(order).ok()?;
        self.identities.get(found).map(|(_, _, server)| server.as_str())
    }

    /// The names of all doors.
    pub(crate) fn door_names(&self) -> impl Iterator<Item = &str> {
        self.doors.iter().map(|door| self.text(door.name))
    }

    /// The names of one kind of thing behind a door.
    pub(crate) fn names<'i>(&'i self, door: &str, kind: ResourceKind) -> impl Iterator<Item = &'i str> + use<'i> {
        let number = self.doors.iter().position(|d| self.text(d.name) == door).map(count);
        self.targets.iter().filter(move |t| Some(t.door) == number && t.kind == kind).map(|t| self.name(t))
    }

    /// Whether any server can be a caller.
    pub(crate) fn has_identities(&self) -> bool {
        !self.identities.is_empty()
    }

    fn door_of(&self, target: &Target) -> Option<&Door> {
        self.doors.get(target.door as usize)
    }
}

impl Index {
    fn door_number(&self, name: &str) -> Option<u32> {
        let fits = |n: &u32| self.doors.get(*n as usize).is_some_and(|d| self.text(d.name) == name);
        self.door_by_name.find(HASHER.hash_one(name), fits).copied()
    }

    fn target_number(&self, door: &str, kind: ResourceKind, name: &str) -> Option<u32> {
        let fits = |n: &u32| self.targets.get(*n as usize).is_some_and(|t| self.is(t, door, kind, name));
        self.target_by_name.find(name_hash(door, name), fits).copied()
    }

    fn is(&self, target: &Target, door: &str, kind: ResourceKind, name: &str) -> bool {
        // One comparison in one place: `door`, what stands between, and `name`.
        let reference = self.text(target.reference);
        let between = reference.strip_suffix(name).and_then(|rest| rest.strip_prefix(door));
        target.kind == kind && between == Some(separator(kind))
    }

    fn door_name(&self, target: &Target) -> &str {
        self.door_of(target).map_or("", |door| self.text(door.name))
    }

    fn name(&self, target: &Target) -> &str {
        self.text(target.item).get(separator(target.kind).len().saturating_sub(1)..).unwrap_or("")
    }
}

impl Filed {
    /// Whether anything is filed under a group.
    pub(crate) const fn has_groups(self) -> bool {
        !self.by_group.is_empty()
    }

    /// Whether anything may be filed under one of these groups.
    pub(crate) const fn may_name(self, groups: GroupSet) -> bool {
        self.groups.0 & groups.0 != 0
    }
}

/// What stands between a server and a name in a reference.
const fn separator(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Server | ResourceKind::Tool => ":",
        ResourceKind::Prompt => ":prompt:",
        ResourceKind::Resource => ":resource:",
    }
}

/// Sizes of lists fit in 32 bits because sources are bounded long before.
fn count(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
