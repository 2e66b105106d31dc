//! How the index is filled: every statement filed where a request will look for it.
//!
//! Runs once for a policy. Nothing here decides, and nothing reads what a request says.

use std::hash::BuildHasher;

use hashbrown::HashTable;

use super::super::compiled::Positions;
use super::super::glob::NameGlob;
use super::super::lookup::Lookup;
use super::super::set::{Credential, Item, ItemPattern, PolicySet, Selector, Server, Statement, item_name, named_item};
use super::{
    Door, Entry, Filed, GroupHash, GroupSet, HASHER, Index, IssuerEntry, ItemRules, Named, RuleNumbers, Run, Target,
    Text, count, name_hash,
};
use crate::model::{Position, ResourceKind};

/// How many groups one [`GroupSet`] tells apart well enough.
const FEW: usize = 8;

/// What is filed while the index grows.
#[derive(Default)]
struct Filing {
    by_group: Vec<(GroupHash, Named)>,
    others: Vec<Entry>,
}

impl Filing {
    fn add(&mut self, groups: &[(GroupHash, u32)], entry: Entry) {
        if groups.is_empty() {
            self.others.push(entry);
        } else {
            let named = groups.iter().map(|&(hash, group)| (hash, Named { group, entry: entry.clone() }));
            self.by_group.extend(named);
        }
    }

    fn finish(mut self, lists: &mut Lists<'_>) -> Filed {
        self.by_group.sort_unstable_by_key(|(hash, named)| (hash.key(), named.entry.statement));
        let mut groups = GroupSet::default();
        let sets = if self.by_group.len() > FEW { (self.by_group.len() / 4).next_power_of_two() } else { 0 };
        let filter = append(lists.filters, std::iter::repeat_n(GroupSet::default(), sets));
        for (hash, _) in &self.by_group {
            groups.add(*hash);
            lists.hashes.push(hash.key());
            let filters = lists.filters.get_mut(filter.range());
            if let Some(set) = filters.and_then(|filters| filters.get_mut(hash.set(count(sets)) as usize)) {
                set.add(*hash);
            }
        }
        let by_group = append(lists.named, self.by_group.into_iter().map(|(_, named)| named));
        Filed { by_group, groups, filter, others: append(lists.entries, self.others) }
    }
}

/// The lists of the index that filings end up in.
struct Lists<'i> {
    named: &'i mut Vec<Named>,
    hashes: &'i mut Vec<u32>,
    filters: &'i mut Vec<GroupSet>,
    entries: &'i mut Vec<Entry>,
}

/// A door that is being added.
#[derive(Clone, Copy)]
struct Entrance<'s> {
    number: u32,
    name: &'s str,
    server: &'s Server,
}

pub(super) struct Builder<'s> {
    set: &'s PolicySet,
    positions: &'s Positions,
    index: Index,
    group_numbers: Lookup<&'s str, u32>,
}

impl<'s> Builder<'s> {
    pub(super) fn new(set: &'s PolicySet, positions: &'s Positions) -> Self {
        let (doors, items) = (set.servers.len(), set.items().count());
        let index =
            Index { doors: Vec::with_capacity(doors), targets: Vec::with_capacity(doors + items), ..Index::default() };
        Self { set, positions, index, group_numbers: Lookup::default() }
    }

    pub(super) fn build(mut self) -> Index {
        self.add_issuers();
        let set = self.set;
        let mut places = self.positions.items.iter();
        for (name, server) in &set.servers {
            self.add_door(name, server, &mut places);
        }
        self.add_lookups();
        self.add_bundles();
        self.file(&set.grants, true);
        self.file(&set.denies, false);
        self.index
    }

