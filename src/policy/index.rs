//! The index of a policy set: one lookup from a request to the few statements that can matter.
//!
//! Built once and never changed. Nothing here decides; `pdp` reads it.
//!
//! A statement is filed under each item that it covers, or under the door when it covers all of
//! it, and there under each of its groups. So the cost of a decision follows the statements that
//! name both this item and one of the subject's groups, not the size of the policy.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::compiled::Positions;
use super::glob::{NameGlob, PathGlob};
use super::matcher::ArgRules;
use super::set::{Credential, Item, ItemPattern, PolicySet, Server, Statement, item_name};
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
    /// Issuer, `sub` and server of every server that can be a caller. Sorted.
    identities: Vec<(String, String, String)>,
}

/// A door with the statements that cover all of it.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) name: Box<str>,
    pub(crate) position: Position,
    /// `aud` values accepted from issuers that declare none of their own.
    pub(crate) resource: Box<str>,
    /// The issuers accepted here; `None` for all.
    pub(crate) issuers: Option<Box<[Box<str>]>>,
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
    name: Box<str>,
    /// The right side of its reference, as patterns match it.
    pub(crate) item: Box<str>,
    /// `server:item`, as reports name it.
    pub(crate) reference: Box<str>,
    pub(crate) position: Position,
    pub(crate) token_ttl: Option<u32>,
    /// The token scopes of which one is needed; `None` when no scope is.
    pub(crate) scopes: Option<Box<[Box<str>]>>,
    pub(crate) args: ArgRules,
    pub(crate) audit: Box<str>,
    pub(crate) rates: Box<[Rate]>,
    pub(crate) credential_ttl: Option<u32>,
    pub(crate) grants: Filed,
    pub(crate) denies: Filed,
}

#[derive(Debug)]
pub(crate) struct IssuerEntry {
    pub(crate) name: Box<str>,
    pub(crate) position: Position,
    pub(crate) audiences: Box<[Box<str>]>,
    pub(crate) max_lifetime: u32,
    pub(crate) clock_skew: u32,
}

/// Statements filed under one target or door.
#[derive(Debug, Default)]
pub(crate) struct Filed {
    /// Those that ask for groups by name, once for each name, sorted by hash.
    pub(crate) by_group: Box<[(u64, Entry)]>,
    /// The others.
    pub(crate) others: Box<[Entry]>,
}

/// One statement, by its number, with what it asks of the arguments of this target.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) statement: u32,
    /// Numbers into the statement's `args`. Filed under a door, the item must still be matched.
    pub(crate) args: Box<[u32]>,
}

/// The hash under which a group is filed.
pub(crate) fn group_hash(group: &str) -> u64 {
    HASHER.hash_one(group)
}

fn name_hash(door: &str, kind: ResourceKind, name: &str) -> u64 {
    HASHER.hash_one((door, kind, name))
}

impl Index {
    pub(crate) fn new(set: &PolicySet, positions: &Positions) -> Self {
        Builder::new(set, positions).build()
    }

    pub(crate) fn door(&self, name: &str) -> Option<&Door> {
        let number = self
            .door_by_name
            .find(HASHER.hash_one(name), |n| self.doors.get(*n as usize).is_some_and(|d| *d.name == *name))?;
        self.doors.get(*number as usize)
    }

    /// The tool or prompt of that name, with its door.
    pub(crate) fn target(&self, door: &str, kind: ResourceKind, name: &str) -> Option<(&Door, &Target)> {
        let fits = |n: &u32| {
            self.targets.get(*n as usize).is_some_and(|t| {
                *t.name == *name && t.kind == kind && self.door_of(t).is_some_and(|d| *d.name == *door)
            })
        };
        let target = self.targets.get(*self.target_by_name.find(name_hash(door, kind, name), fits)? as usize)?;
        Some((self.door_of(target)?, target))
    }

    /// The server itself as a target.
    pub(crate) fn session(&self, door: &Door) -> Option<&Target> {
        self.targets.get(door.session as usize)
    }

