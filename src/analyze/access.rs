//! Who can do something, and what someone can do.

use serde_json::{Map, Value};

use super::place::{Place, RuleRef};
use super::space::{Fixed, Who};
use super::spot::at_points;
use super::view::{Ask, View};
use super::witness::Witness;
use super::{Limit, Options, Unanswered, wording};
use crate::model::{ResourceKind, Timestamp};
use crate::policy::CompiledPolicy;
use crate::policy::set::ItemPattern;

/// The access to each item that was asked about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The items.
    pub items: Vec<Access>,
    /// Items about which no answer could be found.
    pub unanswered: Vec<Unanswered>,
}

/// The access to one item.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// The item.
    pub place: Place,
    /// The token scopes of which one is needed; `None` when no scope is.
    pub scopes: Option<Vec<String>>,
    /// Until how many seconds after `iat` a token is honoured.
    pub token_ttl: Option<u32>,
    /// The argument rules for every caller.
    pub args: Vec<String>,
    /// The grants that allow it to someone, in the order of the policy set.
    pub grants: Vec<Granted>,
}

/// A grant that allows an item to someone.
#[derive(Clone, Debug, PartialEq)]
pub struct Granted {
    /// The grant.
    pub grant: RuleRef,
    /// Whom it is about.
    pub to: String,
    /// Until when.
    pub expires: Option<Timestamp>,
    /// The argument rules that it adds.
    pub args: Vec<String>,
    /// The denies that take a part of it away.
    pub except: Vec<Exception>,
    /// A request that it allows.
    pub witness: Witness,
}

/// A deny that takes away a part of what a grant gives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exception {
    /// The deny.
    pub deny: RuleRef,
    /// Whom it is about.
    pub to: String,
    /// Until when.
    pub expires: Option<Timestamp>,
    /// With which arguments; with any when empty.
    pub args: Vec<String>,
}

/// Who can use the items of a pattern, with these arguments where some are given. Items that nobody
/// can use are listed without grants.
pub fn who_can(
    policy: &CompiledPolicy,
    pattern: &ItemPattern,
    arguments: Option<&Map<String, Value>>,
    options: Options,
) -> Answer {
    let view = View::new(policy);
    let places = Place::all(view.set).into_iter().filter(|p| {
        // The server itself only when asked for by name: it is behind everything else there.
        pattern.matches(&p.server, &p.item()) && (p.kind != ResourceKind::Server || pattern.item.literal().is_some())
    });
    let who = Who::default();
    answer(&view, places, &Fixed { who: &who, arguments, options })
}

/// What a subject can do, of whom as much is given as is known. Items out of reach are left out.
pub fn what_can(policy: &CompiledPolicy, who: &Who, options: Options) -> Answer {
    let view = View::new(policy);
    let mut answer = answer(&view, Place::all(view.set), &Fixed { who, arguments: None, options });
    answer.items.retain(|access| !access.grants.is_empty());
    answer
}

/// A request with which a subject can use an item.
pub fn reachable(
    policy: &CompiledPolicy,
    who: &Who,
    place: &Place,
    options: Options,
) -> Result<Option<Witness>, Limit> {
    let view = View::new(policy);
    let mut reached = None;
    at_points(&view, place, &Fixed { who, arguments: None, options }, |spot, budget| {
        for grant in &spot.gate.grants {
            if reached.is_none() {
                reached = spot.allowed(grant, &[], &[], budget)?;
            }
        }
        Ok(())
    })?;
    Ok(reached)
}

fn answer(view: &View<'_>, places: impl IntoIterator<Item = Place>, fixed: &Fixed<'_>) -> Answer {
    let mut answer = Answer::default();
    for place in places {
        match access(view, &place, fixed) {
            Ok(Some(access)) => answer.items.push(access),
            Ok(None) => {}
            Err(limit) => answer.unanswered.push(Unanswered { place, limit }),
        }
    }
    answer
}

fn access(view: &View<'_>, place: &Place, fixed: &Fixed<'_>) -> Result<Option<Access>, Limit> {
    let Some(server) = view.set.servers.get(&place.server) else { return Ok(None) };
    let declared = view.declared(place);
    let mut access = Access {
        place: place.clone(),
        scopes: declared.map(|_| view.scopes(place)),
        token_ttl: declared.and_then(|d| d.token_ttl).into_iter().chain(server.token_ttl).min(),
        args: declared.map(|d| wording::rules(&d.args.iter().collect::<Vec<_>>())).unwrap_or_default(),
        grants: Vec::new(),
    };
    at_points(view, place, fixed, |spot, budget| {
        for grant in &spot.gate.grants {
            let known = access.grants.iter().position(|g| g.grant.number == grant.number);
            if known.is_none() {
                let Some(witness) = spot.allowed(grant, &[], &[], budget)? else { continue };
                access.grants.push(Granted {
                    grant: view.grant_ref(grant.number),
                    to: wording::selector(grant.to),
                    expires: grant.expires,
                    args: wording::rules(&grant.rules),
                    except: Vec::new(),
                    witness,
                });
            }
            for deny in &spot.gate.denies {
                if spot.meet(grant, deny, budget)?
                    && let Some(granted) = access.grants.iter_mut().find(|g| g.grant.number == grant.number)
                {
                    let exception = exception(view, deny);
                    if !granted.except.contains(&exception) {
                        granted.except.push(exception);
                    }
                }
            }
        }
        Ok(())
    })?;
    access.grants.sort_by_key(|g| g.grant.number);
    access.grants.iter_mut().for_each(|g| g.except.sort());
    Ok(Some(access))
}

fn exception(view: &View<'_>, deny: &Ask<'_>) -> Exception {
    Exception {
        deny: view.deny_ref(deny.number),
        to: wording::selector(deny.to),
        expires: deny.expires,
        args: wording::rules(&deny.rules),
    }
}
