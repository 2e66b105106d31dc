//! The claims of a token whose signature holds, as facts.
//!
//! A claim of another type than it must have refuses the token: what is not understood is never
//! left out. A claim that the issuer keeps elsewhere (OpenID Connect Core section 5.6.2) or left out
//! because there are too many values is unknown, not absent, so that no deny by it misses.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::refused::Refused;
use super::verified::{Beside, Verified};
use crate::model::{Fact, Timestamp};
use crate::policy::set::Issuer;

/// The longest text of a claim, in bytes.
const MAX_TEXT: usize = 2048;
/// The most values of one claim.
const MAX_VALUES: usize = 2048;
/// The most actors in a chain (RFC 8693 section 4.1).
const MAX_ACTORS: usize = 8;
/// The last second of the year 9999.
const LAST: f64 = 253_402_300_799.0;
/// Claims that only an ID token has (OpenID Connect Core section 3.1.3.6, 3.3.2.11).
const OF_ID_TOKENS: [&str; 4] = ["nonce", "at_hash", "c_hash", "s_hash"];
/// Says which claims are elsewhere: an object with their names.
const NAMES: &str = "_claim_names";
/// Says that the claim `groups` was left out, where there is no room to say where it is.
const OVERAGE: &str = "hasgroups";
/// Claims that only the token itself may say: elsewhere, nothing could be held against them.
const OWN: [&str; 13] =
    ["iss", "sub", "aud", "exp", "nbf", "iat", "scope", "scp", "cnf", "act", "azp", "token_use", "nonce"];

/// Reads the facts.
pub(super) fn read(name: &str, issuer: &Issuer, claims: &Map<String, Value>) -> Result<Verified, Refused> {
    let usage = claims.get("token_use").and_then(Value::as_str);
    if OF_ID_TOKENS.iter().any(|claim| claims.contains_key(*claim)) || usage == Some("id") {
        return Err(Refused::IdToken);
    }
    if claims.contains_key("cnf") {
        return Err(Refused::ProofRequired);
    }
    if OWN.iter().any(|claim| is_named(claims, claim)) {
        return Err(Refused::Claims);
    }
    let subject = text(claims.get("sub"))?.ok_or(Refused::Claims)?;
    let mapping = &issuer.claims;
    let actors = actors(claims.get("act"))?;
    let agent = match actors.first() {
        Some(current) => Fact::Known(current.clone()),
        None => match &mapping.agent {
            None => Fact::Absent,
            Some(path) if elsewhere(claims, path) => Fact::Unknown,
            Some(path) => match text(at(claims, path)?)? {
                // Where `client_id` (RFC 9068) is missing, OpenID Connect's name for the same stands in.
                None if path == "client_id" => text(claims.get("azp"))?,
                agent => agent,
            }
            .map_or(Fact::Absent, Fact::Known),
        },
    };
    let groups = match &mapping.groups {
        None => Fact::Absent,
        Some(path) if elsewhere(claims, path) || left_out(claims) => Fact::Unknown,
        Some(path) => strings(at(claims, path)?)?.map_or(Fact::Absent, Fact::Known),
    };
    let mut others = BTreeMap::new();
    let mut all_here = true;
    for (fact, path) in &mapping.others {
        // A request has no room to say of one claim that it is unknown: then all are.
        all_here &= !(elsewhere(claims, path) || path == "groups" && left_out(claims));
        if let Some(values) = strings(at(claims, path)?)? {
            others.insert(fact.clone(), values);
        }
    }
    let scopes = match claims.get("scope") {
        Some(Value::String(scope)) => Some(words(scope)?),
        Some(_) => return Err(Refused::Claims),
        None => match claims.get("scp") {
            Some(Value::String(scope)) => Some(words(scope)?),
            list => strings(list)?,
        },
    };
    Ok(Verified {
        issuer: name.to_owned(),
        subject,
        agent,
        actors,
        groups,
        claims: if all_here { Fact::Known(others) } else { Fact::Unknown },
        audience: strings(claims.get("aud"))?,
        scopes,
        // Dates may have fractions (RFC 7519 section 2) and are compared as whole seconds. None may help the
        // token: it ends no later than it says (section 4.1.4), begins no earlier (4.1.5), and, since `iat`
        // says how old it is (4.1.6), is no younger.
        issued_at: time(claims.get("iat"), f64::floor)?,
        expires_at: time(claims.get("exp"), f64::floor)?,
        not_before: time(claims.get("nbf"), f64::ceil)?,
        id: text(claims.get("jti"))?,
        beside: Beside::default(),
    })
}

