//! How the index is filled: every statement filed where a request will look for it.
//!
//! Runs once for a policy. Nothing here decides, and nothing reads what a request says.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use hashbrown::HashTable;

use super::super::compiled::Positions;
use super::super::glob::NameGlob;
use super::super::matcher::RuleList;
use super::super::set::{Credential, Item, ItemPattern, PolicySet, Selector, Server, Statement, item_name};
use super::{
    Door, Entry, Filed, HASHER, Index, IssuerEntry, ItemRules, Named, RuleNumbers, Run, Target, Text, count,
    group_hash, name_hash,
};
use crate::model::{Position, ResourceKind};

/// What is filed while the index grows.
#[derive(Default)]
struct Filing {
    by_group: Vec<Named>,
    others: Vec<Entry>,
}

impl Filing {
    fn add(&mut self, groups: &[(u64, u32)], entry: Entry) {
        if groups.is_empty() {
            self.others.push(entry);
        } else {
            let named = groups.iter().map(|&(hash, group)| Named { hash, group, entry: entry.clone() });
            self.by_group.extend(named);
        }
    }

    fn finish(mut self, named: &mut Vec<Named>, entries: &mut Vec<Entry>) -> Filed {
        self.by_group.sort_by_key(|named| (named.hash, named.entry.statement));
        Filed { by_group: append(named, self.by_group), others: append(entries, self.others) }
    }
}

pub(super) struct Builder<'s> {
    set: &'s PolicySet,
    positions: &'s Positions,
    index: Index,
    /// Each server's door and the numbers of its targets by item name.
    items: BTreeMap<&'s str, BTreeMap<Box<str>, u32>>,
    door_numbers: BTreeMap<&'s str, u32>,
    group_numbers: BTreeMap<&'s str, u32>,
}

impl<'s> Builder<'s> {
    pub(super) fn new(set: &'s PolicySet, positions: &'s Positions) -> Self {
        let index = Index::default();
        let (items, door_numbers, group_numbers) = Default::default();
        Self { set, positions, index, items, door_numbers, group_numbers }
    }