    /// The URI patterns that match, most specific first.
    pub(crate) fn uris<'i, 'u>(
        &'i self,
        door: &'i Door,
        uri: &'u str,
    ) -> impl Iterator<Item = &'i Target> + use<'i, 'u> {
        let matching = door.uris.iter().filter(move |(glob, _)| glob.matches(uri));
        matching.filter_map(|(_, number)| self.targets.get(*number as usize))
    }

    pub(crate) fn issuer(&self, name: &str) -> Option<&IssuerEntry> {
        self.issuers.iter().find(|i| *i.name == *name)
    }

    /// The server that an issuer and `sub` stand for.
    pub(crate) fn server_of(&self, issuer: &str, subject: &str) -> Option<&str> {
        let order = |(i, s, _): &(String, String, String)| (i.as_str(), s.as_str()).cmp(&(issuer, subject));
        let found = self.identities.binary_search_by(order).ok()?;
        self.identities.get(found).map(|(_, _, server)| server.as_str())
    }

    /// The names of all doors.
    pub(crate) fn door_names(&self) -> impl Iterator<Item = &str> {
        self.doors.iter().map(|door| &*door.name)
    }

    /// The names of one kind of thing behind a door.
    pub(crate) fn names<'i>(&'i self, door: &str, kind: ResourceKind) -> impl Iterator<Item = &'i str> + use<'i> {
        let number = self.doors.iter().position(|d| *d.name == *door).map(count);
        self.targets.iter().filter(move |t| Some(t.door) == number && t.kind == kind).map(|t| &*t.name)
    }

    /// Whether any server can be a caller.
    pub(crate) fn has_identities(&self) -> bool {
        !self.identities.is_empty()
    }

    fn door_of(&self, target: &Target) -> Option<&Door> {
        self.doors.get(target.door as usize)
    }
}

impl Filed {
    /// The statements that ask for a group of that name.
    pub(crate) fn of_group(&self, hash: u64) -> impl Iterator<Item = &Entry> {
        // A handful is scanned faster than searched.
        let start = if self.by_group.len() <= 8 { 0 } else { self.by_group.partition_point(|(h, _)| *h < hash) };
        let scan_all = self.by_group.len() <= 8;
        let rest = self.by_group.get(start..).unwrap_or(&[]);
        rest.iter().take_while(move |(h, _)| scan_all || *h == hash).filter(move |(h, _)| *h == hash).map(|(_, e)| e)
    }

    /// Every statement; one that asks for several groups comes several times.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Entry> {
        self.by_group.iter().map(|(_, entry)| entry).chain(&self.others)
    }

    fn add(by_group: &mut Vec<(u64, Entry)>, others: &mut Vec<Entry>, statement: &Statement, entry: Entry) {
        let names: Option<Vec<&str>> = statement.to.groups.iter().map(NameGlob::literal).collect();
        match names {
            Some(names) if !names.is_empty() => {
                by_group.extend(names.into_iter().map(|name| (group_hash(name), entry.clone())));
            }
            _ => others.push(entry),
        }
    }
}

/// What is filed while the index grows.
#[derive(Default)]
struct Filing {
    by_group: Vec<(u64, Entry)>,
    others: Vec<Entry>,
}

impl Filing {
    fn add(&mut self, statement: &Statement, entry: Entry) {
        Filed::add(&mut self.by_group, &mut self.others, statement, entry);
    }

    fn finish(mut self) -> Filed {
        self.by_group.sort_by_key(|(hash, entry)| (*hash, entry.statement));
        Filed { by_group: self.by_group.into(), others: self.others.into() }
    }
}

struct Builder<'s> {
    set: &'s PolicySet,
    positions: &'s Positions,
    index: Index,
    /// Each server's door and the numbers of its targets by item name.
    items: BTreeMap<&'s str, BTreeMap<Box<str>, u32>>,
    door_numbers: BTreeMap<&'s str, u32>,
}

impl<'s> Builder<'s> {
    fn new(set: &'s PolicySet, positions: &'s Positions) -> Self {
        Self { set, positions, index: Index::default(), items: BTreeMap::new(), door_numbers: BTreeMap::new() }
    }

    fn build(mut self) -> Index {
        self.add_issuers();
        let set = self.set;
        for (name, server) in &set.servers {
            self.add_door(name, server);
        }
        self.add_bundles();
        self.file(&set.grants, true);
        self.file(&set.denies, false);
        self.add_lookups();
        self.index
    }

    fn add_issuers(&mut self) {
        self.index.issuers = self
            .set
            .issuers
            .iter()
            .map(|(name, issuer)| IssuerEntry {
                name: name.as_str().into(),
                position: self.positions.issuers.get(name).cloned().unwrap_or_default(),
                audiences: boxed(&issuer.audiences),
                max_lifetime: issuer.max_lifetime,
                clock_skew: issuer.clock_skew,
            })
            .collect();
        self.index.identities = self
            .set
            .servers
            .iter()
            .filter_map(|(name, server)| {
                server.identity.as_ref().map(|i| (i.issuer.clone(), i.subject.clone(), name.clone()))
            })
            .collect();
        self.index.identities.sort();
    }