    fn add_issuers(&mut self) {
        self.index.issuers = self
            .set
            .issuers
            .iter()
            .zip(0..)
            .map(|((name, issuer), number)| IssuerEntry {
                number,
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

    fn add_door(&mut self, name: &'s str, server: &'s Server, places: &mut std::slice::Iter<'s, Position>) {
        let number = count(self.index.doors.len());
        let position = self.positions.servers.get(name).cloned().unwrap_or_default();
        let door = Entrance { number, name, server };
        let session = self.add_target(door, (ResourceKind::Server, ""), None, position.clone());
        let mut uris = Vec::new();
        for (kind, item, declared) in server.items() {
            let position = places.next().cloned().unwrap_or_default();
            let target = self.add_target(door, (kind, item), Some(declared), position);
            if let Some(uri) = &declared.uri {
                uris.push((uri.clone(), target));
            }
        }
        // Stable: patterns of one length stay in the order of their names.
        uris.sort_by_key(|(uri, _)| std::cmp::Reverse(uri.literal_prefix().chars().count()));
        let issuers = server.issuers.as_deref().map(|names| {
            let numbers: Vec<u32> = names.iter().filter_map(|n| self.index.issuer(n)).map(|i| i.number).collect();
            append(&mut self.index.accepted, numbers)
        });
        self.index.doors.push(Door {
            name: add_text(&mut self.index.texts, name),
            position,
            resource: add_text(&mut self.index.texts, &server.resource),
            issuers,
            callers: boxed(&server.callers),
            token_ttl: server.token_ttl,
            grants: Filed::default(),
            denies: Filed::default(),
            session,
            uris,
        });
    }

    fn add_target(
        &mut self,
        door: Entrance<'s>,
        (kind, name): (ResourceKind, &'s str),
        declared: Option<&Item>,
        position: Position,
    ) -> u32 {
        let number = count(self.index.targets.len());
        let Entrance { number: door, name: server_name, server } = door;
        let item = item_name(kind, name);
        let Index { texts, scopes, .. } = &mut self.index;
        let reference = add_texts(texts, &[server_name, ":", &item]);
        let own = declared.map(|d| append(scopes, d.scopes.iter().map(|scope| add_text(texts, scope))));
        let audit = add_text(texts, declared.and_then(|d| d.audit.as_deref()).unwrap_or(&server.audit));
        let end = reference.0.end;
        let within = Text(Run { start: end - count(item.len()).min(end), end });
        let rates = server.rate.iter().chain(declared.and_then(|d| d.rate.as_ref())).copied();
        self.index.targets.push(Target {
            door,
            kind,
            reference,
            item: within,
            position,
            token_ttl: declared.and_then(|d| d.token_ttl),
            scopes: own,
            args: declared.map(|d| d.args.clone()).unwrap_or_default(),
            audit,
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
        let mut carried: Vec<(u32, Text)> = Vec::new();
        for (scope, patterns) in &self.set.scopes {
            let text = add_text(&mut self.index.texts, scope);
            for pattern in patterns {
                self.covered(pattern, |_, number| carried.push((number, text)));
            }
        }
        // A bundle may carry an item by several patterns.
        carried.sort_unstable_by_key(|(number, text)| (*number, text.0.start));
        carried.dedup_by_key(|(number, text)| (*number, text.0.start));
        let Index { targets, scopes, .. } = &mut self.index;
        for of_target in carried.chunk_by(|(a, _), (b, _)| a == b) {
            let target = of_target.first().and_then(|(number, _)| targets.get_mut(*number as usize));
            if let Some(run) = target.and_then(|t| t.scopes.as_mut()) {
                let own: Vec<Text> = scopes.get(run.range()).unwrap_or(&[]).to_vec();
                *run = append(scopes, own.into_iter().chain(of_target.iter().map(|(_, text)| *text)));
            }
        }
    }

    /// Calls `visit` with each target that a pattern covers, the servers themselves included, and
    /// its door.
    fn covered(&self, pattern: &'s ItemPattern, mut visit: impl FnMut(u32, u32)) {
        for door in self.doors_of(&pattern.server) {
            match pattern.item.literal() {
                Some(item) => {
                    let (kind, name) = named_item(item);
                    let found = self.index.target_number(self.door_name(door), kind, name);
                    if let Some(number) = found {
                        visit(door, number);
                    }
                }
                None => {
                    let matching = self.targets_of(door).filter(|(_, t)| pattern.item.matches(self.index.text(t.item)));
                    matching.for_each(|(number, _)| visit(door, number));
                }
            }
        }
    }

    /// The targets behind a door, which lie together, the server itself first.
    fn targets_of(&self, door: u32) -> impl Iterator<Item = (u32, &Target)> {
        let first = self.session_number(door);
        let rest = self.index.targets.get(first as usize..).unwrap_or(&[]);
        (first..).zip(rest).take_while(move |(_, target)| target.door == door)
    }

    /// Files statements under what they cover.
    fn file(&mut self, statements: &'s [Statement], grant: bool) {
        let mut by_door: Vec<Filing> = self.index.doors.iter().map(|_| Filing::default()).collect();
        let mut by_target: Vec<Filing> = self.index.targets.iter().map(|_| Filing::default()).collect();
        for (statement, number) in statements.iter().zip(0..) {
            let groups = self.group_names(statement);
            let plain = !groups.is_empty() && only_groups(&statement.to) && statement.expires.is_none();
            let first_rule = count(self.index.rules.len());
            self.index.rules.extend(statement.args.iter().map(|(pattern, rules)| ItemRules {
                item: (!pattern.item.matches_everything()).then(|| pattern.item.clone()),
                rules: rules.clone(),
            }));
            let (doors, targets) = self.coverage(statement, grant, first_rule);
            for (under, filings) in [(doors, &mut by_door), (targets, &mut by_target)] {
                for (place, args) in under {
                    if let Some(filing) = filings.get_mut(place as usize) {
                        filing.add(&groups, Entry { statement: number, plain, args });
                    }
                }
            }
        }
        let Index { doors, targets, named, hashes, filters, entries, .. } = &mut self.index;
        let mut lists = Lists { named, hashes, filters, entries };
        for (door, filing) in doors.iter_mut().zip(by_door) {
            *(if grant { &mut door.grants } else { &mut door.denies }) = filing.finish(&mut lists);
        }
        for (target, filing) in targets.iter_mut().zip(by_target) {
            *(if grant { &mut target.grants } else { &mut target.denies }) = filing.finish(&mut lists);
        }
    }

    /// The groups that a statement is filed under; none when it asks for groups by a pattern or not
    /// at all.
    fn group_names(&mut self, statement: &'s Statement) -> Vec<(GroupHash, u32)> {
        let globs = &statement.to.groups;
        if globs.iter().any(|glob| glob.literal().is_none()) {
            return Vec::new();
        }
        let numbered = globs.iter().filter_map(NameGlob::literal).map(|name| {
            let number = *self.group_numbers.entry(name).or_insert_with(|| {
                let name = add_text(&mut self.index.texts, name);
                self.index.groups.push(name);
                count(self.index.groups.len() - 1)
            });
            (GroupHash::of(name), number)
        });
        numbered.collect()
    }

    /// Where one statement is filed: doors that it covers whole, and single targets of others.
    ///
    /// The server itself is a target of its own: every grant at the door is filed there, and each
    /// deny that covers it, without arguments in both cases, for it has none.
    fn coverage(&self, statement: &'s Statement, grant: bool, first_rule: u32) -> (Places, Places) {
        let (mut doors, mut targets) = (Places::new(), Places::new());
        for pattern in statement.items.iter().filter(|p| p.item.matches_everything()) {
            for door in self.doors_of(&pattern.server) {
                let server = self.door_name(door);
                doors.push((door, rule_numbers(statement, first_rule, |p| p.server.matches(server))));
                targets.push((self.session_number(door), RuleNumbers::None));
            }
        }
        once_each(&mut doors);
        for pattern in statement.items.iter().filter(|p| !p.item.matches_everything()) {
            self.covered(pattern, |door, number| {
                if doors.binary_search_by_key(&door, |(door, _)| *door).is_ok() {
                    return;
                }
                let Some(target) = self.index.targets.get(number as usize) else { return };
                let args = if target.kind == ResourceKind::Server {
                    RuleNumbers::None
                } else {
                    rule_numbers(statement, first_rule, |p| {
                        p.matches(self.door_name(door), self.index.text(target.item))
                    })
                };
                targets.push((number, args));
                if grant {
                    targets.push((self.session_number(door), RuleNumbers::None));
                }
            });
        }
        once_each(&mut targets);
        (doors, targets)
    }

    /// The doors of the servers that a pattern names, in order.
    fn doors_of(&self, server: &'s NameGlob) -> impl Iterator<Item = u32> {
        let (one, several) = match server.literal() {
            Some(name) => (self.index.door_number(name), 0..0),
            None => (None, 0..count(self.index.doors.len())),
        };
        one.into_iter().chain(several.filter(|door| server.matches(self.door_name(*door))))
    }

    fn door_name(&self, door: u32) -> &str {
        self.index.doors.get(door as usize).map_or("", |door| self.index.text(door.name))
    }

    fn session_number(&self, door: u32) -> u32 {
        self.index.doors.get(door as usize).map_or(u32::MAX, |d| d.session)
    }

    fn add_lookups(&mut self) {
        let index = &self.index;
        let mut door_by_name = HashTable::with_capacity(index.doors.len());
        let mut target_by_name = HashTable::with_capacity(index.targets.len());
        let door_hash = |door: &Door| HASHER.hash_one(index.text(door.name));
        for (door, number) in index.doors.iter().zip(0..) {
            let rehash = |n: &u32| index.doors.get(*n as usize).map_or(0, door_hash);
            door_by_name.insert_unique(door_hash(door), number, rehash);
        }
        let target_hash = |target: &Target| name_hash(index.door_name(target), index.name(target));
        for (target, number) in index.targets.iter().zip(0..) {
            let rehash = |n: &u32| index.targets.get(*n as usize).map_or(0, target_hash);
            target_by_name.insert_unique(target_hash(target), number, rehash);
        }
        (self.index.door_by_name, self.index.target_by_name) = (door_by_name, target_by_name);
    }
}

/// Adds a text to the end of all texts.
fn add_text(texts: &mut String, text: &str) -> Text {
    add_texts(texts, &[text])
}

/// Adds a text in parts to the end of all texts.
fn add_texts(texts: &mut String, parts: &[&str]) -> Text {
    let start = count(texts.len());
    texts.extend(parts.iter().copied());
    Text(Run { start, end: count(texts.len()) })
}

/// Adds a list to the end of all lists of its kind.
fn append<T>(all: &mut Vec<T>, list: impl IntoIterator<Item = T>) -> Run {
    let start = count(all.len());
    all.extend(list);
    Run { start, end: count(all.len()) }
}

/// Doors or targets, each with the rules for it.
type Places = Vec<(u32, RuleNumbers)>;

/// Orders places and drops what is there twice: the rules follow from the place.
fn once_each(places: &mut Places) {
    places.sort_by_key(|(place, _)| *place);
    places.dedup_by_key(|(place, _)| *place);
}

fn rule_numbers(statement: &Statement, first: u32, fits: impl Fn(&ItemPattern) -> bool) -> RuleNumbers {
    let fitting = statement.args.iter().zip(first..).filter(|((pattern, _), _)| fits(pattern));
    let mut numbers = fitting.map(|(_, number)| number);
    match (numbers.next(), numbers.next()) {
        (None, _) => RuleNumbers::None,
        (Some(one), None) => RuleNumbers::One(one),
        (Some(one), Some(two)) => RuleNumbers::Several([one, two].into_iter().chain(numbers).collect()),
    }
}

fn only_groups(selector: &Selector) -> bool {
    let Selector { issuers, subjects, agents, groups: _, claims, servers } = selector;
    issuers.is_empty() && subjects.is_empty() && agents.is_empty() && claims.is_empty() && servers.is_empty()
}

fn boxed(list: &[String]) -> Box<[Box<str>]> {
    list.iter().map(|s| s.as_str().into()).collect()
}