    pub(super) fn build(mut self) -> Index {
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
            // Both are sorted by name, so one walk finds the places without making a key for each.
            let first = (name.to_owned(), kind, String::new());
            let mut places = self.positions.items.range(first..).take_while(|((s, k, _), _)| s == name && *k == kind);
            let mut place = places.next();
            for (item, declared) in items {
                while place.is_some_and(|((_, _, n), _)| n < item) {
                    place = places.next();
                }
                let found = place.filter(|((_, _, n), _)| n == item);
                let position = found.map(|(_, position)| position.clone()).unwrap_or_default();
                let target = self.add_target(number, name, server, kind, item, Some(declared), position);
                if let Some(uri) = &declared.uri {
                    uris.push((uri.clone(), target));
                }
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
        let texts = &mut self.index.texts;
        let reference = add_text(texts, &format!("{server_name}:{item}"));
        let own = declared.map(|d| d.scopes.iter().map(|scope| add_text(texts, scope)).collect());
        let scopes = own.map(|own| append(&mut self.index.scopes, own));
        let audit = add_text(texts, declared.and_then(|d| d.audit.as_deref()).unwrap_or(&server.audit));
        let end = reference.0.end;
        let within = Text(Run { start: end - count(item.len()).min(end), end });
        self.items.entry(server_name).or_default().insert(item, number);
        let rates = server.rate.iter().chain(declared.and_then(|d| d.rate.as_ref())).copied();
        self.index.targets.push(Target {
            door,
            kind,
            reference,
            item: within,
            position,
            token_ttl: declared.and_then(|d| d.token_ttl),
            scopes,
            args: declared.map(|d| RuleList::new(&d.args)).unwrap_or_default(),
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
        let mut carried: BTreeMap<u32, Vec<Text>> = BTreeMap::new();
        for (scope, patterns) in &self.set.scopes {
            let text = add_text(&mut self.index.texts, scope);
            for pattern in patterns {
                for (_, number) in self.covered(pattern) {
                    let scopes = carried.entry(number).or_default();
                    if scopes.last().is_none_or(|last| last.0.start != text.0.start) {
                        scopes.push(text);
                    }
                }
            }
        }
        let Index { targets, scopes, .. } = &mut self.index;
        for (number, bundles) in carried {
            if let Some(run) = targets.get_mut(number as usize).and_then(|t| t.scopes.as_mut()) {
                let all = scopes.get(run.range()).unwrap_or(&[]).iter().copied().chain(bundles).collect();
                *run = append(scopes, all);
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
    fn file(&mut self, statements: &'s [Statement], grant: bool) {
        let mut by_door: Vec<Filing> = self.index.doors.iter().map(|_| Filing::default()).collect();
        let mut by_target: Vec<Filing> = self.index.targets.iter().map(|_| Filing::default()).collect();
        for (statement, number) in statements.iter().zip(0..) {
            let groups = self.group_names(statement);
            let plain = !groups.is_empty() && only_groups(&statement.to) && statement.expires.is_none();
            let first_rule = count(self.index.rules.len());
            self.index.rules.extend(statement.args.iter().map(|(pattern, rules)| ItemRules {
                item: (!pattern.item.matches_everything()).then(|| pattern.item.clone()),
                rules: RuleList::new(rules),
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
        let Index { doors, targets, named, entries, .. } = &mut self.index;
        for (door, filing) in doors.iter_mut().zip(by_door) {
            *(if grant { &mut door.grants } else { &mut door.denies }) = filing.finish(named, entries);
        }
        for (target, filing) in targets.iter_mut().zip(by_target) {
            *(if grant { &mut target.grants } else { &mut target.denies }) = filing.finish(named, entries);
        }
    }

    /// The groups that a statement is filed under; none when it asks for groups by a pattern or not
    /// at all.
    fn group_names(&mut self, statement: &'s Statement) -> Vec<(u64, u32)> {
        let names: Option<Vec<&str>> = statement.to.groups.iter().map(NameGlob::literal).collect();
        let numbered = names.unwrap_or_default().into_iter().map(|name| {
            let number = *self.group_numbers.entry(name).or_insert_with(|| {
                let name = add_text(&mut self.index.texts, name);
                self.index.groups.push(name);
                count(self.index.groups.len() - 1)
            });
            (group_hash(name), number)
        });
        numbered.collect()
    }

    /// Where one statement is filed: doors that it covers whole, and single targets of others.
    ///
    /// The server itself is a target of its own: every grant at the door is filed there, and each
    /// deny that covers it, without arguments in both cases, for it has none.
    fn coverage(&self, statement: &Statement, grant: bool, first_rule: u32) -> (Places, Places) {
        let mut doors = Places::new();
        let mut targets = Places::new();
        for pattern in statement.items.iter().filter(|p| p.item.matches_everything()) {
            for (server, door) in self.doors_of(&pattern.server) {
                doors.insert(door, rule_numbers(statement, first_rule, |p| p.server.matches(server)));
            }
        }
        for pattern in statement.items.iter().filter(|p| !p.item.matches_everything()) {
            for (door, number) in self.covered(pattern).into_iter().filter(|(door, _)| !doors.contains_key(door)) {
                let Some(target) = self.index.targets.get(number as usize) else { continue };
                let args = if target.kind == ResourceKind::Server {
                    RuleNumbers::None
                } else {
                    rule_numbers(statement, first_rule, |p| {
                        p.matches(self.index.door_name(target), self.index.text(target.item))
                    })
                };
                targets.insert(number, args);
                if grant {
                    targets.insert(self.session_number(door), RuleNumbers::None);
                }
            }
        }
        for &door in doors.keys() {
            targets.insert(self.session_number(door), RuleNumbers::None);
        }
        (doors, targets)
    }

    fn doors_of(&self, server: &NameGlob) -> Vec<(&'s str, u32)> {
        let own = |(name, number): (&&'s str, &u32)| (*name, *number);
        match server.literal() {
            Some(name) => self.door_numbers.get_key_value(name).map(own).into_iter().collect(),
            None => self.door_numbers.iter().map(own).filter(|(name, _)| server.matches(name)).collect(),
        }
    }

    fn session_number(&self, door: u32) -> u32 {
        self.index.doors.get(door as usize).map_or(u32::MAX, |d| d.session)
    }

    fn add_lookups(&mut self) {
        let index = &self.index;
        let (mut door_by_name, mut target_by_name) = (HashTable::new(), HashTable::new());
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
    let start = count(texts.len());
    texts.push_str(text);
    Text(Run { start, end: count(texts.len()) })
}

/// Adds a list to the end of all lists of its kind.
fn append<T>(all: &mut Vec<T>, list: Vec<T>) -> Run {
    let start = count(all.len());
    all.extend(list);
    Run { start, end: count(all.len()) }
}

/// Doors or targets, each with the rules for it.
type Places = BTreeMap<u32, RuleNumbers>;

fn rule_numbers(statement: &Statement, first: u32, fits: impl Fn(&ItemPattern) -> bool) -> RuleNumbers {
    let fitting = statement.args.iter().zip(first..).filter(|((pattern, _), _)| fits(pattern));
    let numbers: Vec<u32> = fitting.map(|(_, number)| number).collect();
    match *numbers {
        [] => RuleNumbers::None,
        [one] => RuleNumbers::One(one),
        _ => RuleNumbers::Several(numbers.into()),
    }
}

fn only_groups(selector: &Selector) -> bool {
    let Selector { issuers, subjects, agents, groups: _, claims, servers } = selector;
    issuers.is_empty() && subjects.is_empty() && agents.is_empty() && claims.is_empty() && servers.is_empty()
}

fn boxed(list: &[String]) -> Box<[Box<str>]> {
    list.iter().map(|s| s.as_str().into()).collect()
}