    fn add_door(&mut self, name: &'s str, server: &'s Server) {
        let number = count(self.index.doors.len());
        let position = self.positions.servers.get(name).cloned().unwrap_or_default();
        self.door_numbers.insert(name, number);
        let session = self.add_target(number, name, server, ResourceKind::Server, "", None, position.clone());
        let mut uris = Vec::new();
        let kinds = [
            (ResourceKind::Tool, &server.tools),
            (ResourceKind::Prompt, &server.prompts),
            (ResourceKind::Resource, &server.resources),
        ];
        for (kind, items) in kinds {
            for (item, declared) in items {
                let key = (name.to_owned(), kind, item.clone());
                let position = self.positions.items.get(&key).cloned().unwrap_or_default();
                let target = self.add_target(number, name, server, kind, item, Some(declared), position);
                if let Some(uri) = &declared.uri {
                    uris.push((uri.clone(), target));
                }
            }
        }
        // Stable: patterns of one length stay in the order of their names.
        uris.sort_by_key(|(uri, _)| std::cmp::Reverse(uri.literal_prefix().chars().count()));
        self.index.doors.push(Door {
            name: name.into(),
            position,
            resource: server.resource.as_str().into(),
            issuers: server.issuers.as_deref().map(boxed),
            callers: boxed(&server.callers),
            token_ttl: server.token_ttl,
            grants: Filed::default(),
            denies: Filed::default(),
            session,
            uris,
        });
    }

    #[expect(clippy::too_many_arguments, reason = "one call site for the door and one for what is behind it")]
    fn add_target(
        &mut self,
        door: u32,
        server_name: &'s str,
        server: &Server,
        kind: ResourceKind,
        name: &str,
        declared: Option<&Item>,
        position: Position,
    ) -> u32 {
        let number = count(self.index.targets.len());
        let item: Box<str> = item_name(kind, name).into();
        self.items.entry(server_name).or_default().insert(item.clone(), number);
        let rates = server.rate.iter().chain(declared.and_then(|d| d.rate.as_ref())).copied();
        self.index.targets.push(Target {
            door,
            kind,
            name: name.into(),
            reference: format!("{server_name}:{item}").into(),
            item,
            position,
            token_ttl: declared.and_then(|d| d.token_ttl),
            scopes: declared.map(|d| boxed(&d.scopes)),
            args: declared.map(|d| d.args.clone()).unwrap_or_default(),
            audit: declared.and_then(|d| d.audit.as_deref()).unwrap_or(&server.audit).into(),
            rates: rates.collect(),
            credential_ttl: match server.credential {
                Credential::Vault { ttl, .. } => Some(ttl),
                Credential::None | Credential::Reference(_) => None,
            },
            grants: Filed::default(),
            denies: Filed::default(),
        });
        number
    }

    /// Adds the bundles to the scopes that carry each item.
    fn add_bundles(&mut self) {
        let mut carried: BTreeMap<u32, Vec<Box<str>>> = BTreeMap::new();
        for (scope, patterns) in &self.set.scopes {
            for pattern in patterns {
                for (_, number) in self.covered(pattern) {
                    let scopes = carried.entry(number).or_default();
                    if scopes.last().is_none_or(|last| **last != **scope) {
                        scopes.push(scope.as_str().into());
                    }
                }
            }
        }
        for (number, bundles) in carried {
            if let Some(target) = self.index.targets.get_mut(number as usize)
                && let Some(scopes) = &mut target.scopes
            {
                *scopes = std::mem::take(scopes).into_iter().chain(bundles).collect();
            }
        }
    }

    /// The doors and targets that a pattern covers, the doors themselves included.
    fn covered(&self, pattern: &ItemPattern) -> Vec<(u32, u32)> {
        let of_server = |(server, items): (&&str, &BTreeMap<Box<str>, u32>)| -> Vec<(u32, u32)> {
            let Some(&door) = self.door_numbers.get(*server) else { return Vec::new() };
            match pattern.item.literal() {
                Some(item) => items.get(item).map(|n| (door, *n)).into_iter().collect(),
                None => items.iter().filter(|(i, _)| pattern.item.matches(i)).map(|(_, n)| (door, *n)).collect(),
            }
        };
        match pattern.server.literal() {
            Some(server) => self.items.get_key_value(server).map(of_server).unwrap_or_default(),
            None => self.items.iter().filter(|(s, _)| pattern.server.matches(s)).flat_map(of_server).collect(),
        }
    }

