//! What a policy needs around its grants when there is none yet: issuers, servers, tools.
//!
//! Only what was called is declared. Addresses cannot be learned: they are placeholders at a host
//! that never resolves (RFC 6761, RFC 2606), and the renderer marks them.

use std::collections::{BTreeMap, BTreeSet};

use super::learner::Learner;
use crate::analyze::Place;
use crate::model::ResourceKind;
use crate::policy::glob::PathGlob;
use crate::policy::set::{Issuer, Item, PolicySet, Server, Upstream, item_name};
use crate::policy::{Layers, is_scope, load, looks_secret};

/// What the placeholder addresses begin with.
pub const FILL_IN: &str = "https://fill-in.invalid/";
/// What the identifier of a door begins with when nothing else is said.
pub const AUDIENCE_HOST: &str = "http://127.0.0.1:8787";

/// The smallest policy of one issuer and one server, from which every default is taken.
const SMALLEST: &str = "version = 1\n[issuers.x]\nurl = \"https://fill-in.invalid/x\"\n\
    [servers.y]\nurl = \"https://fill-in.invalid/y\"\n[servers.y.tools.z]\n";

/// How the URIs that were read are named in a policy that stands alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(BTreeMap<(String, String), String>);

impl Names {
    /// The names in a set. Of today's policy every place has its name already.
    pub(super) fn of(set: &PolicySet, stands_alone: bool) -> Self {
        let mut names = BTreeMap::new();
        if stands_alone {
            for (server, _, name, item) in set.items().filter(|(_, kind, ..)| *kind == ResourceKind::Resource) {
                if let Some(uri) = item.uri.as_ref().and_then(PathGlob::literal) {
                    names.insert((server.to_owned(), uri.to_owned()), name.to_owned());
                }
            }
        }
        Self(names)
    }

    /// A place under the name by which the policy declares it.
    pub(super) fn declared(&self, place: &Place) -> Place {
        let name = self.0.get(&(place.server.clone(), place.name.clone()));
        match name.filter(|_| place.kind == ResourceKind::Resource) {
            Some(name) => Place { name: name.clone(), ..place.clone() },
            None => place.clone(),
        }
    }
}

/// The pattern of one URI; `None` when it is too long for one.
pub(super) fn uri_pattern(uri: &str) -> Option<PathGlob> {
    let escaped: String =
        uri.chars().flat_map(|c| matches!(c, '*' | '?' | '\\').then_some('\\').into_iter().chain([c])).collect();
    PathGlob::new(&escaped).ok()
}

/// A policy set without grants that declares what was called.
pub(super) fn scaffold(learner: &Learner<'_>) -> PolicySet {
    let layers = Layers { files: vec![("smallest".to_owned(), SMALLEST.into())], environment: Vec::new() };
    let mut set = load(&layers).policy.map(|p| p.compiled.set().clone()).unwrap_or_default();
    let (Some((_, issuer)), Some((_, server))) = (set.issuers.pop_first(), set.servers.pop_first()) else {
        return set;
    };
    let mut items: BTreeMap<&str, BTreeSet<&Place>> = BTreeMap::new();
    let mut issuers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for key in learner.callers.map().keys() {
        items.entry(&key.item.server).or_default().insert(&key.item);
        issuers.entry(&key.item.server).or_default().insert(&key.profile.class.issuer);
    }
    let all: BTreeSet<&str> = issuers.values().flatten().copied().collect();
    for name in &all {
        set.issuers.insert((*name).to_owned(), declare_issuer(&issuer, name, learner));
    }
    let own: BTreeSet<String> = items.values().flatten().map(|p| scope_of(p)).collect();
    for (name, places) in items {
        let accepted = issuers.remove(name).unwrap_or_default();
        let mut declared = Server {
            upstream: Upstream::Url(format!("{FILL_IN}{name}/mcp")),
            resource: format!("{AUDIENCE_HOST}/{name}/mcp"),
            issuers: (accepted.len() < all.len()).then(|| accepted.iter().map(|i| (*i).to_owned()).collect()),
            tools: BTreeMap::new(),
            ..server.clone()
        };
        let mut uris = 0;
        for place in places {
            let (kind, uri) = (place.kind, uri_pattern(&place.name));
            let (list, item) = match kind {
                ResourceKind::Server => continue,
                ResourceKind::Tool => (&mut declared.tools, place.name.clone()),
                ResourceKind::Prompt => (&mut declared.prompts, place.name.clone()),
                ResourceKind::Resource => {
                    uris += 1;
                    (&mut declared.resources, format!("uri-{uris}"))
                }
            };
            let reference = format!("{name}:{}", item_name(kind, &item));
            let scopes = vec![scope(learner, place, &reference, &own)];
            let uri = uri.filter(|_| kind == ResourceKind::Resource);
            list.insert(item, Item { scopes, uri, ..Item::default() });
        }
        set.servers.insert(name.to_owned(), declared);
    }
    audiences(&mut set, learner);
    set
}