/// The claim at a dotted path. A whole name with dots in it, such as a URL, comes first.
fn at<'c>(claims: &'c Map<String, Value>, path: &str) -> Result<Option<&'c Value>, Refused> {
    if let Some(value) = claims.get(path) {
        return Ok(Some(value));
    }
    let Some((first, rest)) = path.split_once('.') else { return Ok(None) };
    match claims.get(first) {
        None => Ok(None),
        Some(Value::Object(inner)) => at(inner, rest),
        Some(_) => Err(Refused::Claims),
    }
}

/// Whether the claim at a path, or what would hold it, is kept elsewhere.
fn elsewhere(claims: &Map<String, Value>, path: &str) -> bool {
    let mut ends = path.match_indices('.').map(|(dot, _)| dot).chain([path.len()]);
    ends.any(|end| path.get(..end).is_some_and(|name| is_named(claims, name)))
}

/// Whether a claim of this name is kept elsewhere. What says so in another form says so of all.
fn is_named(claims: &Map<String, Value>, name: &str) -> bool {
    match claims.get(NAMES) {
        None => false,
        Some(Value::Object(names)) => names.contains_key(name),
        Some(_) => true,
    }
}

/// Whether groups were left out because there are too many.
fn left_out(claims: &Map<String, Value>) -> bool {
    claims.get(OVERAGE).is_some_and(|value| *value != Value::Bool(false))
}

fn text(value: Option<&Value>) -> Result<Option<String>, Refused> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && text.len() <= MAX_TEXT => Ok(Some(text.clone())),
        Some(_) => Err(Refused::Claims),
    }
}

/// A string, or a list of strings.
fn strings(value: Option<&Value>) -> Result<Option<Vec<String>>, Refused> {
    match value {
        None => Ok(None),
        Some(Value::Array(list)) if list.len() <= MAX_VALUES => {
            let one = |value: &Value| text(Some(value))?.ok_or(Refused::Claims);
            list.iter().map(one).collect::<Result<_, _>>().map(Some)
        }
        one => Ok(text(one)?.map(|text| vec![text])),
    }
}

/// Scopes between single spaces (RFC 6749 section 3.3). The empty text is no scope.
fn words(scope: &str) -> Result<Vec<String>, Refused> {
    if scope.is_empty() {
        return Ok(Vec::new());
    }
    let fits = |word: &&str| {
        !word.is_empty()
            && word.len() <= MAX_TEXT
            && word.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
    };
    let words: Vec<&str> = scope.split(' ').collect();
    if words.len() > MAX_VALUES || !words.iter().all(fits) {
        return Err(Refused::Claims);
    }
    Ok(words.into_iter().map(str::to_owned).collect())
}

/// A `NumericDate` (RFC 7519 section 2) in whole seconds.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
fn time(value: Option<&Value>, round: fn(f64) -> f64) -> Result<Option<Timestamp>, Refused> {
    let Some(value) = value else { return Ok(None) };
    let seconds = value.as_f64().map(round).filter(|s| (0.0..=LAST).contains(s)).ok_or(Refused::Claims)?;
    Ok(Some(Timestamp(seconds as i64)))
}

/// The actors, the current one first: `client_id` of each, or else its `sub`.
fn actors(act: Option<&Value>) -> Result<Vec<String>, Refused> {
    let (mut actors, mut next) = (Vec::new(), act);
    while let Some(act) = next {
        let Value::Object(act) = act else { return Err(Refused::Claims) };
        if actors.len() == MAX_ACTORS {
            return Err(Refused::Claims);
        }
        let name = match text(act.get("client_id"))? {
            None => text(act.get("sub"))?,
            client => client,
        };
        actors.push(name.ok_or(Refused::Claims)?);
        next = act.get("act");
    }
    Ok(actors)
}