    /// Files statements under what they cover.
    fn file(&mut self, statements: &[Statement], grant: bool) {
        let mut by_door: BTreeMap<u32, Filing> = BTreeMap::new();
        let mut by_target: BTreeMap<u32, Filing> = BTreeMap::new();
        for (number, statement) in statements.iter().enumerate() {
            let (doors, targets) = self.coverage(statement, grant);
            for (&door, item_args) in &doors {
                by_door
                    .entry(door)
                    .or_default()
                    .add(statement, Entry { statement: count(number), args: item_args.clone() });
            }
            for (target, args) in targets {
                by_target.entry(target).or_default().add(statement, Entry { statement: count(number), args });
            }
        }
        for (number, filing) in by_door {
            if let Some(door) = self.index.doors.get_mut(number as usize) {
                *(if grant { &mut door.grants } else { &mut door.denies }) = filing.finish();
            }
        }
        for (number, filing) in by_target {
            if let Some(target) = self.index.targets.get_mut(number as usize) {
                *(if grant { &mut target.grants } else { &mut target.denies }) = filing.finish();
            }
        }
    }

    /// Where one statement is filed: doors that it covers whole, and single targets of others.
    ///
    /// The server itself is a target of its own: every grant at the door is filed there, and each
    /// deny that covers it, without arguments in both cases, for it has none.
    fn coverage(&self, statement: &Statement, grant: bool) -> (BTreeMap<u32, Box<[u32]>>, BTreeMap<u32, Box<[u32]>>) {
        let mut doors = BTreeMap::new();
        let mut targets = BTreeMap::new();
        for pattern in &statement.items {
            if pattern.item.matches_everything() {
                for (&server, &door) in &self.door_numbers {
                    if pattern.server.matches(server) {
                        doors.insert(door, arg_numbers(statement, |p| p.server.matches(server)));
                    }
                }
            }
        }
        for pattern in statement.items.iter().filter(|p| !p.item.matches_everything()) {
            for (door, number) in self.covered(pattern).into_iter().filter(|(door, _)| !doors.contains_key(door)) {
                let Some(target) = self.index.targets.get(number as usize) else { continue };
                let Some(server) = target.reference.strip_suffix(&*target.item).and_then(|s| s.strip_suffix(':'))
                else {
                    continue;
                };
                let args = if target.kind == ResourceKind::Server {
                    Box::default()
                } else {
                    arg_numbers(statement, |p| p.matches(server, &target.item))
                };
                targets.insert(number, args);
                if grant {
                    targets.insert(self.session_number(door), Box::default());
                }
            }
        }
        for &door in doors.keys() {
            targets.insert(self.session_number(door), Box::default());
        }
        (doors, targets)
    }

    fn session_number(&self, door: u32) -> u32 {
        self.index.doors.get(door as usize).map_or(u32::MAX, |d| d.session)
    }

    fn add_lookups(&mut self) {
        let Index { doors, door_by_name, targets, target_by_name, .. } = &mut self.index;
        let door_name = |n: u32| doors.get(n as usize).map_or("", |d| &*d.name);
        for (number, door) in doors.iter().enumerate() {
            door_by_name.insert_unique(HASHER.hash_one(&*door.name), count(number), |n| HASHER.hash_one(door_name(*n)));
        }
        let hash = |t: &Target| name_hash(door_name(t.door), t.kind, &t.name);
        for (number, target) in targets.iter().enumerate() {
            let rehash = |n: &u32| targets.get(*n as usize).map_or(0, hash);
            target_by_name.insert_unique(hash(target), count(number), rehash);
        }
    }
}

fn arg_numbers(statement: &Statement, fits: impl Fn(&ItemPattern) -> bool) -> Box<[u32]> {
    let numbered = statement.args.iter().enumerate().filter(|(_, (pattern, _))| fits(pattern));
    numbered.map(|(number, _)| count(number)).collect()
}

fn boxed(list: &[String]) -> Box<[Box<str>]> {
    list.iter().map(|s| s.as_str().into()).collect()
}

/// Sizes of lists fit in 32 bits because sources are bounded long before.
fn count(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