fn declare_issuer(like: &Issuer, name: &str, learner: &Learner<'_>) -> Issuer {
    let longest = learner.lifetimes.map().get(name).copied().unwrap_or(0);
    // Rounded up to whole minutes.
    let longest = u32::try_from(longest.max(0)).ok().and_then(|n| n.checked_next_multiple_of(60)).unwrap_or(u32::MAX);
    Issuer { url: format!("{FILL_IN}{name}"), max_lifetime: like.max_lifetime.max(longest), ..like.clone() }
}

fn scope_of(place: &Place) -> String {
    format!("{}:{}", place.server, place.item())
}

/// The scope that carries an item: its own unless the calls carried another one and not that. Of
/// several that all calls carried, none that is another item's own, one that begins like this
/// server's, then the lowest.
fn scope(learner: &Learner<'_>, place: &Place, reference: &str, own: &BTreeSet<String>) -> String {
    let Some(carried) = learner.scopes.map().get(place).and_then(|shared| shared.all()) else {
        return reference.to_owned();
    };
    if carried.contains(reference) {
        return reference.to_owned();
    }
    let here = format!("{}:", place.server);
    let fits = carried.iter().filter(|scope| is_scope(scope) && !looks_secret(scope));
    let best = fits.min_by_key(|scope| (own.contains(*scope), !scope.starts_with(&here), *scope));
    best.cloned().unwrap_or_else(|| reference.to_owned())
}

/// The audience that all tokens at a door had: as the identifier of the door where no other door
/// has it, else as an audience of the issuer where all its tokens had it.
fn audiences(set: &mut PolicySet, learner: &Learner<'_>) {
    let shared = learner.audiences.map();
    let mut of_door: BTreeMap<&str, BTreeSet<&String>> = BTreeMap::new();
    for ((door, _), common) in shared {
        let Some(held) = common.all() else { continue };
        match of_door.get_mut(door.as_str()) {
            Some(own) => own.retain(|aud| held.contains(*aud)),
            None => {
                of_door.insert(door, held.iter().collect());
            }
        }
    }
    let mut left = BTreeSet::new();
    let mut taken: BTreeSet<String> = set.servers.values().map(|s| s.resource.clone()).collect();
    for (door, held) in &of_door {
        let Some(server) = set.servers.get_mut(*door) else { continue };
        if held.contains(&server.resource) {
            continue;
        }
        let elsewhere = |aud: &&&String| of_door.iter().any(|(other, theirs)| other != door && theirs.contains(**aud));
        let fits = |aud: &&&String| {
            !taken.contains(**aud)
                && aud.contains(':')
                && !aud.contains('#')
                && aud.bytes().all(|b| b.is_ascii_graphic())
                && !looks_secret(aud)
        };
        match held.iter().filter(|aud| !elsewhere(aud)).filter(fits).min_by_key(|aud| (!aud.contains(door), **aud)) {
            Some(aud) => {
                taken.insert((*aud).clone());
                server.resource = (*aud).clone();
            }
            None => {
                left.insert(*door);
            }
        }
    }
    for (name, issuer) in &mut set.issuers {
        let doors: Vec<_> = shared.iter().filter(|((_, i), _)| i == name).collect();
        if !doors.iter().any(|((door, _), _)| left.contains(door.as_str())) {
            continue;
        }
        let mut everywhere: Option<BTreeSet<&String>> = None;
        for (_, common) in doors {
            let Some(held) = common.all() else { continue };
            everywhere = Some(match everywhere {
                None => held.iter().collect(),
                Some(own) => own.into_iter().filter(|aud| held.contains(*aud)).collect(),
            });
        }
        let first = everywhere.into_iter().flatten().find(|aud| !looks_secret(aud));
        issuer.audiences = first.cloned().into_iter().collect();
    }
}
